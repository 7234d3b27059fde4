"""The types of the load methods: a caller gets what the loader gives, be that async, plain, or wrapped in `Loaded`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Protocol, TypedDict, TypeVar, Unpack, cast, overload

from otcache.loads.answer import Answer, Loaded

T = TypeVar("T")


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
