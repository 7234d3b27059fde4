"""Caches for FastAPI: injected into path operations, closed by the lifespan, observed by a health route."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, Final

from otcache.base import CacheInterface
from otcache.cache import Cache
from otcache.config import AICacheConfig, CacheConfig
from otcache.exceptions import CacheError, ConfigurationError, InfrastructureError, ValidationError

try:
    from fastapi import Depends, FastAPI

    from otcache.config import Settings
except ImportError as exc:  # pragma: no cover  shown by a test in a process of its own
    raise ImportError('otcache.dependencies needs FastAPI: pip install "otcache[fastapi]"') from exc

from otcache.dependencies import _application, _registry
from otcache.dependencies._health import health_of
from otcache.factory import TESTING, WEB

HEALTH_PATH: Final = "/health/cache"
"""Where `install_cache` adds the health route."""
TEST_REDIS_URL: Final = "redis://localhost:6379/15"
"""The Redis of `get_test_redis_cache` unless OTCACHE_TEST_REDIS_URL or TEST_REDIS_URL names another."""

# --- configuration --------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Read the application's settings from the environment, once; `get_settings.cache_clear()` forgets them.

    Raises:
        ConfigurationError: An environment variable has a value that can't be used.
    """
    return Settings()


async def get_cache_config(settings: Settings = Depends(get_settings)) -> CacheConfig:
    """Return the configuration that `install_cache` got for this application, else what the settings describe.

    Settings that an override supplies win over both.

    Raises:
        ConfigurationError: The settings are not valid.
    """
    installed = _application.installed.get()
    given = installed.config if installed is not None and settings is get_settings() else None
    return given or _config_of(settings)


@_registry.ByIdentity
def _config_of(settings: Settings) -> CacheConfig:
    try:
        return settings.to_cache_config()
    except ValidationError as exc:  # a mistake of the application's, not the client's: 500, not 422
        raise ConfigurationError(f"the settings can't be used: {exc.message}", exc.context) from exc


async def validate_cache_configuration(config: CacheConfig = Depends(get_cache_config)) -> CacheConfig:
    """Return the configuration if it is valid.

    Raises:
        ValidationError: It is not; `context["errors"]` holds every reason.
    """
    return _valid(config)


def _valid(config: CacheConfig) -> CacheConfig:
    errors = _expect_config(config).validate().errors
    if errors:
        raise ValidationError("; ".join(errors), {"errors": list(errors)})
    return config


def _expect_config(config: CacheConfig) -> CacheConfig:
    """Refuse FastAPI's marker, which these functions get if they are called by hand without arguments."""
    if not isinstance(config, CacheConfig):
        raise ValidationError(f"config is {type(config).__name__}, not a CacheConfig")
    return config


def _own(config: CacheConfig) -> CacheConfig:
    """Return `config` as this application's: another one of the process has the same default name."""
    installed = _application.installed.get()
    return _expect_config(config) if installed is None else installed.own(_expect_config(config))


# --- what is derived from it: for web responses, for AI, for tests --------------------------------------

_DEFAULTS: Final = CacheConfig()
_TUNED: Final = ("default_ttl", "memory_cache_size", "compression_threshold", "compression_level")

_TEST: Final = replace(TESTING, redis_url=None)
_FALLBACK: Final = replace(_DEFAULTS, name="fallback")


def _named(config: CacheConfig, purpose: str) -> str:
    """Return a name, and with it a key space, of its own for each purpose."""
    return purpose if config.name == _DEFAULTS.name else f"{config.name}.{purpose}"


@_registry.ByIdentity  # once for each configuration: the registry finds a cache by the configuration's identity first
def _for_web(config: CacheConfig) -> CacheConfig:
    left_alone = [name for name in _TUNED if getattr(config, name) == getattr(_DEFAULTS, name)]
    tuning: dict[str, Any] = {name: getattr(WEB, name) for name in left_alone}
    return replace(config, **tuning, name=_named(config, "web"), ai_config=None)


@_registry.ByIdentity
def _for_ai(config: CacheConfig) -> CacheConfig:
    return replace(config, name=_named(config, "ai"), ai_config=config.ai_config or AICacheConfig())


@_registry.ByIdentity
def _in_memory(config: CacheConfig) -> CacheConfig:
    return replace(config, redis_url=None, fail_on_connection_error=False)


@lru_cache(maxsize=8)
def _test_redis(url: str) -> CacheConfig:
    return replace(TESTING, redis_url=url)


# --- caches ---------------------------------------------------------------------------------------------


async def get_cache_service(config: CacheConfig = Depends(get_cache_config)) -> Cache:
    """Return the application's cache, as its configuration says; an AI cache if that has AI options.

    Raises:
        ValidationError: The configuration is not valid.
        InfrastructureError: Redis can't be reached and `fail_on_connection_error` is on.
    """
    return await _open(config)


async def get_web_cache_service(config: CacheConfig = Depends(get_cache_config)) -> Cache:
    """Return a cache for web responses on the same Redis: the web profile, except where `config` says otherwise."""
    return await _open(_for_web(_own(config)))


async def get_ai_cache_service(config: CacheConfig = Depends(get_cache_config)) -> Cache:
    """Return a cache for AI responses on the same Redis; default AI options if `config` has none."""
    return await _open(_for_ai(_own(config)))


async def get_test_cache() -> Cache:
    """Return a cache in memory for tests: short times to live, empty for each event loop."""
    return await _open(_TEST)


