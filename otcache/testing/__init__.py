"""For tests: what a cache emitted, as plain objects, and the promises of a store.

As a pytest plugin (`pytest_plugins = ["otcache.testing"]`) it gives the fixture `telemetry`.
"""

from __future__ import annotations

from collections.abc import Iterator

from otcache.testing._emitted import Capture, EventRecord, ManualClock, Point, Span, capture_telemetry, span_type
from otcache.testing._store_contract import OpenBackend, Promise, store_contract

__all__ = [
    "Capture",
    "EventRecord",
    "ManualClock",
    "OpenBackend",
    "Point",
    "Promise",
    "Span",
    "capture_telemetry",
    "span_type",
    "store_contract",
]

try:
    import pytest
except ImportError:  # pragma: no cover  an application may use `capture_telemetry` without pytest
    pass
else:

    @pytest.fixture
    def telemetry() -> Iterator[Capture]:
        """What is emitted during the test."""
        with capture_telemetry() as captured:
            yield captured
