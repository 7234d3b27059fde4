"""The links of a store to its servers, one event loop at a time, and the names of what it keeps there."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Hashable, Sequence
from types import TracebackType
from typing import Any, Final

from otcache._serialization.wire import WIRE_VERSION
from otcache.exceptions import StoreError
from otcache.stores.redis.client import Link, ServerLink
from otcache.stores.redis.cluster import ClusterLink
from otcache.stores.redis.errors import translate
from otcache.stores.redis.target import RedisTarget

READONLY_SECONDS: Final = 1.0
"""Least life of a client that a READONLY answer may end: a replica by mistake must not cost a connect per call."""

_GLOB: Final = re.compile(rb"[\\*?\[\]^-]")
_TAG: Final = re.compile(rb"^[^{]*\{[^}]+\}")
"""A name that is placed by a part of it: the first braces, if there is something in them."""


def new_link(target: RedisTarget) -> Link:
    """A link for the running event loop; opens no connection yet."""
    return ClusterLink(target) if target.kind == "cluster" else ServerLink(target)


class RedisNames:
    """What the entries of a store, and the rows beside them, are called in Redis.

    Args:
        prefix: Put before every key.
        clustered: Whether names have slots, so that an entry and its lock must share one.
        database: Its number: keys of two databases are apart, but a message reaches those who listen in any.

    Attributes:
        channel: Where changes are published.
        announcements: Where the caches of the database tell of themselves, whatever their prefix.
        versions: The sorted set of invalidation versions.
    """

    def __init__(self, prefix: str, *, clustered: bool, database: int = 0) -> None:
        self._prefix = prefix.encode()
        # outside of the prefix, where no scan for entries finds them: `web:` has `web@2:news`
        self._root = self._prefix.removesuffix(b":") + b"@%d:" % WIRE_VERSION
        self._clustered = clustered
        self.channel = self._root + (b"news:%d" % database if database else b"news")
        self.announcements = b"otcache:neighbours@%d" % database
        self.versions = self._root + b"stamps"

    def entry(self, key: str) -> bytes:
        """The name of an entry. A foreign key that is no UTF-8 comes back as it was, so `clear` can remove it."""
        return self._prefix + key.encode(errors="surrogateescape")

    def key(self, name: bytes) -> str:
        """The key of an entry's name."""
        return name[len(self._prefix) :].decode(errors="surrogateescape")

    def match(self, pattern: str) -> bytes:
        """The glob of all entries whose keys match `pattern`; the prefix is taken literally."""
        return _GLOB.sub(rb"\\\g<0>", self._prefix) + pattern.encode(errors="surrogateescape")

    def lock(self, key: str) -> bytes:
        """The name of a key's lock; on a cluster in the slot of its entry, whose name or tag becomes its tag."""
        name = self.entry(key)
        if not self._clustered or _TAG.search(name):
            return self._root + b"lock:" + key.encode(errors="surrogateescape")
        return self._root + b"lock:{" + name + b"}"

    def entries_and_locks(self, keys: Sequence[str]) -> list[bytes]:
        """The names of the entries, then those of their locks as far as they are on the same node."""
        return [*map(self.entry, keys), *(self.lock(key) for key in keys if self._has_lock_beside(key))]

    def _has_lock_beside(self, key: str) -> bool:
        """Not so for a key of a cluster whose braces are no hash tag: no name can be given its slot."""
        name = self.entry(key)
        return not self._clustered or bool(_TAG.search(name)) or not (b"{" in name or b"}" in name)


class _LoopLink:
    """The link of one event loop; `with` is one use of it, and what goes wrong in that leaves as a `StoreError`.

    It holds nothing of a single use, so that a call pays for no object and any number of calls may be in it.
    """

    __slots__ = ("_born", "_users", "link", "loop", "retired")

    def __init__(self, target: RedisTarget) -> None:
        self.loop = asyncio.get_running_loop()
        self.link = new_link(target)
        self.retired = False
        self._born = time.monotonic()
        self._users = 0

    def __enter__(self) -> Link:
        self._users += 1
        return self.link

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._users -= 1
        if self.retired and not self._users:
            self.link.drop()
        if isinstance(error, Exception) and not isinstance(error, StoreError):
            translated = translate(error)
            if translated.error_type == "READONLY":
                self.retire()
            raise translated from error

    def retire(self) -> None:
        """The master has become a replica: let the next call connect again and find its successor.

        Calls under way end first, and their connections after them.
        """
        if time.monotonic() - self._born >= READONLY_SECONDS:
            self.retired = True
            self.link.drop(idle_only=self._users > 0)

    def end(self) -> None:
        """Cut everything, from whatever event loop or thread this is."""
        self.retired = True
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if self.loop is not running and self.loop.is_running():
            self.loop.call_soon_threadsafe(self.link.drop)
        else:
            self.link.drop()


class RedisSession:
    """The link of a `RedisStore` in whatever event loop uses it, and the names of what it keeps."""

    def __init__(self, target: RedisTarget, prefix: str) -> None:
        self.target = target
        self.spread = target.kind == "cluster"
        self.names = RedisNames(prefix, clustered=self.spread, database=target.database)
        self._current: _LoopLink | None = None
        self._closed = False

    def use(self) -> _LoopLink:
        """The link of this event loop, for a `with`; `StoreError` if the session is closed."""
        current = self._current
        if current is not None and current.loop is asyncio.get_running_loop() and not current.retired:
            return current
        return self._connect()

    def _connect(self) -> _LoopLink:
        if self._closed:
            raise StoreError("connection", "closed", counts=False)
        if self._current is not None and not self._current.retired:
            self._current.end()  # it belongs to another event loop
        self._current = _LoopLink(self.target)
        return self._current

    async def execute(self, *command: Any) -> Any:
        """The answer to one command, for all but the busiest calls: those take `use` for one function less."""
        with self.use() as link:
            return await link.execute(*command)

    def retire(self) -> None:
        """Connect again with the next call, because the server is no master any more."""
        if self._current is not None:
            self._current.retire()

    def usage(self) -> tuple[int, int, int] | None:
        """Connections in use, open ones that wait, and the limit (a cluster's summed); `None` before the first call."""
        current = self._current
        return None if current is None or current.retired else current.link.usage()

    async def version(self) -> str:
        """Which server answers: `redis 7.0.15`, `valkey 9.1.0`; of a cluster the first."""
        with self.use() as link:
            facts = await link.execute_at((await link.places())[0], "INFO", "server")
        name = facts.get("server_name", "redis")
        return f"{name} {facts.get(f'{name}_version') or facts.get('redis_version', 'unknown')}"

    def place(self, key: str) -> Hashable:
        """Which server has `key`, as far as is known."""
        current = self._current
        return current.link.place(self.names.entry(key)) if current is not None and self.spread else None

    async def close(self) -> None:
        """Cut every connection. Idempotent, and never raises."""
        self._closed = True
        current, self._current = self._current, None
        if current is not None:
            current.end()
            await asyncio.sleep(0)  # the transports close their sockets in the next turn of the loop
