"""Whether something that a test started is still there: tasks, threads, open files and sockets, connections, locks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from otcache.cache import Cache
from tests.inside import pool_in_use
from tests.servers import RedisServer

PATIENCE: Final = 5.0
"""Seconds that what is being closed may take; a lock may live longer, see `locks`."""
_FILES: Final = Path("/proc/self/fd")


@dataclass(frozen=True)
class Held:
    """What this process holds now; compare two with `beyond`.

    Attributes:
        tasks: Of the running event loop, the current one left out.
        threads: All.
        files: What is open by kind: `socket`, `pipe`, or the path; none where there is no /proc.
    """

    tasks: frozenset[asyncio.Task[Any]]
    threads: frozenset[threading.Thread]
    files: Counter[str]

    def beyond(self, before: Held) -> list[str]:
        """What is there now and was not then."""
        tasks = [f"task {task.get_name()}: {task.get_coro()}" for task in self.tasks - before.tasks]
        threads = [f"thread {thread.name}" for thread in self.threads - before.threads]
        files = [f"{count} more of {kind}" for kind, count in (self.files - before.files).items()]
        return [*tasks, *threads, *files]


def held() -> Held:
    """What this process holds now."""
    return Held(_tasks(), frozenset(_threads()), Counter(_files()))


def _tasks() -> frozenset[asyncio.Task[Any]]:
    try:
        return frozenset(asyncio.all_tasks()) - {asyncio.current_task()}
    except RuntimeError:  # no event loop here
        return frozenset()


def _threads() -> Iterator[threading.Thread]:
    """Those of the event loop's own pool stay for the next who needs one."""
    return (thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_"))


def _files() -> Iterator[str]:
    for entry in _FILES.iterdir() if _FILES.exists() else ():
        with contextlib.suppress(OSError):  # the one that lists them is gone by now
            yield os.readlink(entry).split(":")[0]


@contextlib.asynccontextmanager
async def no_leaks(server: RedisServer | None = None, *, seconds: float = PATIENCE) -> AsyncIterator[None]:
    """What is begun inside has ended when it ends: tasks, threads, files, sockets, and clients of `server`.

    Raises:
        AssertionError: Something is still there after so many `seconds`; the message says what.
    """
    before, clients = held(), server.clients() if server is not None else 0
    yield
    await _wait_for(lambda: [*held().beyond(before), *_clients_beyond(server, clients)], seconds)


def _clients_beyond(server: RedisServer | None, before: int) -> list[str]:
    left = server.clients() - before if server is not None else 0
    return [f"{left} more clients of Redis"] if left > 0 else []


async def no_work(cache: Cache) -> None:
    """Return when no round trip of `cache` is under way: none of its pooled connections is in use.

    Raises:
        AssertionError: One is, after `PATIENCE` seconds.
    """
    await _wait_for(lambda: _in_use(cache))


def _in_use(cache: Cache) -> list[str]:
    return [f"{used} connections in use"] if (used := pool_in_use(cache)) else []


def locks(server: RedisServer, prefix: str) -> list[bytes]:
    """The locks that are held in Redis under a key prefix, each with how long it lives on if nobody frees it."""
    found, cursor = [], b"0"
    while True:
        cursor, keys = server.command("SCAN", cursor, "MATCH", f"{prefix}*@2:lock:*", "COUNT", 1000)
        found += keys
        if cursor == b"0":
            return found


async def no_locks(server: RedisServer, prefix: str, lock_seconds: float) -> None:
    """Return when no lock is left under `prefix`: freed, or, of a process that died, run out.

    Raises:
        AssertionError: One is there for longer than a lock lives.
    """
    await _wait_for(lambda: [lock.decode() for lock in locks(server, prefix)], lock_seconds + PATIENCE)


async def _wait_for(left: Callable[[], list[str]], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while (leaked := left()) and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    assert not leaked, "\n".join(leaked)
