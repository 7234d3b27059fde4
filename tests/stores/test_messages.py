"""A change and its message are one step, on every client kind and both servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from otcache.exceptions import StoreError
from otcache.stores.redis.store import RedisStore
from tests.conftest import Connect, Place
from tests.servers import Kind, RedisCluster, RedisServer, wait_for
from tests.stores.conftest import Listen, message

ENTRY = b"the payload of an entry"


async def test_a_removal_is_counted_and_told_whether_or_not_there_was_something(
    store: RedisStore, place: Place, listen: Listen
) -> None:
    await store.write_many([("a", b""), ("b", b"")], 0)
    ear = await listen(store)

    removed = await store.remove(["a", "b", "absent"], message)

    told = [b"k a", b"k absent", b"k b"] if "cluster" in place.url else [b"k a,b,absent"]
    assert removed == 2
    assert sorted(await ear.all()) == told
    assert await store.read_many(["a", "b"]) == [None, None]


async def test_thousands_of_keys_are_removed_by_one_script(redis_server: RedisServer, connect: Connect) -> None:
    store = connect(redis_server.url)
    keys = [f"key{number}" for number in range(9000)]  # more than Lua can unpack
    await store.write_many([(key, b"") for key in keys], 0)

    assert await store.remove(keys, message) == 9000


async def test_news_of_a_key_come_in_the_order_of_its_changes(place: Place, connect: Connect, listen: Listen) -> None:
    stores = [connect(place.url, timeout=5.0, **place.options) for _ in range(4)]
    ear = await listen(stores[0])

    async def change(who: int) -> None:
        for number in range(25):
            payload = b"%d.%d" % (who, number)
            await stores[who].write("key", payload, 0, lambda _, payload=payload: payload)  # type: ignore[misc]

    await asyncio.gather(*map(change, range(4)))

    told = await ear.all()
    assert len(told) == 100
    assert told[-1] == await stores[0].read("key")
    for who in range(4):
        assert [text for text in told if text.startswith(b"%d." % who)] == [b"%d.%d" % (who, n) for n in range(25)]


async def test_one_change_is_published_once(server: RedisServer, connect: Connect, listen: Listen) -> None:
    store = connect(server.url)
    ear = await listen(store)

    await store.write("key", ENTRY, 0, message)
    await store.replace("key", ENTRY, ENTRY, 1000, message)
    await store.remove(["key", "other"], message)
    await store.invalidate("t:tag", "0" * 8, 10, b"s ")
    await store.lock("key", b"me", 1000)
    await store.renew("key", b"me", 1000)
    await store.unlock("key", b"me", b"f")

    await ear.subscription.ping()
    assert ear.heard == [b"k key", b"k key", b"k key,other", b"s 1 t:tag", b"f"]


async def test_two_caches_do_not_hear_each_other(redis_server: RedisServer, prefix: str, listen: Listen) -> None:
    place = Place(redis_server.url, redis_server)
    ours, theirs = place.store(f"{prefix}a:"), place.store(f"{prefix}a:b:")
    ear = await listen(ours)

    await theirs.write("key", b"", 0, message)
    await ours.write("key", b"", 0, message)

    assert await ear.all() == [b"k key"]
    await ours.close()
    await theirs.close()


async def test_stamps_and_locks_are_no_entries(place: Place, prefix: str) -> None:
    store, neighbour = place.store(f"{prefix}web:"), place.store(f"{prefix}we:")
    await store.write("key", b"", 0, message)
    await store.invalidate("t:tag", "0" * 8, 10, b"s ")
    await store.lock("key", b"me", 60_000)

    assert [key async for keys in store.scan("*") for key in keys] == ["key"]
    assert [key async for keys in neighbour.scan("*") for key in keys] == []

    await store.close()
    await neighbour.close()


# --- the server refuses ---------------------------------------------------------------------------------


def _facts(error: StoreError) -> tuple[str, str, bool]:
    return error.reason, error.error_type, error.counts


async def _refusal(call: Awaitable[Any]) -> tuple[str, str, bool]:
    with pytest.raises(StoreError) as caught:
        await call
    return _facts(caught.value)


def _changes(store: RedisStore) -> list[Callable[[], Awaitable[Any]]]:
    """Everything that changes something by a script."""
    return [
        lambda: store.write("key", b"x", 60_000, message),
        lambda: store.remove(["key", "other"], message),
        lambda: store.replace("key", ENTRY, ENTRY, 60_000, message),
        lambda: store.versions("", 0, "0" * 8),
        lambda: store.invalidate("t:tag", "0" * 8, 10, b"s "),
        lambda: store.lock("new", b"me", 1000),
        lambda: store.unlock("held", b"me", b"f"),
    ]


async def test_a_full_server_refuses_scripts_as_it_does_commands(
    private_server: RedisServer, connect: Connect, listen: Listen
) -> None:
    store = connect(private_server.url)
    ear = await listen(store)
    await store.write("key", ENTRY, 0)
    private_server.command("CONFIG", "SET", "maxmemory", 1)
    write, remove, replaced, stamps, invalidate, lock, _ = _changes(store)

    for call in (write, replaced, stamps, invalidate, lock):
        assert await _refusal(call()) == ("server_error", "OOM", False)
    errors = await store.write_many([("a", b""), ("b", b"")], 0, message)

    assert [error and _facts(error) for error in errors] == [("server_error", "OOM", False)] * 2
    assert await ear.all() == []
    assert await store.read("key") == ENTRY
    assert await remove() == 1, "what frees memory is allowed"


async def test_a_replica_refuses_scripts_as_it_does_commands(
    start: Any, private_server: RedisServer, connect: Connect
) -> None:
    master = connect(private_server.url)
    await master.write("key", ENTRY, 0)
    await master.lock("held", b"me", 60_000)
    replica = start(RedisServer(private_server.kind, replica_of=private_server))
    wait_for(lambda: replica.command("DBSIZE") == 2, "replication")
    store = connect(replica.url)

    for call in _changes(store):
        assert await _refusal(call()) == ("server_error", "READONLY", False)
    errors = await store.write_many([("a", b""), ("b", b"")], 0, message)

    assert [error and _facts(error) for error in errors] == [("server_error", "READONLY", False)] * 2


@pytest.mark.parametrize(
    ("rights", "expected"),
    [
        (("-eval",), ("auth", "NOPERM", False)),
        (("-publish",), ("server_error", "ERR", False)),
        (("resetchannels",), ("server_error", "ERR", False)),
    ],
)
async def test_a_user_who_may_not_tell_is_told_so(
    private_server: RedisServer, connect: Connect, rights: tuple[str, ...], expected: tuple[str, str, bool]
) -> None:
    private_server.command("ACL", "SETUSER", "mute", "on", ">word", "~*", "&*", "+@all", *rights)
    store = connect(private_server.url.replace("://", "://mute:word@"))

    assert await _refusal(store.write("key", b"x", 0, message)) == expected

    await store.write("key", b"x", 0)


async def test_a_key_of_another_type_is_replaced_or_refused_as_without_news(
    server: RedisServer, connect: Connect, prefix: str
) -> None:
    store = connect(server.url)
    server.command("RPUSH", f"{prefix}list", "x")

    assert await _refusal(store.replace("list", ENTRY, ENTRY, 1000, message)) == ("server_error", "WRONGTYPE", False)
    assert await _refusal(store.write("list", b"x", 2**63, message)) == ("server_error", "ERR", False)

    await store.write("list", b"x", 0, message)
    assert await store.read("list") == b"x"


# --- a cluster's slots move -----------------------------------------------------------------------------


def _slot_moves(cluster: RedisCluster, key: str) -> tuple[int, RedisServer, RedisServer]:
    source = cluster.owner(key)
    slot = cluster.nodes[0].command("CLUSTER", "KEYSLOT", key)
    return slot, source, next(node for node in cluster.nodes if node is not source)


async def test_scripts_follow_a_slot_that_has_moved(
    start: Any, kind: Kind, connect: Connect, prefix: str, listen: Listen
) -> None:
    cluster = start(RedisCluster(kind))
    store = connect(cluster.url)
    ear = await listen(store)
    slot, source, target = _slot_moves(cluster, f"{prefix}{{k}}1")
    for node in (target, source, *cluster.nodes):
        node.command("CLUSTER", "SETSLOT", slot, "NODE", target.command("CLUSTER", "MYID"))

    await store.write("{k}1", ENTRY, 0, message)
    errors = await store.write_many([("{k}2", b"2"), ("other", b"")], 0, message)
    removed = await store.remove(["{k}2", "other"], message)

    assert (errors, removed) == ([None] * 2, 2)
    assert await store.replace("{k}1", ENTRY, ENTRY, 60_000, message)
    assert (await store.lock("{k}1", b"me", 1000)).payload is not None
    assert set(await ear.all()) == {b"k {k}1", b"k {k}2", b"k other"}


async def test_scripts_ask_at_both_ends_of_a_slot_that_is_moving(
    start: Any, kind: Kind, connect: Connect, prefix: str
) -> None:
    cluster = start(RedisCluster(kind))
    store = connect(cluster.url)
    await store.write("{k}stays", ENTRY, 0)
    slot, source, target = _slot_moves(cluster, f"{prefix}{{k}}1")
    target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.command("CLUSTER", "MYID"))
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.command("CLUSTER", "MYID"))

    await store.write("{k}new", ENTRY, 0, message)
    errors = await store.write_many([("{k}1", b"1"), ("{k}2", b"2")], 0, message)

    assert errors == [None, None]
    assert await store.replace("{k}new", ENTRY, ENTRY, 60_000, message)
    assert await store.remove(["{k}stays", "{k}2", "{k}absent"], message) == 2
    assert (await store.lock("{k}1", b"me", 1000)).payload == b"1"
