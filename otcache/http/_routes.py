"""What FastAPI knows about a route: its path, what it reads of a request, and how its values become responses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, APIKeyQuery
from fastapi.security.base import SecurityBase
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

_RETURNED: Final = "otcache_returned"
"""The key in a scope of the value that FastAPI turns into a response."""
_SETTINGS: Final = (
    "response_model", "response_class", "status_code", "response_model_include", "response_model_exclude",
    "response_model_by_alias", "response_model_exclude_unset", "response_model_exclude_defaults",
    "response_model_exclude_none",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Route:
    """One route, and what it and its dependencies declare.

    Attributes:
        path: The path with the parameters in braces, routers' prefixes included.
        query: The query parameters; `None` if one of them may read any.
        whole: Whether one of them takes the whole request, and may build URLs from its host.
        headers: The headers, in lower case.
        key_headers: Headers that hold an API key.
        key_queries: Query parameters that hold an API key.
        handler: Turns the value in `_RETURNED` into a response.
    """

    path: str
    query: frozenset[str] | None
    whole: bool
    headers: tuple[str, ...]
    cookies: tuple[str, ...]
    key_headers: tuple[str, ...]
    key_queries: tuple[str, ...]
    body: bool
    handler: Callable[[Request], Awaitable[Response]]

    async def respond(self, request: Request, returned: ReturnedValue) -> Response:
        """Return the response that FastAPI makes of an endpoint's value on this route."""
        if isinstance(returned.value, Response):
            return returned.value
        return await self.handler(Request({**request.scope, _RETURNED: returned}))


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


def read_route(route: Any, own: Callable[..., Any]) -> Route:
    """Read what a route that was `selected` reads of a request, except by our `own` dependency; and how it responds."""
    dependants = list(_flat(route.dependant, own))
    fields = [field for each in dependants for field in each.query_params]
    whole = any(map(_reads_all, dependants))
    keys = [each.call for each in dependants if isinstance(each.call, SecurityBase)]
    key_headers = tuple(key.model.name.lower() for key in keys if isinstance(key, APIKeyHeader))
    return Route(
        path=route.path_format,
        query=None if whole or any(map(_is_open, fields)) else frozenset(_names(dependants, "query_params")),
        whole=whole,
        headers=tuple(name.lower().replace("_", "-") for name in _names(dependants, "header_params")),
        cookies=tuple(_names(dependants, "cookie_params")),
        key_headers=key_headers,
        key_queries=tuple(key.model.name for key in keys if isinstance(key, APIKeyQuery)),
        body=route.body_field is not None,
        handler=_handler(route),
    )


def _flat(dependant: Any, own: Callable[..., Any]) -> Iterator[Any]:
    """Yield a route's dependant and those below it, except for ours."""
    if dependant.call is not own:
        yield dependant
        for below in dependant.dependencies:
            yield from _flat(below, own)


def _reads_all(dependant: Any) -> bool:
    """Whether it may read anything of a request; security schemes take the request, too, but read what they declare."""
    takes = dependant.request_param_name or dependant.http_connection_param_name
    return bool(takes) and not isinstance(dependant.call, SecurityBase)


def _names(dependants: Iterable[Any], kind: str) -> list[str]:
    fields = (field for dependant in dependants for field in getattr(dependant, kind))
    return sorted({name for field in fields for name in _names_of(field)})


def _names_of(field: Any) -> Iterator[str]:
    """Yield the names that a parameter may have in the request; those of all fields where a model declares several.

    One name too many does no harm; one too few gives a caller another's response.
    """
    model = _model_of(field)
    named = [(field.alias, field.field_info)] if model is None else list(model.model_fields.items())
    for name, info in named:
        yield from {name, *(alias for alias in (info.alias, info.validation_alias) if isinstance(alias, str))}


def _is_open(field: Any) -> bool:
    """Whether other parameters than the named ones may be read: an open model, or an alias with alternatives."""
    model = _model_of(field)
    if model is None:
        return not isinstance(field.field_info.validation_alias, str | None)
    aliases = (info.validation_alias for info in model.model_fields.values())
    return model.model_config.get("extra") == "allow" or not all(isinstance(alias, str | None) for alias in aliases)


def _model_of(field: Any) -> type[BaseModel] | None:
    kind = field.field_info.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _handler(route: Any) -> Callable[[Request], Awaitable[Response]]:
    """Return FastAPI's own handler of a route without dependencies, with the response settings of `route`."""
    settings = {name: getattr(route, name) for name in _SETTINGS}
    handler: Callable[[Request], Awaitable[Response]] = APIRoute("/", _emit, **settings).get_route_handler()
    return handler
