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

_GIVEN: Final = "otcache_given"
"""Where in a scope the value lies that FastAPI shall make a response of."""
_SETTINGS: Final = (
    "response_model", "response_class", "status_code", "response_model_include", "response_model_exclude",
    "response_model_by_alias", "response_model_exclude_unset", "response_model_exclude_defaults",
    "response_model_exclude_none",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Route:
    """One route.

    Attributes:
        path: Its path with the parameters in braces, routers' prefixes included.
        query: The query parameters that it and its dependencies declare; `None` if one of them may read any.
        whole: Whether one of them takes the whole request, and may make URLs of its host.
        headers: The headers that they declare, in small letters.
        cookies: The cookies that they declare.
        key_headers: Headers that hold an API key.
        key_queries: Query parameters that hold one.
        body: Whether a body is declared.
        handler: Makes a response of a value in `_GIVEN`.
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

    async def respond(self, request: Request, given: Given) -> Response:
        """The response that FastAPI makes of an endpoint's value on this route."""
        if isinstance(given.value, Response):
            return given.value
        return await self.handler(Request({**request.scope, _GIVEN: given}))


@dataclass(frozen=True, slots=True)
class Given:
    """What an endpoint has returned, and what it has done to the response that FastAPI injected."""

    value: Any
    status: int | None
    headers: tuple[tuple[bytes, bytes], ...]


async def _emit(request: Request, response: Response) -> Any:
    """The endpoint of a route that only makes responses."""
    given: Given = request.scope[_GIVEN]
    if given.status is not None:
        response.status_code = given.status
    response.headers.raw.extend(given.headers)
    return given.value


def selected(scope: Any) -> Any:
    """The route of a request with what its routers add: newer versions of FastAPI keep that beside the route."""
    context = scope.get("fastapi", {}).get("effective_route_context")
    return context if getattr(context, "original_route", None) is scope["route"] else scope["route"]


def read_route(route: Any, own: Callable[..., Any]) -> Route:
    """What there is to know about `route`.

    Args:
        route: As `selected` gives it.
        own: The dependency that we added.
    """
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
    """A route's dependant and those below it, but for ours."""
    if dependant.call is not own:
        yield dependant
        for below in dependant.dependencies:
            yield from _flat(below, own)


def _reads_all(dependant: Any) -> bool:
    """Security schemes take the whole request too, and read of it what they are declared for."""
    takes = dependant.request_param_name or dependant.http_connection_param_name
    return bool(takes) and not isinstance(dependant.call, SecurityBase)


def _names(dependants: Iterable[Any], kind: str) -> list[str]:
    fields = (field for dependant in dependants for field in getattr(dependant, kind))
    return sorted({name for field in fields for name in _names_of(field)})


def _names_of(field: Any) -> Iterator[str]:
    """The names that a parameter may have in the request; those of all fields where a model declares several.

    One too many does no harm, one too few gives wrong answers.
    """
    model = _model_of(field)
    named = [(field.alias, field.field_info)] if model is None else list(model.model_fields.items())
    for name, info in named:
        yield from {name, *(alias for alias in (info.alias, info.validation_alias) if isinstance(alias, str))}


def _is_open(field: Any) -> bool:
    """Whether other parameters than those named may be read: a model that takes more, an alias that is a choice."""
    model = _model_of(field)
    if model is None:
        return not isinstance(field.field_info.validation_alias, str | None)
    aliases = (info.validation_alias for info in model.model_fields.values())
    return model.model_config.get("extra") == "allow" or not all(isinstance(alias, str | None) for alias in aliases)


def _model_of(field: Any) -> type[BaseModel] | None:
    kind = field.field_info.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _handler(route: Any) -> Callable[[Request], Awaitable[Response]]:
    """FastAPI's own handler of a route without dependencies, with the response settings of `route`."""
    settings = {name: getattr(route, name) for name in _SETTINGS}
    handler: Callable[[Request], Awaitable[Response]] = APIRoute("/", _emit, **settings).get_route_handler()
    return handler
