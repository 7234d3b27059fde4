"""What a store of entries must do, and what it may do besides: one protocol per capability.

A `ByteStore` is enough for an L2. What a store lacks beyond that is named by `Backend.lacks`, and a cache does without
that feature (docs/stores.md).
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from otcache.exceptions import StoreError

ChangeMessage = Callable[[Sequence[str]], bytes]
"""Makes the invalidation message for changed keys. Only a store that comes with a channel is ever given one."""
Receive = Callable[[bytes], None]
"""Called with every message, in the order of its server, in the event loop. It must not raise."""
Lost = Callable[[StoreError], None]
"""Called once, if a connection ends by itself after `open` has returned."""


class Location(NamedTuple):
    """Where a store is.

    Attributes:
        url: Safe to show: no password.
        system: `db.system.name` of the CLIENT spans, such as `redis`.
        address: `server.address`: host name, or a path.
        port: `server.port`; `None` where there is none.
        database: `db.namespace`; `None` where there is none.
    """

    url: str
    system: str
    address: str
    port: int | None = None
    database: str | None = None


class StoreClock(Protocol):
    """The clock that dates a store's entries: one for all processes that share it."""

    @property
    def error_ms(self) -> int:
        """How far `now_ms` may be off."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, as last learnt; never a round trip."""

    async def sync(self) -> None:
        """Learn how far this process's clock is from the store's. May raise `StoreError`."""


class LocalClock:
    """The clock of this host, for a store that only processes of this host share."""

    error_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    async def sync(self) -> None:
        """There is no other clock."""


class ByteStore(Protocol):
    """Bytes under keys; every call is one round trip unless it says otherwise.

    Every method may raise `StoreError` and nothing else. None retries, none has a time limit of its own: the caller's
    deadline cancels the call, and a cancelled call must not leave its reply to the next one.

    Keys are any text of 1 to 8192 bytes in UTF-8. A `message` is published in the same step as the change; without a
    channel it is always `None`.
    """

    @property
    def location(self) -> Location:
        """Where the store is."""

    @property
    def clock(self) -> StoreClock:
        """The clock of the store's entries."""

    async def ping(self) -> None:
        """Return if the store answers."""

    async def read(self, key: str) -> bytes | None:
        """Return the payload under `key`."""

    async def read_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the payloads under `keys`, in their order."""

    async def write(self, key: str, payload: bytes, ttl_ms: int, message: ChangeMessage | None = None) -> None:
        """Store `payload` for `ttl_ms` (0: for ever); return only when the store has it."""

    async def write_many(
        self, items: Sequence[tuple[str, bytes]], ttl_ms: int, message: ChangeMessage | None = None
    ) -> list[StoreError | None]:
        """Store all `items`; return per item `None` if the store has it, or its error."""

    async def remove(self, keys: Sequence[str], message: ChangeMessage | None = None) -> int:
        """Remove `keys`; return how many existed. The message is published also if none did."""

    async def contains(self, key: str) -> bool:
        """Return whether `key` exists."""

    async def left_ms(self, key: str) -> int | None:
        """Return the milliseconds until `key` expires, 0 if never, `None` if absent."""

    async def replace(
        self, key: str, old: bytes, new: bytes, ttl_ms: int, message: ChangeMessage | None = None
    ) -> bool:
        """Store `new` for `ttl_ms` (0: for ever) if the payload under `key` is `old`; return whether it was.

        Both are one step: what is absent, expired or another payload stays as it is. `touch` of a cache needs it.
        """

    def scan(self, pattern: str) -> AsyncGenerator[list[str], None]:
        """Yield the keys that match a Redis glob, a batch per round trip; each at least once."""

    async def close(self) -> None:
        """Close every connection. Idempotent, and never raises."""


# --- invalidations ------------------------------------------------------------------------------------------


class InvalidationRows(NamedTuple):
    """Invalidation versions.

    Attributes:
        id: 8 hex digits, the epoch: another id means that the numbers began again.
        rows: Targets (`t:tag`, `p:prefix`, `*`, and `#floor` for those trimmed) and their versions, lowest first.
    """

    id: str
    rows: list[tuple[str, int]]


class Invalidations(Protocol):
    """Invalidation of many entries at once: a number per target, which every reader compares with an entry's."""

    async def versions(self, known_id: str, since: int, new_id: str) -> InvalidationRows:
        """Return the invalidations above version `since`; all of them if the epoch is not `known_id`.

        Args:
            known_id: 8 hex digits, or nothing.
            since: The highest version known.
            new_id: 8 hex digits, the epoch if there is none yet.
        """

    async def invalidate(self, target: str, new_id: str, limit: int, head: bytes | None = None) -> tuple[str, int]:
        """Give `target` the next version; return the epoch and the version.

        Args:
            target: `t:tag`, `p:prefix`, or `*`, which makes all other rows needless.
            new_id: 8 hex digits, the epoch if there is none yet.
            limit: Most rows kept, at least 1; above it the lowest are trimmed and `#floor` stands for them.
            head: What the message begins with; version and target follow. `None` publishes nothing.
        """


