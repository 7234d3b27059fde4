"""What users of a cache see, and what they subclass to write one: `CacheInterface`.

A cache needs `get`, `set` and `delete`; `CacheInterface` adds the rest to it.
"""

from __future__ import annotations

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Final, Generic, Literal, NoReturn, Protocol, TypedDict, TypeVar, Unpack, cast, overload

from otcache.exceptions import UnsupportedError
from otcache.ttl import LONGEST_TTL, TTL, computed_ttl, ttl_seconds

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Status = Literal["fresh", "stale", "loaded"]
StaleReason = Literal["revalidating", "loader_error", "loader_timeout", "backend_unavailable"]


class Missing(Enum):
    """The type of `MISSING`; an enum, so that `is MISSING` narrows types."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing.MISSING
"""Stands for no value, where `None` is a value like any other."""


# --- what a loader may return, and what a caller gets ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T_co]):
    """What a loader returns to choose how its value is stored.

    Attributes:
        value: The value.
        ttl: How long the value is fresh: as for `set`, and `None` takes the caller's. The load never fails for it: what
            is negative or of another type counts as 0, what is longer than a year as a year.
        tags: Tags of the value, beside the caller's.
        store: Whether to store the value at all.
    """

    value: T_co
    ttl: TTL | None = None
    tags: Iterable[str] = ()
    store: bool = True


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """A value and where it came from.

    Attributes:
        value: The value.
        status: fresh (cached), stale (cached, past its time to live) or loaded (by this call or one it waited for).
        age: Seconds since the value was loaded or set; `None` if the cache doesn't know.
        left: Seconds that the value stays fresh: `FOREVER` if it never expires, negative for a stale one, 0 for one
            that is not kept; `None` if the cache doesn't know.
        tier: Where the value came from: l1, l2 or loader.
        stale_reason: Why a stale value was served; `None` otherwise.
    """

    value: T_co
    status: Status
    age: float | None
    left: float | None
    tier: Literal["l1", "l2", "loader"]
    stale_reason: StaleReason | None = None


Loader = Callable[[], T | Loaded[T] | Awaitable[T | Loaded[T]]]


class LoadOptions(TypedDict, total=False):
    """How a value is loaded and stored: `otcache.cache.Cache.get_or_set` describes each option.

    `None`, or left out: as the cache is configured (docs/configuration.md).
    """

    type: Any
    tags: Iterable[str]
    stale_ttl: TTL | None
    soft_timeout: float | None
    timeout: float | None
    negative_ttl: TTL | None
    early_refresh: float | None
    ttl_jitter: float | None


class CallOptions(LoadOptions, total=False):
    """`LoadOptions`, and what only one call can say."""

    refresh: bool
    template: str | None


# --- how type checkers see get_or_set and answer ---------------------------------------------------------

# overloads, the narrower loader first: mypy finds no T in a union of the four
_AsyncLoaded = Callable[[], Awaitable[Loaded[T]]]
_AsyncEither = Callable[[], Awaitable[T | Loaded[T]]]
_PlainLoaded = Callable[[], Loaded[T]]
_PlainEither = Callable[[], T | Loaded[T]]


class _GetOrSet(Protocol):
    @overload
    def __call__(
        self, key: str, loader: _AsyncLoaded[T], ttl: TTL | None = None, **options: Unpack[CallOptions]
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def __call__(
        self, key: str, loader: _AsyncEither[T], ttl: TTL | None = None, **options: Unpack[CallOptions]
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def __call__(
        self, key: str, loader: _PlainLoaded[T], ttl: TTL | None = None, **options: Unpack[CallOptions]
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def __call__(
        self, key: str, loader: _PlainEither[T], ttl: TTL | None = None, **options: Unpack[CallOptions]
    ) -> Coroutine[Any, Any, T]: ...


class _GetAnswer(Protocol):
    @overload
    def __call__(
        self, key: str, loader: _AsyncLoaded[T], ttl: TTL | None = None, **options: Unpack[CallOptions]
    ) -> Coroutine[Any, Any, Answer[T]]: ...
    @overload
    def __call__(
        self, key: str, loader: _AsyncEither[T], ttl: TTL | None = None, **options: Unpack[CallOptions]
    ) -> Coroutine[Any, Any, Answer[T]]: ...
    @overload
    def __call__(
        self, key: str, loader: _PlainLoaded[T], ttl: TTL | None = None, **options: Unpack[CallOptions]
    ) -> Coroutine[Any, Any, Answer[T]]: ...
    @overload
    def __call__(
        self, key: str, loader: _PlainEither[T], ttl: TTL | None = None, **options: Unpack[CallOptions]
    ) -> Coroutine[Any, Any, Answer[T]]: ...


def _as_get_or_set(method: Callable[..., Coroutine[Any, Any, Any]]) -> _GetOrSet:
    return cast("_GetOrSet", method)  # as it is, typed so that a caller gets its loader's type


def _as_answer(method: Callable[..., Coroutine[Any, Any, Any]]) -> _GetAnswer:
    return cast("_GetAnswer", method)


class CacheInterface(ABC):
    """The contract of every cache: implement `get`, `set` and `delete`, and it works wherever otcache takes a cache.

    The other methods have defaults made of those three, or raise `UnsupportedError`. The caches of this package have
    all of them, and more: see `otcache.cache.Cache`.

    Keys are non-empty strings of at most 8 KiB in UTF-8; the caches of this package refuse others with a
    `ValidationError`.
    """

    @abstractmethod
    async def get(self, key: str) -> Any:
        """Return the value of `key`, or `None` for a miss (and for a cached `None`)."""

    @abstractmethod
    async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        """Store `value` for `ttl` seconds.

        Args:
            key: The key.
            value: The value; docs/values.md lists the types that come back equal.
            ttl: Seconds, 1 to 31 536 000; `None` takes the cache's default. With 0 nothing is kept: the entry that is
                there is removed. The caches of this package take fractions, a `timedelta` and `FOREVER`, too.

        Raises:
            ValidationError: The key, the value or the ttl can't be accepted; nothing was stored.
        """

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Remove `key` from every tier, whether or not it existed."""

    # --- made of the three --------------------------------------------------------------------------

    @_as_get_or_set
    async def get_or_set(self, key: str, loader: Callable[[], Any], ttl: TTL | None = None, **options: Any) -> Any:
        """Return the value of `key`; on a miss, run `loader` and store the result (docs/loading.md).

        This default knows only the option `refresh`: it accepts and ignores the others. Its callers don't share one
        load, a cached `None` counts as a miss, and `set` gets whole seconds: what is shorter is not kept, and `FOREVER`
        is a year.
        """
        return (await self.answer(key, loader, ttl, **options)).value

    @_as_answer
    async def answer(self, key: str, loader: Callable[[], Any], ttl: TTL | None = None, **options: Any) -> Answer[Any]:
        """As `get_or_set`; return where the value came from, too."""
        for name in options.keys() - CallOptions.__annotations__:
            raise TypeError(f"answer() got an unexpected keyword argument {name!r}")
        seconds = _whole(None if ttl is None else ttl_seconds(ttl))
        found = None if options.get("refresh") else await self.get(key)
        if found is not None:
            return Answer(found, "fresh", None, None, "l1")
        loaded = await run_loader(loader)
        if loaded.ttl is not None:
            seconds = _whole(computed_ttl(loaded.ttl))
        if seconds == 0:
            await self.delete(key)
        elif loaded.store:
            await self.set(key, loaded.value, seconds)
        return Answer(loaded.value, "loaded", 0.0, seconds if loaded.store else 0.0, "loader")

    # --- what a cache need not support --------------------------------------------------------------

    def register_callback(self, event: str, callback: Callable[..., Any]) -> None:  # noqa: ARG002  for overrides
        """Call `callback` at each `event`: get_success, get_miss, set_success or delete_success.

        Raises:
            ValidationError: The event is unknown or the callback can't be called.
            UnsupportedError: This cache has no events.
        """
        self._lacks("register_callback")

    async def invalidate_tag(self, tag: str) -> None:  # noqa: ARG002
        """Invalidate every entry with `tag`, in every process (docs/coherence.md); `UnsupportedError` without tags."""
        self._lacks("invalidate_tag")

    async def invalidate_prefix(self, prefix: str) -> None:  # noqa: ARG002
        """Invalidate every entry whose key starts with `prefix`, in every process; errors as `clear`."""
        self._lacks("invalidate_prefix")

    async def clear(self) -> None:
        """Invalidate every entry of this cache, and of no other, in every process.

        Raises:
            UnsupportedError: This cache can't list its keys.
        """
        self._lacks("clear")

    def _lacks(self, method: str) -> NoReturn:
        raise UnsupportedError(f"{type(self).__name__} has no {method}: override it, or use a cache of otcache")


def _whole(seconds: float | None) -> int | None:
    """Return a TTL as `CacheInterface.set` promises it to a cache of somebody's own."""
    return None if seconds is None else int(min(seconds, LONGEST_TTL))


async def run_loader(loader: Callable[[], Any]) -> Loaded[Any]:
    """Run `loader`: an async function in this event loop, a plain one in a worker thread, which can't be cancelled.

    If a plain function returns an awaitable, it is awaited in this event loop.
    """
    made = loader() if _is_async(loader) else await asyncio.to_thread(_run_plain, loader)
    # never `isinstance`: a proxy without its object raises when it is asked for its class
    if hasattr(type(made), "__await__"):
        made = await made
    return made if issubclass(type(made), Loaded) else Loaded(made)


def _run_plain(loader: Callable[[], Any]) -> Any:
    try:
        return loader()
    except StopIteration as exc:  # a future can't hold it; async functions end in the same RuntimeError (PEP 479)
        raise RuntimeError("the loader raised StopIteration") from exc


def _is_async(loader: Any) -> bool:
    while isinstance(loader, partial):
        loader = loader.func
    return inspect.iscoroutinefunction(loader) or inspect.iscoroutinefunction(getattr(loader, "__call__", None))  # noqa: B004
