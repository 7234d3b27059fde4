"""An application through the life of its Redis: absent, there, killed, back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from otcache.base import CacheInterface
from otcache.config import CacheConfig
from otcache.dependencies import cache_lifespan, get_cache_service, install_cache
from otcache.memory import InMemoryCache
from tests.servers import RedisServer, wait_for

PASSWORD = "hunter2-of-the-server"


@pytest.fixture
def server(start: Callable[[RedisServer], RedisServer]) -> RedisServer:
    """A server with a password, which the test may kill."""
    return start(RedisServer("valkey", password=PASSWORD))


@pytest.fixture
async def client(server: RedisServer, prefix: str) -> AsyncIterator[httpx.AsyncClient]:
    """An application on that server; it is started when the test asks first, without a lifespan."""
    app = FastAPI()
    url = server.url.replace("redis://", f"redis://:{PASSWORD}@")
    install_cache(app, config=CacheConfig(redis_url=url, key_prefix=prefix, breaker_probe_seconds=0.05))

    @app.get("/{word}")
    async def read(word: str, cache: CacheInterface = Depends(get_cache_service)) -> dict[str, Any]:
        seen = await cache.get(word)
        await cache.set(word, True)
        return {"seen": seen, "class": type(cache).__name__}

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        yield client


async def _health(client: httpx.AsyncClient) -> str:
    status: str = (await client.get("/health/cache")).json()["status"]
    return status


async def _until_healthy(client: httpx.AsyncClient, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while await _health(client) != "healthy":
        assert time.monotonic() < deadline, "it never became healthy"
        await asyncio.sleep(0.01)


async def test_an_application_that_starts_before_its_redis_uses_it_as_soon_as_it_is_there(
    server: RedisServer, client: httpx.AsyncClient, prefix: str
) -> None:
    server.kill()
    before = (await client.get("/word")).json(), await _health(client)

    server.start()
    await _until_healthy(client)
    await client.get("/other")

    assert before == ({"seen": None, "class": "InMemoryCache"}, "degraded")
    assert server.command("EXISTS", f"{prefix}default:other") == 1


async def test_a_killed_redis_is_degraded_and_a_returned_one_healthy(
    server: RedisServer, client: httpx.AsyncClient
) -> None:
    await client.get("/word")
    healthy = await _health(client)

    server.kill()
    during = await client.get("/health/cache")
    answer = await client.get("/word")
    server.start()
    await _until_healthy(client)

    assert healthy == "healthy"
    assert (during.status_code, during.json()["status"]) == (200, "degraded")
    assert during.json()["tiers"]["l2"]["status"] == "unhealthy"
    assert (answer.status_code, answer.json()["seen"]) == (200, True)
    assert PASSWORD not in during.text + answer.text


async def test_a_cache_without_memory_is_unhealthy_while_its_redis_is_paused(server: RedisServer) -> None:
    app = FastAPI()
    url = server.url.replace("redis://", f"redis://:{PASSWORD}@")
    install_cache(app, config=CacheConfig(redis_url=url, enable_l1_cache=False, timeout=0.1))
    transport = httpx.ASGITransport(app=app)

    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert await _health(client) == "healthy"
        with server.paused():
            answer = await client.get("/health/cache")

    assert (answer.status_code, answer.json()["status"]) == (503, "unhealthy")
    assert answer.json()["tiers"]["l2"]["error"] == "TimeoutError"


async def test_starting_and_ending_an_application_leaves_no_connection(server: RedisServer) -> None:
    app = FastAPI()
    url = server.url.replace("redis://", f"redis://:{PASSWORD}@")
    install_cache(app, config=CacheConfig(redis_url=url))
    before = server.clients()

    async with app.router.lifespan_context(app):
        cache = await get_cache_service(CacheConfig(redis_url=url))
        await cache.set("key", 1)
        during = server.clients()

    assert during > before
    wait_for(lambda: server.clients() == before, "its connections were closed", 2.0)


async def test_a_lifespan_that_starts_without_redis_ends_without_it(server: RedisServer) -> None:
    server.kill()
    app = FastAPI()

    async with cache_lifespan(app):
        cache = await get_cache_service(CacheConfig(redis_url=server.url))

    assert isinstance(cache, InMemoryCache)


async def test_an_application_that_insists_on_redis_answers_503_until_it_is_there(
    server: RedisServer, prefix: str
) -> None:
    server.kill()
    config = CacheConfig(
        redis_url=server.url, redis_password=PASSWORD, key_prefix=prefix, fail_on_connection_error=True
    )
    app = FastAPI()
    install_cache(app, config=config)
    transport = httpx.ASGITransport(app=app)

    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        before = await client.get("/health/cache")
        server.start()
        after = await client.get("/health/cache")

    assert (before.status_code, before.json()["type"]) == (503, "InfrastructureError")
    assert (after.status_code, after.json()["cache_type"]) == (200, "GenericRedisCache")
