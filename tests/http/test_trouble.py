"""Trouble with the cache never fails a request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from otcache import GenericRedisCache
from otcache.http import cached_endpoint
from tests.http.app import Shop, status_of
from tests.servers import RedisServer


@pytest.fixture
def redis(start: Callable[[RedisServer], RedisServer]) -> RedisServer:
    """A server of the test's own."""
    return start(RedisServer("valkey"))


@pytest.fixture
async def shop(redis: RedisServer, prefix: str) -> AsyncIterator[Shop]:
    """An application whose cache has only Redis."""
    cache = GenericRedisCache(redis_url=redis.url, key_prefix=prefix, timeout=5.0, enable_l1_cache=False)
    shop = Shop(cache)
    shop.get("/{item}", cached_endpoint(ttl=60)(lambda item: shop.run()))
    yield shop
    await cache.close()


async def test_while_redis_is_away_the_endpoint_answers(
    shop: Shop, client: httpx.AsyncClient, redis: RedisServer
) -> None:
    before = [await client.get("/a") for _ in range(2)]
    redis.kill()
    during = [await client.get("/a") for _ in range(2)]

    assert [each.json() for each in before] == [1, 1]
    assert [(each.status_code, each.json()) for each in during] == [(200, 2), (200, 3)]
    assert {status_of(each)["fwd"] for each in during} == {"uri-miss"}


async def test_a_response_from_redis_is_the_one_that_was_made(shop: Shop, client: httpx.AsyncClient) -> None:
    made, kept = [await client.get("/a") for _ in range(2)]

    assert (kept.content, kept.headers["etag"]) == (made.content, made.headers["etag"])
    assert status_of(kept)["hit"] is True


async def test_a_value_of_something_else_is_no_answer(
    shop: Shop, client: httpx.AsyncClient, redis: RedisServer, prefix: str
) -> None:
    await client.get("/a")
    (key,) = redis.command("KEYS", f"{prefix}*:http:*")
    redis.command("SET", key, b"\xca not ours")

    answer = await client.get("/a")

    assert (answer.status_code, answer.json()) == (200, 2)
