"""What the processes that share a cache tell each other by Redis: invalidation versions, locks of loads, messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otcache.exceptions import StoreError
from otcache.stores.base import ChangeMessage, InvalidationRows, LockAttempt, Subscription
from otcache.stores.redis import scripts
from otcache.stores.redis.commands import as_mget, expiry, is_ok, not_ok, or_raise, write_command
from otcache.stores.redis.session import RedisSession
from otcache.stores.redis.subscription import RedisSubscription


class RedisCoordination:
    """`Invalidations`, `Locks` and `ChangeChannel` of a Redis store.

    Args:
        session: The store's.
    """

    def __init__(self, session: RedisSession) -> None:
        self._session = session
        self._names = session.names

    # --- invalidations ------------------------------------------------------------------------------

    async def versions(self, known_id: str, since: int, new_id: str) -> InvalidationRows:
        name, rows = await self._session.execute(
            "EVAL", scripts.VERSIONS, 1, self._names.versions, known_id, since, new_id
        )
        targets = [target.decode(errors="surrogateescape") for target in rows[::2]]
        return InvalidationRows(_id(name), list(zip(targets, map(int, rows[1::2]), strict=True)))

    async def invalidate(self, target: str, new_id: str, limit: int, head: bytes | None = None) -> tuple[str, int]:
        told = () if head is None else (self._names.channel, head)
        arguments = (target.encode(errors="surrogateescape"), new_id, limit, *told)
        name, number = await self._session.execute("EVAL", scripts.INVALIDATE, 1, self._names.versions, *arguments)
        return _id(name), number

    # --- locks --------------------------------------------------------------------------------------

    async def lock(self, key: str, value: bytes, ms: int) -> LockAttempt:
        # on a cluster, lock and entry may be on two nodes, which answer in any order
        take = ("EVAL", scripts.LOCK, 1, self._names.lock(key), value, ms)
        with self._session.use() as link:
            answer, payload = await link.batch([take, ("GET", self._names.entry(key))])
            holder, left = _holder(or_raise(answer))
            return LockAttempt(holder, left, as_mget(payload))

    async def seize(self, key: str, value: bytes, ms: int) -> None:
        await self._session.execute("SET", self._names.lock(key), value, "PX", ms)

    async def renew(self, key: str, value: bytes, ms: int) -> bool:
        return bool(await self._session.execute("EVAL", scripts.RENEW, 1, self._names.lock(key), value, ms))

    async def unlock(self, key: str, value: bytes, message: bytes | None = None) -> bool:
        told = () if message is None else (self._names.channel, message)
        return bool(await self._session.execute("EVAL", scripts.UNLOCK, 1, self._names.lock(key), value, *told))

    async def write_loaded(
        self, key: str, payload: bytes, ttl_ms: int, lock: bytes, message: ChangeMessage | None = None
    ) -> bool:
        names = self._names.entries_and_locks([key])
        if len(names) == 1:  # its lock is on another node: nothing compares it in one step
            command = write_command(self._names, key, payload, ttl_ms, message)
        else:
            told = (b"", b"") if message is None else (self._names.channel, message([key]))
            command = ("EVAL", scripts.WRITE_LOADED, 2, *names, *told, lock, payload, *expiry(ttl_ms))
        answer = await self._session.execute(*command)
        if answer != 0 and not is_ok(answer):
            raise not_ok()
        return bool(answer != 0)

    # --- messages -----------------------------------------------------------------------------------

    def subscribe(self, receive: Callable[[bytes], None], lost: Callable[[StoreError], None]) -> Subscription:
        # on a cluster every primary repeats every message, some later than others
        return RedisSubscription(self._session.target, self._names.channel, receive, lost)


def _id(name: bytes) -> str:
    return name.decode(errors="surrogateescape").removeprefix("#")


def _holder(answer: Any) -> tuple[bytes | None, int]:
    if answer == b"OK":
        return None, 0
    holder, left = answer
    return holder, max(left, 0)
