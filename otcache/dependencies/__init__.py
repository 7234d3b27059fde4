"""Caches for FastAPI: injected where a path operation asks, owned by the lifespan, observed by a route."""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, Final

from otcache.base import CacheInterface
from otcache.config import AICacheConfig, CacheConfig
from otcache.dependencies import _registry as registry
from otcache.dependencies._health import health_of
from otcache.exceptions import (
    CacheError,
    ConfigurationError,
    InfrastructureError,
    ValidationError,
    get_http_status_for_exception,
)
from otcache.factory import TESTING, WEB

try:
    from fastapi import Depends, FastAPI, Request
    from fastapi.responses import JSONResponse
    from starlette.types import ASGIApp, Receive, Scope, Send

    from otcache.config import Settings
except (
    ImportError
) as exc:  # pragma: no cover  shown by tests/dependencies/test_without_fastapi.py, in a process of its own
    raise ImportError('otcache.dependencies needs FastAPI: pip install "otcache[fastapi]"') from exc

HEALTH_PATH: Final = "/health/cache"
"""Where `install_cache` answers how the cache is."""
TEST_REDIS_URL: Final = "redis://localhost:6379/15"
"""Where `get_test_redis_cache` looks unless OTCACHE_TEST_REDIS_URL or TEST_REDIS_URL says otherwise."""

_log: Final = logging.getLogger("otcache.web")
_installed: Final[ContextVar[CacheConfig | None]] = ContextVar("otcache_installed", default=None)

# --- configuration --------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of the application, read from the environment once; `get_settings.cache_clear()` forgets them.

    Raises:
        ConfigurationError: An environment variable has a value that can't be used.
    """
    return Settings()


async def get_cache_config(settings: Settings = Depends(get_settings)) -> CacheConfig:
    """What `install_cache` was given for this application, else what the settings describe.

    Settings that an override supplies win over both.

    Raises:
        ConfigurationError: The settings are not valid.
    """
    installed = _installed.get()
    return installed if installed is not None and settings is get_settings() else _config_of(settings)


def _describe(settings: Settings) -> CacheConfig:
    try:
        return settings.to_cache_config()
    except ValidationError as exc:  # not the client's mistake
        raise ConfigurationError(f"the settings can't be used: {exc.message}", exc.context) from exc


_config_of: Final = registry.ByIdentity(_describe)


async def validate_cache_configuration(config: CacheConfig = Depends(get_cache_config)) -> CacheConfig:
    """The configuration, if it is valid.

    Raises:
        ValidationError: It is not; `context["errors"]` holds every reason.
    """
    return _valid(config)


def _valid(config: CacheConfig) -> CacheConfig:
    errors = _expect_config(config).validate().errors
    if errors:
        raise ValidationError("; ".join(errors), {"errors": list(errors)})
    return config


# --- caches ---------------------------------------------------------------------------------------------


async def get_cache_service(config: CacheConfig = Depends(get_cache_config)) -> CacheInterface:
    """The application's cache, as its configuration says; an AI cache if that has AI options.

    Raises:
        ValidationError: The configuration is not valid.
        InfrastructureError: Redis can't be reached and `fail_on_connection_error` is on.
    """
    return await _open(config)


async def get_web_cache_service(config: CacheConfig = Depends(get_cache_config)) -> CacheInterface:
    """A cache for web responses on the same Redis: the web profile, except where `config` sets something else."""
    return await _open(_for_web(_expect_config(config)))


async def get_ai_cache_service(config: CacheConfig = Depends(get_cache_config)) -> CacheInterface:
    """A cache for AI responses on the same Redis; default AI options if `config` has none."""
    return await _open(_for_ai(_expect_config(config)))


async def get_test_cache() -> CacheInterface:
    """A cache in memory for tests: short times to live, empty for each event loop."""
    return await _open(_TEST)


async def get_test_redis_cache() -> CacheInterface:
    """A cache for tests on a real Redis, or in memory as long as that can't be reached."""
    url = os.environ.get("OTCACHE_TEST_REDIS_URL") or os.environ.get("TEST_REDIS_URL") or TEST_REDIS_URL
    return await _open(_test_redis(url))


