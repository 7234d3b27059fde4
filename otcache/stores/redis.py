"""The far tier on Redis, by redis-py: entries as plain string keys under one prefix."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha1
from typing import Any, Final, Self

from redis.exceptions import NoScriptError, ResponseError

from otcache.base import StoreError
from otcache.config import CacheConfig
from otcache.stores.cluster import ClusterLink
from otcache.stores.connect import RedisTarget, resolve_target
from otcache.stores.errors import server_prefix, translate
from otcache.stores.links import Link, ServerLink

SCAN_COUNT: Final = 1000
"""Keys that the server looks at per SCAN: about a millisecond of its time."""
READONLY_SECONDS: Final = 1.0
"""Least life of a client that a READONLY answer may end: a replica by mistake must not cost a connect per call."""

_ROUNDING_MS: Final = 2
"""How far a learnt clock may be off by rounding alone, to whole milliseconds on both sides."""

_GLOB: Final = re.compile(rb"[\\*?\[\]^-]")

TOUCH: Final = b"""\
local head = redis.pcall('GETRANGE', KEYS[1], 0, 11)
if type(head) == 'table' then return head end
if #head < 12 or head:byte(1) ~= 0xCA then return 0 end
local left, expiry = tonumber(ARGV[1]), 0
if left > 0 then
  local now = redis.call('TIME')
  expiry = now[1] * 1000 + math.floor(now[2] / 1000) + left
end
redis.call('SETRANGE', KEYS[1], 4, struct.pack('>I8', expiry))
if left > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) else redis.call('PERSIST', KEYS[1]) end
return 1
"""
"""A new time to live for one of our own entries: key and stamp at once, by the server's clock.

The stamp is the 8 bytes big-endian at offset 4 of the 12-byte header whose first byte is 0xCA; bytes that do not
start like that are somebody else's, and stay as they are.
"""
_TOUCH_SHA: Final = sha1(TOUCH, usedforsecurity=False).hexdigest()


class _Session:
    """The link of one event loop, and the calls that are under way on it."""

    __slots__ = ("born", "link", "loop", "retired", "users")

    def __init__(self, target: RedisTarget) -> None:
        self.loop = asyncio.get_running_loop()
        self.link: Link = ClusterLink(target) if target.kind == "cluster" else ServerLink(target)
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


class RedisStore:
    """A Redis, a Sentinel's master or a Redis Cluster as a `Store`.

    Opens no connection before the first call. Belongs to the event loop that uses it: used from another one, it
    starts anew there and cuts the connections of the first.

    Args:
        target: Where it is.
        prefix: Put before every key.
    """

    def __init__(self, target: RedisTarget, prefix: str) -> None:
        self._target = target
        self._prefix = prefix.encode()
        self._pattern = _GLOB.sub(rb"\\\g<0>", self._prefix)
        self._session: _Session | None = None
        self._closed = False
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

    async def read_many(self, keys: Sequence[str]) -> list[bytes | None]:
        if not keys:
            return []
        names = [self._name(key) for key in keys]
        with self._link() as link:
            if not link.spread:
                found: list[bytes | None] = await link.execute("MGET", *names)
                return found
            answers = await link.batch([("GET", name) for name in names])
            return [_as_mget(answer) for answer in answers]

    async def write(self, key: str, payload: bytes, ttl_ms: int) -> None:
        with self._link() as link:
            answer = await link.execute(*_set(self._name(key), payload, ttl_ms))
        _require_ok(answer)

    async def write_many(self, items: Sequence[tuple[str, bytes]], ttl_ms: int) -> list[StoreError | None]:
        if not items:
            return []
        with self._link() as link:
            answers = await link.batch([_set(self._name(key), payload, ttl_ms) for key, payload in items])
        errors = [_write_error(answer) for answer in answers]
        failed = [error for error in errors if error is not None]
        if any(error.error_type == "READONLY" for error in failed):
            self._leave(self._session)
        if len(failed) == len(items) and all(error.counts for error in failed):
            raise failed[0]  # nobody answered: not a batch with failures, but one failure
        return errors

    async def remove(self, keys: Sequence[str]) -> int:
        if not keys:
            return 0
        names = [self._name(key) for key in keys]
        with self._link() as link:
            if not link.spread:
                return int(await link.execute("UNLINK", *names))
            answers = await link.batch([("UNLINK", name) for name in names])
            return sum(_or_raise(answer) for answer in answers)

    async def contains(self, key: str) -> bool:
        with self._link() as link:
            return bool(await link.execute("EXISTS", self._name(key)))

    async def left_ms(self, key: str) -> int | None:
        with self._link() as link:
            left: int = await link.execute("PTTL", self._name(key))
        if left == -2:
            return None
        return 0 if left == -1 else max(left, 1)  # its last millisecond is not "for ever"

    async def touch(self, key: str, ttl_ms: int) -> bool:
        arguments = (1, self._name(key), ttl_ms)
        with self._link() as link:
            try:
                return bool(await link.execute("EVALSHA", _TOUCH_SHA, *arguments))
            except NoScriptError:  # a second round trip, once per server and its restart
                return bool(await link.execute("EVAL", TOUCH, *arguments))

    async def scan(self, pattern: str) -> AsyncGenerator[list[str], None]:
        match = self._pattern + _bytes(pattern)
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

    @contextmanager
    def _link(self) -> Iterator[Link]:
        """The link of this event loop; what goes wrong on it leaves as a `StoreError`."""
        session = self._current()
        session.users += 1
        try:
            yield session.link
        except StoreError:
            raise
        except Exception as exc:
            error = translate(exc)
            if error.error_type == "READONLY":
                self._leave(session)
            raise error from exc
        finally:
            session.users -= 1
            if session.retired and not session.users:
                session.link.drop()

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

    def _leave(self, session: _Session | None) -> None:
        """The master has become a replica: connect anew, by name or by Sentinel, to find its successor."""
        if session is None or self._session is not session:
            return
        if time.monotonic() - session.born >= READONLY_SECONDS:
            self._session = None
            session.retire()

    # --- names --------------------------------------------------------------------------------------

    def _name(self, key: str) -> bytes:
        return self._prefix + _bytes(key)

    def _key(self, name: bytes) -> str:
        return name[len(self._prefix) :].decode(errors="surrogateescape")


def _bytes(text: str) -> bytes:
    """UTF-8; a foreign key under our prefix that is not comes back as it was, so `clear` can remove it."""
    return text.encode(errors="surrogateescape")


def _clock_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def _set(name: bytes, payload: bytes, ttl_ms: int) -> tuple[Any, ...]:
    return ("SET", name, payload, "PX", ttl_ms) if ttl_ms else ("SET", name, payload)


def _require_ok(answer: object) -> None:
    if answer is not True:
        raise StoreError("server_error", "ERR", counts=False)


def _write_error(answer: object) -> StoreError | None:
    if isinstance(answer, Exception):
        return translate(answer)
    return None if answer is True else StoreError("server_error", "ERR", counts=False)


def _or_raise(answer: Any) -> Any:
    if isinstance(answer, Exception):
        raise answer
    return answer


def _as_mget(answer: Any) -> bytes | None:
    """As MGET would: a key of another type is nothing."""
    if isinstance(answer, ResponseError) and server_prefix(answer) == "WRONGTYPE":
        return None
    payload: bytes | None = _or_raise(answer)
    return payload
