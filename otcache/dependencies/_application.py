"""What `install_cache` adds to an application: its configuration, a lifespan, error answers and a health route."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from typing import Any, Final
from weakref import WeakKeyDictionary

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from otcache.config import CacheConfig
from otcache.exceptions import CacheError, ConfigurationError, get_http_status_for_exception

log: Final = logging.getLogger("otcache.web")
installed: Final[ContextVar[CacheConfig | None]] = ContextVar("otcache_installed", default=None)
"""The configuration that `install_cache` got for the application that answers the request."""
public_routes: Final[WeakKeyDictionary[Any, tuple[str, ...]]] = WeakKeyDictionary()
"""What `install_cache` got for an application: whose responses caches that serve many may keep."""
start_checks: Final[list[Callable[[FastAPI], None]]] = []
"""What has to hold when an application starts; `otcache.http` adds its own."""


class Configured:
    """Middleware: inside this application, its configuration is the one that is injected."""

    def __init__(self, app: ASGIApp, config: CacheConfig) -> None:
        self._app = app
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the configuration set."""
        token = installed.set(self._config)
        try:
            await self._app(scope, receive, send)
        finally:
            installed.reset(token)


PUBLIC: Final = "otcache_public"
"""The key in a scope of a list: what `Cache-Control` a response that leaves as public would have as a private one."""


class _Guard:
    """Outside of all middleware: a public response that was given a cookie on its way out leaves as private."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and look at the response."""
        public: list[str] = scope.setdefault(PUBLIC, [])

        async def look(message: Message) -> None:
            if public and message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if "set-cookie" in headers:
                    headers["cache-control"] = public[-1]
            await send(message)

        await self._app(scope, receive, look)


def guard(app: FastAPI) -> None:
    """Put the guard around the application's middleware, also around what is added later."""
    build = app.build_middleware_stack
    setattr(app, "build_middleware_stack", lambda: _Guard(build()))  # noqa: B010  mypy forbids to assign a method


def wrap_lifespan(app: FastAPI, outer: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> None:
    """Run the application's own lifespan inside of `outer`."""
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(started: FastAPI) -> AsyncIterator[Any]:
        async with outer(app), inner(started) as state:
            yield state

    app.router.lifespan_context = lifespan


def add_health_route(app: FastAPI, path: str, health_of_cache: Callable[..., Any]) -> None:
    """Answer `path` with the health that the dependency `health_of_cache` returns.

    Raises:
        ConfigurationError: The application has a route at `path`.
    """
    if any(getattr(route, "path", None) == path for route in app.router.routes):
        raise ConfigurationError(f"the application has a route at {path}: give another health_path, or None")

    async def health_page(health: dict[str, Any] = Depends(health_of_cache)) -> JSONResponse:
        """Health of the cache: healthy, degraded or unhealthy, per tier."""
        return JSONResponse(health, 503 if health["status"] == "unhealthy" else 200)

    app.add_api_route(path, health_page, name="cache_health", responses={503: {"description": "No tier works"}})
    app.router.routes.insert(0, app.router.routes.pop())  # before a route that catches everything


_SHOWN: Final = {
    500: "the cache is not configured correctly; the log says more",
    503: "the cache is not available",
}
"""What a client reads of errors that are not its own: hosts and options are for the log."""


async def answer_error(request: Request, exc: Exception) -> JSONResponse:
    """Answer with the status of a cache's error."""
    if not isinstance(request, Request) or not isinstance(exc, CacheError):
        raise exc  # a websocket has no response to give
    status = get_http_status_for_exception(exc)
    if status >= 500:
        log.error("%s %s answered %d: %s", request.method, _route_of(request), status, exc.message)
    return JSONResponse({"detail": _SHOWN.get(status, exc.message), "type": type(exc).__name__}, status)


def _route_of(request: Request) -> str:
    """Return the path with its parameters' names: a path itself may hold what no log should."""
    return str(getattr(request.scope.get("route"), "path", "a request"))


async def call_alone(dependency: Callable[..., Any]) -> Any:
    """Return what a dependency returns without a request; `None` if it needs one, or other dependencies."""
    wrapped = inspect.unwrap(dependency)
    yields = inspect.isgeneratorfunction(wrapped) or inspect.isasyncgenfunction(wrapped)
    if yields or inspect.signature(dependency).parameters:
        return None
    returned = dependency()
    return await returned if inspect.isawaitable(returned) else returned