async def get_fallback_cache_service() -> CacheInterface:
    """A cache in memory that depends on nothing: no Redis, no settings."""
    return await _open(_FALLBACK)


async def redis_wanted() -> bool:
    """Whether `get_cache_service_conditional` uses Redis; override it to decide for an application or a request."""
    return True


async def get_cache_service_conditional(
    # resolved by a dependency: as a plain parameter it would be a query parameter, and a client's to decide
    use_redis: Annotated[bool, Depends(redis_wanted)] = True,
    config: CacheConfig = Depends(get_cache_config),
) -> CacheInterface:
    """The application's cache, or its like without Redis. No request can choose: see `redis_wanted`."""
    return await _open(_expect_config(config) if use_redis else _in_memory(_expect_config(config)))


async def _open(config: CacheConfig) -> CacheInterface:
    return await (await registry.current()).get(_expect_config(config))


def _expect_config(config: CacheConfig) -> CacheConfig:
    """Called by hand without arguments, these functions would get FastAPI's marker."""
    if not isinstance(config, CacheConfig):
        raise ValidationError(f"config is {type(config).__name__}, not a CacheConfig")
    return config


_DEFAULTS: Final = CacheConfig()
_TEST: Final = replace(TESTING, redis_url=None)
_FALLBACK: Final = replace(_DEFAULTS, name="fallback")


def _named(config: CacheConfig, purpose: str) -> str:
    """A name, and with it a key space, of its own for each purpose."""
    return purpose if config.name == _DEFAULTS.name else f"{config.name}.{purpose}"


_TUNED: Final = ("default_ttl", "memory_cache_size", "compression_threshold", "compression_level")


def _web_config(config: CacheConfig) -> CacheConfig:
    left_alone = [name for name in _TUNED if getattr(config, name) == getattr(_DEFAULTS, name)]
    tuning: dict[str, Any] = {name: getattr(WEB, name) for name in left_alone}
    return replace(config, **tuning, name=_named(config, "web"), ai_config=None)


def _ai_config(config: CacheConfig) -> CacheConfig:
    return replace(config, name=_named(config, "ai"), ai_config=config.ai_config or AICacheConfig())


def _memory_config(config: CacheConfig) -> CacheConfig:
    return replace(config, redis_url=None, fail_on_connection_error=False)


_for_web: Final = registry.ByIdentity(_web_config)
_for_ai: Final = registry.ByIdentity(_ai_config)
_in_memory: Final = registry.ByIdentity(_memory_config)


@lru_cache(maxsize=8)
def _test_redis(url: str) -> CacheConfig:
    return replace(TESTING, redis_url=url)


# --- closing and health ---------------------------------------------------------------------------------


async def cleanup_cache_registry() -> dict[str, Any]:
    """Close every cache of the running event loop; the next request builds anew.

    Returns:
        `status` (completed, or partial if a cache could not be closed), `total_entries`, `closed` and
        `errors` (the name of the cache and the class of the error).
    """
    closing = await (await registry.current()).close()
    return {
        "status": "partial" if closing.errors else "completed",
        "total_entries": closing.entries,
        "closed": closing.closed,
        "errors": closing.errors,
    }


async def get_cache_health_status(cache: CacheInterface = Depends(get_cache_service)) -> dict[str, Any]:
    """How the cache is; see `otcache.health.health_of`. A Redis outage behind a working memory is degraded."""
    return await health_of(cache)


# --- an application -------------------------------------------------------------------------------------


