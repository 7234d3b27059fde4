"""The SDK in memory, and a cache that reports to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from otcache import GenericRedisCache
from otcache.testing import Capture, capture_telemetry


@pytest.fixture
def telemetry() -> Iterator[Capture]:
    """What is emitted during the test."""
    with capture_telemetry() as captured:
        yield captured


@pytest.fixture
async def users(telemetry: Capture, redis_server: Any, prefix: str) -> AsyncIterator[GenericRedisCache]:
    """A cache called users, on a Redis."""
    options: dict[str, Any] = {"name": "users", "key_prefix": prefix, "providers": telemetry.providers, "timeout": 5.0}
    async with GenericRedisCache(redis_url=redis_server.url, **options) as cache:
        yield cache
