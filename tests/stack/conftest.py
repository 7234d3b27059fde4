"""The parts of the stack, each started once per file that uses it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stack.otlp import Rotel, Sink


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    """An OTLP receiver in this process."""
    with Sink() as started:
        yield started


@pytest.fixture(scope="module")
def rotel(sink: Sink) -> Iterator[Rotel]:
    """Somebody else's OTLP receiver, which forwards to the sink."""
    with Rotel(sink) as started:
        yield started
