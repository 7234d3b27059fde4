"""Several applications in one process: each has caches of its own, unless they are given a name to share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from otcache import CacheConfig
from otcache.base import CacheInterface
from otcache.dependencies import (
    get_ai_cache_service,
    get_cache_config,
    get_cache_service,
    get_cache_service_conditional,
    get_fallback_cache_service,
    get_web_cache_service,
    install_cache,
)
from otcache.http import cached_endpoint
from tests.servers import RedisServer

SERVICES = [
    get_cache_service,
    get_web_cache_service,
    get_ai_cache_service,
    get_cache_service_conditional,
    get_fallback_cache_service,
]


def application(own: str, config: CacheConfig | None, service: Callable[..., Any] = get_cache_service) -> FastAPI:
    """One whose routes keep what is `own` to it under the same key as every other's."""
    app = FastAPI()
    install_cache(app, config=config)

    @app.get("/keep")
    async def keep(cache: CacheInterface = Depends(service)) -> str:
        await cache.set("key", own)
        return own

    @app.get("/kept")
    async def kept(cache: CacheInterface = Depends(service)) -> Any:
        return await cache.get("key")

    return app


async def ask(app: FastAPI, path: str) -> Any:
    transport = httpx.ASGITransport(app=app)  # in this event loop, as for applications that are mounted
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return (await client.get(path)).json()


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("where", ["environment", "memory", "redis"])
async def test_neither_reads_what_the_other_keeps(
    service: Callable[..., Any], where: str, redis_server: RedisServer, prefix: str
) -> None:
    on_redis = {"redis_url": redis_server.url, "key_prefix": prefix, "timeout": 20.0}
    options: dict[str, Any] = on_redis if where == "redis" else {}
    one, two = (
        application(own, None if where == "environment" else CacheConfig(**options), service) for own in ("one", "two")
    )

    await ask(one, "/keep")

    assert await ask(one, "/kept") == "one"
    assert await ask(two, "/kept") is None
    await ask(two, "/keep")
    assert await ask(one, "/kept") == "one"


async def test_the_environment_and_the_same_by_hand_are_told_apart_too() -> None:
    one, two = application("one", None), application("two", CacheConfig())

    await ask(one, "/keep")

    assert await ask(two, "/kept") is None


async def test_a_configuration_that_an_override_gives_is_no_name() -> None:
    config = CacheConfig()
    one, two = application("one", None), application("two", None)
    one.dependency_overrides[get_cache_config] = two.dependency_overrides[get_cache_config] = lambda: config

    await ask(one, "/keep")

    assert await ask(two, "/kept") is None


async def test_a_name_is_shared_on_purpose() -> None:
    one, two = (application(own, CacheConfig(name="shared")) for own in ("one", "two"))

    await ask(one, "/keep")

    assert await ask(two, "/kept") == "one"


async def test_an_application_that_is_mounted_has_its_own() -> None:
    whole, part = application("whole", CacheConfig()), application("part", CacheConfig())
    whole.mount("/part", part)

    await ask(whole, "/keep")

    assert await ask(whole, "/part/kept") is None
    await ask(whole, "/part/keep")
    assert [await ask(whole, path) for path in ("/kept", "/part/kept")] == ["whole", "part"]


async def test_one_that_is_made_again_finds_what_it_kept(redis_server: RedisServer, prefix: str) -> None:
    """The numbers do not grow: a process that makes its application anew is as one that is started anew."""
    config = CacheConfig(redis_url=redis_server.url, key_prefix=prefix, timeout=20.0)

    for own in ("first", "second"):
        app = application(own, config)
        await ask(app, "/keep")
        assert await ask(app, "/kept") == own
        app.router.routes.clear()  # an application and its routes are a ring
        del app

    assert redis_server.command("KEYS", f"{prefix}*:key") == [f"{prefix}default:key".encode()]


def settings() -> str:
    raise NotImplementedError


@cached_endpoint(ttl=60)
async def shown(setting: str = Depends(settings)) -> str:
    return setting


async def test_one_endpoint_in_two_applications_is_answered_by_each() -> None:
    apps = []
    for own in ("one", "two"):
        app = FastAPI()
        app.get("/status")(shown)
        app.dependency_overrides[settings] = lambda own=own: own
        install_cache(app)
        apps.append(app)

    assert [await ask(app, "/status") for app in apps * 2] == ["one", "two"] * 2
