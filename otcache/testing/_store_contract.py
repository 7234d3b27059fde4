"""What every store promises, as coroutines that any test runner can await: `store_contract`."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from otcache._serialization.envelope import PLAIN, Facts, pack, unpack
from otcache._serialization.wire import WIRE_VERSION
from otcache.exceptions import StoreError
from otcache.stores.base import (
    Backend,
    ByteStore,
    ChangeChannel,
    InvalidationRows,
    Invalidations,
    LockAttempt,
    Locks,
    Subscription,
)

OpenBackend = Callable[[str], Backend]
"""Opens the store under test for keys that begin with a prefix; called once or more in each promise."""
Promise = Callable[[OpenBackend], Coroutine[Any, Any, None]]
"""Checks one promise; raises `AssertionError` that says what was found if it is broken."""

CAPABILITIES: Final = ("invalidations", "locks", "channel")
PATIENCE: Final = 10.0
"""Seconds that something may take which has no time of its own: an entry to expire, a lock to end."""

_EPOCH, _OTHER_EPOCH = "0000000a", "deadbeef"
_LONG: Final = 60_000
_LIMIT: Final = 1000


class _Promised(NamedTuple):
    needs: tuple[str, ...]
    check: Promise


_PROMISES: Final[list[_Promised]] = []


def store_contract(*, without: Collection[str] = ()) -> list[Promise]:
    """Return a check for each promise that a store makes, to be awaited with what opens it.

        @pytest.mark.parametrize("promise", store_contract(without=("locks", "invalidations", "channel")))
        async def test_my_store(promise):
            await promise(lambda prefix: open_my_store(prefix))

    Each check opens the store under prefixes of its own, removes its entries and closes it.

    Args:
        without: The capabilities that the store lacks, of `invalidations`, `locks` and `channel`.

    Raises:
        ValueError: There is no such capability.
    """
    unknown = sorted(set(without) - set(CAPABILITIES))
    if unknown:
        raise ValueError(f"there is no capability {', '.join(unknown)}: {', '.join(CAPABILITIES)}")

    async def it_can_do_what_is_expected(open_backend: OpenBackend) -> None:
        async with _opened(open_backend) as backend:
            _equal("Backend.lacks", sorted(backend.lacks), sorted(without))

    kept = [promised.check for promised in _PROMISES if not set(promised.needs) & set(without)]
    return [it_can_do_what_is_expected, *kept]


def _promise(*needs: str) -> Callable[[Promise], Promise]:
    """Note a promise of stores with these capabilities; test runners show its name, which is a sentence."""

    def note(check: Promise) -> Promise:
        check.__name__ = check.__name__.lstrip("_")
        _PROMISES.append(_Promised(needs, check))
        return check

    return note


@asynccontextmanager
async def _opened(open_backend: OpenBackend, prefix: str | None = None) -> AsyncIterator[Backend]:
    """The store under a prefix of its own, emptied when the promise was kept, and closed."""
    backend = open_backend(prefix or f"contract-{uuid.uuid4().hex}:")
    try:
        yield backend
        await backend.store.remove(await _scanned(backend.store, "*"))
    finally:
        await backend.store.close()


@asynccontextmanager
async def _store(open_backend: OpenBackend, prefix: str | None = None) -> AsyncIterator[ByteStore]:
    async with _opened(open_backend, prefix) as backend:
        yield backend.store


def _equal(what: str, found: object, wanted: object) -> None:
    # no assert: it must hold under python -O, and read well where pytest rewrites nothing
    if found != wanted:
        raise AssertionError(f"{what} is {found!r}, not {wanted!r}")


def _true(condition: object, what: str) -> None:
    if not condition:
        raise AssertionError(what)


async def _scanned(store: ByteStore, pattern: str) -> list[str]:
    return sorted({key async for keys in store.scan(pattern) for key in keys})


async def _until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition, so that a busy machine is only slow."""
    end = time.monotonic() + PATIENCE
    while not await condition():
        _true(time.monotonic() < end, f"after {PATIENCE:g} s still not: {what}")
        await asyncio.sleep(0.005)


def _within(what: str, found: int | None, low: int, high: int) -> None:
    _true(found is not None and low < found <= high, f"{what} is {found!r}, not in {low}..{high}")


# --- entries ------------------------------------------------------------------------------------------------


