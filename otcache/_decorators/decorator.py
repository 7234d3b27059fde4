"""`cached`: keep the results of a function in a cache, under a key that the source code declares."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from types import MethodType
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, Self, TypeVar, Unpack, cast, overload

from otcache._decorators.cache_source import UsableCache
from otcache._decorators.closure import OfFunction
from otcache._decorators.plan import Plan
from otcache._loading.options import check_option
from otcache.base import Answer, CacheInterface, Loaded, LoadOptions
from otcache.config._nearest import did_you_mean
from otcache.exceptions import ConfigurationError, ValidationError
from otcache.ttl import TTL

P = ParamSpec("P")
Q = ParamSpec("Q")
T = TypeVar("T")
CacheSource = CacheInterface | Callable[[], CacheInterface | Awaitable[CacheInterface]]


class CachedOptions(LoadOptions, total=False):
    """What `cached` takes beside the template and the cache: as for `get_or_set`, and parameters to `ignore`."""

    ttl: TTL | None
    ignore: Iterable[str]


_OPTIONS: Final = frozenset(CachedOptions.__annotations__ | LoadOptions.__annotations__)


class CachedFunction(OfFunction, Generic[P, T]):
    """A cached function: called like the function itself, and awaited for what it returns.

    A cached function that is defined in a class is bound to an instance like a method.

    Attributes:
        __wrapped__: The function itself, without the cache.
    """

    __wrapped__: Callable[..., Any]
    _bound_class: Any = None

    def __init__(self, plan: Plan, bound: tuple[Any, ...] = ()) -> None:
        self._plan = plan
        self._bound = bound

    async def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return the value for these arguments: the cached one, or what the function returns now."""
        raise NotImplementedError  # each function has its own, generated from its signature

    def key(self, /, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the key of these arguments. Parameters that the key doesn't contain may be left out.

        Raises:
            ValidationError: An argument can't be part of a key. A call with it runs the function without the cache.
        """
        return self._plan.key_of(self._bound + args, kwargs)

    async def get(self, /, *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return the cached value for these arguments, or `None`; never call the function."""
        cache = await self._plan.cache()
        return cast("T | None", await cache.get(self.key(*args, **kwargs), type=self._plan.value_type()))

    async def answer(self, /, *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
        """Return the value and where it came from: fresh, stale or loaded, how old, and how long it stays fresh."""
        cache, args_ = await self._plan.cache(), self._bound + args
        request = self._plan.request(cache, args_, kwargs)
        if request is None:
            return Answer(await self._plan.bypass(cache, args_, kwargs), "loaded", 0.0, 0.0, "loader")
        return cast("Answer[T]", await cache.answer(request.key, request.load, **request.options))

    async def refresh(self, /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function, store the result and return it."""
        return cast("T", await self._load(None, None, self._bound + args, kwargs, refresh=True))

    async def invalidate(self, /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Remove the cached value for these arguments from every tier."""
        cache = await self._plan.cache()
        await cache.delete(self.key(*args, **kwargs))

    async def _load(
        self,
        cache: UsableCache | None,
        key: str | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        refresh: bool = False,
    ) -> Any:
        """Return the value; `cache` and `key` are those that a call has found already."""
        cache = cache or await self._plan.cache()
        request = self._plan.request(cache, args, kwargs, key)
        if request is None:
            return await self._plan.bypass(cache, args, kwargs)
        return await cache.get_or_set(request.key, request.load, **request.options, refresh=refresh)

    def function_of(self) -> Any:
        """Return the function that is cached; `None` if it is bound to an instance."""
        return None if self._bound else self._plan.function

    @overload
    def __get__(self, instance: None, owner: type[Any], /) -> Self: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[Any, Q], T], instance: object, owner: type[Any] | None = None, /
    ) -> CachedFunction[Q, T]: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any:
        if instance is None:
            return self
        if self._bound_class is None:
            self._bound_class = _class_of(self._plan, bound=True)
        return self._bound_class(self._plan, (instance,))

    def __getattr__(self, name: str) -> Any:
        """Return what tools read of a function and what can't be an attribute of the class."""
        plan = self.__dict__.get("_plan")
        if plan is None or name not in ("__wrapped__", "__signature__", "__qualname__"):
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        if name == "__wrapped__":
            return MethodType(plan.function, *self._bound) if self._bound else plan.function
        return plan.function.__qualname__ if name == "__qualname__" else plan.signature(bound=bool(self._bound))

    def __reduce__(self) -> Any:
        """Pickle and copy as functions do: by name."""
        name = self._plan.function.__qualname__
        return (getattr, (*self._bound, name.rpartition(".")[2])) if self._bound else name

    def __repr__(self) -> str:
        return f"<cached {self._plan.template.text!r} of {self._plan.name}>"


class Decorate(Protocol):
    """What `cached(...)` returns: it makes a function a cached one. The overloads are those of `get_or_set`."""

    @overload
    def __call__(self, function: Callable[P, Awaitable[Loaded[T]]], /) -> CachedFunction[P, T]: ...
    @overload
    def __call__(self, function: Callable[P, Awaitable[T | Loaded[T]]], /) -> CachedFunction[P, T]: ...
    @overload
    def __call__(self, function: Callable[P, Loaded[T]], /) -> CachedFunction[P, T]: ...
    @overload
    def __call__(self, function: Callable[P, T | Loaded[T]], /) -> CachedFunction[P, T]: ...


@overload
def cached(template: str, *, cache: CacheSource, **options: Unpack[CachedOptions]) -> Decorate: ...
@overload
def cached(*, cache: CacheSource, **options: Unpack[CachedOptions]) -> Decorate: ...
def cached(template: Any = None, *, cache: Any = None, **options: Any) -> Decorate:
    """Cache what a function returns, async or plain, under a key that names the arguments: docs/cached.md.

    Args:
        template: The key, `"user:{user_id}:{lang}"`; a `{name}` is a parameter, `{name.attribute}` part of one. By
            default, the key is the function's name, all its parameters, and what its closure holds.
        cache: The cache, or a function, async or plain, that returns it at each call.
        options: As for `get_or_set`; tags are templates too. `ignore=("db",)` keeps parameters out of the key.

    Raises:
        ConfigurationError: At decoration: there is no cache, the template names a parameter that the function does not
            have, a parameter is neither in the template nor ignored, or an option is none; without a template, the
            function's name may be another's too, or its closure holds what can't be part of a key.
    """
    if template is not None and not isinstance(template, str):
        raise ConfigurationError('cached takes a template and a cache: @cached("user:{user_id}", cache=...)')
    if cache is None:
        raise ConfigurationError(
            "cached has no cache: give cache= a cache, or a function such as lambda: app.state.cache"
        )
    for name in options.keys() - _OPTIONS:
        raise ConfigurationError(f"cached has no option {name}{did_you_mean(name, _OPTIONS)}")
    options = {name: _checked(name, value) for name, value in options.items()}

    def decorate(function: Callable[..., Any]) -> CachedFunction[..., Any]:
        if isinstance(function, MethodType):
            return decorate(function.__func__).__get__(function.__self__)
        plan = Plan(_check_function(function), template, cache, options)
        return _class_of(plan, bound=False)(plan)

    return cast("Decorate", decorate)


def _class_of(plan: Plan, *, bound: bool) -> type[CachedFunction[..., Any]]:
    """Return a class for one function, because Python looks for `__call__` there; tools see the function in it."""
    call: Any = plan.call(bound=bound)
    seen: dict[str, Any] = {"__call__": call}
    seen |= {name: getattr(call, name) for name in ("__code__", "__defaults__", "__kwdefaults__")}
    seen |= {name: getattr(plan.function, name, None) for name in ("__name__", "__module__", "__doc__")}
    seen["__annotations__"] = getattr(plan.function, "__annotations__", {})
    return type(seen["__name__"], (CachedFunction,), seen)


def _checked(name: str, value: Any) -> Any:
    """Return the value of an option: it is checked at decoration, because each call would be refused."""
    try:
        return check_option(name, value)
    except ValidationError as exc:
        raise ConfigurationError(f"cached: {exc.message}") from None


def _check_function(function: Any) -> Callable[..., Any]:
    if isinstance(function, classmethod | staticmethod):
        raise ConfigurationError(f"cached stands above @{type(function).__name__}: put cached below")
    if not callable(function) or inspect.isclass(function) or not hasattr(function, "__qualname__"):
        raise ConfigurationError(f"cached decorates {type(function).__name__}, not a function")
    owner = getattr(function, "__self__", None)
    is_bound = isinstance(function, CachedFunction) and function.function_of() is None
    if is_bound or (owner is not None and not inspect.ismodule(owner)):
        raise ConfigurationError(
            f"{function.__qualname__} is bound to an instance that no key names: write a function that calls it"
        )
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(f"{function.__qualname__} is a generator: otcache can't store what it yields")
    return cast("Callable[..., Any]", function)
