"""The check for leaks finds each kind of them, and waits for what is being closed."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest

from otcache import GenericRedisCache
from tests.leaks import locks, no_leaks, no_locks, no_work
from tests.servers import RedisServer


@pytest.fixture
async def left_task() -> AsyncIterator[Callable[[], None]]:
    """Begins a task that nobody ends before the test does."""
    tasks: list[asyncio.Task[None]] = []
    yield lambda: tasks.append(asyncio.create_task(asyncio.sleep(60), name="forgotten"))
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_task_that_goes_on_is_found(left_task: Callable[[], None]) -> None:
    with pytest.raises(AssertionError, match="task forgotten"):
        async with no_leaks(seconds=0.1):
            left_task()


async def test_a_thread_that_goes_on_is_found() -> None:
    over = threading.Event()
    with pytest.raises(AssertionError, match="thread forgotten"):
        async with no_leaks(seconds=0.1):
            threading.Thread(target=over.wait, name="forgotten").start()

    over.set()


async def test_a_socket_that_stays_open_is_found(redis_server: RedisServer) -> None:
    with pytest.raises(AssertionError) as found:
        async with no_leaks(redis_server, seconds=0.1):
            connection = socket.create_connection(("127.0.0.1", redis_server.port))

    connection.close()
    assert str(found.value).splitlines() == ["1 more of socket", "1 more clients of Redis"]


async def test_what_takes_a_moment_to_end_is_waited_for() -> None:
    async with no_leaks():
        ending = asyncio.create_task(asyncio.sleep(0.1))

    assert ending.done()


async def test_a_cache_that_is_closed_leaves_nothing(redis_server: RedisServer, prefix: str) -> None:
    async with no_leaks(redis_server), GenericRedisCache(redis_url=redis_server.url, key_prefix=prefix) as cache:
        await cache.set("k", 1)
        await no_work(cache)


async def test_a_lock_that_is_left_in_redis_is_found_until_it_runs_out(redis_server: RedisServer, prefix: str) -> None:
    redis_server.command("SET", f"{prefix}default@2:lock:k", "somebody", "PX", 300)

    assert locks(redis_server, prefix) == [f"{prefix}default@2:lock:k".encode()]
    await no_locks(redis_server, prefix, lock_seconds=0.3)
