"""Profiles: fewer histograms and attributes, and counters that are the same in each."""

from __future__ import annotations

import asyncio
from typing import Any, get_args

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View

from otcache import GenericRedisCache
from otcache.exceptions import ConfigurationError
from otcache.telemetry import catalog, views
from otcache.telemetry._instrumentation.metrics import GRID
from otcache.telemetry._setup.views import Profile
from otcache.telemetry.providers import Providers

HISTOGRAMS = [row for row in catalog.INSTRUMENTS if row.kind == "histogram"]
DROPPED = {row.name for row in HISTOGRAMS if row.lean == "dropped"}
Points = dict[str, list[Any]]

BUDGET = {"default": 900, "lean": 600, "counters": 120}
"""Most series of one cache in one process, as Prometheus counts them. Measured: 562, 380, 51 (docs/exporting.md)."""


@pytest.fixture
def measured(redis_server: Any, prefix: str) -> Any:
    """The points, by metric, that a cache in full use gives under views."""

    def measure(*chosen: View) -> Points:
        reader = InMemoryMetricReader()
        meters = MeterProvider([reader], views=chosen, shutdown_on_exit=False)
        size = meters.get_meter("app").create_histogram("app.size", explicit_bucket_boundaries_advisory=[1.0])
        size.record(1)
        asyncio.run(use(GenericRedisCache(redis_url=redis_server.url, key_prefix=prefix, **options(meters))))
        found = points(reader)
        meters.shutdown()
        return found

    return measure


def options(meters: MeterProvider) -> dict[str, Any]:
    return {"name": "users", "timeout": 5.0, "providers": Providers(meter_provider=meters), "memory_cache_size": 2}


async def use(cache: GenericRedisCache) -> None:
    """Every operation in most of its ends: hits of both tiers, misses, evictions, compression, callbacks, an error."""
    cache.register_callback("get_success", lambda *_: None)
    cache.register_callback("get_miss", lambda *_: None)
    for number in range(4):
        await cache.set(f"k{number}", "v" * 5000)
    for name in ("k0", "k0", "absent"):
        await cache.get(name)
    await cache.set_many({"a": 1, "b": 2})
    await cache.get_many(["a", "k1", "absent"])
    for name in ("a", "absent"):
        await cache.exists(name)
        await cache.get_ttl(name)
        await cache.delete(name)
    with pytest.raises(Exception, match="ttl"):
        await cache.set("k", 1, ttl=-1)
    await cache.clear()
    await cache.close()


def points(reader: InMemoryMetricReader) -> Points:
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: list(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def series(found: Points) -> int:
    """A histogram's point is one series per bucket, its sum and its count."""
    every = [point for name, points in found.items() if name.startswith("otcache.") for point in points]
    return sum(len(p.bucket_counts) + 2 if isinstance(p, HistogramDataPoint) else 1 for p in every)


TIMED = {catalog.MESSAGES.name, catalog.INVALIDATIONS.name, catalog.L2_OPERATIONS.name}
"""What heartbeats and other processes count, a little more or less in each run."""


def counters(found: Points) -> dict[Any, float]:
    return {
        (name, *sorted(point.attributes.items())): point.value
        for name, points in found.items()
        for point in points
        if not isinstance(point, HistogramDataPoint) and "bytes" not in name and name not in TIMED
    }


def test_each_profile_keeps_to_its_budget_of_series(measured: Any) -> None:
    found = {profile: series(measured(*views(profile=profile))) for profile in get_args(Profile)}

    assert {profile: count for profile, count in found.items() if count > BUDGET[profile]} == {}
    assert found["counters"] < found["lean"] < found["default"]


def test_lean_drops_some_histograms_and_reduces_the_main_one(measured: Any) -> None:
    full, lean = measured(), measured(*views(profile="lean"))
    kept = {catalog.CACHE.name, catalog.RESULT.name, catalog.TIER.name}

    assert full.keys() - lean.keys() == DROPPED & full.keys()
    assert {catalog.PAYLOAD_SIZE.name, catalog.CALLBACK_DURATION.name} <= DROPPED & full.keys()
    assert {frozenset(point.attributes) for point in lean[catalog.OPERATION_DURATION.name]} == {frozenset(kept)}
    assert lean[catalog.L2_DURATION.name][0].explicit_bounds == catalog.B_L2, "boundaries travel with the instrument"


@pytest.mark.parametrize("profile", ["lean", "counters"])
def test_counters_are_the_same_in_every_profile(measured: Any, profile: Any) -> None:
    full, reduced = measured(), measured(*views(profile=profile))
    derived = (catalog.OPERATIONS.name, catalog.LOOKUPS.name)

    assert counters(reduced) == counters(full)
    assert all(sum(point.value for point in reduced[name]) > 0 for name in derived), "they come from the cells"


def test_counters_has_no_histogram_of_ours_and_leaves_others_alone(measured: Any) -> None:
    found = measured(*views(profile="counters"))

    histograms = [name for name, points in found.items() if isinstance(points[0], HistogramDataPoint)]

    assert histograms == ["app.size"]


def test_views_of_the_applications_own_go_with_ours(measured: Any) -> None:
    mine = View(instrument_name="app.size", aggregation=ExplicitBucketHistogramAggregation([5.0]))

    found = measured(*views("fine", profile="lean"), mine)
    (point,) = [p for p in found[catalog.OPERATION_DURATION.name] if p.attributes[catalog.TIER.name] == "l1"]

    assert found["app.size"][0].explicit_bounds == (5.0,)
    assert point.explicit_bounds == tuple(bound / 1e9 for bound in GRID)
    assert catalog.OPERATION.name not in point.attributes


@pytest.mark.parametrize("profile", get_args(Profile))
@pytest.mark.parametrize("histograms", ["default", "fine", "exponential"])
def test_no_metric_is_exported_twice(histograms: Any, profile: Any) -> None:
    names = [view._instrument_name for view in views(histograms, profile=profile)]

    assert len(names) == len(set(names))


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(ConfigurationError, match="profile='tiny' is not one of default, lean, counters"):
        views(profile="tiny")  # type: ignore[arg-type]
