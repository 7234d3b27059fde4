"""Entries in Redis, by redis-py: plain string keys under one prefix."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from otcache.config import CacheConfig
from otcache.exceptions import StoreError
from otcache.stores.base import Backend, ChangeMessage, Location
from otcache.stores.redis import scripts
from otcache.stores.redis.client import Command
from otcache.stores.redis.commands import as_mget, is_ok, not_ok, or_raise, write_command, write_error
from otcache.stores.redis.coordination import RedisCoordination
from otcache.stores.redis.session import RedisSession
from otcache.stores.redis.target import RedisTarget, resolve_target

SCAN_COUNT: Final = 1000
"""Keys that the server looks at per SCAN: about a millisecond of its time."""

_ROUNDING_MS: Final = 2
"""How far a learnt clock may be off by rounding alone, to whole milliseconds on both sides."""


def open_redis(config: CacheConfig, prefix: str) -> Backend:
    """The Redis of `config`, with all that it can do; `ConfigurationError` if its URL or a TLS file can't be used."""
    return RedisStore(resolve_target(config.redis_url or "", config), prefix).backend


class RedisStore:
    """A Redis, a Sentinel's master or a Redis Cluster as a `ByteStore`.

    Opens no connection before the first call. Belongs to the event loop that uses it: used from another one, it
    connects again there and cuts the connections of the first.

    Args:
        target: Where Redis is.
        prefix: Put before every key.

    Attributes:
        location: Where it is.
        session: Its connections.
        clock: The server's clock.
        coordination: Invalidations, locks and messages on the same connections.
    """

    def __init__(self, target: RedisTarget, prefix: str) -> None:
        host, port = target.hosts[0] if target.hosts else (target.path or "", None)
        self.location = Location(target.url, "redis", host, port, str(target.database))
        self.session = RedisSession(target, prefix)
        self._names = self.session.names
        self.clock = RedisClock(self.session)
        self.coordination = RedisCoordination(self.session)

    @property
    def backend(self) -> Backend:
        """This store and everything it can do besides."""
        session, others = self.session, self.coordination
        return Backend(self, others, others, others, session, session.place)

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
            return [as_mget(answer) for answer in answers]

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
            answer = await link.execute(*write_command(self._names, key, payload, ttl_ms, message))
        if not is_ok(answer):
            raise not_ok()

    async def write_many(
        self, items: Sequence[tuple[str, bytes]], ttl_ms: int, message: ChangeMessage | None = None
    ) -> list[StoreError | None]:
        if not items:
            return []
        commands = [write_command(self._names, key, payload, ttl_ms, message) for key, payload in items]
        with self.session.use() as link:
            answers = await link.batch(commands)
        errors = [write_error(answer) for answer in answers]
        failed = [error for error in errors if error is not None]
        if any(error.error_type == "READONLY" for error in failed):
            self.session.retire()
        if len(failed) == len(items) and all(error.counts for error in failed):
            raise failed[0]  # no server answered: not a batch with failures, but one failure
        return errors

    async def touch(self, key: str, ttl_ms: int, message: ChangeMessage | None = None) -> bool:
        told = () if message is None else (self._names.channel, message([key]))
        return bool(await self.session.execute("EVAL", scripts.TOUCH, 1, self._names.entry(key), ttl_ms, *told))

    async def remove(self, keys: Sequence[str], message: ChangeMessage | None = None) -> int:
        if not keys:
            return 0
        with self.session.use() as link:
            if not self.session.spread:
                return int(await link.execute(*self._remove(keys, message)))
            answers = await link.batch([self._remove([key], message) for key in keys])
            return sum(or_raise(answer) for answer in answers)

    def _remove(self, keys: Sequence[str], message: ChangeMessage | None) -> Command:
        if message is None:
            return ("UNLINK", *map(self._names.entry, keys))
        names = self._names.entries_and_locks(keys)
        return ("EVAL", scripts.REMOVE, len(names), *names, self._names.channel, message(keys), len(keys))

    async def close(self) -> None:
        await self.session.close()


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
