"""Invalidation versions, one sorted set, and locks: what only Redis promises of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otcache.exceptions import StoreError
from otcache.stores.base import InvalidationRows, LockAttempt
from otcache.stores.redis.store import RedisStore
from tests.conftest import Connect, Place
from tests.servers import RedisServer
from tests.stores.conftest import Listen

ID, OTHER = "0000000a", "deadbeef"
LIMIT = 1000


async def test_lost_versions_begin_a_new_epoch(store: RedisStore, place: Place, prefix: str) -> None:
    await store.invalidate("t:a", ID, LIMIT, b"")
    name = f"{prefix.removesuffix(':')}@2:stamps"
    server = place.servers.owner(name) if hasattr(place.servers, "owner") else place.servers
    getattr(server, "master", server).command("DEL", name)

    assert await store.versions(ID, 1, OTHER) == InvalidationRows(OTHER, [])


async def test_racing_invalidations_get_different_versions(place: Place, connect: Connect, listen: Listen) -> None:
    stores = [connect(place.url, timeout=5.0, **place.options) for _ in range(4)]
    ear = await listen(stores[0])

    answers = await asyncio.gather(
        *(store.invalidate("t:same", f"{who:08x}", LIMIT, b"s ") for who, store in enumerate(stores) for _ in range(10))
    )

    assert len({epoch for epoch, _ in answers}) == 1
    assert sorted(number for _, number in answers) == list(range(1, 41))
    assert await ear.all() == [b"s %d t:same" % number for number in range(1, 41)]
    assert (await stores[0].versions("", 0, ID)).rows == [("t:same", 40)]


async def test_after_the_last_version_a_new_epoch_begins(server: RedisServer, connect: Any, prefix: str) -> None:
    store = connect(server.url)
    await store.invalidate("t:a", ID, LIMIT, b"")
    server.command("ZADD", f"{prefix.removesuffix(':')}@2:stamps", 2**32 - 2, "t:a")

    answers = [await store.invalidate("t:b", OTHER, LIMIT, b"") for _ in range(2)]

    assert answers == [(ID, 2**32 - 1), (OTHER, 1)]
    assert await store.versions(ID, 2**32 - 1, ID) == InvalidationRows(OTHER, [("t:b", 1)])


async def test_an_entry_of_another_type_is_none_and_a_lock_of_another_type_an_error(
    server: RedisServer, connect: Connect, prefix: str
) -> None:
    store = connect(server.url)
    server.command("RPUSH", f"{prefix}entry", "x")
    server.command("RPUSH", f"{prefix.removesuffix(':')}@2:lock:lock", "x")

    assert await store.lock("entry", b"me", 60_000) == LockAttempt(None, 0, None)
    for call in (
        store.lock("lock", b"me", 60_000),
        store.renew("lock", b"", 1),
        store.unlock("lock", b"", b""),
    ):
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await call
