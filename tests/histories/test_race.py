"""A load that a change of the database overtakes: what it stored is gone from every process within the bound."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest

from otcache import GenericRedisCache
from tests.histories.ground import Ground
from tests.histories.line import State
from tests.servers import RedisServer

BOUND: Final = 2.0
LOADER, WRITER, READER = range(3)


@pytest.fixture
def ground(redis_server: RedisServer, tmp_path: Path) -> Iterator[Ground]:
    with Ground(redis_server, tmp_path, 3) as ground:
        yield ground


@pytest.fixture
async def caches(ground: Ground, prefix: str) -> AsyncIterator[list[GenericRedisCache]]:
    """One that loads, one that deletes, one that only reads, each on a line of its own, as in three processes."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                GenericRedisCache(redis_url=f"redis://127.0.0.1:{line.port}/0", name="shared", key_prefix=prefix)
            )
            for line in ground.lines
        ]


@pytest.mark.parametrize("state", ["open", "deaf"])
async def test_what_a_load_read_before_a_change_is_not_served_for_longer_than_the_bound(
    ground: Ground, caches: list[GenericRedisCache], state: State
) -> None:
    read, changed = asyncio.Event(), asyncio.Event()

    async def load() -> str:
        read.set()  # the old row
        await changed.wait()
        return "old"

    with ground.line(LOADER, state):
        loading: asyncio.Task[str] = asyncio.create_task(caches[LOADER].get_or_set("k", load))
        await read.wait()
        await caches[WRITER].delete("k")  # the row has been changed before
        confirmed = time.monotonic()
        changed.set()
        assert await loading == "old"
        while time.monotonic() <= confirmed + BOUND:
            await caches[READER].get("k")
            await asyncio.sleep(0.01)

        assert [await cache.get("k") for cache in caches] == [None, None, None]
