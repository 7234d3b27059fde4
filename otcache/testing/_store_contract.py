"""What every store promises, as coroutines that any test runner can await: `store_contract`."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, cast

from otcache._serialization.envelope import PLAIN, Facts, pack, unpack
from otcache._serialization.wire import WIRE_VERSION
from otcache.exceptions import StoreError
from otcache.stores.base import Backend, ByteStore, InvalidationRows, Invalidations, LockAttempt, Locks

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
        async with _opened(open_backend, _new_prefix()) as backend:
            _equal("Backend.lacks", sorted(backend.lacks), sorted(without))

    kinds = [kind for kind in _KINDS if not set(kind.needs) & set(without)]
    return [it_can_do_what_is_expected, *(promise for kind in kinds for promise in kind.promises())]


def _new_prefix() -> str:
    return f"contract-{uuid.uuid4().hex}:"


@asynccontextmanager
async def _opened(open_backend: OpenBackend, prefix: str) -> AsyncIterator[Backend]:
    """The store under a prefix, emptied when the promise was kept, and closed."""
    backend = open_backend(prefix)
    try:
        yield backend
        await backend.store.remove(await _scanned(backend.store))
    finally:
        await backend.store.close()


class _Promises:
    """Each public method of a subclass is a promise, whose name says which; it gets an instance, and so a store, alone.

    Args:
        open_backend: Opens the store under test once more.
        prefix: What the keys of `backend` begin with.
        backend: The store under test.
    """

    needs: tuple[str, ...] = ()
    """What the store must be able to do besides, or there is nothing to promise."""

    def __init__(self, open_backend: OpenBackend, prefix: str, backend: Backend) -> None:
        self.open_backend, self.prefix, self.backend = open_backend, prefix, backend
        self.store = backend.store
        self.log = cast("Invalidations", backend.invalidations)  # these are used only by promises that need them
        self.locks = cast("Locks", backend.locks)
        self.message = None if backend.channel is None else _message

    @classmethod
    def promises(cls) -> list[Promise]:
        return [cls._promise(name) for name in vars(cls) if name != "needs" and not name.startswith("_")]

    @classmethod
    def _promise(cls, name: str) -> Promise:
        async def check(open_backend: OpenBackend) -> None:
            prefix = _new_prefix()
            async with _opened(open_backend, prefix) as backend:
                kept = cls(open_backend, prefix, backend)
                async with kept._ready():
                    await getattr(kept, name)()

        check.__name__ = name  # what test runners show
        return check

    @asynccontextmanager
    async def _ready(self) -> AsyncIterator[None]:
        """For what a subclass must have open besides."""
        yield

    def again(self, prefix: str | None = None) -> AbstractAsyncContextManager[Backend]:
        """The store opened once more, under the same prefix or another one."""
        return _opened(self.open_backend, prefix or self.prefix)


def _equal(what: str, found: object, wanted: object) -> None:
    # no assert: it must hold under python -O, and read well where pytest rewrites nothing
    if found != wanted:
        raise AssertionError(f"{what} is {found!r}, not {wanted!r}")


def _true(condition: object, what: str) -> None:
    if not condition:
        raise AssertionError(what)


async def _scanned(store: ByteStore, pattern: str = "*") -> list[str]:
    return sorted({key async for keys in store.scan(pattern) for key in keys})


async def _until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition, so that a busy machine is only slow."""
    end = time.monotonic() + PATIENCE
    while not await condition():
        _true(time.monotonic() < end, f"after {PATIENCE:g} s still not: {what}")
        await asyncio.sleep(0.005)


def _within(what: str, found: int | None, low: int, high: int) -> None:
    _true(found is not None and low < found <= high, f"{what} is {found!r}, not in {low}..{high}")


def _entry(soft: int | None = None) -> bytes:
    return pack(PLAIN, 0, 1, 1, Facts(soft_expires_at_ms=soft)) + b"the body"


def _message(keys: Sequence[str]) -> bytes:
    return b"k " + ",".join(keys).encode()


