"""What users of a cache see and subclass: `CacheInterface`, what a loader may return, and what a caller gets."""

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

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Status = Literal["fresh", "stale", "loaded"]
StaleReason = Literal["revalidating", "loader_error", "loader_timeout", "backend_unavailable"]


class _Missing(Enum):
    """The type of `MISSING`; an enum, so that `is MISSING` narrows types."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


Missing = _Missing
MISSING: Final = _Missing.MISSING
"""The answer of a tier that does not hold a key. `None` is a value like any other."""


@dataclass(frozen=True, slots=True)
class Loaded(Generic[T_co]):
    """A loader's value with a say of its own.

    Attributes:
        value: The value.
        ttl: Seconds to keep it; `None` takes the caller's.
        tags: Beside the caller's.
        store: Whether it may be kept at all.
    """

    value: T_co
    ttl: int | None = None
    tags: Iterable[str] = ()
    store: bool = True


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """A value and how it came.

    Attributes:
        value: The value.
        status: fresh (it was there), stale (past its time to live) or loaded.
        age: Seconds since it was made; `None` if nobody noted that.
        left: Seconds it stays fresh; negative for a stale one, `None` for ever.
        tier: Who had it: l1, l2 or loader.
        stale_reason: Why a stale value was given; `None` otherwise.
    """

    value: T_co
    status: Status
    age: float | None
    left: float | None
    tier: Literal["l1", "l2", "loader"]
    stale_reason: StaleReason | None = None


Loader = Callable[[], T | Loaded[T] | Awaitable[T | Loaded[T]]]


class LoadOptions(TypedDict, total=False):
    """How a value is loaded and kept. `None`, or left out: as the cache is configured (docs/configuration.md).

    Attributes:
        type: The declared type of the value, if it needs one (docs/values.md).
        tags: What it can be invalidated by, beside its key.
        stale_ttl: Seconds past its time to live in which it may still be served.
        soft_timeout: Seconds that a caller who could have a stale value waits for the new one.
        timeout: Seconds after which a load is given up.
        negative_ttl: Seconds to keep a loaded `None`.
        early_refresh: How eagerly it is loaded anew before it expires; 0 never.
        ttl_jitter: The share, 0 to 0.5, by which its time to live is shortened at random.
    """

    type: Any
    tags: Iterable[str]
    stale_ttl: int | None
    soft_timeout: float | None
    timeout: float | None
    negative_ttl: int | None
    early_refresh: float | None
    ttl_jitter: float | None


class CallOptions(LoadOptions, total=False):
    """The same, and what one call may say.

    Attributes:
        refresh: Load it anew, whatever is there.
        template: The key's shape as the source code declares it, for telemetry.
    """

    refresh: bool
    template: str | None


AsyncLoaded = Callable[[], Awaitable[Loaded[T]]]
AsyncEither = Callable[[], Awaitable[T | Loaded[T]]]
PlainLoaded = Callable[[], Loaded[T]]
PlainEither = Callable[[], T | Loaded[T]]
# mypy finds no T in a union of the four: they are overloads, the narrower one first


class GetOrSet(Protocol):
    """`get_or_set` of a cache, as type checkers see it."""

    @overload
    def __call__(
        self, key: str, loader: AsyncLoaded[T], ttl: int | None = None, **options: Unpack[CallOptions]
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def __call__(
        self, key: str, loader: AsyncEither[T], ttl: int | None = None, **options: Unpack[CallOptions]
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def __call__(
        self, key: str, loader: PlainLoaded[T], ttl: int | None = None, **options: Unpack[CallOptions]
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def __call__(
        self, key: str, loader: PlainEither[T], ttl: int | None = None, **options: Unpack[CallOptions]
    ) -> Coroutine[Any, Any, T]: ...


class GetAnswer(Protocol):
    """`answer` of a cache, as type checkers see it."""

    @overload
    def __call__(
        self, key: str, loader: AsyncLoaded[T], ttl: int | None = None, **options: Unpack[CallOptions]
    ) -> Coroutine[Any, Any, Answer[T]]: ...
    @overload
    def __call__(
        self, key: str, loader: AsyncEither[T], ttl: int | None = None, **options: Unpack[CallOptions]
    ) -> Coroutine[Any, Any, Answer[T]]: ...
    @overload
    def __call__(
        self, key: str, loader: PlainLoaded[T], ttl: int | None = None, **options: Unpack[CallOptions]
    ) -> Coroutine[Any, Any, Answer[T]]: ...
    @overload
    def __call__(
        self, key: str, loader: PlainEither[T], ttl: int | None = None, **options: Unpack[CallOptions]
    ) -> Coroutine[Any, Any, Answer[T]]: ...


def as_get_or_set(method: Callable[..., Coroutine[Any, Any, Any]]) -> GetOrSet:
    """`method`, unchanged at run time; `Any` on the way in costs no caller its type."""
    return cast("GetOrSet", method)


def as_answer(method: Callable[..., Coroutine[Any, Any, Any]]) -> GetAnswer:
    """`method`, unchanged at run time."""
    return cast("GetAnswer", method)


class CacheInterface(ABC):
    """The contract of every cache.

    Keys are non-empty strings of at most 8 KiB in UTF-8; anything else is a `ValidationError`. Four methods make a
    cache; what is not abstract has a default made of them, or raises `UnsupportedError`. The caches of this package
    have it all.
    """

    @abstractmethod
    async def get(self, key: str) -> Any:
        """The value under `key`, or `None` for a miss (and for a cached `None`)."""

    @abstractmethod
    async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        """Store `value` for `ttl` seconds.

        Args:
            key: Where.
            value: What; see docs/values.md for the types that come back equal.
            ttl: Seconds; `None` takes the cache's default, 0 never expires.

        Raises:
            ValidationError: The key, the value or the ttl can't be accepted; nothing was stored.
        """

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Remove `key` from every tier, whether or not it existed."""

    @abstractmethod
    def register_callback(self, event: str, callback: Callable[..., Any]) -> None:
        """Call `callback` at each `event`: get_success, get_miss, set_success or delete_success.

        Raises:
            ValidationError: The event is unknown or the callback can't be called.
        """

    # --- beyond the four: what a cache of another's making need not have ----------------------------

    @as_get_or_set
    async def get_or_set(self, key: str, loader: Callable[[], Any], ttl: int | None = None, **options: Any) -> Any:
        """The value under `key`; `loader` makes it if it is not there (docs/loading.md).

        This default asks `get`, loads and calls `set`: of the options `refresh` counts, callers do not wait for each
        other, and a `None` is loaded each time.
        """
        return (await self.answer(key, loader, ttl, **options)).value

    @as_answer
    async def answer(self, key: str, loader: Callable[[], Any], ttl: int | None = None, **options: Any) -> Answer[Any]:
        """As `get_or_set`, with how the value came."""
        for name in options.keys() - CallOptions.__annotations__:
            raise TypeError(f"answer() got an unexpected keyword argument {name!r}")
        found = None if options.get("refresh") else await self.get(key)
        if found is not None:
            return Answer(found, "fresh", None, None, "l1")
        loaded = await run(loader)
        seconds = ttl if loaded.ttl is None else loaded.ttl
        if loaded.store:
            await self.set(key, loaded.value, seconds)
        return Answer(loaded.value, "loaded", 0.0, seconds or None, "loader")

    async def invalidate_tag(self, tag: str) -> None:  # noqa: ARG002  for who overrides it
        """Make every entry with `tag` invalid, in every process (docs/coherence.md).

        Raises:
            UnsupportedError: This cache keeps no tags.
        """
        self._lacks("invalidate_tag")

    async def invalidate_prefix(self, prefix: str) -> None:  # noqa: ARG002
        """Make every entry invalid whose key starts with `prefix`, in every process.

        Raises:
            UnsupportedError: This cache does not know its keys.
        """
        self._lacks("invalidate_prefix")

    async def clear(self) -> None:
        """Make every entry of this cache invalid, and of no other, in every process.

        Raises:
            UnsupportedError: This cache does not know its keys.
        """
        self._lacks("clear")

    def _lacks(self, what: str) -> NoReturn:
        raise UnsupportedError(f"{type(self).__name__} has no {what}")


async def run(loader: Callable[[], Any]) -> Loaded[Any]:
    """What `loader` makes: in this event loop if it is an async function, else in a worker thread.

    What a plain function returns may be awaitable; it is awaited here. A thread can't be cancelled.
    """
    made = loader() if _is_async(loader) else await asyncio.to_thread(loader)
    if inspect.isawaitable(made):
        made = await made
    return made if isinstance(made, Loaded) else Loaded(made)


def _is_async(loader: Any) -> bool:
    while isinstance(loader, partial):
        loader = loader.func
    return inspect.iscoroutinefunction(loader) or inspect.iscoroutinefunction(getattr(loader, "__call__", None))  # noqa: B004
