"""The other libraries, one module each, every one optional: what is not installed is left out and named.

A module may have, each with an `AsyncExitStack` first for what must be closed:

* `memory(stack, limit)` and `redis(stack, port)`: a `Client` of its cache in memory and on Redis,
* `decorated(stack, function)`: `function` behind its decorator, in memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from types import ModuleType
from typing import Any, Final, NamedTuple

MODULES: Final = {
    "cashews": "cashews",
    "aiocache": "aiocache",
    "fastapi-cache2": "fastapi_cache2",
    "dogpile.cache": "dogpile",
}
"""By the names that they are known by."""
TTL: Final = 3600
TIMEOUT: Final = 5.0
"""Seconds that a call may wait for Redis, on every side that has such a limit: what costs is having one."""


class Client(NamedTuple):
    """The two operations that every cache has.

    Attributes:
        get: The value under a key, or `None`.
        set: Keeps a value under a key for an hour.
        limit: Whether it keeps no more entries than it was told.
    """

    get: Callable[[str], Awaitable[Any]]
    set: Callable[[str, Any], Awaitable[Any]]
    limit: bool = False


def load(name: str) -> tuple[ModuleType | None, str]:
    """The module of a peer, or `None` and the reason."""
    try:
        return import_module(f"benchmarks.peers.{MODULES[name]}"), ""
    except ImportError as exc:
        return None, f'{exc}; pip install "otcache[bench]"'