class _OfEntries(_Promises):
    async def what_is_written_is_read_back(self) -> None:
        await self.store.write("key", bytes(range(256)), _LONG)
        _equal("read after write", await self.store.read("key"), bytes(range(256)))
        await self.store.write("key", b"again", _LONG)
        _equal("read after the second write", await self.store.read("key"), b"again")
        _equal("read of an absent key", await self.store.read("absent"), None)
        await self.store.write("empty", b"", 0)
        _equal("read of an empty payload", await self.store.read("empty"), b"")
        _equal("contains of an empty payload", await self.store.contains("empty"), True)
        _equal("contains of an absent key", await self.store.contains("absent"), False)

    async def keys_may_be_any_text(self) -> None:
        keys = ["a key", "A KEY", "näme", "{tag}", "new\nline", "*", "..", "a/b", "%2F", "x" * 8192, "x" * 8191]
        for key in keys:
            await self.store.write(key, key.encode(), 0)
        _equal("read_many", await self.store.read_many(keys), [key.encode() for key in keys])
        _equal("scan", await _scanned(self.store), sorted(keys))

    async def many_are_read_in_their_order(self) -> None:
        await self.store.write("a", b"1", 0)
        await self.store.write("b", b"2", 0)
        _equal("read_many", await self.store.read_many(["b", "absent", "a", "b"]), [b"2", None, b"1", b"2"])
        _equal("read_many of nothing", await self.store.read_many([]), [])

    async def many_are_written_at_once(self) -> None:
        items = [(f"key{number}", b"%d" % number) for number in range(100)]
        _equal("write_many", await self.store.write_many(items, _LONG), [None] * 100)
        _equal("read_many", await self.store.read_many([key for key, _ in items]), [payload for _, payload in items])
        _within("left_ms", await self.store.left_ms("key99"), 0, _LONG)
        _equal("write_many of nothing", await self.store.write_many([], 0), [])

    async def removal_counts_what_existed(self) -> None:
        await self.store.write_many([(f"key{number}", b"") for number in range(10)], 0)
        _equal("remove", await self.store.remove([f"key{number}" for number in range(12)]), 10)
        _true(not await self.store.contains("key0"), "contains is true after remove")
        _equal("remove of what is gone", await self.store.remove(["key0"]), 0)
        _equal("remove of nothing", await self.store.remove([]), 0)

    async def the_time_left_is_known(self) -> None:
        await self.store.write("mortal", b"", _LONG)
        await self.store.write("immortal", b"", 0)
        _within("left_ms", await self.store.left_ms("mortal"), _LONG - 10_000, _LONG)
        _equal("left_ms of what never expires", await self.store.left_ms("immortal"), 0)
        _equal("left_ms of an absent key", await self.store.left_ms("absent"), None)
        await self.store.write("mortal", b"", 0)
        _equal("left_ms after a write for ever", await self.store.left_ms("mortal"), 0)

    async def an_expired_entry_is_gone(self) -> None:
        async def gone() -> bool:
            return await self.store.read("key") is None

        began = time.monotonic()
        await self.store.write("key", _entry(), 200)
        await _until(gone, "an entry of 200 ms expires")
        _true(time.monotonic() - began >= 0.19, "an entry of 200 ms expired earlier")
        _equal("contains", await self.store.contains("key"), False)
        _equal("left_ms", await self.store.left_ms("key"), None)
        _equal("read_many", await self.store.read_many(["key"]), [None])
        _equal("touch", await self.store.touch("key", _LONG), False)
        _equal("remove", await self.store.remove(["key"]), 0)
        _equal("scan", await _scanned(self.store), [])

    async def a_time_to_live_is_never_lengthened(self) -> None:
        """A store that counts in seconds would keep what has less than one for longer, or for ever."""
        for ms in (1, 300, 1999):
            await self.store.write("key", _entry(), ms)
            left = await self.store.left_ms("key")
            _within("left_ms", 1 if left is None else left, 0, ms)
            await self.store.write("key", _entry(), _LONG)
            _true(await self.store.touch("key", ms), "touch of an entry is false")
            left = await self.store.left_ms("key")
            _within("left_ms after touch", 1 if left is None else left, 0, ms)

    async def touch_moves_the_expiry_in_the_payload_too(self) -> None:
        await self.store.clock.sync()
        for soft in (None, 1):
            await self.store.write("key", _entry(soft), 1000)
            _true(await self.store.touch("key", 90_000), "touch of an entry is false")
            payload, left = await self.store.read("key") or b"", await self.store.left_ms("key")
            _within("left_ms", left, 80_000, 90_000)
            header, late = unpack(payload), self.store.clock.now_ms() + (left or 0)
            _within("the expiry in the payload", header.expires_at_ms, late - 2000, late + 2000)
            now_soft = header.facts.soft_expires_at_ms if header.facts is not None else None
            _equal("the soft expiry in the payload", now_soft, None if soft is None else header.expires_at_ms)
            rest = slice(12 if soft is None else 28, None)
            _equal("the rest of the payload", payload[rest], _entry(soft)[rest])
            _true(await self.store.touch("key", 0), "touch of an entry is false")
            _equal("left_ms", await self.store.left_ms("key"), 0)
            _equal("the expiry in the payload", unpack(await self.store.read("key") or b"").expires_at_ms, 0)

    async def touch_leaves_alone_what_is_no_entry_of_ours(self) -> None:
        other_version = bytes([0xCA, WIRE_VERSION + 1]) + _entry()[2:]
        for foreign in (b"", b"text", b"a text of more than twelve bytes", _entry()[:11], other_version):
            await self.store.write("key", foreign, 0)
            _equal(f"touch of {foreign!r}", await self.store.touch("key", _LONG), False)
            _equal("read after touch", await self.store.read("key"), foreign)
            _equal("left_ms after touch", await self.store.left_ms("key"), 0)
        _equal("touch of an absent key", await self.store.touch("absent", _LONG), False)
        _equal("contains after touch", await self.store.contains("absent"), False)

    async def a_scan_finds_what_matches(self) -> None:
        await self.store.write_many([(f"user:{number}", b"") for number in range(50)], 0)
        await self.store.write("other", b"", 0)
        _equal("scan", await _scanned(self.store, "user:*"), sorted(f"user:{number}" for number in range(50)))
        _equal("scan", await _scanned(self.store, "user:1?"), sorted(f"user:1{number}" for number in range(10)))
        _equal("scan", await _scanned(self.store, "user:[1-3]"), ["user:1", "user:2", "user:3"])
        _equal("scan", await _scanned(self.store, r"\other"), ["other"])
        _equal("scan", len(await _scanned(self.store)), 51)

    async def prefixes_keep_stores_apart(self) -> None:
        unique = uuid.uuid4().hex
        pattern, matched = f"{unique}[ab]*?\\-^:", f"{unique}aXY\\-^:"
        async with self.again(pattern) as wild, self.again(matched) as other, self.again(pattern) as same:
            await wild.store.write("mine", b"1", 0)
            await other.store.write("theirs", b"2", 0)
            _equal("scan", await _scanned(wild.store), ["mine"])
            _equal("read under another prefix", await wild.store.read("theirs"), None)
            _equal("read by a second store of the same prefix", await same.store.read("mine"), b"1")

    async def the_clock_goes_on(self) -> None:
        await self.store.clock.sync()
        outer, first, inner = time.monotonic(), self.store.clock.now_ms(), time.monotonic()
        await asyncio.sleep(0.05)
        least, passed = time.monotonic() - inner, self.store.clock.now_ms() - first
        most = time.monotonic() - outer  # of a process that the machine leaves waiting, too
        _within("the clock's progress in ms", passed, int(least * 1000) - 5, int(most * 1000) + 5)
        _true(self.store.clock.error_ms >= 0, "clock.error_ms is negative")
        _true(first > 1_500_000_000_000, "clock.now_ms is not in ms since the epoch")

    async def it_says_where_it_is(self) -> None:
        location = self.store.location
        await self.store.ping()
        _true("://" in location.url and location.system and location.address, f"location is {location!r}")
        _equal("place of one key, twice", self.backend.place("key"), self.backend.place("key"))

    async def calls_at_once_get_their_own_answers(self) -> None:
        async def one(number: int) -> bytes | None:
            await self.store.write(f"key{number}", b"%d" % number, 0)
            return await self.store.read(f"key{number}")

        answers = await asyncio.gather(*(one(number) for number in range(40)))
        _equal("the answers", answers, [b"%d" % number for number in range(40)])

    async def a_cancelled_call_leaves_no_reply_to_the_next(self) -> None:
        await self.store.write_many([(f"key{number}", b"%d" % number) for number in range(50)], 0)
        for number in range(50):
            call = asyncio.ensure_future(self.store.read(f"key{number}"))
            for _ in range(number % 5):  # at whatever await it is by then
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
            _equal("the next read", await self.store.read(f"key{49 - number}"), b"%d" % (49 - number))

    async def another_event_loop_can_use_it(self) -> None:
        async def read() -> bytes | None:
            return await self.store.read("key")

        await self.store.write("key", b"value", 0)
        _equal("read in another event loop", await asyncio.to_thread(lambda: asyncio.run(read())), b"value")
        _equal("read in the first one again", await read(), b"value")

    async def a_closed_store_refuses(self) -> None:
        store = self.open_backend(self.prefix).store
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


