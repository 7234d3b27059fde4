"""Every cached response is counted by its route and by what the cache did, and its trace shows why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import HTTPException

from otcache import InMemoryCache
from otcache.http import cached_endpoint
from otcache.telemetry import catalog
from otcache.testing import Capture, capture_telemetry
from tests.http.app import Shop


@pytest.fixture
def telemetry() -> Iterator[Capture]:
    """What is emitted during the test."""
    with capture_telemetry() as captured:
        yield captured


@pytest.fixture
def shop(telemetry: Capture) -> Shop:
    """An application whose cache reports to the test."""
    return Shop(InMemoryCache(name="web", providers=telemetry.providers))


def counted(telemetry: Capture) -> dict[tuple[str, str], Any]:
    """Responses by route and result."""
    points = telemetry.metrics()[catalog.HTTP_RESPONSES.name]
    names = (catalog.HTTP_ROUTE.name, catalog.RESULT.name)
    return {(str(p.attributes[names[0]]), str(p.attributes[names[1]])): p.value for p in points}


async def test_responses_are_counted_by_route_and_result(
    shop: Shop, client: httpx.AsyncClient, telemetry: Capture
) -> None:
    shop.get("/users/{user_id}", cached_endpoint(ttl=60, respect_request=True)(lambda user_id: user_id))

    tag = (await client.get("/users/1")).headers["etag"]
    for user_id, headers in ((1, {}), (2, {}), (1, {"if-none-match": tag}), (1, {"cache-control": "no-store"})):
        await client.get(f"/users/{user_id}", headers=headers)

    route = "/users/{user_id}"
    assert counted(telemetry) == {(route, "hit"): 2, (route, "stale"): 0, (route, "miss"): 2, (route, "bypass"): 1}


async def test_a_failing_endpoint_is_counted_too(shop: Shop, client: httpx.AsyncClient, telemetry: Capture) -> None:
    @shop.app.get("/{status}")
    @cached_endpoint(ttl=60)
    async def endpoint(status: int) -> None:
        raise HTTPException(status) if status else RuntimeError("?")

    for status in (404, 503, 0):
        await client.get(f"/{status}")

    assert counted(telemetry)["/{status}", "miss"] == 3


async def test_no_more_routes_than_the_cap_are_told_apart(shop: Shop, telemetry: Capture) -> None:
    for number in range((catalog.HTTP_ROUTE.cap or 0) + 5):
        shop.cache.count_response(f"/{number}", "hit")

    assert counted(telemetry)[catalog.OTHER, "hit"] == 5


async def test_what_a_header_says_is_what_the_metric_counts(
    shop: Shop, client: httpx.AsyncClient, telemetry: Capture
) -> None:
    shop.get("/", cached_endpoint(ttl=60)(lambda: 1))

    said = [(await client.get("/")).headers["server-timing"].partition('"')[2].split('"')[0] for _ in range(3)]

    assert said == ["miss", "hit l1", "hit l1"]
    assert counted(telemetry)["/", "hit"] == 2


async def test_keys_do_not_tell_what_was_asked_for(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/users/{name}")
    @cached_endpoint(ttl=60, vary=("X-Secret",))
    async def endpoint(name: str, q: str = "") -> int:
        return 1

    await client.get("/users/ada?q=disease", headers={"x-secret": "hunter2"})

    (key,) = shop.cache._entries
    assert key.startswith("http:GET:/users/{name}:")
    assert not any(word in key for word in ("ada", "disease", "hunter2"))
    assert len(key.rpartition(":")[2]) == 32
