"""A cache without L1, so that every read leaves the process, and how often its server was asked."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from otcache import CacheConfig, GenericRedisCache
from otcache.testing import Capture, capture_telemetry
from tests.leaks import no_leaks
from tests.servers import RedisServer

Make = Callable[..., GenericRedisCache]


@pytest.fixture(autouse=True)
async def nothing_leaks() -> AsyncIterator[None]:
    """Every test here ends with as many tasks, threads, files and sockets as it began with."""
    async with no_leaks():
        yield


@pytest.fixture
def telemetry() -> Iterator[Capture]:
    """What is emitted during the test."""
    with capture_telemetry() as captured:
        yield captured


@pytest.fixture
async def make(telemetry: Capture, prefix: str) -> AsyncIterator[Make]:
    """Makes caches on a Redis alone; closed after the test."""
    caches: list[GenericRedisCache] = []

    def build(url: str, **options: Any) -> GenericRedisCache:
        settings = {"name": "users", "key_prefix": prefix, "timeout": 5.0, **options}
        config = CacheConfig(redis_url=url, enable_l1_cache=False, **settings)
        caches.append(GenericRedisCache(config, providers=telemetry.providers))
        return caches[-1]

    yield build
    for cache in caches:
        await cache.close()


@pytest.fixture
async def cache(make: Make, private_server: RedisServer) -> GenericRedisCache:
    """One on a server of the test's own, which holds k0 to k9 and has been read from once."""
    built = make(private_server.url)
    await built.connect()
    await built.set_many({f"k{number}": number for number in range(10)})
    await built.get("k0")
    private_server.command("CONFIG", "RESETSTAT")
    return built


def asked(server: RedisServer) -> dict[str, int]:
    """How often the server was sent each reading command since its counters were reset."""
    found = re.findall(r"cmdstat_(get|mget):calls=(\d+)", server.command("INFO", "commandstats").decode())
    return {command: int(calls) for command, calls in found}