@asynccontextmanager
async def cache_lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Own the caches of an application: build the primary one before the first request, close all after the last.

    `FastAPI(lifespan=cache_lifespan)`, or `async with cache_lifespan(app): yield` inside another lifespan.
    A Redis that is away does not keep the application from starting; a configuration that can't work does.

    Raises:
        ConfigurationError: The settings can't be used.
        ValidationError: The configuration is not valid.
    """
    caches = await registry.current()
    caches.leases += 1
    try:
        await _warm(app)
        yield
    finally:
        caches.leases -= 1
        if not caches.leases:
            await caches.close()


async def _warm(app: FastAPI) -> None:
    """Build the primary cache now, unless only a request can tell which it is."""
    if get_cache_service in app.dependency_overrides:
        return
    config = await _config_at_startup(app)
    if config is None:
        return
    try:
        await _open(config)
    except InfrastructureError as exc:  # with fail_on_connection_error: requests get 503 until Redis is there
        _log.warning("started without a cache: %s", exc.message)


async def _config_at_startup(app: FastAPI) -> CacheConfig | None:
    overrides = app.dependency_overrides
    if get_cache_config in overrides:
        config: CacheConfig | None = await _ask(overrides[get_cache_config])
        return config
    settings: Settings | None = await _ask(overrides.get(get_settings, get_settings))
    return None if settings is None else await get_cache_config(settings)


async def _ask(dependency: Callable[..., Any]) -> Any:
    """What a dependency gives; `None` for one that needs a request or other dependencies."""
    wrapped = inspect.unwrap(dependency)
    yields = inspect.isgeneratorfunction(wrapped) or inspect.isasyncgenfunction(wrapped)
    if yields or inspect.signature(dependency).parameters:
        return None
    answer = dependency()
    return await answer if inspect.isawaitable(answer) else answer


def install_cache(app: FastAPI, *, config: CacheConfig | None = None, health_path: str | None = HEALTH_PATH) -> None:
    """Make an application cached and observed: lifespan, error answers and a health route.

    The application's own lifespan runs inside ours: it finds the caches open, and they close after it.
    Errors of a cache are answered with 422, 500 or 503 (`get_http_status_for_exception`); handlers that
    the application has for them stay. The health route answers 200, or 503 when no tier works.

    Args:
        app: The application, before it is started.
        config: Its configuration; `None` reads the environment (`OTCACHE_...`).
        health_path: Where to ask how the cache is; `None` for no such route.

    Raises:
        ValidationError: `config` is not a valid configuration.
        ConfigurationError: The application has a route at `health_path`.
    """
    if config is not None:
        app.add_middleware(_Configured, config=_valid(config))
    app.exception_handlers.setdefault(CacheError, _answer_error)
    _wrap_lifespan(app)
    if health_path is not None:
        _add_health_route(app, health_path)


class _Configured:
    """Middleware: inside this application, its configuration is the one that is injected."""

    def __init__(self, app: ASGIApp, config: CacheConfig) -> None:
        self._app = app
        self._config = config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = _installed.set(self._config)
        try:
            await self._app(scope, receive, send)
        finally:
            _installed.reset(token)


def _wrap_lifespan(app: FastAPI) -> None:
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(started: FastAPI) -> AsyncIterator[Any]:
        async with cache_lifespan(app), inner(started) as state:
            yield state

    app.router.lifespan_context = lifespan


def _add_health_route(app: FastAPI, path: str) -> None:
    if any(getattr(route, "path", None) == path for route in app.router.routes):
        raise ConfigurationError(f"the application has a route at {path}: give another health_path, or None")
    app.add_api_route(path, _health_page, name="cache_health", responses={503: {"description": "No tier works"}})
    app.router.routes.insert(0, app.router.routes.pop())  # before a route that catches everything


async def _health_page(health: dict[str, Any] = Depends(get_cache_health_status)) -> JSONResponse:
    """How the cache is: healthy, degraded or unhealthy, per tier."""
    return JSONResponse(health, 503 if health["status"] == "unhealthy" else 200)


_TOLD: Final = {
    500: "the cache is not configured correctly; the log says more",
    503: "the cache is not available",
}
"""What a client learns of errors that are not its own: hosts and options are for the log."""


async def _answer_error(request: Request, exc: Exception) -> JSONResponse:
    if not isinstance(request, Request) or not isinstance(exc, CacheError):
        raise exc  # a websocket has no response to give
    status = get_http_status_for_exception(exc)
    if status >= 500:
        _log.error("a request was answered with %d: %s", status, exc.message)
    return JSONResponse({"detail": _TOLD.get(status, exc.message), "type": type(exc).__name__}, status)
