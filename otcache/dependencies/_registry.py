"""The caches of a process: one per configuration and event loop, opened once, closed by lifespan, loop or exit."""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import asdict
from functools import cache as once
from typing import Any, Final, Generic, NamedTuple, TypeVar

from otcache.cache import Cache
from otcache.config import CacheConfig
from otcache.factory import open_cache
from otcache.telemetry._instrumentation.signals import error_type

A = TypeVar("A")
B = TypeVar("B")

_REMEMBERED: Final = 64
CLOSE_WITHIN: Final = 5.0
"""Seconds that one cache has to close its connections."""


class ByIdentity(Generic[A, B]):
    """A function of one object, called once for each object; objects are neither hashed nor compared.

    `_REMEMBERED` results are kept; one more, and all are forgotten.
    """

    def __init__(self, function: Callable[[A], B]) -> None:
        self._function = function
        self._known: dict[int, tuple[A, B]] = {}

    def __call__(self, given: A) -> B:
        found = self._known.get(id(given))
        if found is not None and found[0] is given:
            return found[1]
        answer = self._function(given)
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[id(given)] = (given, answer)  # holds `given`, so that its id stays its own
        return answer


@ByIdentity
def fingerprint(config: CacheConfig) -> str:
    """Return a digest that tells configurations apart, by their secrets too, without holding the secrets."""
    facts = {"class": type(config).__qualname__, **asdict(config)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=repr).encode()).hexdigest()


class Closing(NamedTuple):
    """How many caches were closed, and of each that could not be, its name and the class of the error."""

    closed: int
    errors: list[str]


class Registry:
    """The caches of one event loop."""

    def __init__(self) -> None:
        self.leases = 0  # lifespans that use the registry; the last one closes it
        self._caches: dict[str, asyncio.Task[Cache]] = {}
        self._guard: AsyncGenerator[None, None] | None = None

    async def get(self, config: CacheConfig) -> Cache:
        """Return the cache that `config` describes; callers wait together while it is opened.

        Raises:
            ValidationError: The configuration is not valid.
            InfrastructureError: Redis can't be reached and `fail_on_connection_error` is on; the next call tries again.
        """
        key = fingerprint(config)
        task = self._caches.get(key)
        if task is None or _failed(task):
            task = asyncio.get_running_loop().create_task(open_cache(config), name="otcache-open")
            task.add_done_callback(_failed)
            self._caches[key] = task
        if task.done():
            return task.result()
        # a request that is cancelled while it waits must not take the others' cache with it
        return await asyncio.shield(task)

    async def close(self) -> Closing:
        """Close every cache; callable from another event loop once the own one is closed. The registry stays usable."""
        tasks, self._caches = list(self._caches.values()), {}
        ended = []
        for task in tasks:
            if not task.done() and task.get_loop() is asyncio.get_running_loop():
                await asyncio.wait([task])
            if task.done() and not _failed(task):
                ended.append(await _close(task.result()))
        errors = [error for error in ended if error is not None]
        return Closing(len(ended) - len(errors), errors)

    async def close_with_loop(self, ended: Callable[[], object]) -> None:
        """Close when the running loop shuts down, then call `ended`.

        A loop closes its suspended asynchronous generators before it closes itself (`asyncio.run`,
        uvicorn, test clients): the last moment at which connections can be closed properly.
        """
        self._guard = self._until_loop_ends(ended)
        await anext(self._guard)

    async def _until_loop_ends(self, ended: Callable[[], object]) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self.close()
            ended()


def _failed(task: asyncio.Task[Any]) -> bool:
    """Whether the task has ended without a cache; reading the error keeps asyncio from logging it."""
    return task.done() and (task.cancelled() or task.exception() is not None)


async def _close(cache: Cache) -> str | None:
    try:
        async with asyncio.timeout(CLOSE_WITHIN):
            await cache.close()
    except Exception as exc:  # noqa: BLE001  the error of one cache must not keep the others open
        return f"{cache.name}: {error_type(exc)}"
    return None


# --- one registry per event loop ------------------------------------------------------------------------

_registries: Final[dict[asyncio.AbstractEventLoop, Registry]] = {}
"""Each entry is written by its own loop; a dictionary's single operations need no lock."""


async def current() -> Registry:
    """Return the registry of the running event loop; it is closed with the loop at the latest."""
    loop = asyncio.get_running_loop()
    registry = _registries.get(loop)
    if registry is None:
        registry = _registries[loop] = Registry()
        _close_at_exit()
        await registry.close_with_loop(lambda: _registries.pop(loop, None))
        await _prune()
    return registry


async def _prune() -> None:
    """Close the caches of loops that were closed without a shutdown."""
    for loop in [loop for loop in list(_registries) if loop.is_closed()]:
        registry = _registries.pop(loop, None)
        if registry is not None:
            await registry.close()


@once
def _close_at_exit() -> None:
    atexit.register(_close_what_is_left)


def _close_what_is_left() -> None:
    """Close the caches of loops that were never closed, or were closed without a shutdown."""
    for loop, registry in list(_registries.items()):
        if loop.is_closed():
            asyncio.run(registry.close())
        elif not loop.is_running():
            loop.run_until_complete(registry.close())
