"""What the processes that share a cache tell each other by Redis: stamps of invalidations, locks of loads, news."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from redis.exceptions import ResponseError

from otcache.exceptions import StoreError
from otcache.stores.base import InvalidationRows, LockAttempt, Subscription
from otcache.stores.redis import scripts
from otcache.stores.redis.errors import server_prefix
from otcache.stores.redis.session import LinkedStore, to_bytes
from otcache.stores.redis.subscription import RedisSubscription
from otcache.stores.redis.target import RedisTarget

_TAG: Final = re.compile(rb"^[^{]*\{[^}]+\}")
"""A name that is placed by a part of it: the first braces, if there is something in them."""


class CoherentStore(LinkedStore):
    """The channel, the stamps and the locks of one cache, beside its entries."""

    def __init__(self, target: RedisTarget, prefix: str) -> None:
        super().__init__(target, prefix)
        self._channel = self._beside("news")
        self._stamps = self._beside("stamps")

    # --- stamps -------------------------------------------------------------------------------------

    async def stamps(self, known_id: str, since: int, new_id: str) -> InvalidationRows:
        with self._link() as link:
            name, rows = await link.execute("EVAL", scripts.STAMPS, 1, self._stamps, known_id, since, new_id)
        targets = [target.decode(errors="surrogateescape") for target in rows[::2]]
        return InvalidationRows(_id(name), list(zip(targets, map(int, rows[1::2]), strict=True)))

    async def invalidate(self, target: str, new_id: str, limit: int, head: bytes) -> tuple[str, int]:
        arguments = (to_bytes(target), new_id, limit, self._channel, head)
        with self._link() as link:
            name, number = await link.execute("EVAL", scripts.INVALIDATE, 1, self._stamps, *arguments)
        return _id(name), number

    # --- locks --------------------------------------------------------------------------------------

    async def lock(self, key: str, value: bytes, ms: int) -> LockAttempt:
        take = ("EVAL", scripts.LOCK, 1, self._lock(key), value, ms)
        with self._link() as link:
            answer, payload = await link.batch([take, ("GET", self._name(key))])
            holder, left = _holder(or_raise(answer))
            return LockAttempt(holder, left, as_mget(payload))

    async def seize(self, key: str, value: bytes, ms: int) -> None:
        with self._link() as link:
            await link.execute("SET", self._lock(key), value, "PX", ms)

    async def renew_lock(self, key: str, value: bytes, ms: int) -> bool:
        with self._link() as link:
            return bool(await link.execute("EVAL", scripts.RENEW, 1, self._lock(key), value, ms))

    async def unlock(self, key: str, value: bytes, news: bytes) -> bool:
        arguments = (value, self._channel, news)
        with self._link() as link:
            return bool(await link.execute("EVAL", scripts.UNLOCK, 1, self._lock(key), *arguments))

    def _lock(self, key: str) -> bytes:
        """The name of a key's lock; on a cluster in the slot of its entry, whose name or tag becomes its tag."""
        name = self._name(key)
        if self._target.kind != "cluster" or _TAG.search(name):
            return self._beside(f"lock:{key}")
        return self._beside("lock:") + b"{" + name + b"}"

    def _is_beside(self, key: str) -> bool:
        """Whether the lock is where its entry is: not for a key of a cluster whose braces are no tag."""
        name = self._name(key)
        return self._target.kind != "cluster" or bool(_TAG.search(name)) or not (b"{" in name or b"}" in name)

    # --- news ---------------------------------------------------------------------------------------

    def subscribe(self, receive: Callable[[bytes], None], lost: Callable[[StoreError], None]) -> Subscription:
        return RedisSubscription(self._target, self._channel, receive, lost)


def _id(name: bytes) -> str:
    return name.decode(errors="surrogateescape").removeprefix("#")


def _holder(answer: Any) -> tuple[bytes | None, int]:
    if answer == b"OK":
        return None, 0
    holder, left = answer
    return holder, max(left, 0)


def or_raise(answer: Any) -> Any:
    """One answer of a batch."""
    if isinstance(answer, Exception):
        raise answer
    return answer


def as_mget(answer: Any) -> bytes | None:
    """The answer to a GET as MGET would give it: a key of another type is nothing."""
    if isinstance(answer, ResponseError) and server_prefix(answer) == "WRONGTYPE":
        return None
    payload: bytes | None = or_raise(answer)
    return payload
