"""Locks of loads: one holder at a time, on every client kind and both servers."""

from __future__ import annotations

import asyncio

import pytest

from otcache.exceptions import StoreError
from otcache.stores.base import LockAttempt
from otcache.stores.redis.store import RedisStore
from tests.conftest import Connect, Place
from tests.servers import RedisServer
from tests.stores.conftest import Listen, news

LONG = 60_000


async def test_a_free_lock_is_taken_and_the_entry_read(store: RedisStore) -> None:
    await store.write("key", b"entry", 0)

    assert await store.coordination.lock("key", b"me", LONG) == LockAttempt(None, 0, b"entry")
    assert await store.coordination.lock("other", b"me", LONG) == LockAttempt(None, 0, None)


async def test_a_held_lock_says_who_has_it_and_for_how_long(store: RedisStore) -> None:
    await store.coordination.lock("key", b"me", LONG)
    await store.write("key", b"entry", 0)

    holder, left, payload = await store.coordination.lock("key", b"you", LONG)

    assert (holder, payload) == (b"me", b"entry")
    assert LONG - 20_000 < left <= LONG


async def test_of_many_who_race_one_gets_the_lock(place: Place, connect: Connect) -> None:
    stores = [connect(place.url, **place.options) for _ in range(8)]

    answers = await asyncio.gather(
        *(store.coordination.lock("key", b"%d" % who, LONG) for who, store in enumerate(stores))
    )

    [winner] = [b"%d" % who for who, answer in enumerate(answers) if answer.holder is None]
    assert {answer.holder for answer in answers} == {None, winner}


async def test_only_the_holder_gives_a_lock_back(store: RedisStore, listen: Listen) -> None:
    ear = await listen(store)
    await store.coordination.lock("key", b"me", LONG)

    assert not await store.coordination.unlock("key", b"you", b"f you")
    assert (await store.coordination.lock("key", b"you", LONG)).holder == b"me"
    assert await store.coordination.unlock("key", b"me", b"f me")
    assert not await store.coordination.unlock("key", b"me", b"f again")

    assert await ear.all() == [b"f me"]
    assert (await store.coordination.lock("key", b"you", LONG)).holder is None


async def test_only_the_holder_holds_a_lock_on(store: RedisStore) -> None:
    await store.coordination.lock("key", b"me", 30_000)

    assert not await store.coordination.renew("key", b"you", LONG)
    assert (await store.coordination.lock("key", b"you", 1)).left_ms <= 30_000
    assert await store.coordination.renew("key", b"me", LONG)
    assert (await store.coordination.lock("key", b"you", 1)).left_ms > 30_000
    assert not await store.coordination.renew("free", b"me", LONG)


async def test_an_expired_lock_is_somebody_elses(store: RedisStore) -> None:
    await store.coordination.lock("key", b"me", 1)
    async with asyncio.timeout(10):
        while (await store.coordination.lock("key", b"you", LONG)).holder is not None:
            await asyncio.sleep(0.001)

    renewed, unlocked = (
        await store.coordination.renew("key", b"me", LONG),
        await store.coordination.unlock("key", b"me", b""),
    )

    assert (renewed, unlocked) == (False, False)
    assert (await store.coordination.lock("key", b"me", LONG)).holder == b"you"


async def test_an_entry_of_another_type_is_none_and_a_lock_of_another_type_an_error(
    server: RedisServer, connect: Connect, prefix: str
) -> None:
    store = connect(server.url)
    server.command("RPUSH", f"{prefix}entry", "x")
    server.command("RPUSH", f"{prefix.removesuffix(':')}@1:lock:lock", "x")

    assert await store.coordination.lock("entry", b"me", LONG) == LockAttempt(None, 0, None)
    for call in (
        store.coordination.lock("lock", b"me", LONG),
        store.coordination.renew("lock", b"", 1),
        store.coordination.unlock("lock", b"", b""),
    ):
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await call


async def test_a_load_whose_key_is_written_meanwhile_is_not_stored(store: RedisStore) -> None:
    await store.coordination.lock("k", b"loader", 5000)
    await store.write("k", b"newer", 0, news)

    assert not await store.coordination.write_loaded("k", b"older", 0, b"loader", news)
    assert await store.read("k") == b"newer"


async def test_a_load_whose_key_is_removed_meanwhile_is_not_stored(store: RedisStore) -> None:
    await store.coordination.lock("k", b"loader", 5000)
    await store.remove(["other", "k"], news)

    assert not await store.coordination.write_loaded("k", b"older", 0, b"loader", news)
    assert await store.read("k") is None


async def test_a_loaded_value_is_stored_and_its_lock_given_back_at_once(store: RedisStore) -> None:
    await store.coordination.lock("k", b"loader", 5000)

    assert await store.coordination.write_loaded("k", b"value", 0, b"loader", news)
    assert await store.coordination.lock("k", b"next", 5000) == LockAttempt(None, 0, b"value")


@pytest.mark.parametrize("key", ["{tag}k", "k{", "}k{", "k{}", "{}{x}"])
async def test_keys_with_braces_can_be_loaded_everywhere(store: RedisStore, key: str) -> None:
    await store.coordination.lock(key, b"loader", 5000)

    assert await store.coordination.write_loaded(key, b"value", 0, b"loader", news)
    assert await store.read(key) == b"value"
    assert await store.remove([key], news) == 1
