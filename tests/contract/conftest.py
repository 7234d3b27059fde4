"""One fixture, every implementation; two caches on one Redis stand for two processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis.asyncio
from opentelemetry.sdk.metrics import MeterProvider

from otcache import AIMemoryCache, AIResponseCache, GenericRedisCache, InMemoryCache, Providers
from otcache.cache import Cache

IMPLEMENTATIONS = ["memory", "memory-copy", "ai-memory", "redis", "redis-copy", "redis-no-l1", "ai"]
NEEDS_REDIS = {"redis", "redis-copy", "redis-no-l1", "ai"}


def own_counts() -> Providers:
    """Metrics of one test alone."""
    return Providers(meter_provider=MeterProvider(shutdown_on_exit=False))


def build(kind: str, options: dict[str, Any], url: str) -> Cache:
    isolation: dict[str, Any] = {"l1_isolation": "copy"} if kind.endswith("copy") else {}
    if kind in ("memory", "memory-copy"):
        return InMemoryCache(**options, **isolation)
    if kind == "ai-memory":
        return AIMemoryCache(**options)
    if kind == "ai":
        return AIResponseCache(**options, redis_url=url)
    return GenericRedisCache(**options, **isolation, redis_url=url, enable_l1_cache=kind != "redis-no-l1")


def cases() -> list[Any]:
    embedded = [pytest.param((kind, None), id=kind) for kind in IMPLEMENTATIONS if kind not in NEEDS_REDIS]
    real = [(kind, server) for kind in IMPLEMENTATIONS if kind in NEEDS_REDIS for server in ("valkey", "debian")]
    return embedded + [pytest.param(case, id="-".join(case)) for case in real]


@pytest.fixture(params=cases())
async def cache(request: pytest.FixtureRequest, shared_servers: Any, prefix: str) -> AsyncIterator[Cache]:
    """Each implementation in turn, each with a Redis of either kind where it has one."""
    kind, server = request.param
    url = shared_servers(server).url if server else ""
    built = build(kind, {"key_prefix": prefix, "providers": own_counts(), "timeout": 5.0}, url)
    assert await built.connect()
    yield built
    await built.close()


@pytest.fixture
async def two_processes(server: Any, prefix: str) -> AsyncIterator[tuple[GenericRedisCache, GenericRedisCache]]:
    """Two caches of one name on one Redis, each with an L1 of its own; each server in turn."""
    options: dict[str, Any] = {"key_prefix": prefix, "redis_url": server.url, "providers": own_counts(), "timeout": 5.0}
    async with GenericRedisCache(**options) as first, GenericRedisCache(**options) as second:
        yield first, second


@pytest.fixture
async def raw(server: Any) -> AsyncIterator[Any]:
    """A plain client of the same server."""
    client = redis.asyncio.Redis.from_url(server.url)
    yield client
    await client.aclose()