@_promise()
async def _what_is_written_is_read_back(open_backend: OpenBackend) -> None:
    async with _store(open_backend) as store:
        await store.write("key", bytes(range(256)), _LONG)
        _equal("read after write", await store.read("key"), bytes(range(256)))
        await store.write("key", b"again", _LONG)
        _equal("read after the second write", await store.read("key"), b"again")
        _equal("read of an absent key", await store.read("absent"), None)
        await store.write("empty", b"", 0)
        _equal("read of an empty payload", await store.read("empty"), b"")
        _true(await store.contains("empty"), "contains is false for an empty payload")
        _true(not await store.contains("absent"), "contains is true for an absent key")


@_promise()
async def _keys_may_be_any_text(open_backend: OpenBackend) -> None:
    keys = ["a key", "A KEY", "näme", "{tag}", "new\nline", "*", "..", "a/b", "%2F", "x" * 8192, "x" * 8191]
    async with _store(open_backend) as store:
        for key in keys:
            await store.write(key, key.encode(), 0)
        _equal("read_many", await store.read_many(keys), [key.encode() for key in keys])
        _equal("scan", await _scanned(store, "*"), sorted(keys))


@_promise()
async def _many_are_read_in_their_order(open_backend: OpenBackend) -> None:
    async with _store(open_backend) as store:
        await store.write("a", b"1", 0)
        await store.write("b", b"2", 0)
        _equal("read_many", await store.read_many(["b", "absent", "a", "b"]), [b"2", None, b"1", b"2"])
        _equal("read_many of nothing", await store.read_many([]), [])


@_promise()
async def _many_are_written_at_once(open_backend: OpenBackend) -> None:
    items = [(f"key{number}", b"%d" % number) for number in range(100)]
    async with _store(open_backend) as store:
        _equal("write_many", await store.write_many(items, _LONG), [None] * 100)
        _equal("read_many", await store.read_many([key for key, _ in items]), [payload for _, payload in items])
        _within("left_ms", await store.left_ms("key99"), 0, _LONG)
        _equal("write_many of nothing", await store.write_many([], 0), [])


@_promise()
async def _removal_counts_what_existed(open_backend: OpenBackend) -> None:
    async with _store(open_backend) as store:
        await store.write_many([(f"key{number}", b"") for number in range(10)], 0)
        _equal("remove", await store.remove([f"key{number}" for number in range(12)]), 10)
        _true(not await store.contains("key0"), "contains is true after remove")
        _equal("remove of what is gone", await store.remove(["key0"]), 0)
        _equal("remove of nothing", await store.remove([]), 0)


@_promise()
async def _the_time_left_is_known(open_backend: OpenBackend) -> None:
    async with _store(open_backend) as store:
        await store.write("mortal", b"", _LONG)
        await store.write("immortal", b"", 0)
        _within("left_ms", await store.left_ms("mortal"), _LONG - 10_000, _LONG)
        _equal("left_ms of what never expires", await store.left_ms("immortal"), 0)
        _equal("left_ms of an absent key", await store.left_ms("absent"), None)
        await store.write("mortal", b"", 0)
        _equal("left_ms after a write for ever", await store.left_ms("mortal"), 0)


@_promise()
async def _an_expired_entry_is_gone(open_backend: OpenBackend) -> None:
    async with _store(open_backend) as store:
        began = time.monotonic()
        await store.write("key", _entry(), 200)

        async def gone() -> bool:
            return await store.read("key") is None

        await _until(gone, "an entry of 200 ms expires")
        _true(time.monotonic() - began >= 0.19, "an entry of 200 ms expired earlier")
        _equal("contains", await store.contains("key"), False)
        _equal("left_ms", await store.left_ms("key"), None)
        _equal("read_many", await store.read_many(["key"]), [None])
        _equal("touch", await store.touch("key", _LONG), False)
        _equal("remove", await store.remove(["key"]), 0)
        _equal("scan", await _scanned(store, "*"), [])


def _entry(soft: int | None = None) -> bytes:
    return pack(PLAIN, 0, 1, 1, Facts(soft_expires_at_ms=soft)) + b"the body"


