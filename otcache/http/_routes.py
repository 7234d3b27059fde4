"""What FastAPI knows about a route: its path, what it reads of a request, how its values become responses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from fastapi.datastructures import DefaultPlaceholder
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from otcache.http._input_free import is_input_free
from otcache.http._inputs import Inputs, read_inputs

_RETURNED: Final = "otcache_returned"
"""The key in a scope of the value that FastAPI turns into a response."""
_SETTINGS: Final = (
    "response_model", "response_class", "status_code", "response_model_include", "response_model_exclude",
    "response_model_by_alias", "response_model_exclude_unset", "response_model_exclude_defaults",
    "response_model_exclude_none",
)  # fmt: skip


class Route:
    """One route as FastAPI has it, and what it reads of a request.

    Attributes:
        path: The path with the parameters in braces, routers' prefixes included.
        told: Why requests of this route pass by the cache, as far as it has been said.
    """

    def __init__(self, route: Any, endpoint: tuple[Any, ...], own: Callable[..., Any]) -> None:
        self.path: str = route.path_format
        self.told: set[tuple[str, ...]] = set()
        self._route = route
        self._endpoint = endpoint
        self._own = own
        self._handler = _handler(route)
        self._read: tuple[list[tuple[Any, Any]], Inputs] | None = None

    @property
    def inputs(self) -> Inputs:
        """What the endpoint and its dependencies read, under the overrides of this moment."""
        overrides = list(
            (getattr(self._route.dependency_overrides_provider, "dependency_overrides", None) or {}).items()
        )
        if self._read is None or not _same(self._read[0], overrides):
            self._read = overrides, self._read_inputs(dict(overrides))
        return self._read[1]

    def _read_inputs(self, overrides: dict[Any, Any]) -> Inputs:
        own = getattr(self._route, "original_route", self._route)
        return read_inputs(
            self._route.dependant,
            overrides,
            self._own,
            endpoint=(*self._endpoint, _in_words(_settings(self._route))),
            reader=None if type(own) is APIRoute or is_input_free(type(own)) else type(own),
        )

    async def respond(self, request: Request, returned: ReturnedValue) -> Response:
        """Return the response that FastAPI makes of an endpoint's value on this route."""
        if isinstance(returned.value, Response):
            return returned.value
        return await self._handler(Request({**request.scope, _RETURNED: returned}))


@dataclass(frozen=True, slots=True)
class ReturnedValue:
    """What an endpoint returned, and what it set on the response that FastAPI injected."""

    value: Any
    status: int | None
    headers: tuple[tuple[bytes, bytes], ...]


async def _emit(request: Request, response: Response) -> Any:
    """Return the value in the scope: the endpoint of a route that only makes responses."""
    returned: ReturnedValue = request.scope[_RETURNED]
    if returned.status is not None:
        response.status_code = returned.status
    response.headers.raw.extend(returned.headers)
    return returned.value


def selected(scope: Any) -> Any:
    """Return the route of a request with what its routers add: newer versions of FastAPI keep that elsewhere."""
    context = scope.get("fastapi", {}).get("effective_route_context")
    return context if getattr(context, "original_route", None) is scope["route"] else scope["route"]


def _same(these: list[tuple[Any, Any]], others: list[tuple[Any, Any]]) -> bool:
    """Whether they are the same objects; what is overridden need not be comparable."""
    pairs = zip(these, others, strict=False)
    return len(these) == len(others) and all(a is c and b is d for (a, b), (c, d) in pairs)


def _settings(route: Any) -> dict[str, Any]:
    return {name: getattr(route, name) for name in _SETTINGS}


def _in_words(settings: dict[str, Any]) -> str:
    """Return the settings as text, the same in every process."""
    return repr([value.value if isinstance(value, DefaultPlaceholder) else value for value in settings.values()])


def _handler(route: Any) -> Callable[[Request], Awaitable[Response]]:
    """Return FastAPI's own handler of a route without dependencies, with the response settings of `route`."""
    handler: Callable[[Request], Awaitable[Response]] = APIRoute("/", _emit, **_settings(route)).get_route_handler()
    return handler
