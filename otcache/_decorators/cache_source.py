"""Where a cached function gets its cache: `cache=` is a cache, or a function that returns one at each call."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from otcache._decorators.signature import Parameter, injected, is_dependency
from otcache.base import MISSING, Answer, CacheInterface, run_loader
from otcache.cache import Cache
from otcache.exceptions import ConfigurationError
from otcache.telemetry.catalog import Event

_log: Final = logging.getLogger("otcache")


class ForeignCache:
    """A cache with `CacheInterface`'s methods alone, with what a cached function calls beyond those."""

    def __init__(self, cache: CacheInterface) -> None:
        self.get_or_set = cache.get_or_set
        self.answer: Callable[..., Awaitable[Answer[Any]]] = cache.answer
        self.delete = cache.delete
        self._get = cache.get

    def hit(self, key: str, template: str | None = None) -> Any:  # noqa: ARG002  as `Cache.hit`
        """Return `MISSING`: only `get_or_set` knows what the cache holds."""
        return MISSING

    async def get(self, key: str, *, type: Any) -> Any:  # noqa: A002, ARG002  as `Cache.get`
        """Return the value of `key`, of whatever type."""
        return await self._get(key)

    async def bypass(self, loader: Callable[[], Any], template: str | None = None) -> Any:  # noqa: ARG002  as `Cache`
        """Return what `loader` returns, and store nothing."""
        return (await run_loader(loader)).value

    def report(self, event: Event, body: str, template: str) -> None:
        """Log what a cache of ours reports in an event."""
        _log.warning("%s (%s, key template %s)", body, event.name, template)


UsableCache = Cache | ForeignCache


def usable(cache: Any) -> UsableCache:
    """Return `cache` with the methods that a cached function calls.

    Raises:
        ConfigurationError: It is not a cache.
    """
    if isinstance(cache, Cache):
        return cache
    if isinstance(cache, CacheInterface):
        return ForeignCache(cache)
    raise ConfigurationError(f"cache= gave {_name(cache)}, not a cache: has the application been started?")


async def usable_of(returned: Any) -> UsableCache:
    """Return what a source has returned, awaited if need be, as `usable` does."""
    return usable(await _awaited(returned))


def source_of(cache: Any) -> Callable[[], Any]:
    """Return a function without parameters that returns the cache, or an awaitable of it.

    Args:
        cache: A cache, or a function. The function may take other functions by FastAPI's `Depends`: they are called
            as FastAPI would, but without an application's `dependency_overrides`.

    Raises:
        ConfigurationError: It is neither, is a generator, or needs an argument.
    """
    if isinstance(cache, CacheInterface):
        return lambda: cache
    if not callable(cache) or inspect.isclass(cache):
        raise ConfigurationError(
            f"cache= is {_name(cache)}: give a cache, or a function that returns one, such as lambda: app.state.cache"
        )
    if inspect.isgeneratorfunction(cache) or inspect.isasyncgenfunction(cache):
        raise ConfigurationError(f"cache= is the generator {_name(cache)}: give a function that returns the cache")
    parameters = _needed_parameters(cache)
    if not parameters:
        return cast("Callable[[], Any]", cache)
    dependencies = {name: _dependency(cache, parameter) for name, parameter in parameters.items()}

    async def call_with_dependencies() -> Any:
        arguments = {name: await _awaited(dependency()) for name, dependency in dependencies.items()}
        return await _awaited(cache(**arguments))

    return call_with_dependencies


def _needed_parameters(function: Any) -> dict[str, Parameter]:
    """Return the parameters without a default, and those that FastAPI fills in."""
    try:
        parameters = inspect.signature(function, eval_str=True).parameters.values()
    except (TypeError, ValueError, NameError):
        return {}
    return {
        parameter.name: parameter
        for parameter in parameters
        if parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        and (parameter.default is Parameter.empty or is_dependency(parameter.default))
    }


def _dependency(function: Any, parameter: Parameter) -> Callable[[], Any]:
    """Return a function without parameters for what FastAPI would fill in."""
    dependency = getattr(injected(parameter), "dependency", None)
    if dependency is None:
        raise ConfigurationError(
            f"cache= is {_name(function)}, which needs {parameter.name}: give a function that needs no argument"
        )
    return source_of(dependency)


async def _awaited(returned: Any) -> Any:
    return await returned if inspect.isawaitable(returned) else returned


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__qualname__', None) or type(thing).__name__}"
