"""The links of a store to its servers, one event loop at a time, and its names there."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Final

from otcache.exceptions import StoreError
from otcache.stores.redis.client import Link, ServerLink
from otcache.stores.redis.cluster import ClusterLink
from otcache.stores.redis.errors import translate
from otcache.stores.redis.target import RedisTarget

READONLY_SECONDS: Final = 1.0
"""Least life of a client that a READONLY answer may end: a replica by mistake must not cost a connect per call."""


def new_link(target: RedisTarget) -> Link:
    """A link for the running event loop; opens no connection yet."""
    return ClusterLink(target) if target.kind == "cluster" else ServerLink(target)


class _Session:
    """The link of one event loop, and the calls that are under way on it."""

    __slots__ = ("born", "link", "loop", "retired", "users")

    def __init__(self, target: RedisTarget) -> None:
        self.loop = asyncio.get_running_loop()
        self.link = new_link(target)
        self.born = time.monotonic()
        self.users = 0
        self.retired = False

    def retire(self) -> None:
        """Cut what waits; calls under way end first, and their connections after them."""
        self.retired = True
        self.link.drop(idle_only=self.users > 0)

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


class LinkedStore:
    """What every part of a Redis store needs: the link, and the names of keys.

    Opens no connection before the first call. Belongs to the event loop that uses it: used from another one, it
    starts anew there and cuts the connections of the first.

    Args:
        target: Where it is.
        prefix: Put before every key.
    """

    def __init__(self, target: RedisTarget, prefix: str) -> None:
        self._target = target
        self._prefix = prefix.encode()
        self._root = self._prefix.removesuffix(b":") + b"@"
        self._session: _Session | None = None
        self._closed = False

    # --- connections --------------------------------------------------------------------------------

    def pool_stats(self) -> tuple[int, int, int] | None:
        """Connections in use, open ones that wait, and the limit (a cluster's summed); `None` before the first call."""
        session = self._session
        return None if session is None else session.link.usage()

    async def close(self) -> None:
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            session.end()
            await asyncio.sleep(0)  # the transports close their sockets in the next turn of the loop

    def _link(self) -> _Use:
        """The link of this event loop, for a `with`; what goes wrong on it leaves as a `StoreError`."""
        return _Use(self, self._current())

    def _current(self) -> _Session:
        if self._closed:
            raise StoreError("connection", "closed", counts=False)
        session = self._session
        if session is not None and session.loop is asyncio.get_running_loop():
            return session
        if session is not None:
            session.end()
        self._session = session = _Session(self._target)
        return session

    def leave(self, session: _Session | None) -> None:
        """The master has become a replica: connect anew, by name or by Sentinel, to find its successor."""
        if session is None or self._session is not session:
            return
        if time.monotonic() - session.born >= READONLY_SECONDS:
            self._session = None
            session.retire()

    # --- names --------------------------------------------------------------------------------------

    def _name(self, key: str) -> bytes:
        return self._prefix + to_bytes(key)

    def _key(self, name: bytes) -> str:
        return name[len(self._prefix) :].decode(errors="surrogateescape")

    def _beside(self, name: str) -> bytes:
        """A name of ours outside of the prefix, where no scan for entries finds it: `web:` has `web@news`."""
        return self._root + to_bytes(name)


class _Use:
    """One use of a session; a third of the price of a generator."""

    __slots__ = ("_session", "_store")

    def __init__(self, store: LinkedStore, session: _Session) -> None:
        self._store = store
        self._session = session

    def __enter__(self) -> Link:
        self._session.users += 1
        return self._session.link

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session = self._session
        session.users -= 1
        if session.retired and not session.users:
            session.link.drop()
        if isinstance(error, Exception) and not isinstance(error, StoreError):
            translated = translate(error)
            if translated.error_type == "READONLY":
                self._store.leave(session)
            raise translated from error


def to_bytes(text: str) -> bytes:
    """UTF-8; a foreign key under our prefix that is not comes back as it was, so `clear` can remove it."""
    return text.encode(errors="surrogateescape")
