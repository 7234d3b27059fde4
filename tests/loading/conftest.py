"""Caches whose loads are watched: after each test no task, no lock, no connection in use and no load is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from otcache import GenericRedisCache, InMemoryCache
from otcache.cache import Cache
from otcache.testing import Capture, capture_telemetry
from tests.inside import loads_under_way
from tests.servers import RedisServer
from tests.telemetry.scenario import PATIENT, until


@pytest.fixture
def telemetry() -> Iterator[Capture]:
    """What is emitted during the test; all of it is in the catalogue."""
    with capture_telemetry() as captured:
        yield captured
        captured.assert_schema()


Make = Callable[..., Any]


@pytest.fixture
async def make(telemetry: Capture, redis_server: RedisServer, prefix: str) -> AsyncIterator[Make]:
    """Makes caches that are closed after the test; `redis_url=None` for one in memory."""
    before = asyncio.all_tasks()  # pytest's own
    caches: list[Cache] = []

    def build(name: str = "users", **options: Any) -> Cache:
        options = {"name": name, "providers": telemetry.providers, **options}
        if options.get("redis_url", redis_server.url) is None:
            del options["redis_url"]
            caches.append(InMemoryCache(**options))
        else:
            where: dict[str, Any] = {
                "redis_url": redis_server.url,
                "key_prefix": prefix,
                "timeout": PATIENT,
                "max_staleness": 10.0,
            }
            caches.append(GenericRedisCache(**(where | options)))
        return caches[-1]

    yield build
    for cache in caches:
        await until(lambda cache=cache: is_idle(cache))  # type: ignore[misc]
        await cache.close()
    assert asyncio.all_tasks() - before - {asyncio.current_task()} == set()
    assert redis_server.command("KEYS", f"{prefix}*@2:lock:*") == []


def is_idle(cache: Cache) -> bool:
    """Whether nothing of a load is under way any more."""
    locks = cache._loads._locks
    server = cache._l2.backend.server if cache._l2 is not None else None
    pool = server.usage() if server is not None else None
    returning = len(locks._returning) if locks is not None else 0
    return not (loads_under_way(cache) or returning or (pool[0] if pool is not None else 0))


@pytest.fixture(params=["memory", "redis"])
def cache(request: pytest.FixtureRequest, make: Make) -> Any:
    """A cache in memory, and one with a Redis."""
    return make(redis_url=None) if request.param == "memory" else make()


class Loader:
    """An asynchronous loader that tells how often it ran, and waits until it may go on.

    Attributes:
        calls: How often it began.
        value: What it makes.
        error: What it raises instead.
    """

    def __init__(self, value: Any = "made", *, held: bool = False) -> None:
        self.calls = 0
        self.value = value
        self.error: BaseException | None = None
        self.began = asyncio.Event()
        self._go = asyncio.Event()
        if not held:
            self._go.set()

    def hold(self) -> None:
        """Let the next run wait."""
        self._go.clear()
        self.began.clear()

    def release(self) -> None:
        """Let it go on."""
        self._go.set()

    async def __call__(self) -> Any:
        self.calls += 1
        self.began.set()
        await self._go.wait()
        if self.error is not None:
            raise self.error
        return self.value


async def waiting(cache: Cache, callers: int) -> None:
    """Until so many callers wait for another's load."""
    from otcache.telemetry import catalog

    metrics = cache._probe.metrics
    await until(lambda: metrics.total(catalog.COALESCE_WAITING, cache.name) == callers)
