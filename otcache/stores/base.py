"""What a store of entries must do: bytes under keys, and what processes that share it tell each other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from typing import NamedTuple, Protocol

from otcache.exceptions import StoreError

ChangeMessage = Callable[[Sequence[str]], bytes]
"""Makes the message that tells other processes about changed keys."""


class InvalidationRows(NamedTuple):
    """Numbers of invalidations.

    Attributes:
        id: 8 hex digits that change when the numbers begin anew.
        rows: Targets (`t:tag`, `p:prefix`, `*`, and `#floor` for those trimmed) and their numbers, lowest first.
    """

    id: str
    rows: list[tuple[str, int]]


class LockAttempt(NamedTuple):
    """What became of an attempt to take a lock.

    Attributes:
        holder: The value of whoever holds it; `None` if it is now ours.
        left_ms: For how long the holder has it at most; 0 if it is ours.
        payload: The entry under the key, read after the attempt.
    """

    holder: bytes | None
    left_ms: int
    payload: bytes | None


class Subscription(Protocol):
    """News of a store's other users, on connections of its own. Lives once, in the event loop that opens it."""

    async def open(self) -> None:
        """Connect and subscribe; returns when every server has confirmed.

        Raises:
            StoreError: A server can't be had, or this one has been opened before. Nothing stays open.
        """

    async def ping(self) -> None:
        """Return when everything published before the call has been received.

        Raises:
            StoreError: A connection has ended, or (`moved`) the news now come from other servers: open another one.
        """

    async def close(self) -> None:
        """Close every connection. Idempotent, from any state, and never raises."""


class Store(Protocol):
    """A far tier: bytes under keys, every call one round trip unless it says otherwise.

    Every method may raise `StoreError` and nothing else; none retries, none has a time limit of its
    own (the caller's deadline cancels it, and a cancelled call never leaves a connection usable with
    another's reply in it).
    """

    @property
    def url(self) -> str:
        """Where it is, safe to show: no password."""

    @property
    def address(self) -> str:
        """`server.address` of the CLIENT spans: host name, or the path of a unix socket."""

    @property
    def port(self) -> int | None:
        """`server.port`; `None` for a unix socket."""

    @property
    def database(self) -> str:
        """`db.namespace`: the index of the database, as text."""

    async def ping(self) -> None:
        """Answer, or raise."""

    async def sync_clock(self) -> None:
        """Learn how far this process's clock is from the server's (`TIME`)."""

    clock_error_ms: int
    """How far `server_ms` may be off: half of the round trip that learnt it, and rounding."""

    def server_ms(self) -> int:
        """The server's clock now, in ms since the epoch, as last learnt; never a round trip."""

    async def read(self, key: str) -> bytes | None:
        """The payload under `key` (`GET`)."""

    def place(self, key: str) -> Hashable:
        """Where `key` is, as far as is known: keys of one place are read by one server. Never a round trip."""

    async def read_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The payloads under `keys`, in their order (`MGET`; per node on a cluster)."""

    async def write(self, key: str, payload: bytes, ttl_ms: int, news: ChangeMessage | None = None) -> None:
        """Store `payload` for `ttl_ms` (0: for ever), and return only on the server's OK (`SET`).

        With `news`, the server publishes what it makes of the key in the same step (`EVAL`); so do the others.
        """

    async def write_loaded(self, key: str, payload: bytes, ttl_ms: int, lock: bytes, news: ChangeMessage) -> bool:
        """Store the value of a load while its lock is still ours, and give that back (`EVAL`); whether it was.

        Whoever writes or removes the key with news ends the lock. On a cluster a key whose braces are no hash tag is
        stored in any case: its lock is on another node.
        """

    async def write_many(
        self, items: Sequence[tuple[str, bytes]], ttl_ms: int, news: ChangeMessage | None = None
    ) -> list[StoreError | None]:
        """Store all `items` (`PIPELINE SET`); per item `None` for the server's OK, or its error."""

    async def remove(self, keys: Sequence[str], news: ChangeMessage | None = None) -> int:
        """Remove `keys`; how many existed (`UNLINK`; per node on a cluster). News also of what did not exist."""

    async def contains(self, key: str) -> bool:
        """Whether `key` exists (`EXISTS`)."""

    async def left_ms(self, key: str) -> int | None:
        """Milliseconds until `key` expires, 0 if never, `None` if absent (`PTTL`)."""

    async def touch(self, key: str, ttl_ms: int, news: ChangeMessage | None = None) -> bool:
        """Give an existing entry a new time to live, its payload's stamp included; whether it existed (`EVAL`)."""

    async def stamps(self, known_id: str, since: int, new_id: str) -> InvalidationRows:
        """The invalidations above number `since`; all of them if the id is not `known_id` (`EVAL`).

        Args:
            known_id: 8 hex digits, or nothing.
            since: The highest number known.
            new_id: 8 hex digits, the id if there are no stamps yet.
        """

    async def invalidate(self, target: str, new_id: str, limit: int, head: bytes) -> tuple[str, int]:
        """Give `target` the next number and publish `head` with number and target; the id and the number (`EVAL`).

        Args:
            target: `t:tag`, `p:prefix`, or `*`, which makes all other rows needless.
            new_id: 8 hex digits, the id if there are no stamps yet.
            limit: Most rows kept, at least 1; above it the lowest are trimmed and `#floor` stands for them.
            head: What the message begins with.
        """

    async def seize(self, key: str, value: bytes, ms: int) -> None:
        """Take the lock of `key` for `ms`, whoever has it (`SET`): what others load meanwhile is older."""

    async def lock(self, key: str, value: bytes, ms: int) -> LockAttempt:
        """Take the lock of `key` for `ms`, if it is free, and read the entry (`PIPELINE EVAL`).

        On a cluster, lock and entry may be on two nodes, which answer in any order.
        """

    async def renew_lock(self, key: str, value: bytes, ms: int) -> bool:
        """Hold the lock of `key` for `ms` from now; whether it was still ours (`EVAL`)."""

    async def unlock(self, key: str, value: bytes, news: bytes) -> bool:
        """Give the lock of `key` back and publish `news`; whether it was still ours (`EVAL`)."""

    def subscribe(self, receive: Callable[[bytes], None], lost: Callable[[StoreError], None]) -> Subscription:
        """News, not opened yet. On a cluster every primary repeats every message, some later than others.

        Args:
            receive: Called with every message, in the order of its server, in the event loop. It must not raise.
            lost: Called once, if a connection ends by itself after `open` has returned.
        """

    def scan(self, pattern: str) -> AsyncGenerator[list[str], None]:
        """Keys that match a Redis glob under this store's prefix, a batch per round trip (`SCAN`)."""

    def pool_stats(self) -> tuple[int, int, int] | None:
        """Connections in use, open ones that wait, and the most there can be; `None` before the first call."""

    async def close(self) -> None:
        """Close every connection. Idempotent, and never raises."""
