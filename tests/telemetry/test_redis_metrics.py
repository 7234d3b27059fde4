"""redis-py's own metrics: off by default, few attributes, off again at the end."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otcache import GenericRedisCache
from otcache.telemetry import setup, views
from otcache.telemetry._setup import sdk
from otcache.telemetry._setup.redis_metrics import KEPT, METER, RedisMetrics
from otcache.telemetry.providers import Providers

try:
    import redis.asyncio.observability.recorder as recorder
except ImportError:
    recorder = None  # type: ignore[assignment]

__test__ = recorder is not None  # before 7.3 there is only the refusal, which test_sdk.py shows
OPTIONS: dict[str, Any] = {"exporter": "none", "configure_logging": False, "set_global": False}


@pytest.fixture
def reader(monkeypatch: Any) -> Iterator[InMemoryMetricReader]:
    """Reads what `setup` exports."""
    reader = InMemoryMetricReader()
    monkeypatch.setattr(sdk, "_readers", lambda *_: [reader])
    yield reader
    reader.shutdown()


async def use(url: str, prefix: str, meters: Any) -> None:
    providers = Providers(meter_provider=meters)
    async with GenericRedisCache(redis_url=url, key_prefix=prefix, timeout=5.0, providers=providers) as cache:
        await cache.set("k", 1)
        await cache.get("absent")


def scope(reader: InMemoryMetricReader, name: str = METER) -> dict[str, list[Any]]:
    data = reader.get_metrics_data()
    scopes = [s for r in data.resource_metrics for s in r.scope_metrics if s.scope.name == name] if data else []
    return {metric.name: list(metric.data.data_points) for s in scopes for metric in s.metrics}


def count(found: dict[str, list[Any]]) -> int:
    return sum(point.count for point in found.get("db.client.operation.duration", []))


async def test_metrics_of_redis_py_arrive_with_few_attributes(reader: Any, redis_server: Any, prefix: str) -> None:
    handle = setup("shop", redis_metrics=True, **OPTIONS)

    await use(redis_server.url, prefix, handle.meter_provider)
    found = scope(reader)
    handle.shutdown()
    attributes = {key for points in found.values() for point in points for key in point.attributes}

    assert {"db.client.operation.duration", "db.client.connection.count"} <= found.keys()
    assert count(found) >= 2
    assert attributes <= KEPT
    assert {"db.system", "db.operation.name", "server.address", "db.client.connection.state"} <= attributes


async def test_nothing_of_it_is_there_by_default(reader: Any, redis_server: Any, prefix: str) -> None:
    handle = setup("shop", **OPTIONS)

    await use(redis_server.url, prefix, handle.meter_provider)
    ours, theirs = scope(reader, "otcache"), scope(reader)
    handle.shutdown()

    assert ours
    assert theirs == {}


async def test_errors_are_counted_by_category(reader: Any, away_url: str, prefix: str) -> None:
    handle = setup("shop", redis_metrics=True, **OPTIONS)

    await use(away_url, prefix, handle.meter_provider)
    found = scope(reader)["redis.client.errors"]
    handle.shutdown()

    assert all(point.attributes.keys() <= KEPT for point in found)
    assert {point.attributes["redis.client.errors.category"] for point in found} == {"network"}


async def test_after_the_end_nothing_is_measured_and_it_can_begin_again(
    reader: Any, redis_server: Any, prefix: str
) -> None:
    first = setup("shop", redis_metrics=True, **OPTIONS)
    first.shutdown()

    await use(redis_server.url, prefix, first.meter_provider)
    off = recorder._async_metrics_collector
    other = InMemoryMetricReader()
    meters = MeterProvider([other], views=views(redis_metrics=True), shutdown_on_exit=False)
    again = RedisMetrics(meters)
    await use(redis_server.url, prefix, meters)
    measured = count(scope(other))
    again.off()
    meters.shutdown()

    assert off is None, "no instrument is left"
    assert measured >= 2


async def test_what_the_application_turned_on_stays(caplog: Any) -> None:
    from redis.observability.config import OTelConfig
    from redis.observability.providers import get_observability_instance, reset_observability_instance

    switch = get_observability_instance().init(OTelConfig(metric_groups=[]))
    with caplog.at_level(logging.WARNING, "otcache.telemetry"):
        handle = setup("shop", redis_metrics=True, **OPTIONS)

    handle.shutdown()
    still = switch.get_provider_manager()
    reset_observability_instance()

    assert still is not None
    assert "the application has turned redis-py's metrics on" in caplog.text
