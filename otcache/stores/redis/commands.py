"""Commands that write an entry, and what the answers of commands mean."""

from __future__ import annotations

from typing import Any

from redis.exceptions import ResponseError

from otcache.exceptions import StoreError
from otcache.stores.base import ChangeMessage
from otcache.stores.redis import scripts
from otcache.stores.redis.client import Command
from otcache.stores.redis.errors import server_prefix, translate
from otcache.stores.redis.session import RedisNames


def write_command(names: RedisNames, key: str, payload: bytes, ttl_ms: int, message: ChangeMessage | None) -> Command:
    """A plain SET, or the script that publishes in the same step."""
    if message is None:
        return ("SET", names.entry(key), payload, *expiry(ttl_ms))
    keys = names.entries_and_locks([key])
    return ("EVAL", scripts.WRITE, len(keys), *keys, names.channel, message([key]), payload, *expiry(ttl_ms))


def expiry(ttl_ms: int) -> tuple[Any, ...]:
    """The end of a SET; 0 never expires."""
    return ("PX", ttl_ms) if ttl_ms else ()


def is_ok(answer: object) -> bool:
    """Whether a SET was done: redis-py makes its OK a truth, a script's stays what it is."""
    return answer is True or answer == b"OK"


def not_ok() -> StoreError:
    """A SET that was answered by something else than OK."""
    return StoreError("server_error", "ERR", counts=False)


def write_error(answer: object) -> StoreError | None:
    """What went wrong with one SET of a batch."""
    if isinstance(answer, Exception):
        return translate(answer)
    return None if is_ok(answer) else not_ok()


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
