"""`install_cache`: two lines make an application cached and observed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, WebSocket
from fastapi.testclient import TestClient

from otcache.base import CacheInterface
from otcache.config import CacheConfig, Settings
from otcache.dependencies import _registry as registry
from otcache.dependencies import (
    cache_lifespan,
    get_cache_config,
    get_cache_service,
    get_settings,
    install_cache,
)
from otcache.exceptions import ConfigurationError, InfrastructureError, ValidationError
from otcache.memory import InMemoryCache

MEMORY = CacheConfig(name="installed")


def _with_routes(app: FastAPI) -> FastAPI:
    @app.get("/{word}")
    async def read(word: str, cache: CacheInterface = Depends(get_cache_service)) -> dict[str, Any]:
        seen = await cache.get(word)
        await cache.set(word, True)
        return {"seen": seen, "name": getattr(cache, "name", None)}

    return app


def test_two_lines_make_an_application_cached_and_observed() -> None:
    app = _with_routes(FastAPI())
    install_cache(app)

    with TestClient(app) as client:
        answers = [client.get("/word").json()["seen"] for _ in range(2)]
        health = client.get("/health/cache")

    assert answers == [None, True]
    assert health.status_code == 200
    assert health.json()["status"] == "healthy"
    assert health.json().keys() == {"status", "cache_type", "tiers", "statistics", "checked_at"}


async def test_it_works_without_a_lifespan() -> None:
    app = _with_routes(FastAPI())
    install_cache(app, config=MEMORY)
    transport = httpx.ASGITransport(app=app)  # sends no lifespan events

    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answers = [(await client.get("/word")).json() for _ in range(2)]

    assert answers == [{"seen": None, "name": "installed"}, {"seen": True, "name": "installed"}]


def test_requests_that_each_have_their_own_event_loop_are_answered_too() -> None:
    app = _with_routes(FastAPI())
    install_cache(app, config=MEMORY)
    client = TestClient(app)  # not entered: every request runs in a new loop

    statuses = [client.get(path).status_code for path in ("/word", "/word", "/health/cache")]

    assert statuses == [200, 200, 200]
    assert not [loop for loop in registry._registries if not loop.is_running()]


def test_the_lifespan_of_the_application_runs_inside_ours_and_keeps_its_state() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        cache = await get_cache_service(MEMORY)
        yield {"answer": 42}
        await cache.set("last words", 1)  # the cache is still open
        events.append(str(await cache.get("last words")))

    app = _with_routes(FastAPI(lifespan=own))
    install_cache(app, config=MEMORY)

    with TestClient(app) as client:
        state = client.app_state
        client.get("/word")

    assert state == {"answer": 42}
    assert events == ["1"]


def test_handlers_of_the_application_for_start_and_stop_still_run() -> None:
    events: list[str] = []
    app = FastAPI()
    app.router.on_startup.append(lambda: events.append("start"))
    app.router.on_shutdown.append(lambda: events.append("stop"))
    install_cache(app, config=MEMORY)

    with TestClient(app):
        pass

    assert events == ["start", "stop"]


async def test_a_lifespan_can_be_composed_by_hand_and_closes_what_it_opened() -> None:
    app = FastAPI()

    async with cache_lifespan(app):
        built = await get_cache_service(CacheConfig())
        again = await get_cache_service(CacheConfig())
    after = await get_cache_service(CacheConfig())

    assert built is again
    assert after is not built


async def test_two_applications_on_one_loop_share_a_cache_until_the_last_one_ends() -> None:
    async with cache_lifespan(FastAPI()):
        built = await get_cache_service(CacheConfig())
        async with cache_lifespan(FastAPI()):
            pass
        still = await get_cache_service(CacheConfig())

    assert still is built


async def test_the_primary_cache_is_built_before_the_first_request() -> None:
    app = FastAPI()
    app.dependency_overrides[get_cache_config] = lambda: MEMORY

    async with cache_lifespan(app):
        closing = await (await registry.current()).close()

    assert closing.closed == 1


async def test_overrides_that_need_a_request_leave_building_to_the_first_one() -> None:
    app = FastAPI()
    app.dependency_overrides[get_cache_config] = lambda q: MEMORY

    async with cache_lifespan(app):
        closing = await (await registry.current()).close()

    assert closing.closed == 0


def test_an_overridden_cache_is_the_only_one_that_is_built() -> None:
    mine = InMemoryCache(name="mine")
    app = _with_routes(FastAPI())
    install_cache(app, config=MEMORY)
    app.dependency_overrides[get_cache_service] = lambda: mine

    with TestClient(app) as client:
        names = {client.get("/word").json()["name"], client.get("/health/cache").json()["statistics"]["name"]}

    assert names == {"mine"}


def test_settings_of_an_override_win_over_the_installed_configuration() -> None:
    options: dict[str, Any] = {"name": "overridden"}
    settings = Settings(**options)
    app = _with_routes(FastAPI())
    install_cache(app, config=MEMORY)
    app.dependency_overrides[get_settings] = lambda: settings

    with TestClient(app) as client:
        overridden = client.get("/word").json()["name"]
        app.dependency_overrides.clear()
        restored = client.get("/word").json()["name"]

    assert (overridden, restored) == ("overridden", "installed")


def test_the_health_route_is_found_behind_a_route_that_catches_everything() -> None:
    app = FastAPI()

    @app.get("/{rest:path}")
    async def everything(rest: str) -> str:
        return rest

    install_cache(app, config=MEMORY, health_path="/ready")

    with TestClient(app) as client:
        health, rest = client.get("/ready").json(), client.get("/a/b").json()

    assert health["status"] == "healthy"
    assert rest == "a/b"


def test_a_health_path_that_is_taken_is_refused_and_none_adds_no_route() -> None:
    app = FastAPI()
    install_cache(app)

    with pytest.raises(ConfigurationError, match="/health/cache"):
        install_cache(app)

    bare = FastAPI()
    install_cache(bare, health_path=None)
    assert TestClient(bare).get("/health/cache").status_code == 404


RAISED = {
    "validation": (ValidationError("a value of type shop.models.User can't be cached: hunter2"), 422),
    "configuration": (ConfigurationError("OTCACHE_REDIS_URL: no host in redis://:***@", {"secret": "hunter2"}), 500),
    "infrastructure": (InfrastructureError("redis://10.0.0.7 is away", {"redis_url": "redis://10.0.0.7"}), 503),
}


@pytest.mark.parametrize("which", RAISED)
def test_errors_are_answered_with_their_status_and_tell_a_client_nothing_internal(which: str) -> None:
    error, status = RAISED[which]
    app = FastAPI()
    install_cache(app, config=MEMORY)

    @app.get("/raise")
    async def fail() -> None:
        raise error

    with TestClient(app) as client:
        answer = client.get("/raise")

    assert (answer.status_code, answer.json()["type"]) == (status, type(error).__name__)
    assert error.message not in answer.text
    assert "hunter2" not in answer.text


def test_a_handler_of_the_application_for_an_error_stays() -> None:
    app = FastAPI()
    install_cache(app, config=MEMORY)

    @app.exception_handler(InfrastructureError)
    async def mine(request: Any, exc: Exception) -> Any:
        from fastapi.responses import PlainTextResponse

        return PlainTextResponse("mine", 418)

    @app.get("/raise")
    async def fail() -> None:
        raise InfrastructureError("away")

    with TestClient(app) as client:
        assert client.get("/raise").status_code == 418


def test_an_error_in_a_websocket_is_not_swallowed() -> None:
    app = FastAPI()
    install_cache(app, config=MEMORY)

    @app.websocket("/ws")
    async def fail(socket: WebSocket) -> None:
        raise InfrastructureError("away")

    with TestClient(app) as client, pytest.raises(InfrastructureError), client.websocket_connect("/ws"):
        pass


def test_a_bad_configuration_is_refused_before_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTCACHE_DEFAULT_TTL", "often")
    app = FastAPI()
    install_cache(app)

    with pytest.raises(ConfigurationError, match="OTCACHE_DEFAULT_TTL"), TestClient(app):
        pass


@pytest.mark.parametrize("strict", [False, True])
def test_an_application_starts_without_its_redis(away_url: str, strict: bool) -> None:
    app = _with_routes(FastAPI())
    install_cache(app, config=CacheConfig(redis_url=away_url, fail_on_connection_error=strict))

    with TestClient(app) as client:
        word, health = client.get("/word"), client.get("/health/cache")

    assert word.status_code == (503 if strict else 200)
    assert health.status_code == (503 if strict else 200)
    assert health.json().get("status") == (None if strict else "degraded")
    assert "hunter2" not in word.text + health.text
