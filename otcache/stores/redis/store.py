"""A Redis, by redis-py: entries as plain string keys under a prefix, and what the processes that share it agree on."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

from redis.exceptions import ResponseError

from otcache.config import CacheConfig
from otcache.exceptions import StoreError
from otcache.stores.base import (
    Backend,
    ChangeMessage,
    InvalidationRows,
    Location,
    LockAttempt,
    Lost,
    Receive,
    Subscription,
)
from otcache.stores.redis import scripts
from otcache.stores.redis.client import Command
from otcache.stores.redis.errors import server_prefix, translate
from otcache.stores.redis.session import RedisNames, RedisSession
from otcache.stores.redis.subscription import Overheard, RedisSubscription
from otcache.stores.redis.target import RedisTarget, resolve_target

SCAN_COUNT: Final = 1000
"""Keys that the server looks at per SCAN: about a millisecond of its time."""

_ROUNDING_MS: Final = 2
"""How far a learnt clock may be off by rounding alone, to whole milliseconds on both sides."""


def open_redis(config: CacheConfig, prefix: str) -> Backend:
    """The Redis of `config`, with all that it can do; `ConfigurationError` if its URL or a TLS file can't be used."""
    return RedisStore(resolve_target(config.redis_url or "", config), prefix).backend


class RedisStore:
    """A Redis, a Sentinel's master or a Redis Cluster: every protocol of `Backend`.

    Opens no connection before the first call. Belongs to the event loop that uses it: used from another one, it
    connects again there and cuts the connections of the first.

    Args:
        target: Where Redis is.
        prefix: Put before every key.

    Attributes:
        location: Where it is.
        session: Its connections.
        clock: The server's clock.
    """

    def __init__(self, target: RedisTarget, prefix: str) -> None:
        host, port = target.hosts[0] if target.hosts else (target.path or "", None)
        self.location = Location(target.url, "redis", host, port, str(target.database))
        self.session = RedisSession(target, prefix)
        self._names = self.session.names
        self.clock = RedisClock(self.session)
        self._overheard: Overheard | None = None

    @property
    def backend(self) -> Backend:
        """This store and everything it can do besides."""
        return Backend(self, self, self, self, self.session, self.session.place, self)

    async def close(self) -> None:
        await self.session.close()

    async def ping(self) -> None:
        await self.session.execute("PING")

    # --- reading ------------------------------------------------------------------------------------

    async def read(self, key: str) -> bytes | None:
        with self.session.use() as link:
            payload: bytes | None = await link.execute("GET", self._names.entry(key))
        return payload

    async def read_many(self, keys: Sequence[str]) -> list[bytes | None]:
        if not keys:
            return []
        names = [self._names.entry(key) for key in keys]
        with self.session.use() as link:
            if not self.session.spread:
                found: list[bytes | None] = await link.execute("MGET", *names)
                return found
            answers = await link.batch([("GET", name) for name in names])
            return [_as_mget(answer) for answer in answers]

    async def contains(self, key: str) -> bool:
        return bool(await self.session.execute("EXISTS", self._names.entry(key)))

    async def left_ms(self, key: str) -> int | None:
        left: int = await self.session.execute("PTTL", self._names.entry(key))
        if left == -2:
            return None
        return 0 if left == -1 else max(left, 1)  # its last millisecond is not "for ever"

    async def scan(self, pattern: str) -> AsyncGenerator[list[str], None]:
        match = self._names.match(pattern)
        with self.session.use() as link:
            places = await link.places()
        for place in places:
            cursor = 0
            while True:
                with self.session.use() as link:
                    cursor, names = await link.execute_at(place, "SCAN", cursor, "MATCH", match, "COUNT", SCAN_COUNT)
                yield [self._names.key(name) for name in names]
                if not cursor:
                    break

    # --- writing ------------------------------------------------------------------------------------

    async def write(self, key: str, payload: bytes, ttl_ms: int, message: ChangeMessage | None = None) -> None:
        with self.session.use() as link:
            answer = await link.execute(*_write_command(self._names, key, payload, ttl_ms, message))
        if (error := _write_error(answer)) is not None:
            raise error

    async def write_many(
        self, items: Sequence[tuple[str, bytes]], ttl_ms: int, message: ChangeMessage | None = None
    ) -> list[StoreError | None]:
        if not items:
            return []
        commands = [_write_command(self._names, key, payload, ttl_ms, message) for key, payload in items]
        with self.session.use() as link:
            answers = await link.batch(commands)
        errors = [_write_error(answer) for answer in answers]
        failed = [error for error in errors if error is not None]
        if any(error.error_type == "READONLY" for error in failed):
            self.session.retire()
        if len(failed) == len(items) and all(error.counts for error in failed):
            raise failed[0]  # no server answered: not a batch with failures, but one failure
        return errors

    async def replace(
        self, key: str, old: bytes, new: bytes, ttl_ms: int, message: ChangeMessage | None = None
    ) -> bool:
        arguments = (*self._told(key, message), old, new, *_expiry(ttl_ms))
        return bool(await self.session.execute("EVAL", scripts.REPLACE, 1, self._names.entry(key), *arguments))

    def _told(self, key: str, message: ChangeMessage | None) -> tuple[bytes, bytes]:
        """Channel and message for a script; empty for none."""
        return (b"", b"") if message is None else (self._names.channel, message([key]))

    async def remove(self, keys: Sequence[str], message: ChangeMessage | None = None) -> int:
        if not keys:
            return 0
        with self.session.use() as link:
            if not self.session.spread:
                return int(await link.execute(*self._remove(keys, message)))
            answers = await link.batch([self._remove([key], message) for key in keys])
            return sum(_or_raise(answer) for answer in answers)

    def _remove(self, keys: Sequence[str], message: ChangeMessage | None) -> Command:
        if message is None:
            return ("UNLINK", *map(self._names.entry, keys))
        names = self._names.entries_and_locks(keys)
        return ("EVAL", scripts.REMOVE, len(names), *names, self._names.channel, message(keys), len(keys))

    # --- invalidations ------------------------------------------------------------------------------

    async def versions(self, known_id: str, since: int, new_id: str) -> InvalidationRows:
        log = self._names.versions
        name, rows = await self.session.execute("EVAL", scripts.VERSIONS, 1, log, known_id, since, new_id)
        targets = [target.decode(errors="surrogateescape") for target in rows[::2]]
        return InvalidationRows(_id(name), list(zip(targets, map(int, rows[1::2]), strict=True)))

    async def invalidate(self, target: str, new_id: str, limit: int, head: bytes | None = None) -> tuple[str, int]:
        told = () if head is None else (self._names.channel, head)
        arguments = (target.encode(errors="surrogateescape"), new_id, limit, *told)
        name, number = await self.session.execute("EVAL", scripts.INVALIDATE, 1, self._names.versions, *arguments)
        return _id(name), number

    # --- locks --------------------------------------------------------------------------------------

    async def lock(self, key: str, value: bytes, ms: int) -> LockAttempt:
        # on a cluster, lock and entry may be on two nodes, which answer in any order
        take = ("EVAL", scripts.LOCK, 1, self._names.lock(key), value, ms)
        with self.session.use() as link:
            answer, payload = await link.batch([take, ("GET", self._names.entry(key))])
            holder, left = (None, 0) if _or_raise(answer) == b"OK" else answer
            return LockAttempt(holder, max(left, 0), _as_mget(payload))

    async def seize(self, key: str, value: bytes, ms: int) -> None:
        await self.session.execute("SET", self._names.lock(key), value, "PX", ms)

    async def renew(self, key: str, value: bytes, ms: int) -> bool:
        return bool(await self.session.execute("EVAL", scripts.RENEW, 1, self._names.lock(key), value, ms))

    async def unlock(self, key: str, value: bytes, message: bytes | None = None) -> bool:
        told = () if message is None else (self._names.channel, message)
        return bool(await self.session.execute("EVAL", scripts.UNLOCK, 1, self._names.lock(key), value, *told))

    async def write_loaded(
        self, key: str, payload: bytes, ttl_ms: int, lock: bytes, message: ChangeMessage | None = None
    ) -> bool:
        names = self._names.entries_and_locks([key])
        if len(names) == 1:  # its lock is on another node: nothing compares it in one step
            command = _write_command(self._names, key, payload, ttl_ms, message)
        else:
            told = self._told(key, message)
            command = ("EVAL", scripts.WRITE_LOADED, 2, *names, *told, lock, payload, *_expiry(ttl_ms))
        answer = await self.session.execute(*command)
        if answer == 0:
            return False
        if (error := _write_error(answer)) is not None:
            raise error
        return True

    # --- messages -----------------------------------------------------------------------------------

    def subscribe(self, receive: Receive, lost: Lost) -> Subscription:
        # on a cluster every primary repeats every message, some later than others
        return RedisSubscription(self.session.target, self._names.channel, receive, lost, self._overheard)

    def overhear(self, receive: Receive, refused: Lost) -> None:
        self._overheard = Overheard(self._names.announcements, receive, refused)

    async def announce(self, payload: bytes) -> None:
        await self.session.execute("PUBLISH", self._names.announcements, payload)


