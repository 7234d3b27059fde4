"""Which caches besides ours may keep a response: the client's own alone, or those that serve many (RFC 9111, 3.5)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Container, Iterator
from functools import lru_cache
from typing import Any, Final, get_args

from fastapi import FastAPI, params
from fastapi.security.base import SecurityBase
from starlette.requests import Request

from otcache.dependencies import _application
from otcache.exceptions import ConfigurationError
from otcache.http._policy import Policy
from otcache.http._session import has_session

MARK: Final = "__otcache_endpoint__"
"""Under this name a decorated endpoint holds its policy and our own dependency."""


class Reach:
    """What decides about the responses of a route that was `selected`; `own` is our own dependency.

    Attributes:
        alone: Whether the route depends on nothing but our own dependency.
        told: What has been said about the route.
    """

    def __init__(self, route: Any, own: Callable[..., Any]) -> None:
        self._path: str = route.path_format
        self._calls = list(_calls(route.dependant, own))
        self._overridden_by = getattr(route, "dependency_overrides_provider", None)
        self.told: set[str] = set()
        self.alone = len(self._calls) == 1

    @property
    def scheme(self) -> str | None:
        """The name of a security scheme on which the route depends, overridden or not; `None` if there is none."""
        overrides = getattr(self._overridden_by, "dependency_overrides", {})
        every = (*self._calls, *(overrides[call] for call in self._calls if call in overrides))
        return next((type(call).__name__ for call in every if isinstance(call, SecurityBase)), None)

    def is_named(self, app: Any) -> bool:
        """Whether `install_cache(public_routes=...)` names the route."""
        return any(_matches(name, self._path) for name in _application.public_routes.get(app, ()))

    def is_public(self, policy: Policy, app: Any) -> bool:
        """Whether the route's responses are for caches that serve many."""
        wanted = policy.public or self.is_named(app)
        return wanted and self.scheme is None and policy.private_by is None

    def is_closed(self, policy: Policy, request: Request, headers: Container[str]) -> bool:
        """Whether one response must not be kept by such caches, whatever its own headers say.

        Where there is a session, a middleware may add its cookie after the response has left us.
        """
        asks = "authorization" in request.headers or has_session(request.scope)
        return asks or policy.private_by is not None or "set-cookie" in headers or self.scheme is not None


def _calls(dependant: Any, own: Callable[..., Any]) -> Iterator[Any]:
    """Yield what a route calls: its endpoint, and its dependencies except for ours."""
    if dependant.call is not own:
        yield dependant.call
        for below in dependant.dependencies:
            yield from _calls(below, own)


@lru_cache(maxsize=1024)
def _matches(name: str, path: str) -> bool:
    return re.fullmatch(re.escape(name).replace(r"\*", ".*"), path) is not None


# --- public=True and security exclude each other ----------------------------------------------------------


def check_public(policy: Policy, signature: inspect.Signature) -> None:
    """Check what is known at decoration.

    Raises:
        ConfigurationError: The endpoint is public, and depends on a security scheme.
    """
    scheme = _declared_scheme(signature, ()) if policy.public else None
    if scheme is not None:
        raise ConfigurationError(_REFUSED.format(what="the endpoint", scheme=scheme))


_REFUSED: Final = (
    "public=True conflicts with {scheme}, on which {what} depends: a cache outside would give the response to those "
    "whom {scheme} refuses; leave out public=True (shared=True keeps one entry in here)"
)


def _declared_scheme(signature: inspect.Signature, around: tuple[Any, ...]) -> str | None:
    for parameter in signature.parameters.values():
        kind, *notes = get_args(parameter.annotation) or (parameter.annotation,)
        for marker in (*notes, parameter.default):
            if isinstance(marker, params.Depends):
                found = _scheme_of(marker, marker.dependency or kind, around)
                if found is not None:
                    return found
    return None


def _scheme_of(marker: Any, call: Any, around: tuple[Any, ...]) -> str | None:
    if isinstance(marker, params.Security) or isinstance(call, SecurityBase):
        return type(call).__name__ if isinstance(call, SecurityBase) else "Security()"
    try:
        signature = inspect.signature(call, eval_str=True)
    except (NameError, TypeError, ValueError):
        return None  # what it depends on is known when the application starts
    return None if call in around else _declared_scheme(signature, (*around, call))


def check_application(app: FastAPI) -> None:
    """Check what is known at the start: which routes are public.

    Raises:
        ConfigurationError: A public route depends on a security scheme or is private to somebody, or `public_routes`
            names no cached route.
    """
    cached = {route.path_format: route for route in routes_of(app) if hasattr(route.dependant.call, MARK)}
    for name in _application.public_routes.get(app, ()):
        if not any(_matches(name, path) for path in cached):
            known = ", ".join(sorted(cached)) or "none"
            raise ConfigurationError(f"public_routes has {name!r}, which is no cached route; there are: {known}")
    for path, route in cached.items():
        policy, own = getattr(route.dependant.call, MARK)
        reach = Reach(route, own)
        if (policy.public or reach.is_named(app)) and reach.scheme is not None:
            raise ConfigurationError(_REFUSED.format(what=path, scheme=reach.scheme))
        if reach.is_named(app) and policy.private_by is not None:
            raise ConfigurationError(f"public_routes has {path}, whose private_by= says that each is one user's own")


def routes_of(app: FastAPI) -> Iterator[Any]:
    """Yield the routes with what their routers add: newer versions of FastAPI keep included routers as they are."""
    for route in app.routes:
        contexts = getattr(route, "effective_route_contexts", None)
        for each in (route,) if contexts is None else contexts():
            if getattr(each, "dependant", None) is not None and hasattr(each, "path_format"):
                yield each
