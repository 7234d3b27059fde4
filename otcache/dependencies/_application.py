"""What `install_cache` adds to an application: its configuration, a lifespan, error answers and a health route."""

from __future__ import annotations

import gc
import inspect
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from itertools import count
from typing import Any, Final
from weakref import WeakKeyDictionary

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import MutableHeaders
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from otcache.config import CacheConfig, CacheConfigBuilder
from otcache.config.namespace import namespace_of
from otcache.dependencies._registry import ByIdentity
from otcache.exceptions import CacheError, ConfigurationError, get_http_status_for_exception

log: Final = logging.getLogger("otcache.web")
installed: Final[ContextVar[Installed | None]] = ContextVar("otcache_installed", default=None)
"""What `install_cache` has noted of the application that answers the request."""
public_routes: Final[WeakKeyDictionary[Any, tuple[str, ...]]] = WeakKeyDictionary()
"""What `install_cache` got for an application: whose responses caches that serve many may keep."""
start_checks: Final[list[Callable[[FastAPI], None]]] = []
"""What has to hold when an application starts; `otcache.http` adds its own."""


class Installed:
    """The configuration that `install_cache` got for an application, if any, and its number in this process.

    Attributes:
        apart: Changes a configuration into that of a cache that no other application of this process has.
        own: The same, unless its name says otherwise.
    """

    def __init__(self, config: CacheConfig | None, number: int) -> None:
        self.config = config
        self._number = number
        self.apart = ByIdentity(self._apart)
        self.own = ByIdentity(self._own)

    def _apart(self, config: CacheConfig) -> CacheConfig:
        return config if self._number == 1 else replace(config, name=f"{config.name}-{self._number}")

    def _own(self, config: CacheConfig) -> CacheConfig:
        return self._apart(config) if config.name == _DEFAULTS.name else config


class Configured:
    """Middleware: inside this application, its configuration is the one that is injected."""

    def __init__(self, app: ASGIApp, installed: Installed) -> None:
        self._app = app
        self._installed = installed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the configuration set."""
        token = installed.set(self._installed)
        try:
            await self._app(scope, receive, send)
        finally:
            installed.reset(token)


_DEFAULTS: Final = CacheConfig()
_numbers: Final[WeakKeyDictionary[FastAPI, tuple[Any, int]]] = WeakKeyDictionary()
"""The place of each application's caches, and its number among those that have the same."""


def number_of(app: FastAPI, config: CacheConfig | None) -> int:
    """Return which one of the living applications with caches of the same place this is; the first is 1.

    Numbered as they are installed, so that every worker of a service numbers them alike.
    """
    place = _place(config)
    if place in (taken for taken, _ in _numbers.values()):
        gc.collect()  # an application that has ended is a ring, which may be there for a while
    taken = {number for known, number in _numbers.values() if known == place}
    number = next(number for number in count(1) if number not in taken)
    _numbers[app] = place, number
    if number > 1:
        log.info("application %d of this process: its caches have a name of their own; give one to share", number)
    return number


def _place(config: CacheConfig | None) -> Any:
    """Return what two applications share that share their entries; `None` if the environment can't be used."""
    try:
        found = config or CacheConfigBuilder().from_environment().build()
        return found.redis_url, found.key_prefix, namespace_of(found), found.name
    except CacheError:  # told when the application starts
        return None


PUBLIC: Final = "otcache_public"
"""The key in a scope of a list: functions that change the headers of a response that is no longer for everybody."""


class _Guard:
    """Around all middleware: a response that was given a cookie on its way out leaves as private."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and look at the response."""
        public: list[Callable[[MutableHeaders], None]] = scope.setdefault(PUBLIC, [])

        async def look(message: Message) -> None:
            if public and message["type"] == "http.response.start":
                message["headers"] = [(name.lower(), value) for name, value in message.get("headers", ())]
                headers = MutableHeaders(scope=message)
                if "set-cookie" in headers:
                    public[-1](headers)
            await send(message)

        await self._app(scope, receive, look)


def guard(app: FastAPI) -> None:
    """Put the guard around the application's middleware, also around what is added later.

    Starlette's handler of server errors stays outermost: instrumentations look for it there.
    """
    build = app.build_middleware_stack

    def guarded() -> ASGIApp:
        stack = build()
        if not isinstance(stack, ServerErrorMiddleware):
            return _Guard(stack)
        stack.app = _Guard(stack.app)  # OpenTelemetry's instrumentation wants to find Starlette's handler outermost
        return stack

    setattr(app, "build_middleware_stack", guarded)  # noqa: B010  mypy forbids to assign a method


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
    422: "the cache refused an argument or a value; the log says more",
    500: "the cache is not configured correctly; the log says more",
    503: "the cache is not available",
}
"""What a client reads: hosts, options, and the names of modules and classes are for the log."""


async def answer_error(request: Request, exc: Exception) -> JSONResponse:
    """Answer with the status of a cache's error."""
    if not isinstance(request, Request) or not isinstance(exc, CacheError):
        raise exc  # a websocket has no response to give
    status = get_http_status_for_exception(exc)
    level = logging.WARNING if status < 500 else logging.ERROR
    log.log(level, "%s %s answered %d: %s", request.method, _route_of(request), status, exc.message)
    return JSONResponse({"detail": _SHOWN[status], "type": type(exc).__name__}, status)


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
