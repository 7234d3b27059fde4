"""A Redis that dies, hangs, fills up or turns read-only: bounded, degraded, and good again by itself."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

import pytest

from otcache import CacheConfig, GenericRedisCache, InMemoryCache, open_cache
from tests.engine.outage.conftest import is_closed, until
from tests.inside import forget
from tests.servers import RedisServer


async def test_nothing_raises_while_it_is_dead_and_l1_still_serves(
    cache: GenericRedisCache, private_server: RedisServer
) -> None:
    await cache.set("before", 1)
    private_server.kill()

    await cache.set("during", 2)
    await cache.delete("absent")

    assert await cache.get("before") == 1
    assert await cache.get("during") == 2
    assert await cache.get("unknown") is None
    assert await cache.get_many(["before", "unknown"]) == {"before": 1}
    assert not await cache.exists("unknown")
    assert await cache.get_ttl("unknown") is None
    assert not await cache.ping()


async def test_an_outage_is_not_a_plain_miss(cache: GenericRedisCache, private_server: RedisServer) -> None:
    private_server.kill()

    for _ in range(5):
        await cache.get("k")

    assert cache.get_stats()["misses"] == {"backend_unavailable": 5}


async def test_it_is_back_within_two_seconds_of_the_servers_return(
    cache: GenericRedisCache, private_server: RedisServer
) -> None:
    private_server.kill()
    for _ in range(3):
        await cache.get("k")
    assert not is_closed(cache)

    private_server.restart()

    assert await until(lambda: is_closed(cache)) < 2
    await cache.set("k", 1)
    forget(cache)
    assert await cache.get("k") == 1


async def test_a_hanging_server_costs_a_call_its_time_limit_and_then_nothing(
    cache: GenericRedisCache, private_server: RedisServer
) -> None:
    with private_server.paused():
        started = time.monotonic()
        for _ in range(3):
            await cache.get("k")
        first = time.monotonic() - started
        started = time.monotonic()
        for _ in range(1000):
            await cache.get("k")
        then = time.monotonic() - started

    assert then < first  # a thousand calls after three that waited 0.25 s each


async def test_a_burst_on_a_hanging_server_waits_once_and_not_in_a_queue(
    cache: GenericRedisCache, private_server: RedisServer
) -> None:
    with private_server.paused():
        started = time.monotonic()
        answers = await asyncio.gather(*(cache.get(f"k{number}") for number in range(500)))

    assert answers == [None] * 500
    assert time.monotonic() - started < 60  # one after the other, they would wait two minutes


@pytest.mark.parametrize(
    "remove",
    [
        lambda cache: cache.delete("k"),
        lambda cache: cache.set("k", "new", ttl=0),
        lambda cache: cache.touch("k", 0),
        lambda cache: cache.get_or_set("k", lambda: "new", ttl=0, refresh=True),
    ],
    ids=["delete", "set", "touch", "load"],
)
async def test_a_delete_that_failed_is_made_good_before_the_next_read(
    cache: GenericRedisCache, private_server: RedisServer, remove: Any
) -> None:
    await cache.set("k", "old")
    private_server.pause()
    for _ in range(3):
        await remove(cache)

    private_server.resume()
    await until(lambda: is_closed(cache))

    assert await cache.get("k") is None
    assert private_server.command("EXISTS", f"{cache.config.key_prefix}{cache.name}:k") == 0


async def test_an_overwrite_that_failed_does_not_let_the_old_value_return(
    cache: GenericRedisCache, private_server: RedisServer
) -> None:
    await cache.set("k", "old")
    private_server.pause()
    await cache.set("k", "new")
    private_server.resume()
    forget(cache)

    assert await cache.get("k") in (None, "new")


async def test_one_lost_delete_is_repaired_although_the_breaker_never_opened(
    cache: GenericRedisCache, private_server: RedisServer
) -> None:
    await cache.set("k", "old")
    private_server.pause()
    await cache.delete("k")
    private_server.resume()

    assert is_closed(cache)
    assert await cache.get("k") is None


async def test_too_many_failed_writes_make_the_whole_cache_invalid_and_nothing_else(
    private_server: RedisServer, prefix: str
) -> None:
    options: dict[str, Any] = {"key_prefix": prefix, "journal_size": 10, "breaker_failures": 3}
    async with GenericRedisCache(redis_url=private_server.url, name="mine", **options) as cache:
        await cache.set_many({f"k{number}": "old" for number in range(30)})
        private_server.command("SET", f"{prefix}other:k", "theirs")
        private_server.pause()
        await cache.delete_many([f"k{number}" for number in range(20)])
        private_server.resume()
        await until(lambda: is_closed(cache))

        async with GenericRedisCache(cache.config) as another:
            assert await another.get_many([f"k{number}" for number in range(30)]) == {}
        assert private_server.command("GET", f"{prefix}other:k") == b"theirs"


async def test_a_cancelled_write_leaves_no_value_that_nobody_vouches_for(
    cache: GenericRedisCache, private_server: RedisServer
) -> None:
    await cache.set("k", "old")
    private_server.pause()
    writing = asyncio.ensure_future(cache.set("k", "new"))
    await asyncio.sleep(0.05)

    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    private_server.resume()

    assert await cache.get("k") is None


async def test_a_cancelled_read_never_hands_its_answer_to_another(cache: GenericRedisCache) -> None:
    await cache.set_many({f"k{number}": number for number in range(50)})

    for turn in range(40):
        forget(cache)
        reads = [asyncio.ensure_future(cache.get(f"k{number}")) for number in range(50)]
        await asyncio.sleep(0.0002 * (turn % 7))
        for read in reads[turn % 3 :: 3]:
            read.cancel()
        answers = await asyncio.gather(*reads, return_exceptions=True)

        assert all(a in (n, None) or isinstance(a, asyncio.CancelledError) for n, a in enumerate(answers))


async def test_a_full_server_is_never_reported_as_written(start: Any, kind: Any, prefix: str) -> None:
    server = start(RedisServer(kind, maxmemory=2_500_000))
    async with GenericRedisCache(redis_url=server.url, key_prefix=prefix, enable_l1_cache=False) as cache:
        told: list[str] = []
        cache.register_callback("set_success", lambda key, _: told.append(key))
        for number in range(80):
            await cache.set(f"k{number}", os.urandom(60_000))

        kept = {key for key in told if await cache.get(key) is not None}

        assert 0 < len(told) < 80
        assert kept == set(told)
        assert is_closed(cache)


async def test_a_read_only_server_still_answers_reads(cache: GenericRedisCache, private_server: RedisServer) -> None:
    await cache.set("k", 1)
    private_server.command("REPLICAOF", "127.0.0.1", "1")
    await cache.set("other", 2)
    forget(cache)

    assert is_closed(cache)
    assert cache.far_error == "READONLY"


async def test_a_server_that_wants_a_password_is_a_degraded_tier(start: Any, kind: Any) -> None:
    server = start(RedisServer(kind, password="secret"))
    cache = GenericRedisCache(redis_url=f"redis://:wrong@127.0.0.1:{server.port}")

    assert not await cache.connect()
    await cache.set("k", 1)
    assert await cache.get("k") == 1
    assert "wrong" not in str(cache.get_stats())
    await cache.close()


async def test_closing_leaves_no_task_and_no_connection(private_server: RedisServer) -> None:
    before = asyncio.all_tasks()
    cache = GenericRedisCache(redis_url=private_server.url, breaker_failures=1)
    await cache.connect()
    private_server.kill()
    await cache.get("k")

    await cache.close()
    await asyncio.sleep(0)

    assert asyncio.all_tasks() == before


async def test_a_cache_that_began_without_its_redis_hears_others_once_and_leaves_nothing(
    private_server: RedisServer, prefix: str
) -> None:
    private_server.kill()
    before = asyncio.all_tasks()
    config = CacheConfig(redis_url=private_server.url, key_prefix=prefix, breaker_probe_seconds=0.05)
    cache = await open_cache(config)
    private_server.restart()
    await until(lambda: cache._tiers.backplane is not None and cache._tiers.backplane.is_live)

    listening = private_server.command("PUBSUB", "NUMSUB", f"{prefix}default@1:news")[1]
    await cache.close()
    await until(lambda: private_server.clients() == 0)

    assert (type(cache), listening, asyncio.all_tasks()) == (InMemoryCache, 1, before)
