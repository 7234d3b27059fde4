"""Settings that forget each other."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from otcache.dependencies import get_settings


@pytest.fixture(autouse=True)
def fresh_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has an environment without options, and reads it again."""
    for name in [name for name in os.environ if name.startswith("OTCACHE_") or name == "REDIS_URL"]:
        monkeypatch.delenv(name)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()