@_promise()
async def _touch_moves_the_expiry_in_the_payload_too(open_backend: OpenBackend) -> None:
    async with _store(open_backend) as store:
        await store.clock.sync()
        for soft in (None, 1):
            await store.write("key", _entry(soft), 1000)
            _true(await store.touch("key", 90_000), "touch of an entry is false")
            payload, left = await store.read("key") or b"", await store.left_ms("key")
            _within("left_ms", left, 80_000, 90_000)
            header, late = unpack(payload), store.clock.now_ms() + (left or 0)
            _within("the expiry in the payload", header.expires_at_ms, late - 2000, late + 2000)
            now_soft = header.facts.soft_expires_at_ms if header.facts is not None else None
            _equal("the soft expiry in the payload", now_soft, None if soft is None else header.expires_at_ms)
            _equal(
                "the rest of the payload",
                payload[12 + 16 * (soft is not None) :],
                _entry(soft)[12 + 16 * (soft is not None) :],
            )
            _true(await store.touch("key", 0), "touch of an entry is false")
            _equal("left_ms", await store.left_ms("key"), 0)
            _equal("the expiry in the payload", unpack(await store.read("key") or b"").expires_at_ms, 0)


@_promise()
async def _touch_leaves_alone_what_is_no_entry_of_ours(open_backend: OpenBackend) -> None:
    other_version = bytes([0xCA, WIRE_VERSION + 1]) + _entry()[2:]
    async with _store(open_backend) as store:
        for foreign in (b"", b"text", b"a text of more than twelve bytes", _entry()[:11], other_version):
            await store.write("key", foreign, 0)
            _equal(f"touch of {foreign!r}", await store.touch("key", _LONG), False)
            _equal("read after touch", await store.read("key"), foreign)
            _equal("left_ms after touch", await store.left_ms("key"), 0)
        _equal("touch of an absent key", await store.touch("absent", _LONG), False)
        _equal("contains after touch", await store.contains("absent"), False)


@_promise()
async def _a_scan_finds_what_matches(open_backend: OpenBackend) -> None:
    async with _store(open_backend) as store:
        await store.write_many([(f"user:{number}", b"") for number in range(50)], 0)
        await store.write("other", b"", 0)
        _equal("scan", await _scanned(store, "user:*"), sorted(f"user:{number}" for number in range(50)))
        _equal("scan", await _scanned(store, "user:1?"), sorted(f"user:1{number}" for number in range(10)))
        _equal("scan", await _scanned(store, "user:[1-3]"), ["user:1", "user:2", "user:3"])
        _equal("scan", await _scanned(store, r"\other"), ["other"])
        _equal("scan", len(await _scanned(store, "*")), 51)


@_promise()
async def _prefixes_keep_stores_apart(open_backend: OpenBackend) -> None:
    unique = uuid.uuid4().hex
    async with (
        _store(open_backend, f"{unique}[ab]*?\\-^:") as wild,
        _store(open_backend, f"{unique}aXY\\-^:") as other,
        _store(open_backend, f"{unique}[ab]*?\\-^:") as same,
    ):
        await wild.write("mine", b"1", 0)
        await other.write("theirs", b"2", 0)
        _equal("scan", await _scanned(wild, "*"), ["mine"])
        _equal("read under another prefix", await wild.read("theirs"), None)
        _equal("read by a second store of the same prefix", await same.read("mine"), b"1")


@_promise()
async def _the_clock_goes_on(open_backend: OpenBackend) -> None:
    async with _store(open_backend) as store:
        await store.clock.sync()
        outer, first, inner = time.monotonic(), store.clock.now_ms(), time.monotonic()
        await asyncio.sleep(0.05)
        least, passed = time.monotonic() - inner, store.clock.now_ms() - first
        most = time.monotonic() - outer  # of a process that the machine leaves waiting, too
        _within("the clock's progress in ms", passed, int(least * 1000) - 5, int(most * 1000) + 5)
        _true(store.clock.error_ms >= 0, "clock.error_ms is negative")
        _true(first > 1_500_000_000_000, "clock.now_ms is not in ms since the epoch")


@_promise()
async def _it_says_where_it_is(open_backend: OpenBackend) -> None:
    async with _opened(open_backend) as backend:
        location = backend.store.location
        await backend.store.ping()
        _true("://" in location.url and location.system and location.address, f"location is {location!r}")
        _equal("place of one key, twice", backend.place("key"), backend.place("key"))


@_promise()
async def _calls_at_once_get_their_own_answers(open_backend: OpenBackend) -> None:
    async with _store(open_backend) as store:

        async def one(number: int) -> bytes | None:
            await store.write(f"key{number}", b"%d" % number, 0)
            return await store.read(f"key{number}")

        answers = await asyncio.gather(*(one(number) for number in range(40)))
        _equal("the answers", answers, [b"%d" % number for number in range(40)])


