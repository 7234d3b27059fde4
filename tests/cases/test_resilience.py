"""The one that is to blame is blamed, and nobody else loses anything for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from otcache import CacheFactory, GenericRedisCache, get_cache_health_status
from otcache.exceptions import InfrastructureError
from tests.cases.conftest import Make
from tests.cases.expected import fails_until
from tests.cases.proxy import Proxy
from tests.servers import RedisServer

# --- a server that refuses writes -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refuse",
    [("CONFIG", "SET", "min-replicas-to-write", 1), ("REPLICAOF", "127.0.0.1", 1)],
    ids=["NOREPLICAS", "READONLY"],
)
@pytest.mark.parametrize("l1", [True, False], ids=["with L1", "without L1"])
@fails_until(14, "one write that is refused takes all reads away")
async def test_reads_survive_a_write_that_is_refused(
    make: Make, own_server: RedisServer, refuse: tuple[Any, ...], l1: bool
) -> None:
    cache = make(redis_url=own_server.url, enable_l1_cache=l1, max_staleness=0.5)
    await cache.set_many({f"key:{number}": number for number in range(10)}, ttl=3600)
    own_server.command(*refuse)

    await cache.set("other", 1)
    await asyncio.sleep(1 if l1 else 0)  # until what L1 holds must be confirmed
    found = [await cache.get(f"key:{number}") for _ in range(3) for number in range(10)]

    assert found == list(range(10)) * 3


# redis/redis #12418, StackExchange/StackExchange.Redis #2512: a user as Redis 7 makes it
@fails_until(14, "a user without channels loses every write, and health says healthy")
async def test_a_user_that_can_write_nothing_is_told(own_server: RedisServer) -> None:
    own_server.command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "resetchannels")
    url = f"redis://app:pw@127.0.0.1:{own_server.port}/0"
    try:
        cache: Any = await CacheFactory().for_web_app(
            redis_url=url, fail_on_connection_error=True, timeout=10.0, enable_l1_cache=False
        )
    except InfrastructureError:
        return

    await cache.set("key", "value")
    found, health = await cache.get("key"), await get_cache_health_status(cache)
    await cache.close()

    assert found == "value" or health["status"] != "healthy"


# --- what this process does to itself ---------------------------------------------------------------------


@fails_until(14, "waiting for a connection of our own pool counts as Redis' failure")
async def test_a_burst_larger_than_the_pool_opens_no_breaker(make: Make, redis_server: RedisServer) -> None:
    async with asyncio.timeout(60), Proxy(redis_server.port) as proxy:
        cache = make(redis_url=proxy.url, timeout=1.0, max_connections=2, enable_l1_cache=False, max_staleness=30.0)
        await asyncio.gather(cache.set("present", 1), cache.set("other", 1))
        proxy.delay = 0.15

        await asyncio.gather(*(cache.set(f"key:{number}", number) for number in range(30)))

        assert cache.get_stats()["l2"]["breaker"] == "closed"
        assert await cache.get("present") == 1
        await cache.close()


# --- connections ------------------------------------------------------------------------------------------


@fails_until(14, "connections that the network has forgotten cost a timeout each, and open the breaker")
async def test_connections_that_are_forgotten_cost_no_answers(make: Make, redis_server: RedisServer) -> None:
    async with asyncio.timeout(60), Proxy(redis_server.port) as proxy:
        cache = make(redis_url=proxy.url, timeout=1.0, enable_l1_cache=False, max_staleness=20.0)
        await asyncio.gather(*(cache.set(f"key:{number}", number, ttl=600) for number in range(20)))

        proxy.hold()
        left = await asyncio.gather(*(cache.get_ttl(f"key:{number}") for number in range(20)))

        assert None not in left
        proxy.release()
        await cache.close()


@fails_until(14, "a burst at the server's limit of clients gives up the connections that are there")
async def test_a_burst_at_the_limit_of_clients_keeps_the_connections_that_are_there(
    make: Make, own_server: RedisServer
) -> None:
    cache = make(redis_url=own_server.url, timeout=1.0, enable_l1_cache=False)
    await cache.set_many({f"key:{number}": number for number in range(20)})
    own_server.command("CONFIG", "SET", "maxclients", 1)  # who is connected stays

    for _ in range(2):
        await asyncio.gather(*(cache.set(f"key:{number}", number) for number in range(20)))
    await asyncio.sleep(1.5)  # longer than the breaker stays open

    assert [await cache.get(f"key:{number}") for number in range(20)] == list(range(20))


# --- one budget for a call --------------------------------------------------------------------------------


async def load() -> int:
    return 1


Call = Callable[[GenericRedisCache], Awaitable[Any]]


@pytest.mark.parametrize(
    ("call", "warm"),
    [
        (lambda cache: cache.set("key", 1), False),
        (lambda cache: cache.purge(), True),
        (lambda cache: cache.get_or_set("new", load), False),
        (lambda cache: cache.get_or_set("new", load, refresh=True), True),
    ],
    ids=["first set", "purge", "first get_or_set", "refresh"],
)
@fails_until(14, "each round trip of one call waits for the whole `timeout`")
async def test_no_call_waits_longer_than_its_timeout(
    make: Make, own_server: RedisServer, call: Call, warm: bool
) -> None:
    cache = make(redis_url=own_server.url, timeout=0.5)
    if warm:
        await cache.set("key", 1)
        await cache.delete("key")

    with own_server.paused():
        began = time.monotonic()
        await call(cache)
        waited = time.monotonic() - began

    assert waited < 0.5 * 1.7  # by two round trips it is twice as long