class _OfInvalidations(_Promises):
    needs = ("invalidations",)

    async def the_first_question_begins_the_epoch(self) -> None:
        _equal("versions", await self.log.versions("", 0, _EPOCH), InvalidationRows(_EPOCH, []))
        _equal("versions", await self.log.versions("", 0, _OTHER_EPOCH), InvalidationRows(_EPOCH, []))
        async with self.again(_new_prefix()) as other:
            log = cast("Invalidations", other.invalidations)
            _equal("invalidate", await log.invalidate("t:tag", _EPOCH, _LIMIT), (_EPOCH, 1))
            _equal("versions", await log.versions("", 0, _OTHER_EPOCH), InvalidationRows(_EPOCH, [("t:tag", 1)]))

    async def every_invalidation_has_a_version_of_its_own(self) -> None:
        answers = [await self.log.invalidate(target, _EPOCH, _LIMIT) for target in ("t:a", "p:b", "t:a", "t:ü \n")]
        _equal("invalidate", answers, [(_EPOCH, number) for number in (1, 2, 3, 4)])
        _equal("rows", (await self.log.versions("", 0, _EPOCH)).rows, [("p:b", 2), ("t:a", 3), ("t:ü \n", 4)])

    async def only_what_is_new_is_returned(self) -> None:
        for target in ("t:a", "t:b", "t:c"):
            await self.log.invalidate(target, _EPOCH, _LIMIT)
        for known, new in ((2, [("t:c", 3)]), (3, [])):
            found = await self.log.versions(_EPOCH, known, _OTHER_EPOCH)
            _equal(f"versions above {known}", found, InvalidationRows(_EPOCH, new))
        _equal("rows for another epoch", len((await self.log.versions(_OTHER_EPOCH, 3, _OTHER_EPOCH)).rows), 3)

    async def invalidating_everything_drops_the_other_rows(self) -> None:
        for target in ("t:a", "p:b", "*"):
            await self.log.invalidate(target, _EPOCH, _LIMIT)
        _equal("versions", await self.log.versions(_EPOCH, 1, _OTHER_EPOCH), InvalidationRows(_EPOCH, [("*", 3)]))
        _equal("invalidate", await self.log.invalidate("t:a", _OTHER_EPOCH, _LIMIT), (_EPOCH, 4))
        _equal("rows", (await self.log.versions("", 0, _EPOCH)).rows, [("*", 3), ("t:a", 4)])

    async def above_the_limit_the_floor_stands_for_the_lowest_rows(self) -> None:
        versions = {}
        for number in range(60):
            versions[f"t:{number}"] = (await self.log.invalidate(f"t:{number}", _EPOCH, 20))[1]
            rows = dict((await self.log.versions("", 0, _EPOCH)).rows)
            floor = rows.pop("#floor", 0)
            _true(len(rows) + bool(floor) <= 20, f"there are {len(rows)} rows and the floor, above the limit of 20")
            gone = versions.keys() - rows.keys()
            _true(all(versions[target] <= floor for target in gone), "a row is gone above the floor")
            _true(all(rows[kept] == versions[kept] > floor for kept in rows), "a row stands below the floor")
        late = dict((await self.log.versions(_EPOCH, 5, _OTHER_EPOCH)).rows)
        _true(late.get("#floor", 0) > 5, "a reader of version 5 is not told of the floor")
        async with self.again(_new_prefix()) as other:
            log = cast("Invalidations", other.invalidations)
            answers = [(await log.invalidate(f"t:{number}", _EPOCH, 1))[1] for number in range(4)]
            _equal("invalidate with a limit of 1", answers, [1, 2, 3, 4])
            _equal("rows", (await log.versions("", 0, _EPOCH)).rows, [("#floor", 4)])

    async def racing_invalidations_get_different_versions(self) -> None:
        async with self.again() as other:
            logs = (self.log, cast("Invalidations", other.invalidations))
            calls = [log.invalidate("t:same", f"{who:08x}", _LIMIT) for who, log in enumerate(logs) for _ in range(10)]
            answers = await asyncio.gather(*calls)
        _equal("the number of epochs", len({epoch for epoch, _ in answers}), 1)
        _equal("versions", sorted(version for _, version in answers), list(range(1, 21)))