# --- commands and answers ---------------------------------------------------------------------------------


def _write_command(names: RedisNames, key: str, payload: bytes, ttl_ms: int, message: ChangeMessage | None) -> Command:
    """A plain SET, or the script that publishes in the same step."""
    if message is None:
        return ("SET", names.entry(key), payload, *_expiry(ttl_ms))
    keys = names.entries_and_locks([key])
    return ("EVAL", scripts.WRITE, len(keys), *keys, names.channel, message([key]), payload, *_expiry(ttl_ms))


def _expiry(ttl_ms: int) -> tuple[Any, ...]:
    """The end of a SET; 0 never expires."""
    return ("PX", ttl_ms) if ttl_ms else ()


def _write_error(answer: object) -> StoreError | None:
    """What went wrong with a SET, by its answer: redis-py makes its OK a truth, a script's stays what it is."""
    if isinstance(answer, Exception):
        return translate(answer)
    return None if answer is True or answer == b"OK" else StoreError("server_error", "ERR", counts=False)


def _or_raise(answer: Any) -> Any:
    """One answer of a batch."""
    if isinstance(answer, Exception):
        raise answer
    return answer


def _as_mget(answer: Any) -> bytes | None:
    """The answer to a GET as MGET would give it: a key of another type is nothing."""
    if isinstance(answer, ResponseError) and server_prefix(answer) == "WRONGTYPE":
        return None
    payload: bytes | None = _or_raise(answer)
    return payload


def _id(name: bytes) -> str:
    return name.decode(errors="surrogateescape").removeprefix("#")


class RedisClock:
    """The server's clock (`TIME`), as far as it has been learnt.

    Attributes:
        error_ms: Half of the round trip that learnt it, and rounding.
    """

    def __init__(self, session: RedisSession) -> None:
        self._session = session
        self._ahead_ms = time.time_ns() // 1_000_000 - _monotonic_ms()
        self.error_ms = _ROUNDING_MS

    def now_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000 + self._ahead_ms

    async def sync(self) -> None:
        with self._session.use() as link:
            before = _monotonic_ms()
            seconds, micros = await link.execute("TIME")
            after = _monotonic_ms()
        self._ahead_ms = seconds * 1000 + micros // 1000 - (before + after) // 2
        self.error_ms = (after - before + 1) // 2 + _ROUNDING_MS


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
