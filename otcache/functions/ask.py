"""Where the cache of a cached function comes from: itself, or a function that is asked at each call."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, cast

from otcache.exceptions import ConfigurationError
from otcache.functions.signature import Parameter, injected, is_dependency
from otcache.pipeline import Pipeline


def asker(source: Any) -> Callable[[], Any]:
    """A function without parameters that gives the cache, or an awaitable for it.

    Args:
        source: A function. What it takes by FastAPI's `Depends` is asked for too, as FastAPI would, but without
            an application's `dependency_overrides`.

    Raises:
        ConfigurationError: It is no function, is a generator, or needs an argument.
    """
    if not callable(source) or inspect.isclass(source):
        raise ConfigurationError(
            f"cache= is {_name(source)}: give a cache, or a function that gives it, such as lambda: app.state.cache"
        )
    if inspect.isgeneratorfunction(source) or inspect.isasyncgenfunction(source):
        raise ConfigurationError(f"cache= is the generator {_name(source)}: give a function that returns the cache")
    parameters = _parameters(source)
    if not parameters:
        return cast("Callable[[], Any]", source)
    dependencies = {name: asker_of(source, parameter) for name, parameter in parameters.items()}

    async def ask() -> Any:
        answers = {name: await _awaited(dependency()) for name, dependency in dependencies.items()}
        return await _awaited(source(**answers))

    return ask


def asker_of(source: Any, parameter: Parameter) -> Callable[[], Any]:
    """The same for what a parameter of such a function takes."""
    marker = injected(parameter)
    dependency = getattr(marker, "dependency", None)
    if dependency is None:
        raise ConfigurationError(
            f"cache= is {_name(source)}, which needs {parameter.name}: give a function that needs nothing"
        )
    return asker(dependency)


def _parameters(source: Any) -> dict[str, Parameter]:
    """What has to be passed: parameters without a default, and those that FastAPI fills in."""
    try:
        parameters = inspect.signature(source, eval_str=True).parameters.values()
    except (TypeError, ValueError, NameError):
        return {}
    return {
        parameter.name: parameter
        for parameter in parameters
        if parameter.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
        and (parameter.default is Parameter.empty or is_dependency(parameter.default))
    }


async def settle(found: Any) -> Pipeline:
    """What was asked for, once it is there.

    Raises:
        ConfigurationError: It is not a cache.
    """
    cache = await _awaited(found)
    if not isinstance(cache, Pipeline):
        raise ConfigurationError(f"cache= gave {_name(cache)}, not a cache: has the application been started?")
    return cache


async def _awaited(found: Any) -> Any:
    return await found if inspect.isawaitable(found) else found


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__qualname__', None) or type(thing).__name__}"
