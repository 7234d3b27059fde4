"""The documented dependencies, asked through a FastAPI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Header

from otcache import dependencies as d
from otcache.ai import AIMemoryCache
from otcache.base import CacheInterface
from otcache.config import AICacheConfig, CacheConfig, Settings
from otcache.exceptions import ValidationError
from otcache.memory import InMemoryCache
from otcache.redis import GenericRedisCache
from tests.servers import RedisServer

CACHES = (
    d.get_cache_service,
    d.get_web_cache_service,
    d.get_ai_cache_service,
    d.get_test_cache,
    d.get_test_redis_cache,
    d.get_fallback_cache_service,
    d.get_cache_service_conditional,
)


@pytest.fixture
def app(away_url: str, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    """An application with a route per dependency; no Redis anywhere."""
    monkeypatch.setenv("OTCACHE_TEST_REDIS_URL", away_url)
    app = FastAPI()
    for dependency in CACHES:
        app.get(f"/{dependency.__name__}")(_describe(dependency))

    @app.get("/config")
    async def config(config: CacheConfig = Depends(d.get_cache_config)) -> dict[str, Any]:
        return {"default_ttl": config.default_ttl, "name": config.name}

    @app.get("/valid")
    async def valid(config: CacheConfig = Depends(d.validate_cache_configuration)) -> str:
        return config.name

    @app.get("/health")
    async def health(health: dict[str, Any] = Depends(d.get_cache_health_status)) -> dict[str, Any]:
        return health

    @app.post("/cleanup")
    async def cleanup(closing: dict[str, Any] = Depends(d.cleanup_cache_registry)) -> dict[str, Any]:
        return closing

    return app


def _describe(dependency: Callable[..., Any]) -> Callable[..., Any]:
    async def route(cache: CacheInterface = Depends(dependency)) -> dict[str, Any]:
        return {"class": type(cache).__name__, "name": getattr(cache, "name", None), "id": id(cache)}

    return route


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(
    ("dependency", "kind", "name"),
    [
        ("get_cache_service", "InMemoryCache", "default"),
        ("get_web_cache_service", "InMemoryCache", "web"),
        ("get_ai_cache_service", "AIMemoryCache", "ai"),
        ("get_test_cache", "InMemoryCache", "testing"),
        ("get_test_redis_cache", "InMemoryCache", "testing"),
        ("get_fallback_cache_service", "InMemoryCache", "fallback"),
        ("get_cache_service_conditional", "InMemoryCache", "default"),
    ],
)
async def test_each_dependency_gives_its_cache_and_the_same_one_again(
    client: httpx.AsyncClient, dependency: str, kind: str, name: str
) -> None:
    first = (await client.get(f"/{dependency}")).json()
    again = (await client.get(f"/{dependency}")).json()

    assert (first["class"], first["name"]) == (kind, name)
    assert again == first


@pytest.mark.parametrize("dependency", CACHES)
async def test_an_override_replaces_each_cache(
    app: FastAPI, client: httpx.AsyncClient, dependency: Callable[..., Any]
) -> None:
    mine = InMemoryCache(name="mine")
    app.dependency_overrides[dependency] = lambda: mine

    answer = await client.get(f"/{dependency.__name__}")

    assert answer.json()["id"] == id(mine)


async def test_an_override_of_the_settings_reaches_the_configuration_and_the_cache(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    options: dict[str, Any] = {"default_ttl": 7, "name": "overridden"}
    settings = Settings(**options)
    app.dependency_overrides[d.get_settings] = lambda: settings

    config, cache = await client.get("/config"), await client.get("/get_cache_service")

    assert config.json() == {"default_ttl": 7, "name": "overridden"}
    assert cache.json()["name"] == "overridden"


async def test_an_override_of_the_configuration_reaches_every_cache_made_from_it(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    app.dependency_overrides[d.get_cache_config] = lambda: CacheConfig(name="shop")

    paths = ("get_cache_service", "get_web_cache_service", "get_ai_cache_service", "get_cache_service_conditional")
    names = [(await client.get(f"/{path}")).json()["name"] for path in paths]

    assert names == ["shop", "shop.web", "shop.ai", "shop"]


@pytest.mark.parametrize(
    ("dependency", "path", "method"),
    [
        (d.validate_cache_configuration, "/valid", "GET"),
        (d.get_cache_health_status, "/health", "GET"),
        (d.cleanup_cache_registry, "/cleanup", "POST"),
    ],
)
async def test_an_override_replaces_every_other_dependency(
    app: FastAPI, client: httpx.AsyncClient, dependency: Callable[..., Any], path: str, method: str
) -> None:
    answer: Any = CacheConfig(name="mine") if path == "/valid" else {"mine": True}
    app.dependency_overrides[dependency] = lambda: answer

    response = await client.request(method, path)

    assert response.json() == ("mine" if path == "/valid" else {"mine": True})


async def test_concurrent_first_requests_are_given_one_cache(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.get("/get_test_redis_cache") for _ in range(20)))

    assert len({answer.json()["id"] for answer in answers}) == 1


@pytest.mark.parametrize("attack", ["use_redis=false", "use_redis=0", "redis_wanted=false", "config=x"])
async def test_no_query_parameter_switches_redis_off(
    app: FastAPI, client: httpx.AsyncClient, away_url: str, attack: str
) -> None:
    config = CacheConfig(redis_url=away_url)
    app.dependency_overrides[d.get_cache_config] = lambda: config
    with_redis = (await client.get("/get_cache_service")).json()["id"]

    attacked = await client.get(f"/get_cache_service_conditional?{attack}")

    assert attacked.json()["id"] == with_redis
    assert "parameters" not in app.openapi()["paths"]["/get_cache_service_conditional"]["get"]


async def test_an_application_can_choose_memory_per_request(app: FastAPI, client: httpx.AsyncClient) -> None:
    async def by_plan(plan: Annotated[str, Header()]) -> bool:
        return plan == "paid"

    config = CacheConfig(redis_url="redis://127.0.0.1:1", timeout=0.1)
    app.dependency_overrides |= {d.get_cache_config: lambda: config, d.redis_wanted: by_plan}

    free = (await client.get("/get_cache_service_conditional", headers={"plan": "free"})).json()
    paid = (await client.get("/get_cache_service_conditional", headers={"plan": "paid"})).json()

    assert free["id"] != paid["id"]


async def test_called_by_hand_the_conditional_dependency_takes_its_arguments(away_url: str) -> None:
    config = CacheConfig(redis_url=away_url, fail_on_connection_error=True)

    cache = await d.get_cache_service_conditional(use_redis=False, config=config)

    assert isinstance(cache, InMemoryCache)
    assert cache.config.redis_url is None


async def test_called_by_hand_without_a_configuration_they_say_what_is_missing() -> None:
    with pytest.raises(ValidationError, match="not a CacheConfig"):
        await d.get_cache_service()


async def test_the_web_cache_keeps_what_the_configuration_sets_and_tunes_the_rest() -> None:
    cache = await d.get_web_cache_service(CacheConfig(default_ttl=5, ai_config=AICacheConfig()))

    assert isinstance(cache, InMemoryCache)
    assert not isinstance(cache, AIMemoryCache)
    assert (cache.config.default_ttl, cache.config.memory_cache_size) == (5, 200)


async def test_the_primary_cache_is_an_ai_cache_if_its_configuration_has_ai_options() -> None:
    cache = await d.get_cache_service(CacheConfig(ai_config=AICacheConfig(text_hash_threshold=9)))

    assert isinstance(cache, AIMemoryCache)
    assert cache.ai_config.text_hash_threshold == 9


@pytest.mark.parametrize("variable", ["OTCACHE_TEST_REDIS_URL", "TEST_REDIS_URL"])
async def test_the_redis_cache_for_tests_is_on_the_redis_that_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer, variable: str
) -> None:
    monkeypatch.setenv(variable, redis_server.url)

    cache = await d.get_test_redis_cache()
    await cache.set(variable, 1)

    assert isinstance(cache, GenericRedisCache)
    assert redis_server.command("EXISTS", f"otcache:testing:{variable}") == 1


async def test_settings_are_read_once_and_again_when_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTCACHE_DEFAULT_TTL", "11")
    first = d.get_settings()
    monkeypatch.setenv("OTCACHE_DEFAULT_TTL", "22")

    same = d.get_settings()
    d.get_settings.cache_clear()
    config = await d.get_cache_config(d.get_settings())

    assert same is first
    assert config.default_ttl == 22


@pytest.mark.parametrize("value", ["often", "-1"])
async def test_bad_settings_are_the_servers_mistake_and_not_the_clients(
    app: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    d.install_cache(app)
    monkeypatch.setenv("OTCACHE_DEFAULT_TTL", value)

    answer = await client.get("/get_cache_service")

    assert (answer.status_code, answer.json()["type"]) == (500, "ConfigurationError")
    assert "default_ttl" not in answer.text.lower()


async def test_an_invalid_configuration_is_refused_with_every_reason() -> None:
    config = CacheConfig()
    object.__setattr__(config, "default_ttl", -1)
    object.__setattr__(config, "compression_level", 12)

    with pytest.raises(ValidationError) as refused:
        await d.validate_cache_configuration(config)

    assert len(refused.value.context["errors"]) == 2
    assert await d.validate_cache_configuration(CacheConfig()) == CacheConfig()


async def test_cleanup_counts_what_it_closed_and_the_next_request_opens_new_caches(client: httpx.AsyncClient) -> None:
    await client.get("/get_cache_service")
    await client.get("/get_web_cache_service")

    closing = (await client.post("/cleanup")).json()

    assert closing == {"status": "completed", "total_entries": 2, "closed": 2, "errors": []}
    await client.get("/get_cache_service")
    assert (await client.post("/cleanup")).json()["total_entries"] == 1
