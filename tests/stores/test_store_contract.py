"""The exported suite finds a broken store: each promise is broken once, in a Redis that keeps all others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import pytest

from otcache.exceptions import StoreError
from otcache.stores import Backend, Location
from otcache.testing import store_contract
from tests.conftest import Place
from tests.servers import RedisServer

PROMISES = {promise.__name__: promise for promise in store_contract()}


class Patched:
    """A part of a store, with some of its members replaced."""

    def __init__(self, part: Any, **members: Any) -> None:
        self.__dict__.update(members)
        self._part = part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)


def _up(*given: Any) -> Any:
    *rest, ms = given
    return *rest, -(-ms // 1000) * 1000


def _down(*given: Any) -> Any:
    *rest, ms = given
    return *rest, ms // 1000 * 1000


class Row(NamedTuple):
    """`how(part, *arguments)` stands in for a method of a part of the backend."""

    promise: str
    part: str
    method: str
    how: Callable[..., Any]


async def _empty_is_nothing(store: Any, key: str) -> Any:
    return await store.read(key) or None


async def _replace_keeping_the_time(store: Any, key: str, old: bytes, new: bytes, ttl_ms: int, _: Any = None) -> bool:
    return bool(await store.replace(key, old, new, await store.left_ms(key) or 0))


async def _replace_anything(store: Any, key: str, old: bytes, *given: Any) -> bool:
    return bool(await store.replace(key, await store.read(key) or b"", *given))


async def _replace_in_two_steps(store: Any, key: str, old: bytes, *given: Any, readers: list[str] = []) -> bool:  # noqa: B006  the fault itself
    if await store.read(key) != old:
        return False
    readers.append(key)
    while len(readers) < 2:  # two have read before anybody writes
        await asyncio.sleep(0)
    await store.write(key, *given)
    return True


async def _one_at_a_time(store: Any, key: str, last: list[str] = []) -> Any:  # noqa: B006  the fault itself
    last[:] = [key]
    await asyncio.sleep(0)
    return await store.read(last[0])


async def _next_reply(store: Any, key: str, replies: list[Any] = []) -> Any:  # noqa: B006  the fault itself
    replies.append(asyncio.ensure_future(store.read(key)))
    await asyncio.sleep(0)
    return await replies.pop(0)


async def _in_one_loop(store: Any, key: str, loops: list[Any] = []) -> Any:  # noqa: B006  the fault itself
    loops.append(asyncio.get_running_loop())
    return await store.read(key) if loops[0] is loops[-1] else None


async def _nothing(part: Any, *arguments: Any) -> None:
    pass


async def _always(part: Any, *arguments: Any) -> bool:
    return True


async def _of_this_epoch(log: Any, known_id: str, since: int, new_id: str) -> Any:
    return (await log.versions(known_id, since, new_id))._replace(id=new_id)


async def _first(log: Any, target: str, new_id: str, *arguments: Any) -> tuple[str, int]:
    await log.invalidate(target, new_id, *arguments)
    return new_id, 1


async def _lock_without(locks: Any, key: str, value: bytes, ms: int, **missing: Any) -> Any:
    return (await locks.lock(key, value, ms))._replace(**missing)


async def _store_in_any_case(locks: Any, key: str, payload: bytes, ttl_ms: int, lock: bytes, message: Any) -> bool:
    await locks.seize(key, lock, 1000)
    return bool(await locks.write_loaded(key, payload, ttl_ms, lock, message))


async def _keep_the_lock(locks: Any, key: str, payload: bytes, ttl_ms: int, lock: bytes, message: Any) -> bool:
    stored = await locks.write_loaded(key, payload, ttl_ms, lock, message)
    await locks.lock(key, lock, 60_000)
    return bool(stored)


def _late(channel: Any, receive: Any, lost: Any) -> Any:
    return channel.subscribe(lambda message: asyncio.get_running_loop().call_later(0.05, receive, message), lost)


def _swapped(channel: Any, receive: Any, lost: Any) -> Any:
    held: list[bytes] = []

    def hold(message: bytes) -> None:
        held.append(message)
        if len(held) == 2:
            receive(held.pop())
            receive(held.pop())

    return channel.subscribe(hold, lost)


def _open_for_ever(channel: Any, receive: Any, lost: Any) -> Any:
    subscription = channel.subscribe(receive, lost)
    return Patched(subscription, close=partial(_nothing, subscription))


async def _mute(store: Any, key: str, payload: bytes, ttl_ms: int, message: Any = None) -> None:
    await store.write(key, payload, ttl_ms)


async def _loud(store: Any, key: str, payload: bytes, ttl_ms: int, message: Any = None) -> None:
    await store.write(key, payload, ttl_ms, lambda _: b"k")


ROWS = [
    Row("what_is_written_is_read_back", "store", "read", _empty_is_nothing),
    Row("keys_may_be_any_text", "store", "write", lambda store, key, *rest: store.write(key.lower(), *rest)),
    Row("many_are_read_in_their_order", "store", "read_many", lambda store, keys: store.read_many(sorted(keys))),
    Row("many_are_written_at_once", "store", "write_many", lambda store, items, *_: store.write_many(items, 0)),
    Row("removal_counts_what_existed", "store", "remove", lambda store, keys, *_: _counted(store, keys)),
    Row("the_time_left_is_known", "store", "left_ms", lambda store, key: _or_none(store.left_ms(key))),
    Row("an_expired_entry_is_gone", "store", "write", lambda store, key, payload, _: store.write(key, payload, 0)),
    Row("an_expired_entry_is_gone", "store", "write", lambda store, *given: store.write(*given[:2], 100)),
    Row("a_time_to_live_is_never_lengthened", "store", "write", lambda store, *given: store.write(*_up(*given[:3]))),
    Row("a_time_to_live_is_never_lengthened", "store", "write", lambda store, *given: store.write(*_down(*given[:3]))),
    Row("a_time_to_live_is_never_lengthened", "store", "replace", lambda store, *g: store.replace(*_up(*g[:4]))),
    Row("what_is_as_it_was_read_is_replaced", "store", "replace", _replace_keeping_the_time),
    Row("what_is_not_as_it_was_read_stays", "store", "replace", _replace_anything),
    Row("of_many_who_replace_one_wins", "store", "replace", _replace_in_two_steps),
    Row("a_scan_finds_what_matches", "store", "scan", lambda store, _: store.scan("*")),
    Row("the_clock_goes_on", "store", "clock", lambda store: Patched(store.clock, now_ms=lambda: 1_800_000_000_000)),
    Row("it_says_where_it_is", "store", "location", lambda store: Location("here", "redis", "")),
    Row("calls_at_once_get_their_own_answers", "store", "read", _one_at_a_time),
    Row("a_cancelled_call_leaves_no_reply_to_the_next", "store", "read", _next_reply),
    Row("another_event_loop_can_use_it", "store", "read", _in_one_loop),
    Row("a_closed_store_refuses", "store", "close", _nothing),
    Row("the_first_question_begins_the_epoch", "invalidations", "versions", _of_this_epoch),
    Row("every_invalidation_has_a_version_of_its_own", "invalidations", "invalidate", _first),
    Row("only_what_is_new_is_returned", "invalidations", "versions", lambda log, _, __, new: log.versions("", 0, new)),
    Row(
        "invalidating_everything_drops_the_other_rows",
        "invalidations", "invalidate", lambda log, target, *rest: log.invalidate(target.replace("*", "p:"), *rest),
    ),
    Row(
        "above_the_limit_the_floor_stands_for_the_lowest_rows",
        "invalidations", "invalidate", lambda log, target, new_id, _: log.invalidate(target, new_id, 10_000),
    ),
    Row("racing_invalidations_get_different_versions", "invalidations", "invalidate", _first),
    Row("a_free_lock_is_taken_and_the_entry_read", "locks", "lock", partial(_lock_without, payload=None)),
    Row("a_held_lock_says_who_has_it_and_for_how_long", "locks", "lock", partial(_lock_without, left_ms=0)),
    Row("of_many_who_race_one_gets_the_lock", "locks", "lock", partial(_lock_without, holder=None)),
    Row("only_the_holder_renews_and_gives_back", "locks", "unlock", _always),
    Row("an_expired_lock_is_somebody_elses", "locks", "lock", lambda locks, *given: locks.lock(*given[:2], 10**6)),
    Row("a_seized_lock_has_another_holder", "locks", "seize", _nothing),
    Row("a_load_whose_key_has_changed_is_not_stored", "locks", "write_loaded", _store_in_any_case),
    Row("a_loaded_value_is_stored_and_its_lock_given_back", "locks", "write_loaded", _keep_the_lock),
    Row("a_change_publishes_its_message", "store", "write", _mute),
    Row("a_change_without_a_message_publishes_nothing", "store", "write", _loud),
    Row("a_ping_returns_after_what_was_published_before_it", "channel", "subscribe", _late),
    Row("messages_of_a_key_come_in_the_order_of_its_changes", "channel", "subscribe", _swapped),
    Row("a_closed_subscription_hears_nothing", "channel", "subscribe", _open_for_ever),
    Row(
        "an_invalidation_publishes_its_version_and_target",
        "invalidations", "invalidate", lambda log, target, new_id, limit, _=None: log.invalidate(target, new_id, limit),
    ),
    Row("a_lock_given_back_publishes_its_message", "locks", "unlock", lambda locks, *given: locks.unlock(*given[:2])),
]  # fmt: skip


async def _counted(store: Any, keys: list[str]) -> int:
    await store.remove(keys)
    return len(keys)


async def _or_none(call: Any) -> Any:
    return await call or None


def broken(backend: Backend, row: Row) -> Backend:
    part = getattr(backend, row.part)
    how: Any = row.how(part) if row.method in ("clock", "location") else partial(row.how, part)
    patched: dict[str, Any] = {row.part: Patched(part, **{row.method: how})}
    return replace(backend, **patched)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.promise)
async def test_a_broken_promise_is_found(row: Row, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otcache.testing._store_contract.PATIENCE", 1.0)
    place, opened = Place(redis_server.url, redis_server), []

    def open_backend(prefix: str) -> Backend:
        opened.append(place.store(prefix))
        return broken(opened[-1].backend, row)

    with pytest.raises((AssertionError, StoreError)):
        await PROMISES[row.promise](open_backend)

    for store in opened:
        await store.close()


@pytest.mark.parametrize("promise", ["prefixes_keep_stores_apart", "other_prefixes_are_not_heard"])
async def test_stores_that_are_not_kept_apart_are_found(promise: str, redis_server: RedisServer, prefix: str) -> None:
    place = Place(redis_server.url, redis_server)

    with pytest.raises(AssertionError):
        await PROMISES[promise](lambda _: place.store(prefix).backend)


async def test_a_store_that_lacks_something_unsaid_is_found(redis_server: RedisServer) -> None:
    place = Place(redis_server.url, redis_server)

    with pytest.raises(AssertionError, match=r"Backend.lacks is \['locks'\], not \[\]"):
        await PROMISES["it_can_do_what_is_expected"](lambda prefix: replace(place.store(prefix).backend, locks=None))


def test_every_promise_is_broken_once() -> None:
    apart = {"prefixes_keep_stores_apart", "other_prefixes_are_not_heard", "it_can_do_what_is_expected"}

    assert {row.promise for row in ROWS} | apart == PROMISES.keys()


def test_what_a_store_lacks_is_left_out_by_name() -> None:
    without = {promise.__name__ for promise in store_contract(without=("locks", "channel"))}

    assert "a_seized_lock_has_another_holder" not in without
    assert "a_lock_given_back_publishes_its_message" not in without
    assert "only_what_is_new_is_returned" in without
    with pytest.raises(ValueError, match="no capability lokcs"):
        store_contract(without=("lokcs",))
