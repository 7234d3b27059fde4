"""What was acknowledged stays, whatever is late, forked, restarted or cut off."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from otcache import CacheFactory, GenericRedisCache
from tests.cases.conftest import Make
from tests.cases.expected import fails_until
from tests.cases.proxy import Proxy
from tests.servers import RedisServer


async def until(condition: Callable[[], Awaitable[bool]], seconds: float) -> bool:
    """Whether `condition` comes to hold within so many seconds."""
    ends = time.monotonic() + seconds
    while not (holds := await condition()) and time.monotonic() < ends:
        await asyncio.sleep(0.05)
    return holds


@fails_until(13, "processes that were forked after the cache was built don't hear each other")
def test_forked_processes_hear_each_other(redis_server: RedisServer, prefix: str) -> None:
    program = [sys.executable, "-m", "tests.cases.forked", redis_server.url, prefix]

    seen = subprocess.run(program, capture_output=True, text=True, timeout=60, check=True).stdout.strip()

    assert seen == "new"


@fails_until(13, "after a restart from an older snapshot, numbers are used again and invalidations do nothing")
async def test_an_invalidation_counts_after_a_restart_from_an_older_snapshot(
    make: Make, own_server: RedisServer
) -> None:
    here, there = make(redis_url=own_server.url), make(redis_url=own_server.url, enable_l1_cache=False)
    await here.invalidate_tag("in the snapshot")
    own_server.command("SAVE")
    for number in range(5):
        await here.invalidate_tag(f"lost:{number}")
    await there.get("user:1")

    own_server.restart()
    assert await until(lambda: answers(here, there), 10.0)
    await here.set("user:1", "Ada", tags=["users"])
    assert await there.get("user:1") == "Ada"
    await here.invalidate_tag("users")

    assert [await here.get("user:1"), await there.get("user:1")] == [None, None]


async def answers(*caches: GenericRedisCache) -> bool:
    """Whether Redis answers all of them, and nothing is left to repair."""
    for cache in caches:
        await cache.get("anything")
    facts = [cache.get_stats()["l2"] for cache in caches]
    return all(each["breaker"] == "closed" and each["unrepaired_keys"] == 0 for each in facts)


@fails_until(13, "a write that was given up is applied later over a newer one that was acknowledged")
async def test_a_late_write_does_not_replace_a_newer_one(make: Make, redis_server: RedisServer) -> None:
    other = make(enable_l1_cache=False)
    async with asyncio.timeout(60), Proxy(redis_server.port) as proxy:
        writer = make(redis_url=proxy.url, timeout=1.0, max_staleness=8.0)
        await writer.set("key", "first", ttl=3600)
        proxy.hold()
        await writer.set("key", "given up", ttl=3600)
        assert await until(lambda: answers(writer), 10.0)  # over new connections
        await writer.set("key", "acknowledged", ttl=3600)
        assert await other.get("key") == "acknowledged"

        proxy.release()
        await asyncio.sleep(0.5)

        assert await other.get("key") == "acknowledged"


@pytest.mark.parametrize("by_factory", [False, True], ids=["class", "factory"])
@fails_until(13, "a process that has never reached Redis calls its own copy fresh for the whole time to live")
async def test_who_never_reached_redis_does_not_call_its_copy_fresh(
    make: Make, redis_server: RedisServer, prefix: str, by_factory: bool
) -> None:
    async with asyncio.timeout(60), Proxy(redis_server.port) as proxy:
        proxy.refuse = True
        options: dict[str, Any] = {"redis_url": proxy.url, "name": "shop", "timeout": 0.5, "max_staleness": 1.0}
        away: Any = await CacheFactory().for_web_app(key_prefix=prefix, **options) if by_factory else make(**options)
        await away.get_or_set("price", lambda: 1, ttl=3600)
        await make(name="shop").set("price", 2, ttl=3600)

        async def is_known_to_be_old() -> bool:
            answer = await away.answer("price", lambda: 2, ttl=3600)
            return bool(answer.value == 2 or answer.status == "stale")

        assert await until(is_known_to_be_old, 3.0)
        await away.close()
