"""Callers who give up, and round trips that fail: everybody's own, and counted once."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from otcache import GenericRedisCache
from otcache.telemetry import catalog
from otcache.testing import Capture
from tests.engine.read_batching.conftest import Make, asked
from tests.leaks import no_work
from tests.servers import RedisCluster, RedisServer

TURNS = [0, 1, 2, 3, 4]


def reads(cache: GenericRedisCache, count: int) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(cache.get(f"k{number}")) for number in range(count)]


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("after", TURNS)
@pytest.mark.parametrize("who", [0, 2])
async def test_a_caller_who_gives_up_takes_nobody_along(cache: GenericRedisCache, after: int, who: int) -> None:
    calls = reads(cache, 5)
    await turns(after)

    calls[who].cancel()
    ends = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(ends.pop(who), asyncio.CancelledError)
    assert ends == [number for number in range(5) if number != who]


@pytest.mark.parametrize("after", TURNS)
async def test_when_all_give_up_the_call_ends(
    cache: GenericRedisCache, private_server: RedisServer, after: int
) -> None:
    with private_server.paused():
        calls = reads(cache, 5)
        await turns(after)

        for call in calls:
            call.cancel()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        await no_work(cache)

    assert all(isinstance(end, asyncio.CancelledError) for end in ends)
    assert [await cache.get("k1"), await cache.get("k2")] == [1, 2], "nobody reads another's answer"


async def test_a_server_that_hangs_costs_everybody_one_limit_and_the_breaker_counts_it_once(
    make: Make, private_server: RedisServer, telemetry: Capture
) -> None:
    cache = make(private_server.url, timeout=0.2, breaker_failures=3)
    await cache.connect()
    await cache.set("k0", 0)
    assert cache._l2 is not None

    with private_server.paused():
        started = time.monotonic()
        found = await asyncio.gather(*(cache.get(f"k{number}") for number in range(20)))
        took = time.monotonic() - started

    assert found == [None] * 20
    assert took < 2.0
    assert (cache._l2.breaker.failures, cache._l2.breaker.state) == (1, "closed")
    assert telemetry.metric_value(catalog.DEGRADED_OPERATIONS.name, **{catalog.DEGRADED_REASON.name: "timeout"}) == 20
    reason = {catalog.MISS_REASON.name: "backend_unavailable"}
    assert telemetry.metric_value(catalog.LOOKUPS.name, **reason) == 20


async def test_an_open_breaker_refuses_each_read_at_once(cache: GenericRedisCache, private_server: RedisServer) -> None:
    assert cache._l2 is not None
    cache._l2.breaker.enter("open")

    found = await asyncio.gather(*(cache.get(f"k{number}") for number in range(5)))

    assert found == [None] * 5
    assert asked(private_server) == {}


async def test_a_node_that_hangs_does_not_spoil_the_answers_of_the_others(make: Make, start: Any, prefix: str) -> None:
    cluster: RedisCluster = start(RedisCluster("debian"))
    cache = make(cluster.url, timeout=1.0)
    await cache.connect()
    await cache.set_many({f"k{number}": number for number in range(30)})
    hung = cluster.owner(f"{prefix}users:k0")
    on_it = {number for number in range(30) if cluster.owner(f"{prefix}users:k{number}") is hung}

    with hung.paused():
        found = await asyncio.gather(*(cache.get(f"k{number}") for number in range(30)))

    assert found == [None if number in on_it else number for number in range(30)]


async def test_closing_ends_reads_that_are_under_way(cache: GenericRedisCache, private_server: RedisServer) -> None:
    with private_server.paused():
        calls = reads(cache, 5)
        await turns(5)

        await cache.close()
        ends = await asyncio.gather(*calls)

    assert ends == [None] * 5


async def test_a_delete_that_failed_is_made_good_before_the_batch_is_read(
    make: Make, private_server: RedisServer
) -> None:
    cache = make(private_server.url, timeout=0.3)
    await cache.connect()
    await cache.set_many({"a": 1, "b": 2})
    with private_server.paused():
        await cache.delete("a")

    found = await asyncio.gather(*map(cache.get, "ab"))

    assert found == [None, 2]