class _OfLocks(_Promises):
    needs = ("locks",)

    async def a_free_lock_is_taken_and_the_entry_read(self) -> None:
        await self.store.write("key", b"entry", 0)
        _equal("lock", await self.locks.lock("key", b"me", _LONG), LockAttempt(None, 0, b"entry"))
        _equal("lock", await self.locks.lock("other", b"me", _LONG), LockAttempt(None, 0, None))

    async def a_held_lock_says_who_has_it_and_for_how_long(self) -> None:
        await self.locks.lock("key", b"me", _LONG)
        attempt = await self.locks.lock("key", b"you", _LONG)
        _equal("the holder", attempt.holder, b"me")
        _within("left_ms", attempt.left_ms, _LONG - 20_000, _LONG)

    async def of_many_who_race_one_gets_the_lock(self) -> None:
        async with self.again() as other:
            both = (self.locks, cast("Locks", other.locks))
            calls = [locks.lock("key", b"%d.%d" % (who, n), _LONG) for who, locks in enumerate(both) for n in range(4)]
            answers = await asyncio.gather(*calls)
        _equal("the winners", sum(answer.holder is None for answer in answers), 1)
        _equal("the holders that the others see", len({answer.holder for answer in answers} - {None}), 1)

    async def only_the_holder_renews_and_gives_back(self) -> None:
        await self.locks.lock("key", b"me", 30_000)
        _equal("renew by another", await self.locks.renew("key", b"you", _LONG), False)
        _within("left_ms", (await self.locks.lock("key", b"you", 1)).left_ms, 0, 30_000)
        _equal("renew", await self.locks.renew("key", b"me", _LONG), True)
        _within("left_ms", (await self.locks.lock("key", b"you", 1)).left_ms, 30_000, _LONG)
        _equal("renew of a free lock", await self.locks.renew("free", b"me", _LONG), False)
        _equal("unlock by another", await self.locks.unlock("key", b"you"), False)
        _equal("the holder", (await self.locks.lock("key", b"you", _LONG)).holder, b"me")
        _equal("unlock", await self.locks.unlock("key", b"me"), True)
        _equal("unlock of a free lock", await self.locks.unlock("key", b"me"), False)
        _equal("the holder", (await self.locks.lock("key", b"you", _LONG)).holder, None)

    async def an_expired_lock_is_somebody_elses(self) -> None:
        async def taken() -> bool:
            return (await self.locks.lock("key", b"you", _LONG)).holder is None

        await self.locks.lock("key", b"me", 1)
        await _until(taken, "a lock of 1 ms ends")
        _equal("renew", await self.locks.renew("key", b"me", _LONG), False)
        _equal("unlock", await self.locks.unlock("key", b"me"), False)
        _equal("the holder", (await self.locks.lock("key", b"me", _LONG)).holder, b"you")

    async def a_seized_lock_has_another_holder(self) -> None:
        await self.locks.lock("key", b"me", _LONG)
        await self.locks.seize("key", b"you", _LONG)
        _equal("the holder", (await self.locks.lock("key", b"me", _LONG)).holder, b"you")
        _equal("write_loaded", await self.locks.write_loaded("key", b"old", 0, b"me", self.message), False)

    async def a_load_whose_key_has_changed_is_not_stored(self) -> None:
        async def load(change: Awaitable[object]) -> bool:
            await self.locks.lock("key", b"loader", _LONG)
            await change
            return await self.locks.write_loaded("key", b"older", 0, b"loader", self.message)

        _equal("write_loaded after write", await load(self.store.write("key", b"newer", 0, self.message)), False)
        _equal("read", await self.store.read("key"), b"newer")
        many = self.store.write_many([("key", b"newest")], 0, self.message)
        _equal("write_loaded after write_many", await load(many), False)
        _equal("write_loaded after remove", await load(self.store.remove(["other", "key"], self.message)), False)
        _equal("read", await self.store.read("key"), None)

    async def a_loaded_value_is_stored_and_its_lock_given_back(self) -> None:
        for key in ("key", "{tag}k", "k{", "}k{", "k{}", "{}{x}"):  # braces place a key on a Redis Cluster
            await self.locks.lock(key, b"loader", _LONG)
            _equal("write_loaded", await self.locks.write_loaded(key, b"value", _LONG, b"loader", self.message), True)
            _within("left_ms", await self.store.left_ms(key), 0, _LONG)
            _equal("read", await self.store.read(key), b"value")
        _equal("lock", await self.locks.lock("key", b"next", _LONG), LockAttempt(None, 0, b"value"))


