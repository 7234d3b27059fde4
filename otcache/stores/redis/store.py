"""The far tier on Redis, by redis-py: entries as plain string keys under one prefix."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncGenerator, Hashable, Sequence
from typing import Any, Final, Self

from otcache.config import CacheConfig
from otcache.exceptions import StoreError
from otcache.stores.base import ChangeMessage
from otcache.stores.redis import scripts
from otcache.stores.redis.client import Command
from otcache.stores.redis.coordination import CoherentStore, as_mget, or_raise
from otcache.stores.redis.errors import translate
from otcache.stores.redis.session import to_bytes
from otcache.stores.redis.target import RedisTarget, resolve_target

SCAN_COUNT: Final = 1000
"""Keys that the server looks at per SCAN: about a millisecond of its time."""

_ROUNDING_MS: Final = 2
"""How far a learnt clock may be off by rounding alone, to whole milliseconds on both sides."""

_GLOB: Final = re.compile(rb"[\\*?\[\]^-]")


class RedisStore(CoherentStore):
    """A Redis, a Sentinel's master or a Redis Cluster as a `Store`.

    Opens no connection before the first call. Belongs to the event loop that uses it: used from another one, it
    starts anew there and cuts the connections of the first.

    Args:
        target: Where it is.
        prefix: Put before every key.
    """

    def __init__(self, target: RedisTarget, prefix: str) -> None:
        super().__init__(target, prefix)
        self._pattern = _GLOB.sub(rb"\\\g<0>", self._prefix)
        self._ahead_ms = time.time_ns() // 1_000_000 - _clock_ms()
        self.clock_error_ms = _ROUNDING_MS

    @classmethod
    def from_config(cls, config: CacheConfig) -> Self:
        """The store that `config` names.

        Raises:
            ConfigurationError: There is no URL, or it or a TLS file can't be used.
        """
        target = resolve_target(
            config.redis_url or "",
            username=config.redis_username,
            password=config.redis_password,
            use_tls=config.use_tls,
            tls_ca_path=config.tls_ca_path,
            tls_cert_path=config.tls_cert_path,
            tls_key_path=config.tls_key_path,
            tls_verify=config.tls_verify,
            max_connections=config.max_connections,
            timeout=config.timeout,
        )
        return cls(target, f"{config.key_prefix}{config.name}:")

    # --- where it is --------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return self._target.url

    @property
    def address(self) -> str:
        return self._target.path or self._target.hosts[0][0]

    @property
    def port(self) -> int | None:
        return self._target.hosts[0][1] if self._target.hosts else None

    @property
    def database(self) -> str:
        return str(self._target.database)

    # --- the server ---------------------------------------------------------------------------------

    async def ping(self) -> None:
        with self._link() as link:
            await link.execute("PING")

    async def sync_clock(self) -> None:
        with self._link() as link:
            before = _clock_ms()
            seconds, micros = await link.execute("TIME")
            after = _clock_ms()
        self._ahead_ms = seconds * 1000 + micros // 1000 - (before + after) // 2
        self.clock_error_ms = (after - before + 1) // 2 + _ROUNDING_MS

    def server_ms(self) -> int:
        return _clock_ms() + self._ahead_ms

    async def server_version(self) -> str:
        """Which server answers: `redis 7.0.15`, `valkey 9.1.0`; of a cluster the first."""
        with self._link() as link:
            facts = await link.execute_at((await link.places())[0], "INFO", "server")
        name = facts.get("server_name", "redis")
        return f"{name} {facts.get(f'{name}_version') or facts.get('redis_version', 'unknown')}"

    # --- entries ------------------------------------------------------------------------------------

    async def read(self, key: str) -> bytes | None:
        with self._link() as link:
            payload: bytes | None = await link.execute("GET", self._name(key))
        return payload

    def place(self, key: str) -> Hashable:
        session = self._session
        return session.link.place(self._name(key)) if session is not None and session.link.spread else None

    async def read_many(self, keys: Sequence[str]) -> list[bytes | None]:
        if not keys:
            return []
        names = [self._name(key) for key in keys]
        with self._link() as link:
            if not link.spread:
                found: list[bytes | None] = await link.execute("MGET", *names)
                return found
            answers = await link.batch([("GET", name) for name in names])
            return [as_mget(answer) for answer in answers]

    async def write(self, key: str, payload: bytes, ttl_ms: int, news: ChangeMessage | None = None) -> None:
        with self._link() as link:
            answer = await link.execute(*self._write(key, payload, ttl_ms, news))
        if not _is_ok(answer):
            raise _not_ok()

    async def write_loaded(self, key: str, payload: bytes, ttl_ms: int, lock: bytes, news: ChangeMessage) -> bool:
        names = self._names([key])
        if len(names) == 1:  # its lock is on another node
            await self.write(key, payload, ttl_ms, news)
            return True
        arguments = (self._channel, news([key]), lock, payload, *_expiry(ttl_ms))
        with self._link() as link:
            answer = await link.execute("EVAL", scripts.WRITE_LOADED, 2, *names, *arguments)
        if answer != 0 and not _is_ok(answer):
            raise _not_ok()
        return bool(answer != 0)

    async def write_many(
        self, items: Sequence[tuple[str, bytes]], ttl_ms: int, news: ChangeMessage | None = None
    ) -> list[StoreError | None]:
        if not items:
            return []
        with self._link() as link:
            answers = await link.batch([self._write(key, payload, ttl_ms, news) for key, payload in items])
        errors = [_write_error(answer) for answer in answers]
        failed = [error for error in errors if error is not None]
        if any(error.error_type == "READONLY" for error in failed):
            self.leave(self._session)
        if len(failed) == len(items) and all(error.counts for error in failed):
            raise failed[0]  # nobody answered: not a batch with failures, but one failure
        return errors

    def _write(self, key: str, payload: bytes, ttl_ms: int, news: ChangeMessage | None) -> Command:
        if news is None:
            return ("SET", self._name(key), payload, *_expiry(ttl_ms))
        names = self._names([key])
        return ("EVAL", scripts.WRITE, len(names), *names, self._channel, news([key]), payload, *_expiry(ttl_ms))

    async def remove(self, keys: Sequence[str], news: ChangeMessage | None = None) -> int:
        if not keys:
            return 0
        with self._link() as link:
            if not link.spread:
                return int(await link.execute(*self._remove(keys, news)))
            answers = await link.batch([self._remove([key], news) for key in keys])
            return sum(or_raise(answer) for answer in answers)

    def _remove(self, keys: Sequence[str], news: ChangeMessage | None) -> Command:
        if news is None:
            return ("UNLINK", *(self._name(key) for key in keys))
        names = self._names(keys)
        return ("EVAL", scripts.REMOVE, len(names), *names, self._channel, news(keys), len(keys))

    def _names(self, keys: Sequence[str]) -> list[bytes]:
        """The names of the entries, then those of their locks as far as they are on the same node."""
        locks = [self._lock(key) for key in keys if self._is_beside(key)]
        return [*(self._name(key) for key in keys), *locks]

    async def contains(self, key: str) -> bool:
        with self._link() as link:
            return bool(await link.execute("EXISTS", self._name(key)))

    async def left_ms(self, key: str) -> int | None:
        with self._link() as link:
            left: int = await link.execute("PTTL", self._name(key))
        if left == -2:
            return None
        return 0 if left == -1 else max(left, 1)  # its last millisecond is not "for ever"

    async def touch(self, key: str, ttl_ms: int, news: ChangeMessage | None = None) -> bool:
        told = () if news is None else (self._channel, news([key]))
        with self._link() as link:
            return bool(await link.execute("EVAL", scripts.TOUCH, 1, self._name(key), ttl_ms, *told))

    async def scan(self, pattern: str) -> AsyncGenerator[list[str], None]:
        match = self._pattern + to_bytes(pattern)
        with self._link() as link:
            places = await link.places()
        for place in places:
            cursor = 0
            while True:
                with self._link() as link:
                    cursor, names = await link.execute_at(place, "SCAN", cursor, "MATCH", match, "COUNT", SCAN_COUNT)
                yield [self._key(name) for name in names]
                if not cursor:
                    break


def _expiry(ttl_ms: int) -> tuple[Any, ...]:
    return ("PX", ttl_ms) if ttl_ms else ()


def _clock_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _is_ok(answer: object) -> bool:
    """Whether a SET was done: redis-py makes its OK a truth, a script's stays what it is."""
    return answer is True or answer == b"OK"


def _not_ok() -> StoreError:
    return StoreError("server_error", "ERR", counts=False)


def _write_error(answer: object) -> StoreError | None:
    if isinstance(answer, Exception):
        return translate(answer)
    return None if _is_ok(answer) else _not_ok()