@_promise()
async def _a_cancelled_call_leaves_no_reply_to_the_next(open_backend: OpenBackend) -> None:
    async with _store(open_backend) as store:
        await store.write_many([(f"key{number}", b"%d" % number) for number in range(50)], 0)
        for number in range(50):
            call = asyncio.ensure_future(store.read(f"key{number}"))
            for _ in range(number % 5):  # at whatever await it is by then
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
            _equal("the next read", await store.read(f"key{49 - number}"), b"%d" % (49 - number))


@_promise()
async def _another_event_loop_can_use_it(open_backend: OpenBackend) -> None:
    async with _store(open_backend) as store:
        await store.write("key", b"value", 0)
        found = await asyncio.to_thread(lambda: asyncio.run(_read(store)))
        _equal("read in another event loop", found, b"value")
        _equal("read in the first one again", await store.read("key"), b"value")


async def _read(store: ByteStore) -> bytes | None:
    return await store.read("key")


@_promise()
async def _a_closed_store_refuses(open_backend: OpenBackend) -> None:
    store = open_backend(f"contract-{uuid.uuid4().hex}:").store
    await store.write("key", b"", 1000)
    await store.close()
    await store.close()
    refused: list[Callable[[], Awaitable[Any]]] = [store.ping, lambda: store.read("key")]
    for call in refused:
        try:
            await call()
        except StoreError:
            continue
        raise AssertionError("a closed store answers")


# --- invalidations ------------------------------------------------------------------------------------------


@asynccontextmanager
async def _invalidations(open_backend: OpenBackend) -> AsyncIterator[Invalidations]:
    async with _opened(open_backend) as backend:
        assert backend.invalidations is not None
        yield backend.invalidations


@_promise("invalidations")
async def _whoever_asks_first_begins_the_epoch(open_backend: OpenBackend) -> None:
    async with _invalidations(open_backend) as log:
        _equal("versions", await log.versions("", 0, _EPOCH), InvalidationRows(_EPOCH, []))
        _equal("versions", await log.versions("", 0, _OTHER_EPOCH), InvalidationRows(_EPOCH, []))
    async with _invalidations(open_backend) as log:
        _equal("invalidate", await log.invalidate("t:tag", _EPOCH, _LIMIT), (_EPOCH, 1))
        _equal("versions", await log.versions("", 0, _OTHER_EPOCH), InvalidationRows(_EPOCH, [("t:tag", 1)]))


@_promise("invalidations")
async def _every_invalidation_has_a_version_of_its_own(open_backend: OpenBackend) -> None:
    async with _invalidations(open_backend) as log:
        answers = [await log.invalidate(target, _EPOCH, _LIMIT) for target in ("t:a", "p:b", "t:a", "t:ü \n")]
        _equal("invalidate", answers, [(_EPOCH, number) for number in (1, 2, 3, 4)])
        _equal("rows", (await log.versions("", 0, _EPOCH)).rows, [("p:b", 2), ("t:a", 3), ("t:ü \n", 4)])


@_promise("invalidations")
async def _only_what_is_new_is_returned(open_backend: OpenBackend) -> None:
    async with _invalidations(open_backend) as log:
        for target in ("t:a", "t:b", "t:c"):
            await log.invalidate(target, _EPOCH, _LIMIT)
        _equal("versions above 2", await log.versions(_EPOCH, 2, _OTHER_EPOCH), InvalidationRows(_EPOCH, [("t:c", 3)]))
        _equal("versions above 3", await log.versions(_EPOCH, 3, _OTHER_EPOCH), InvalidationRows(_EPOCH, []))
        _equal("rows for another epoch", len((await log.versions(_OTHER_EPOCH, 3, _OTHER_EPOCH)).rows), 3)


@_promise("invalidations")
async def _invalidating_everything_drops_the_other_rows(open_backend: OpenBackend) -> None:
    async with _invalidations(open_backend) as log:
        for target in ("t:a", "p:b", "*"):
            await log.invalidate(target, _EPOCH, _LIMIT)
        _equal("versions", await log.versions(_EPOCH, 1, _OTHER_EPOCH), InvalidationRows(_EPOCH, [("*", 3)]))
        _equal("invalidate", await log.invalidate("t:a", _OTHER_EPOCH, _LIMIT), (_EPOCH, 4))
        _equal("rows", (await log.versions("", 0, _EPOCH)).rows, [("*", 3), ("t:a", 4)])


