"""A cache on a server of the test's own, which may be killed, paused or filled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider

from otcache import GenericRedisCache, Providers
from tests.leaks import no_leaks
from tests.servers import RedisServer


@pytest.fixture(autouse=True)
async def nothing_leaks() -> AsyncIterator[None]:
    """Every test here ends with as many tasks, threads, files and sockets as it began with."""
    async with no_leaks():
        yield


@pytest.fixture
async def cache(private_server: RedisServer, prefix: str) -> AsyncIterator[GenericRedisCache]:
    """A cache whose breaker opens after three failures."""
    own = Providers(meter_provider=MeterProvider(shutdown_on_exit=False))  # counts of this test alone
    options: dict[str, Any] = {"breaker_failures": 3, "key_prefix": prefix, "providers": own}
    async with GenericRedisCache(redis_url=private_server.url, **options) as built:
        yield built


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> float:
    """Wait for a condition; how long it took, in seconds."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "it never came true"
        await asyncio.sleep(0.01)
    return time.monotonic() - started


def is_closed(cache: GenericRedisCache) -> bool:
    """Whether the far tier is asked."""
    return bool(cache.get_stats()["l2"]["breaker"] == "closed")
