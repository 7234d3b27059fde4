"""A loader that misbehaves hurts its own callers alone, and they are told at once what it did."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from otcache import GenericRedisCache, InMemoryCache
from tests.cases.conftest import Make
from tests.cases.expected import fails_until, given, outcome
from tests.servers import RedisServer


@pytest.fixture
async def memory() -> AsyncIterator[InMemoryCache]:
    async with InMemoryCache(name="loads") as cache:
        yield cache


# python/cpython #112182, agronholm/anyio #475, langchain-ai/langchain #22997
async def test_a_plain_loader_that_runs_out_of_an_iterator_is_told_at_once(memory: InMemoryCache) -> None:
    nothing: Iterator[int] = iter(())

    raised = await outcome(memory.get_or_set("first", lambda: next(nothing), timeout=1))

    assert raised == "RuntimeError"


class Own(BaseException):
    """Of the application's own."""


@pytest.mark.parametrize("error", [Own, GeneratorExit], ids=lambda each: each.__name__)
@fails_until(14, "what a loader raises beside exceptions arrives as `was closed during a load`")
async def test_what_a_loader_raises_arrives_as_what_it_is(memory: InMemoryCache, error: type[BaseException]) -> None:
    async def load() -> int:
        raise error

    try:
        async with asyncio.timeout(10):
            await memory.get_or_set("key", load)
        raised: type[BaseException] | None = None
    except (Exception, error) as exc:  # noqa: BLE001  which one it is, is what the test asks
        raised = type(exc)

    assert raised is error


# awolverp/cachebox #54, sebleier/django-redis-cache #128
@fails_until(14, "loads that wait for each other wait for the whole timeout")
async def test_loads_that_wait_for_each_other_are_told_at_once(cache: GenericRedisCache) -> None:
    both_run = asyncio.Barrier(2)

    async def ask_for(own: str, other: str) -> str:
        async def load() -> str:
            await both_run.wait()
            return await ask_for(other, own)

        return await cache.get_or_set(own, load, timeout=2)

    raised = await asyncio.gather(outcome(ask_for("a", "b")), outcome(ask_for("b", "a")))

    assert "LoadTimeout" not in raised


@pytest.fixture
async def hanging(make: Make, own_server: RedisServer) -> AsyncIterator[GenericRedisCache]:
    """A cache on a server that is named by its host name, with 40 plain loaders that hang."""
    done = threading.Event()
    cache = make(redis_url=f"redis://localhost:{own_server.port}/0", timeout=1.0, loader_timeout=20.0)
    await cache.set("warm", 1)
    hung = [asyncio.create_task(cache.get_or_set(f"hangs:{number}", lambda: done.wait(30))) for number in range(40)]
    await asyncio.sleep(0.5)
    yield cache
    done.set()
    await asyncio.gather(*hung, return_exceptions=True)


@fails_until(14, "plain loaders that hang keep every other plain loader waiting")
async def test_loaders_that_hang_leave_room_for_others(hanging: GenericRedisCache) -> None:
    assert await outcome(hanging.get_or_set("other", lambda: 42, timeout=2)) == 42


@fails_until(14, "plain loaders that hang stop the resolution of Redis' host name")
async def test_loaders_that_hang_do_not_cut_off_redis(hanging: GenericRedisCache, own_server: RedisServer) -> None:
    for kind in ("normal", "pubsub"):
        own_server.command("CLIENT", "KILL", "TYPE", kind)

    for number in range(8):
        await hanging.set(f"written:{number}", number)

    assert hanging.get_stats()["l2"]["breaker"] == "closed"


# Krukov/cashews #127, omegaup/omegaup #8962
async def test_a_busy_event_loop_loads_each_key_once(make: Make) -> None:
    caches = [make(max_staleness=0.5, max_connections=5) for _ in range(2)]
    loads: Counter[int] = Counter()

    async def call(cache: GenericRedisCache, number: int) -> int:
        async def load() -> int:
            loads[number] += 1
            await asyncio.sleep(0.05)
            return number

        return await cache.get_or_set(f"key:{number}", load, ttl=60, timeout=30)

    await asyncio.gather(*(cache.get("warm") for cache in caches))
    await asyncio.sleep(0.6)
    calls = [asyncio.create_task(call(cache, number)) for number in range(50) for cache in caches for _ in range(2)]
    await asyncio.sleep(0)
    time.sleep(1)  # what a crowd of callers does to the loop
    got = await asyncio.gather(*calls)

    given(sorted(got) == sorted(list(range(50)) * 4), "right values")
    assert loads.total() <= 60  # of 100 where each process loads for itself