@_promise("invalidations")
async def _above_the_limit_the_floor_stands_for_the_lowest_rows(open_backend: OpenBackend) -> None:
    versions = {}
    async with _invalidations(open_backend) as log:
        for number in range(60):
            versions[f"t:{number}"] = (await log.invalidate(f"t:{number}", _EPOCH, 20))[1]
            rows = dict((await log.versions("", 0, _EPOCH)).rows)
            floor = rows.pop("#floor", 0)
            _true(len(rows) + bool(floor) <= 20, f"there are {len(rows)} rows and the floor, above the limit of 20")
            _true(
                all(versions[gone] <= floor for gone in versions.keys() - rows.keys()), "a row is gone above the floor"
            )
            _true(all(rows[kept] == versions[kept] > floor for kept in rows), "a row stands below the floor")
        late = dict((await log.versions(_EPOCH, 5, _OTHER_EPOCH)).rows)
        _true(late.get("#floor", 0) > 5, "a reader of version 5 is not told of the floor")
    async with _invalidations(open_backend) as log:
        answers = [(await log.invalidate(f"t:{number}", _EPOCH, 1))[1] for number in range(4)]
        _equal("invalidate with a limit of 1", answers, [1, 2, 3, 4])
        _equal("rows", (await log.versions("", 0, _EPOCH)).rows, [("#floor", 4)])


@_promise("invalidations")
async def _racing_invalidations_get_different_versions(open_backend: OpenBackend) -> None:
    prefix = f"contract-{uuid.uuid4().hex}:"
    async with _opened(open_backend, prefix) as first, _opened(open_backend, prefix) as second:
        logs = [log for log in (first.invalidations, second.invalidations) if log is not None]
        calls = [log.invalidate("t:same", f"{who:08x}", _LIMIT) for who, log in enumerate(logs) for _ in range(10)]
        answers = await asyncio.gather(*calls)
        _equal("the number of epochs", len({epoch for epoch, _ in answers}), 1)
        _equal("versions", sorted(version for _, version in answers), list(range(1, 21)))


# --- locks --------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _locks(open_backend: OpenBackend) -> AsyncIterator[tuple[ByteStore, Locks, Any]]:
    """A store, its locks, and the message that a change of it takes: one, if it has a channel."""
    async with _opened(open_backend) as backend:
        assert backend.locks is not None
        yield backend.store, backend.locks, None if backend.channel is None else _message


def _message(keys: Sequence[str]) -> bytes:
    return b"k " + ",".join(keys).encode()


@_promise("locks")
async def _a_free_lock_is_taken_and_the_entry_read(open_backend: OpenBackend) -> None:
    async with _locks(open_backend) as (store, locks, _):
        await store.write("key", b"entry", 0)
        _equal("lock", await locks.lock("key", b"me", _LONG), LockAttempt(None, 0, b"entry"))
        _equal("lock", await locks.lock("other", b"me", _LONG), LockAttempt(None, 0, None))


@_promise("locks")
async def _a_held_lock_says_who_has_it_and_for_how_long(open_backend: OpenBackend) -> None:
    async with _locks(open_backend) as (_, locks, _):
        await locks.lock("key", b"me", _LONG)
        attempt = await locks.lock("key", b"you", _LONG)
        _equal("the holder", attempt.holder, b"me")
        _within("left_ms", attempt.left_ms, _LONG - 20_000, _LONG)


@_promise("locks")
async def _of_many_who_race_one_gets_the_lock(open_backend: OpenBackend) -> None:
    prefix = f"contract-{uuid.uuid4().hex}:"
    async with _opened(open_backend, prefix) as first, _opened(open_backend, prefix) as second:
        both = [locks for locks in (first.locks, second.locks) if locks is not None]
        calls = [locks.lock("key", b"%d.%d" % (who, n), _LONG) for who, locks in enumerate(both) for n in range(4)]
        answers = await asyncio.gather(*calls)
        _equal("the winners", sum(answer.holder is None for answer in answers), 1)
        _equal("the holders that the others see", len({answer.holder for answer in answers} - {None}), 1)


