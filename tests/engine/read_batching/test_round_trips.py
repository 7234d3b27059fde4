"""How many round trips the reads of one turn of the event loop cost, and who gets which answer."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from otcache import GenericRedisCache
from otcache._engine.l2 import is_idle
from otcache._engine.read_batching import MOST_KEYS
from otcache.telemetry.catalog import DB_OPERATION, L2_OPERATIONS
from otcache.testing import Capture
from tests.engine.read_batching.conftest import Make, asked
from tests.servers import RedisCluster, RedisServer


async def test_the_reads_of_one_turn_are_one_round_trip(cache: GenericRedisCache, private_server: RedisServer) -> None:
    found = await asyncio.gather(*(cache.get(f"k{number}") for number in range(10)), cache.get("absent"))

    assert found == [*range(10), None]
    assert asked(private_server) == {"mget": 1}


async def test_a_read_alone_is_a_plain_get(cache: GenericRedisCache, private_server: RedisServer) -> None:
    assert [await cache.get("k1"), await cache.get("k2")] == [1, 2]

    assert asked(private_server) == {"get": 2}


async def test_a_read_alone_begins_no_task(cache: GenericRedisCache) -> None:
    tasks: set[Any] = set()

    def note(loop: asyncio.AbstractEventLoop, coro: Any, **more: Any) -> asyncio.Task[Any]:
        tasks.add(coro)
        return asyncio.Task(coro, loop=loop, **more)

    asyncio.get_running_loop().set_task_factory(note)
    await cache.get("k1")
    asyncio.get_running_loop().set_task_factory(None)

    assert tasks == set()


async def test_a_read_beside_other_work_is_a_plain_get_too(
    cache: GenericRedisCache, private_server: RedisServer
) -> None:
    async def work() -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    value, _ = await asyncio.gather(cache.get("k1"), work())

    assert value == 1
    assert asked(private_server) == {"get": 1}


async def test_a_key_that_many_want_is_asked_for_once(cache: GenericRedisCache, private_server: RedisServer) -> None:
    found = await asyncio.gather(*(cache.get(key) for key in ["k1", "k2", "k1", "k1"]))
    same = await asyncio.gather(*(cache.get("k3") for _ in range(5)))

    assert (found, same) == ([1, 2, 1, 1], [3] * 5)
    assert asked(private_server) == {"mget": 1, "get": 1}


async def test_loads_of_one_turn_are_looked_up_together(make: Make, private_server: RedisServer) -> None:
    cache = make(private_server.url, single_flight="process")
    await cache.set_many({f"k{number}": number for number in range(10)})
    await cache.get("k0")
    private_server.command("CONFIG", "RESETSTAT")

    async def load() -> int:
        raise AssertionError("it is there")

    found = await asyncio.gather(*(cache.get_or_set(f"k{number}", load) for number in range(10)))

    assert found == list(range(10))
    assert asked(private_server) == {"mget": 1}


async def test_very_many_reads_are_several_round_trips(cache: GenericRedisCache, private_server: RedisServer) -> None:
    count = 2 * MOST_KEYS + 1

    found = await asyncio.gather(*(cache.get(f"k{number}") for number in range(count)))

    assert found[:11] == [*range(10), None]
    assert asked(private_server) == {"mget": 2, "get": 1}


async def test_large_values_are_not_asked_for_all_at_once(
    cache: GenericRedisCache, private_server: RedisServer
) -> None:
    values = [random.Random(number).randbytes(200_000) for number in range(20)]
    await cache.set_many({f"large{number}": value for number, value in enumerate(values)})
    private_server.command("CONFIG", "RESETSTAT")

    for _ in range(2):
        found = await asyncio.gather(*(cache.get(f"large{number}") for number in range(20)))

    assert found == values
    assert asked(private_server)["mget"] > 2


async def test_on_a_cluster_each_node_is_asked_once(make: Make, cluster: RedisCluster, telemetry: Capture) -> None:
    cache = make(cluster.url)
    await cache.connect()
    await cache.set_many({f"k{number}": number for number in range(30)})
    assert cache._l2 is not None
    places = {cache._l2.backend.place(f"k{number}") for number in range(30)}

    found = await asyncio.gather(*(cache.get(f"k{number}") for number in range(30)))

    assert found == list(range(30))
    assert len(places) == 3
    assert telemetry.metric_value(L2_OPERATIONS.name, **{DB_OPERATION.name: "MGET"}) == 3


async def test_another_event_loop_begins_anew(make: Make, private_server: RedisServer) -> None:
    cache = make(private_server.url)
    await cache.set_many({"a": 1, "b": 2})

    async def read() -> list[Any]:
        return await asyncio.gather(*map(cache.get, "ab"))

    here = await read()
    there = await asyncio.to_thread(asyncio.run, read())

    assert here == there == [1, 2]


class Blind:
    """An event loop that does not show what is ready, as uvloop's."""


def test_an_event_loop_that_shows_nothing_is_taken_for_busy() -> None:
    assert not is_idle(Blind())  # type: ignore[arg-type]


async def test_there_reads_are_collected_all_the_same(
    cache: GenericRedisCache, private_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("otcache._engine.l2.is_idle", lambda loop: is_idle(Blind()))  # type: ignore[arg-type]

    alone = await cache.get("k1")
    together = await asyncio.gather(*map(cache.get, ["k2", "k3"]))

    assert (alone, together) == (1, [2, 3])
    assert asked(private_server) == {"get": 1, "mget": 1}
