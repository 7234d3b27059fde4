"""One request through FastAPI: server span, cache spans below it, round trips below those, and sums that fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from starlette.testclient import TestClient

from otcache import CacheInterface, GenericRedisCache, get_cache_service, install_cache
from otcache.telemetry import catalog
from otcache.testing import Capture, capture_telemetry

Cache = Annotated[CacheInterface, Depends(get_cache_service)]


@pytest.fixture
def telemetry() -> Iterator[Capture]:
    """What is emitted during the test."""
    with capture_telemetry() as captured:
        yield captured


@pytest.fixture
def client(telemetry: Capture, redis_server: Any, prefix: str) -> Iterator[TestClient]:
    """An application whose cache reports to the test, traced by the usual instrumentation."""
    app = FastAPI()
    install_cache(app)
    options: dict[str, Any] = {"name": "shop", "key_prefix": prefix, "timeout": 5.0, "providers": telemetry.providers}
    cache = GenericRedisCache(redis_url=redis_server.url, **options)
    app.dependency_overrides[get_cache_service] = lambda: cache

    @app.get("/products/{product}")
    async def read_product(product: int, cache: Cache) -> dict[str, int]:
        found: dict[str, int] | None = await cache.get(f"product:{product}")
        if found is None:
            found = {"product": product}
            await cache.set(f"product:{product}", found)
        return found

    FastAPIInstrumentor.instrument_app(
        app, tracer_provider=telemetry.tracer_provider, exclude_spans=["receive", "send"]
    )
    with TestClient(app) as client:
        yield client
        assert client.portal is not None
        client.portal.call(cache.close)  # in the event loop that has used it


def tree(telemetry: Capture) -> list[str]:
    """Names and kinds, indented by depth."""
    return [line.rpartition(",")[0].replace(" (", " ") for line in telemetry.span_tree().splitlines()]


def test_a_miss_and_a_hit_are_below_their_requests(telemetry: Capture, client: TestClient) -> None:
    answers = [client.get("/products/7").json() for _ in range(2)]
    shown = [line for line in tree(telemetry) if "TIME" not in line]

    assert answers == [{"product": 7}] * 2
    assert shown == [
        "GET /products/{product} SERVER",
        "  cache.get shop INTERNAL", "    GET CLIENT",
        "  cache.set shop INTERNAL", "    SET CLIENT",
        "GET /products/{product} SERVER",
        "  cache.get shop INTERNAL",
    ]  # fmt: skip


def test_the_sums_of_the_metrics_are_what_was_done(telemetry: Capture, client: TestClient) -> None:
    for product in (7, 7, 8, 7):
        client.get(f"/products/{product}")

    value = telemetry.metric_value
    assert (value(catalog.LOOKUPS.name, otcache_result="hit"), value(catalog.LOOKUPS.name, otcache_result="miss")) == (
        2,
        2,
    )
    assert value(catalog.OPERATIONS.name) == value(catalog.OPERATION_DURATION.name) == 4 + 2
    assert value(catalog.L2_OPERATIONS.name, db_operation_name="SET") == 2
    assert value(catalog.WRITES.name, otcache_tier="l2") == value(catalog.WRITES.name, otcache_tier="l1") == 2