async def get_test_redis_cache() -> Cache:
    """Return a cache for tests on a real Redis, or in memory as long as Redis can't be reached."""
    url = os.environ.get("OTCACHE_TEST_REDIS_URL") or os.environ.get("TEST_REDIS_URL") or TEST_REDIS_URL
    return await _open(_test_redis(url))


async def get_fallback_cache_service() -> Cache:
    """Return a cache in memory that depends on nothing: no Redis, no settings."""
    installed = _application.installed.get()
    return await _open(_FALLBACK if installed is None else installed.apart(_FALLBACK))


async def redis_wanted() -> bool:
    """Decide whether `get_cache_service_conditional` uses Redis; override it for an application or a request."""
    return True


async def get_cache_service_conditional(
    # resolved by a dependency: as a plain parameter it would be a query parameter, and a client's to decide
    use_redis: Annotated[bool, Depends(redis_wanted)] = True,
    config: CacheConfig = Depends(get_cache_config),
) -> Cache:
    """Return the application's cache, or the same without Redis. No client can choose: see `redis_wanted`."""
    return await _open(_expect_config(config) if use_redis else _in_memory(_expect_config(config)))


async def _open(config: CacheConfig) -> Cache:
    return await (await _registry.current()).get(_own(config))


# --- closing and health ---------------------------------------------------------------------------------


async def cleanup_cache_registry() -> dict[str, Any]:
    """Close every cache of the running event loop; the next request opens new ones.

    Returns:
        `status` (completed, or partial if a cache could not be closed), `total_entries`, `closed` and
        `errors` (the name of the cache and the class of the error).
    """
    closing = await (await _registry.current()).close()
    return {
        "status": "partial" if closing.errors else "completed",
        "total_entries": closing.closed + len(closing.errors),
        "closed": closing.closed,
        "errors": closing.errors,
    }


async def get_cache_health_status(cache: CacheInterface = Depends(get_cache_service)) -> dict[str, Any]:
    """Return the health of the cache, tier by tier: a Redis outage with a working L1 is degraded."""
    return await health_of(cache)


# --- an application -------------------------------------------------------------------------------------


@asynccontextmanager
async def cache_lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the application's cache before the first request, and close all caches after the last.

    `FastAPI(lifespan=cache_lifespan)`, or `async with cache_lifespan(app): yield` inside another lifespan.
    Without Redis the application starts, too; a configuration that can't be used keeps it from starting.

    Raises:
        ConfigurationError: The settings can't be used, or a public route can't be public.
        ValidationError: The configuration is not valid.
    """
    for check in _application.start_checks:
        check(app)
    caches = await _registry.current()
    caches.leases += 1
    try:
        await _warm(app)
        yield
    finally:
        caches.leases -= 1
        if not caches.leases:
            await caches.close()


async def _warm(app: FastAPI) -> None:
    """Open the application's cache now, unless only a request can tell which one it is."""
    if get_cache_service in app.dependency_overrides:
        return
    config = await _config_at_startup(app)
    if config is None:
        return
    try:
        await _open(config)
    except InfrastructureError as exc:  # with fail_on_connection_error: requests get 503 until Redis is there
        _application.log.warning("started without a cache: %s", exc.message)


async def _config_at_startup(app: FastAPI) -> CacheConfig | None:
    overrides = app.dependency_overrides
    if get_cache_config in overrides:
        config: CacheConfig | None = await _application.call_alone(overrides[get_cache_config])
        return config
    settings: Settings | None = await _application.call_alone(overrides.get(get_settings, get_settings))
    return None if settings is None else await get_cache_config(settings)


def install_cache(
    app: FastAPI,
    *,
    config: CacheConfig | None = None,
    health_path: str | None = HEALTH_PATH,
    public_routes: Iterable[str] = (),
) -> None:
    """Add a cache to an application: lifespan, error answers and a health route.

    The application's own lifespan runs inside ours: it finds the caches open, and they close after it.
    Errors of a cache are answered with 422, 500 or 503 (`get_http_status_for_exception`), unless the
    application has handlers for them. The health route answers 200, or 503 when no tier works.
    A second application of the process on the same Redis, or in memory, has caches of its own (`default-2`), unless
    its configuration has a `name`.

    Args:
        app: The application, before it is started.
        config: Its configuration; `None` reads the environment (`OTCACHE_...`).
        health_path: The path of the health route; `None` for no such route.
        public_routes: Paths of cached routes whose responses CDNs and proxies may keep, as `public=True` says of one:
            `"/products/{product_id}"`, or with `*` for anything: `"/catalog/*"`. Checked at the start.

    Raises:
        ValidationError: `config` is not a valid configuration.
        ConfigurationError: The application has a route at `health_path`, or a public route is no path.
    """
    _application.public_routes[app] = _paths(public_routes)
    installed = _application.Installed(None if config is None else _valid(config), _application.number_of(app, config))
    app.add_middleware(_application.Configured, installed=installed)
    app.exception_handlers.setdefault(CacheError, _application.answer_error)
    _application.wrap_lifespan(app, cache_lifespan)
    _application.guard(app)
    if health_path is not None:
        _application.add_health_route(app, health_path, get_cache_health_status)


def _paths(public_routes: Iterable[str]) -> tuple[str, ...]:
    if isinstance(public_routes, str):
        raise ConfigurationError(f"public_routes is one string: write public_routes=[{public_routes!r}]")
    paths = tuple(public_routes)
    for path in paths:
        if not isinstance(path, str) or not path.startswith(("/", "*")):
            raise ConfigurationError(f'public_routes has {path!r}: write a route\'s path, such as "/products/{{id}}"')
    return paths
