"""What is worked out once for each cached function, when it is decorated."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from otcache._decorators.generated_code import Source
from otcache._decorators.key_template import parse
from otcache._decorators.parameters import Parameters, names_of
from otcache._decorators.signature import Parameter, injected, is_dependency, signature_of, value_type
from otcache.cache import Cache
from otcache.exceptions import ConfigurationError

_ASKED: Final = "{own}found if {own}isinstance({own}found := {own}ask(), {own}Cache) else await {own}settle({own}found)"


class Plan:
    """The key, the tags, the cache and the options of one cached function."""

    def __init__(self, function: Callable[..., Any], template: str | None, cache: Any, options: dict[str, Any]) -> None:
        self.function = function
        self.name = f"{function.__module__}.{function.__qualname__}"
        self._signature = signature_of(function)
        parameters = Parameters(self.name, self._signature, names_of("ignore", options.get("ignore", ())))
        self.template = parameters.template(template)
        self._source = Source(self._signature, self.name)
        self._key = self._source.key(self.template)
        self._tags = [
            self._source.key(parameters.check(parse(tag))) for tag in names_of("tags", options.get("tags", ()))
        ]
        self._left_out = parameters.left_out(self.template)
        self._options = {name: value for name, value in options.items() if name not in ("ignore", "tags", "type")}
        self._options["template"] = self.template.text
        self._declared = options.get("type")
        self._cache = cache
        self._ask = (lambda: cache) if isinstance(cache, Cache) else asker(cache)

    def call(self, *, bound: bool) -> Callable[..., Any]:
        """The wrapper: `__call__` of a function, or of one that is bound to an instance."""
        if isinstance(self._cache, Cache):
            return self._source.call(self.template, "{own}source", {"source": self._cache}, bound=bound)
        names = {"ask": self._ask, "settle": settle, "isinstance": isinstance, "Cache": Cache}
        return self._source.call(self.template, _ASKED, names, bound=bound)

    async def cache(self) -> Cache:
        """The cache, as it is now."""
        return await settle(self._ask())

    def signature(self, *, bound: bool) -> inspect.Signature:
        """What tools show, FastAPI among them: annotations are resolved, an instance that is bound is left out."""
        parameters = list(self._signature.parameters.values())
        return self._signature.replace(parameters=parameters[1:] if bound else parameters)

    def value_type(self) -> Any:
        """The declared type of the values. Asked at the first load: an annotation may name a class that comes later."""
        if self._declared is None:
            self._declared = value_type(signature_of(self.function)) or False
        return self._declared or None

    def key_of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The key of these arguments; those that are no part of it may be left out."""
        absent = {name: None for at, name in self._left_out if at >= len(args) and name not in kwargs}
        return self._key(*args, **kwargs, **absent)

    def load(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Callable[[], Any], dict[str, Any]]:
        """The loader for these arguments, and the options that go with it."""
        tags = [tag(*args, **kwargs) for tag in self._tags]
        return partial(self.function, *args, **kwargs), {**self._options, "tags": tags, "type": self.value_type()}


# --- where the cache comes from: itself, or a function that is asked at each call ---


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


async def settle(found: Any) -> Cache:
    """What was asked for, once it is there.

    Raises:
        ConfigurationError: It is not a cache.
    """
    cache = await _awaited(found)
    if not isinstance(cache, Cache):
        raise ConfigurationError(f"cache= gave {_name(cache)}, not a cache: has the application been started?")
    return cache


async def _awaited(found: Any) -> Any:
    return await found if inspect.isawaitable(found) else found


def _name(thing: Any) -> str:
    return f"{getattr(thing, '__qualname__', None) or type(thing).__name__}"
