"""What people do by mistake, or where they run it, ends in an answer that helps."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from otcache import CacheConfig, CacheFactory, InMemoryCache, Settings, cached, install_cache
from otcache.exceptions import CacheError, InfrastructureError
from tests.cases.expected import fails_until, given, wrong_if_raised
from tests.servers import RedisServer

# --- where it runs ----------------------------------------------------------------------------------------

SERVICE = {
    "OTCACHE_SERVICE_HOST": "10.0.0.1",
    "OTCACHE_SERVICE_PORT": "6379",
    "OTCACHE_SERVICE_PORT_REDIS": "6379",
    "OTCACHE_PORT": "tcp://10.0.0.1:6379",
    "OTCACHE_PORT_6379_TCP_ADDR": "10.0.0.1",
}


def test_a_kubernetes_service_may_be_called_otcache(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVICE.items():
        monkeypatch.setenv(name, value)
    app = FastAPI()

    with wrong_if_raised(CacheError):
        install_cache(app)
        with TestClient(app) as client:
            answer = client.get("/health/cache")

    assert answer.status_code == 200


def test_a_variable_that_nobody_knows_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTCACHE_DEFAULT_TLL", "5")

    with warnings.catch_warnings(), wrong_if_raised(CacheError):
        warnings.simplefilter("ignore")
        settings = Settings()

    assert settings.to_cache_config().default_ttl == CacheConfig().default_ttl


# --- installing it ----------------------------------------------------------------------------------------


def needs_a_key(x_key: Annotated[str, Header()]) -> str:
    return x_key


@pytest.mark.parametrize("what", ["schema", "guard", "statistics"])
@fails_until(16, "the health route is in OpenAPI, behind the application's dependencies, and shows statistics")
def test_the_health_route_is_apart_from_the_application(what: str) -> None:
    app = FastAPI(dependencies=[Depends(needs_a_key)])
    install_cache(app, config=CacheConfig())

    with TestClient(app) as client:
        answer = client.get("/health/cache", headers={} if what == "guard" else {"x-key": "1"})
        paths = client.get("/openapi.json").json()["paths"]

    wrong = {
        "schema": "/health/cache" in paths,
        "guard": answer.status_code != 200,
        "statistics": "hits" in answer.text,
    }
    assert not wrong[what]


def operation_id(route: APIRoute) -> str:
    return f"{route.tags[0]}-{route.name}"  # as a well-known template has it: all its routes have tags


@fails_until(16, "an application that makes its own operation ids can't install it")
def test_it_is_installed_where_operation_ids_are_made_of_tags() -> None:
    app = FastAPI(generate_unique_id_function=operation_id)

    with wrong_if_raised(IndexError):
        install_cache(app, config=CacheConfig())


@fails_until(16, "a router instead of an application is an AttributeError of ours")
def test_a_router_is_no_application_and_that_is_said() -> None:
    router: Any = APIRouter()

    told = _told(lambda: install_cache(router))

    assert "AttributeError" not in told
    assert "FastAPI" in told


# --- what is said of a mistake ----------------------------------------------------------------------------


def _told(mistake: Callable[[], object]) -> str:
    """The type and the words of what a mistake ends in; nothing if it ends in nothing."""
    try:
        mistake()
    except Exception as exc:  # noqa: BLE001  which one it is, is what the test asks
        return f"{type(exc).__name__}: {exc}"
    return ""


async def _told_later(mistake: Callable[[], Awaitable[object]]) -> str:
    try:
        await mistake()
    except Exception as exc:  # noqa: BLE001  which one it is, is what the test asks
        return f"{type(exc).__name__}: {exc}"
    return ""


@pytest.mark.parametrize("password", [None, "wrong"], ids=["none", "wrong"])
@fails_until(16, "a password that is missing or wrong is told as a server that does not answer")
async def test_a_password_that_redis_wants_is_asked_for(
    start: Callable[[RedisServer], RedisServer], password: str | None
) -> None:
    server = start(RedisServer(password="right"))
    options: dict[str, Any] = {"redis_url": server.url, "redis_password": password, "timeout": 10.0}

    told = await _told_later(lambda: CacheFactory().for_web_app(fail_on_connection_error=True, **options))

    given(told.startswith(InfrastructureError.__name__), "a refusal")
    assert "redis_password" in told


async def expire_of_set() -> str:
    cache: Any = InMemoryCache()
    async with cache:
        return await _told_later(lambda: cache.set("key", "value", expire=60))


async def expire_of_cached() -> str:
    decorate: Any = cached
    return _told(lambda: decorate("key", cache=InMemoryCache(), expire=60))


@pytest.mark.parametrize("mistake", [expire_of_set, expire_of_cached], ids=["set", "cached"])
@fails_until(16, "who writes expire=, as in other libraries, is not told of ttl=")
async def test_who_says_expire_is_told_of_ttl(mistake: Callable[[], Awaitable[str]]) -> None:
    assert "ttl" in await mistake()


@fails_until(16, "a cache that was closed answers as if nothing were there")
async def test_use_after_close_is_told(caplog: pytest.LogCaptureFixture) -> None:
    cache = InMemoryCache()
    await cache.set("key", "value")
    await cache.close()
    caplog.clear()

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        told = await _told_later(lambda: cache.get("key"))

    assert told or warned or caplog.records


# MichaCo/CacheManager #215, kvcache-ai/Mooncake #2248
@fails_until(16, "a new cache tells of what another one of its name has done")
async def test_statistics_begin_with_the_cache() -> None:
    async with InMemoryCache(name="statistics") as earlier:
        await earlier.set("key", "value")
        await earlier.get("key")
        await earlier.get("absent")

    async with InMemoryCache(name="statistics") as cache:
        statistics = cache.get_stats()

    assert not any(statistics["hits"].values())
    assert not any(statistics["misses"].values())