@_promise("locks")
async def _only_the_holder_renews_and_gives_back(open_backend: OpenBackend) -> None:
    async with _locks(open_backend) as (_, locks, _):
        await locks.lock("key", b"me", 30_000)
        _equal("renew by another", await locks.renew("key", b"you", _LONG), False)
        _within("left_ms", (await locks.lock("key", b"you", 1)).left_ms, 0, 30_000)
        _equal("renew", await locks.renew("key", b"me", _LONG), True)
        _within("left_ms", (await locks.lock("key", b"you", 1)).left_ms, 30_000, _LONG)
        _equal("renew of a free lock", await locks.renew("free", b"me", _LONG), False)
        _equal("unlock by another", await locks.unlock("key", b"you"), False)
        _equal("the holder", (await locks.lock("key", b"you", _LONG)).holder, b"me")
        _equal("unlock", await locks.unlock("key", b"me"), True)
        _equal("unlock of a free lock", await locks.unlock("key", b"me"), False)
        _equal("the holder", (await locks.lock("key", b"you", _LONG)).holder, None)


@_promise("locks")
async def _an_expired_lock_is_somebody_elses(open_backend: OpenBackend) -> None:
    async with _locks(open_backend) as (_, locks, _):
        await locks.lock("key", b"me", 1)

        async def taken() -> bool:
            return (await locks.lock("key", b"you", _LONG)).holder is None

        await _until(taken, "a lock of 1 ms ends")
        _equal("renew", await locks.renew("key", b"me", _LONG), False)
        _equal("unlock", await locks.unlock("key", b"me"), False)
        _equal("the holder", (await locks.lock("key", b"me", _LONG)).holder, b"you")


@_promise("locks")
async def _a_seized_lock_has_another_holder(open_backend: OpenBackend) -> None:
    async with _locks(open_backend) as (_, locks, message):
        await locks.lock("key", b"me", _LONG)
        await locks.seize("key", b"you", _LONG)
        _equal("the holder", (await locks.lock("key", b"me", _LONG)).holder, b"you")
        _equal("write_loaded", await locks.write_loaded("key", b"old", 0, b"me", message), False)


@_promise("locks")
async def _a_load_whose_key_has_changed_is_not_stored(open_backend: OpenBackend) -> None:
    async with _locks(open_backend) as (store, locks, message):
        await locks.lock("key", b"loader", _LONG)
        await store.write("key", b"newer", 0, message)
        _equal("write_loaded after write", await locks.write_loaded("key", b"older", 0, b"loader", message), False)
        _equal("read", await store.read("key"), b"newer")
        await locks.lock("key", b"loader", _LONG)
        await store.write_many([("key", b"newest")], 0, message)
        _equal("write_loaded after write_many", await locks.write_loaded("key", b"older", 0, b"loader", message), False)
        await locks.lock("key", b"loader", _LONG)
        await store.remove(["other", "key"], message)
        _equal("write_loaded after remove", await locks.write_loaded("key", b"older", 0, b"loader", message), False)
        _equal("read", await store.read("key"), None)


@_promise("locks")
async def _a_loaded_value_is_stored_and_its_lock_given_back(open_backend: OpenBackend) -> None:
    async with _locks(open_backend) as (store, locks, message):
        for key in ("key", "{tag}k", "k{", "}k{", "k{}", "{}{x}"):  # braces place a key on a Redis Cluster
            await locks.lock(key, b"loader", _LONG)
            _equal("write_loaded", await locks.write_loaded(key, b"value", _LONG, b"loader", message), True)
            _within("left_ms", await store.left_ms(key), 0, _LONG)
            _equal("read", await store.read(key), b"value")
        _equal("lock", await locks.lock("key", b"next", _LONG), LockAttempt(None, 0, b"value"))


# --- messages -----------------------------------------------------------------------------------------------


class _Ear:
    """A subscription, and each message that it has received, once."""

    def __init__(self, channel: ChangeChannel) -> None:
        self._heard: list[bytes] = []
        self.lost: list[StoreError] = []
        self.subscription: Subscription = channel.subscribe(self._heard.append, self.lost.append)

    async def all(self) -> list[bytes]:
        await self.subscription.ping()
        return list(dict.fromkeys(self._heard))  # a cluster repeats messages


@asynccontextmanager
async def _listening(open_backend: OpenBackend) -> AsyncIterator[tuple[Backend, _Ear]]:
    async with _opened(open_backend) as backend:
        assert backend.channel is not None
        ear = _Ear(backend.channel)
        await ear.subscription.open()
        try:
            yield backend, ear
        finally:
            await ear.subscription.close()


