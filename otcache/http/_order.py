"""The decorator above the route's instead of below: the route calls the plain function, and never asks the cache.

`app.get(...)` gives back the function that it was given, so neither decorator sees the other.
"""

from __future__ import annotations

import gc
import inspect
import sys
from collections.abc import Callable, Iterator
from types import CellType, FrameType
from typing import Any, Final
from weakref import ReferenceType, ref

from fastapi import FastAPI
from starlette.routing import BaseRoute

from otcache.exceptions import ConfigurationError

_FEW: Final = 5
"""References to a function that no route holds yet; to look for the holders takes milliseconds."""
_ORDER: Final = (
    "{path} calls {name} itself, and never asks the cache: write @cached_endpoint below the route's decorator: "
    "@app.get(...) first, then @cached_endpoint(...), then the function"
)
_decorated: Final[dict[int, list[tuple[ReferenceType[Any], ReferenceType[Any]]]]] = {}
"""Functions and what was made of them, by the function's id."""


def check_order(endpoint: Any) -> None:
    """Check that a function that is just being defined is not a route's endpoint already.

    Raises:
        ConfigurationError: It is. One that has a name already may be decorated for another route: `check_routes`.
    """
    if inspect.isfunction(endpoint) and endpoint.__name__ != "<lambda>" and sys.getrefcount(endpoint) > _FEW:
        holders = gc.get_referrers(endpoint)
        route = next(_routes_among(holders, endpoint), None)
        if route is not None and all(map(_is_of_framework, holders)) and not _has_name(endpoint):
            raise ConfigurationError(_ORDER.format(path=route.path, name=endpoint.__name__))


def _routes_among(holders: list[Any], endpoint: Any) -> Iterator[Any]:
    for each in holders:
        owners = gc.get_referrers(each) if isinstance(each, dict) else (each,)
        routes = (owner for owner in owners if isinstance(owner, BaseRoute))
        yield from (route for route in routes if getattr(route, "endpoint", None) is endpoint)


def _is_of_framework(holder: Any) -> bool:
    if isinstance(holder, dict):
        return bool({"endpoint", "call"} & holder.keys())
    if isinstance(holder, FrameType | CellType):
        return True  # running code's own variables, ours among them: `_has_name` looks at those of the others
    return type(holder).__module__.partition(".")[0] in ("fastapi", "starlette")


def _has_name(endpoint: Any) -> bool:
    """Whether one of the callers' variables holds it: in the middle of its definition, none does."""
    frame = inspect.currentframe()
    while frame is not None:
        is_ours = frame.f_globals.get("__package__") == __package__
        if not is_ours and any(value is endpoint for value in (*frame.f_locals.values(), *frame.f_globals.values())):
            return True
        frame = frame.f_back
    return False


def remember(endpoint: Any, cached: Callable[..., Any]) -> None:
    """Note what was made of an endpoint."""
    at = id(endpoint)
    try:
        pair = ref(endpoint, lambda _: _decorated.pop(at, None)), ref(cached)
    except TypeError:
        return  # no object of that kind can be remembered
    _decorated.setdefault(at, []).append(pair)


def check_routes(app: FastAPI) -> None:
    """Check when an application starts that what was decorated is what its routes call.

    Raises:
        ConfigurationError: A route calls a plain function, and no route what the decorator made of it.
    """
    for route in app.routes:
        endpoint = getattr(route, "endpoint", None)
        made = [cached() for plain, cached in _decorated.get(id(endpoint), ()) if plain() is endpoint]
        if made and not any(next(_routes_among(gc.get_referrers(each), each), None) for each in made if each):
            name = getattr(endpoint, "__name__", type(endpoint).__name__)
            raise ConfigurationError(_ORDER.format(path=getattr(route, "path", "a route"), name=name))
