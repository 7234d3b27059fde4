"""What was acknowledged stays, whatever is late, forked, restarted or cut off."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from otcache import CacheFactory, GenericRedisCache
from tests.cases.conftest import Make
from tests.cases.expected import fails_until, given
from tests.cases.history import Operation, stale_reads
from tests.cases.proxy import Proxy
from tests.servers import RedisServer, free_port, wait_for

SEED: Final = 11


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


def answered_by(url: str, method: str = "GET") -> tuple[int, Any]:
    """Which process has answered, and what; each request has a connection of its own."""
    answer = httpx.request(method, url, timeout=20).json()
    return answer["process"], answer["value"]


@pytest.mark.long
@fails_until(13, "workers of gunicorn --preload don't hear each other")
def test_preloaded_workers_hear_each_other(redis_server: RedisServer, prefix: str, tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/price"
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--worker-class", "asgi"]
    bind = ["--bind", f"127.0.0.1:{port}", "tests.cases.preloaded:app"]
    environment = os.environ | {"CASE_REDIS_URL": redis_server.url, "CASE_PREFIX": prefix}
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([*command, *bind], env=environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: _listens(port), "gunicorn", 30)
        answered_by(f"{url}/1", "POST")
        copies: dict[int, Any] = {}
        wait_for(lambda: len(_asked(copies, url)) == 2, "both workers' answers", 30)
        given(set(copies.values()) == {1}, "a copy in each worker")
        answered_by(f"{url}/2", "POST")
        time.sleep(3)  # far longer than a message takes
        later: dict[int, Any] = {}
        wait_for(lambda: len(_asked(later, url)) == 2, "both workers' answers", 30)
    finally:
        server.terminate()
        server.wait(30)

    assert set(later.values()) == {2}


def _asked(seen: dict[int, Any], url: str) -> dict[int, Any]:
    process, value = answered_by(url)
    seen.setdefault(process, value)
    return seen


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.long
@fails_until(13, "processes that were forked after the cache was built read what was overwritten long ago")
def test_no_forked_process_reads_what_was_overwritten(redis_server: RedisServer, prefix: str, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.cases.history", redis_server.url, prefix, str(tmp_path), str(SEED)]
    subprocess.run(program, timeout=60, check=True)

    operations = [Operation(*each) for log in tmp_path.glob("*.json") for each in json.loads(log.read_text())]
    stale = stale_reads(operations, grace=3.0)

    given(len(operations) > 100, "a history")
    assert stale == []


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
    given(await until(lambda: answers(here, there), 10.0), "a Redis that is back")
    await here.set("user:1", "Ada", tags=["users"])
    given(await there.get("user:1") == "Ada", "an entry to invalidate")
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
        writer = make(redis_url=proxy.url, timeout=1.5, max_staleness=8.0)
        await writer.set("key", "first", ttl=3600)
        proxy.hold()
        await writer.set("key", "given up", ttl=3600)
        given(await until(lambda: answers(writer), 10.0), "new connections")
        await writer.set("key", "acknowledged", ttl=3600)
        given(await other.get("key") == "acknowledged", "a newer write")

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
        options: dict[str, Any] = {"redis_url": proxy.url, "name": "shop", "timeout": 0.5, "max_staleness": 0.5}
        away: Any = await CacheFactory().for_web_app(key_prefix=prefix, **options) if by_factory else make(**options)
        await away.get_or_set("price", lambda: 1, ttl=3600)
        await make(name="shop").set("price", 2, ttl=3600)

        async def is_known_to_be_old() -> bool:
            answer = await away.answer("price", lambda: 2, ttl=3600)
            return bool(answer.value == 2 or answer.status == "stale")

        assert await until(is_known_to_be_old, 2.0)
        await away.close()