@_promise("channel")
async def _a_change_publishes_its_message(open_backend: OpenBackend) -> None:
    async with _listening(open_backend) as (backend, ear):
        store = backend.store
        await store.write("a", _entry(), 0, _message)
        await store.write_many([("b", b""), ("c", b"")], 0, _message)
        heard = await ear.all()
        _equal("the messages of writes", sorted(heard), [b"k a", b"k b", b"k c"])
        _equal("touch", [await store.touch(key, _LONG, lambda _: b"touched") for key in ("a", "absent")], [True, False])
        _equal("the message of touch", (await ear.all())[3:], [b"touched"])
        _equal("remove", await store.remove(["gone"], lambda _: b"removed"), 0)
        _equal("the message of remove", (await ear.all())[4:], [b"removed"])


@_promise("channel")
async def _a_change_without_a_message_publishes_nothing(open_backend: OpenBackend) -> None:
    async with _listening(open_backend) as (backend, ear):
        await backend.store.write("a", _entry(), 0)
        await backend.store.write_many([("b", b"")], 0)
        await backend.store.touch("a", 1000)
        await backend.store.remove(["a", "b"])
        _equal("the messages", await ear.all(), [])


@_promise("channel")
async def _a_ping_returns_after_what_was_published_before_it(open_backend: OpenBackend) -> None:
    async with _listening(open_backend) as (backend, ear):
        for number in range(60):
            await backend.store.write(f"key{number}", b"", 0, _message)
            _true(b"k key%d" % number in await ear.all(), "ping has returned, and a message before it was not received")


@_promise("channel")
async def _messages_of_a_key_come_in_the_order_of_its_changes(open_backend: OpenBackend) -> None:
    async with _listening(open_backend) as (backend, ear):

        async def change(who: int) -> None:
            for payload in (b"%d.%d" % (who, number) for number in range(25)):
                await backend.store.write("key", payload, 0, lambda _, message=payload: message)  # type: ignore[misc]

        await asyncio.gather(*map(change, range(4)))
        heard = await ear.all()
        _equal("the number of messages", len(heard), 100)
        _equal("the value, beside the last message", await backend.store.read("key"), heard[-1])


@_promise("channel")
async def _other_prefixes_are_not_heard(open_backend: OpenBackend) -> None:
    async with _listening(open_backend) as (backend, ear), _store(open_backend) as other:
        await other.write("theirs", b"", 0, _message)
        await backend.store.write("ours", b"", 0, _message)
        _equal("the messages", await ear.all(), [b"k ours"])


@_promise("channel")
async def _a_closed_subscription_hears_nothing(open_backend: OpenBackend) -> None:
    async with _listening(open_backend) as (backend, ear):
        await ear.subscription.close()
        await ear.subscription.close()
        await backend.store.write("key", b"", 0, _message)
        try:
            heard = await ear.all()
        except StoreError:
            heard = []
        else:
            raise AssertionError("a closed subscription answers a ping")
        _equal("the messages and losses", [*heard, *ear.lost], [])


@_promise("channel", "invalidations")
async def _an_invalidation_publishes_its_version_and_target(open_backend: OpenBackend) -> None:
    async with _listening(open_backend) as (backend, ear):
        assert backend.invalidations is not None
        await backend.invalidations.invalidate("p:user: 1%s", _EPOCH, _LIMIT, b"s 0123 99 ")
        await backend.invalidations.invalidate("t:silent", _EPOCH, _LIMIT)
        await backend.invalidations.invalidate("*", _EPOCH, _LIMIT, b"")
        _equal("the messages", await ear.all(), [b"s 0123 99 1 p:user: 1%s", b"3 *"])


@_promise("channel", "locks")
async def _a_lock_given_back_publishes_its_message(open_backend: OpenBackend) -> None:
    async with _listening(open_backend) as (backend, ear):
        assert backend.locks is not None
        await backend.locks.lock("key", b"me", _LONG)
        await backend.locks.unlock("key", b"you", b"f you")
        await backend.locks.unlock("key", b"me", b"f me")
        await backend.locks.lock("key", b"me", _LONG)
        await backend.locks.write_loaded("key", b"value", 0, b"me", _message)
        _equal("the messages", await ear.all(), [b"f me", b"k key"])