# --- locks --------------------------------------------------------------------------------------------------


class LockAttempt(NamedTuple):
    """What became of an attempt to take a lock.

    Attributes:
        holder: The value of its holder; `None` if that is us now.
        left_ms: For how long the holder has it at most; 0 if it is ours.
        payload: The entry under the key, read after the attempt.
    """

    holder: bytes | None
    left_ms: int
    payload: bytes | None


class Locks(Protocol):
    """Locks of loading keys. Writing or removing a key with a message, or at all without a channel, ends its lock."""

    async def lock(self, key: str, value: bytes, ms: int) -> LockAttempt:
        """Take the lock of `key` for `ms` if it is free, and read the entry."""

    async def seize(self, key: str, value: bytes, ms: int) -> None:
        """Take the lock of `key` for `ms`, even from its holder: what the holder loads is older."""

    async def renew(self, key: str, value: bytes, ms: int) -> bool:
        """Hold the lock of `key` for `ms` from now; return whether it was still ours."""

    async def unlock(self, key: str, value: bytes, message: bytes | None = None) -> bool:
        """Give the lock of `key` back and publish `message`; return whether it was still ours."""

    async def write_loaded(
        self, key: str, payload: bytes, ttl_ms: int, lock: bytes, message: ChangeMessage | None = None
    ) -> bool:
        """Store the value of a load if its lock is still ours, and give the lock back; return whether it is stored.

        A store that can't compare both in one step stores in any case.
        """


# --- messages between processes -----------------------------------------------------------------------------


class Subscription(Protocol):
    """Messages of a store's other users, on connections of its own. Lives once, in the event loop that opens it."""

    async def open(self) -> None:
        """Connect and subscribe; returns when every server has confirmed.

        Raises:
            StoreError: A server can't be had, or this one has been opened before. Nothing stays open.
        """

    async def ping(self) -> None:
        """Return when everything published before the call has been received.

        Raises:
            StoreError: A connection has ended, or (`moved`) messages now come from other servers: open another one.
        """

    async def close(self) -> None:
        """Close every connection. Idempotent, from any state, and never raises."""


class ChangeChannel(Protocol):
    """Messages about changes, to every process that shares the store."""

    def subscribe(self, receive: Receive, lost: Lost) -> Subscription:
        """Return a subscription that is not open yet."""


class Announcements(Protocol):
    """What the caches of one database tell of themselves, whatever the prefix of their keys is."""

    def overhear(self, receive: Receive, refused: Lost) -> None:
        """Give every announcement to `receive`, from the next subscription to the changes on.

        Args:
            receive: Called as a subscription's is.
            refused: Called if the server does not allow it; the subscription stands all the same.
        """

    async def announce(self, payload: bytes) -> None:
        """Tell everybody, this process too; may raise `StoreError`."""


# --- all of it ----------------------------------------------------------------------------------------------


class ServerFacts(Protocol):
    """What a store on servers can say of them."""

    def usage(self) -> tuple[int, int, int] | None:
        """Connections in use, open ones that wait, and the most there can be; `None` before the first call."""

    async def version(self) -> str:
        """Which server answers: `redis 7.0.15`, `valkey 9.1.0`."""


def one_place(key: str) -> Hashable:  # noqa: ARG001  the same for every key
    """Where a key is, for a store whose keys are all in one place."""
    return None


@dataclass(frozen=True, slots=True)
class Backend:
    """A store and what it can do besides; what an opener of `otcache.stores.register_store` returns.

    Attributes:
        store: The entries.
        invalidations: By tag and prefix, in O(1).
        locks: For one load per key among processes.
        channel: Messages between processes; without it L1 copies live for `max_staleness` at most.
        server: Its connections and version.
        place: Where a key is, as far as is known: keys of one place are read together. Never a round trip.
        announcements: Who else is there. Without them nobody is told of options that do not agree.
    """

    store: ByteStore
    invalidations: Invalidations | None = None
    locks: Locks | None = None
    channel: ChangeChannel | None = None
    server: ServerFacts | None = None
    place: Callable[[str], Hashable] = one_place
    announcements: Announcements | None = None

    @property
    def lacks(self) -> tuple[str, ...]:
        """The features that a cache on this store does without."""
        return tuple(name for name in ("invalidations", "locks", "channel") if getattr(self, name) is None)
