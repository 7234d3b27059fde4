"""The decorator above the route's instead of below: the route calls the plain function, and never asks the cache.

`app.get(...)` gives back the function that it was given, so neither decorator sees the other.
"""

from __future__ import annotations

import gc
import inspect
from collections.abc import Iterator
from types import CellType, FrameType
from typing import Any, Final
from weakref import ReferenceType, ref

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRouter

from otcache.exceptions import ConfigurationError
from otcache.http._reach import routes_of
from otcache.http._shapes import layers_of

_ORDER: Final = (
    "{path} calls {name} itself, and never asks the cache: write @cached_endpoint below the route's decorator: "
    "@app.get(...) first, then @cached_endpoint(...), then the function"
)
_OF_FRAMEWORK: Final = ({"endpoint", "path_regex"}, {"call", "dependencies"}, {"__wrapped__"})
"""By what the dictionaries are known of routes, their dependants, and what wraps a function."""
_decorated: Final[dict[int, list[tuple[ReferenceType[Any], Any]]]] = {}
"""Functions, by their id, and our own dependencies of what was made of them."""


def check_order(endpoint: Any) -> None:
    """Check that a function that is just being defined is not the endpoint of a route of the application's already.

    Raises:
        ConfigurationError: It is. One that has a name already may be decorated for another route: `check_routes`.
    """
    layers = tuple(each for each in layers_of(endpoint) if getattr(each, "__name__", "") != "<lambda>")
    variables = _variables_around()
    kinds = (type(each) for each in variables)  # a proxy's `__class__` may raise
    known = (each for each, kind in zip(variables, kinds, strict=True) if issubclass(kind, FastAPI | APIRouter))
    last = [each.routes[-1] for each in known if each.routes]
    for layer in layers:
        path = next((route.path for route in last if getattr(route, "endpoint", None) is layer), None)
        if path is not None and not any(value is layer for value in variables) and _is_nobodys(layer, layers):
            raise ConfigurationError(_ORDER.format(path=path, name=getattr(layer, "__name__", "it")))


def _variables_around() -> tuple[Any, ...]:
    """Return the variables that whoever decorates can see."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    return () if frame is None else (*frame.f_locals.values(), *frame.f_globals.values())


def _is_nobodys(endpoint: Any, layers: tuple[Any, ...]) -> bool:
    """Whether only a route holds it, and what wraps it: no table of the application's."""
    return all(_is_passing(each) for each in gc.get_referrers(endpoint) if each is not layers)


def _is_passing(holder: Any) -> bool:
    if isinstance(holder, dict):
        return any(holder.keys() >= kind for kind in _OF_FRAMEWORK)
    is_running = isinstance(holder, FrameType | CellType)
    return is_running or type(holder).__module__.partition(".")[0] in ("fastapi", "starlette")


def remember(endpoint: Any, own: Any) -> None:
    """Note that an endpoint was decorated, and our own dependency of what was made of it."""
    for layer in layers_of(endpoint):
        at = id(layer)
        try:
            noted = ref(layer, lambda _, at=at: _decorated.pop(at, None))  # type: ignore[misc]
        except TypeError:
            continue  # no object of that kind can be remembered
        _decorated.setdefault(at, []).append((noted, own))


def check_routes(app: FastAPI) -> None:
    """Check when an application starts that what was decorated is what its routes call.

    Raises:
        ConfigurationError: A route calls a plain function, and no route what the decorator made of it.
    """
    routes = list(routes_of(app))
    called = {id(call) for route in routes for call in _calls(route.dependant)}
    for route in routes:
        endpoint = route.dependant.call
        made = [own for plain, own in _decorated.get(id(endpoint), ()) if plain() is endpoint]
        if made and not any(id(own) in called or _has_route(own) for own in made):
            name = getattr(endpoint, "__name__", type(endpoint).__name__)
            raise ConfigurationError(_ORDER.format(path=route.path_format, name=name))


def _calls(dependant: Any) -> Iterator[Any]:
    yield dependant.call
    for below in dependant.dependencies:
        yield from _calls(below)


def _has_route(own: Any) -> bool:
    """Whether any route at all depends on it, such as one of another application."""
    holders = gc.get_referrers(own)
    return any(isinstance(each, Dependant) or (isinstance(each, dict) and "call" in each) for each in holders)