class _OfMessages(_Promises):
    needs: tuple[str, ...] = ("channel",)

    @asynccontextmanager
    async def _ready(self) -> AsyncIterator[None]:
        channel = self.backend.channel
        assert channel is not None
        self._heard: list[bytes] = []
        self._lost: list[StoreError] = []
        self._subscription = channel.subscribe(self._heard.append, self._lost.append)
        await self._subscription.open()
        try:
            yield
        finally:
            await self._subscription.close()

    async def _all(self) -> list[bytes]:
        await self._subscription.ping()
        return list(dict.fromkeys(self._heard))  # a cluster repeats messages

    async def a_change_publishes_its_message(self) -> None:
        await self.store.write("a", _entry(), 0, _message)
        await self.store.write_many([("b", b""), ("c", b"")], 0, _message)
        heard = await self._all()
        _equal("the messages of writes", sorted(heard), [b"k a", b"k b", b"k c"])
        touched = [await self.store.touch(key, _LONG, lambda _: b"touched") for key in ("a", "absent")]
        _equal("touch", touched, [True, False])
        _equal("the message of touch", (await self._all())[3:], [b"touched"])
        _equal("remove", await self.store.remove(["gone"], lambda _: b"removed"), 0)
        _equal("the message of remove", (await self._all())[4:], [b"removed"])

    async def a_change_without_a_message_publishes_nothing(self) -> None:
        await self.store.write("a", _entry(), 0)
        await self.store.write_many([("b", b"")], 0)
        await self.store.touch("a", 1000)
        await self.store.remove(["a", "b"])
        _equal("the messages", await self._all(), [])

    async def a_ping_returns_after_what_was_published_before_it(self) -> None:
        for number in range(60):
            await self.store.write(f"key{number}", b"", 0, _message)
            received = b"k key%d" % number in await self._all()
            _true(received, "ping has returned, and a message before it was not received")

    async def messages_of_a_key_come_in_the_order_of_its_changes(self) -> None:
        async def change(who: int) -> None:
            for payload in (b"%d.%d" % (who, number) for number in range(25)):
                await self.store.write("key", payload, 0, lambda _, message=payload: message)  # type: ignore[misc]

        await asyncio.gather(*map(change, range(4)))
        heard = await self._all()
        _equal("the number of messages", len(heard), 100)
        _equal("the value, beside the last message", await self.store.read("key"), heard[-1])

    async def other_prefixes_are_not_heard(self) -> None:
        async with self.again(_new_prefix()) as other:
            await other.store.write("theirs", b"", 0, _message)
            await self.store.write("ours", b"", 0, _message)
            _equal("the messages", await self._all(), [b"k ours"])

    async def a_closed_subscription_hears_nothing(self) -> None:
        await self._subscription.close()
        await self._subscription.close()
        await self.store.write("key", b"", 0, _message)
        try:
            await self._all()
        except StoreError:
            _equal("the messages and losses", [*self._heard, *self._lost], [])
        else:
            raise AssertionError("a closed subscription answers a ping")


class _OfMessagesOfInvalidations(_OfMessages):
    needs = ("channel", "invalidations")

    async def an_invalidation_publishes_its_version_and_target(self) -> None:
        await self.log.invalidate("p:user: 1%s", _EPOCH, _LIMIT, b"s 0123 99 ")
        await self.log.invalidate("t:silent", _EPOCH, _LIMIT)
        await self.log.invalidate("*", _EPOCH, _LIMIT, b"")
        _equal("the messages", await self._all(), [b"s 0123 99 1 p:user: 1%s", b"3 *"])


class _OfMessagesOfLocks(_OfMessages):
    needs = ("channel", "locks")

    async def a_lock_given_back_publishes_its_message(self) -> None:
        await self.locks.lock("key", b"me", _LONG)
        await self.locks.unlock("key", b"you", b"f you")
        await self.locks.unlock("key", b"me", b"f me")
        await self.locks.lock("key", b"me", _LONG)
        await self.locks.write_loaded("key", b"value", 0, b"me", _message)
        _equal("the messages", await self._all(), [b"f me", b"k key"])


_KINDS: Final = (_OfEntries, _OfInvalidations, _OfLocks, _OfMessages, _OfMessagesOfInvalidations, _OfMessagesOfLocks)
