"""What may stand below a route: functions, methods, partials, objects that can be called, whatever decorators made."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.routing import get_name
from starlette.websockets import WebSocket

from otcache.exceptions import ConfigurationError


def check_shape(endpoint: Any) -> None:
    """Check that an endpoint answers with whole responses.

    Raises:
        ConfigurationError: It can't be called, or yields.
    """
    if not callable(endpoint):
        raise ConfigurationError(f"cached_endpoint can't decorate {type(endpoint).__name__}: it can't be called")
    name = getattr(endpoint, "__qualname__", get_name(endpoint))
    if any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in layers_of(endpoint)):
        raise ConfigurationError(f"{name} yields: otcache stores only whole responses; return the response")


def check_parameters(endpoint: Any, signature: inspect.Signature) -> None:
    """Check what an endpoint takes.

    Raises:
        ConfigurationError: It takes a websocket.
    """
    for parameter in signature.parameters.values():
        kind = parameter.annotation
        if isinstance(kind, type) and issubclass(kind, WebSocket):
            raise ConfigurationError(f"{get_name(endpoint)} takes a websocket: otcache stores only responses of HTTP")


async def call(endpoint: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Call an endpoint as FastAPI does: in this event loop if any of its layers is async, else in a thread."""
    runs_here = any(map(inspect.iscoroutinefunction, layers_of(endpoint)))
    returned = endpoint(**arguments) if runs_here else await run_in_threadpool(endpoint, **arguments)
    return await returned if inspect.isawaitable(returned) else returned


def layers_of(endpoint: Any) -> Iterator[Any]:
    """Yield an endpoint, what it wraps, and what its object runs, from the outside in."""
    while endpoint is not None:
        yield endpoint
        if not (inspect.isroutine(endpoint) or inspect.isclass(endpoint) or isinstance(endpoint, functools.partial)):
            yield type(endpoint).__call__
        inner = endpoint.func if isinstance(endpoint, functools.partial) else getattr(endpoint, "__wrapped__", None)
        endpoint = inner if inner is not endpoint else None
