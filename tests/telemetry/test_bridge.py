"""Cells handed over to the SDK give the numbers that `record()` would have given."""

from __future__ import annotations

import random
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)

from otcache.telemetry import catalog
from otcache.telemetry._instrumentation import histogram_bridge as bridge
from otcache.telemetry._instrumentation.metrics import GRID, Metrics

SERIES = ("users", "get", "hit", "l1", None)


def reader_of(temporality: AggregationTemporality) -> InMemoryMetricReader:
    return InMemoryMetricReader(preferred_temporality={SdkHistogram: temporality})


def points(reader: InMemoryMetricReader, name: str = catalog.OPERATION_DURATION.name) -> list[Any]:
    data = reader.get_metrics_data()
    assert data is not None
    metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics if m.name == name]
    return [point for metric in metrics for point in metric.data.data_points]


def samples(count: int, seed: int) -> list[int]:
    """Durations in ns over the whole range, grid bounds and beyond the grid included."""
    draw = random.Random(seed)
    return [draw.choice(GRID) for _ in range(count // 10)] + [int(10 ** draw.uniform(0, 11)) for _ in range(count)]


def reference(values: list[int], temporality: AggregationTemporality) -> Any:
    """The point that the SDK's own `record()` makes of `values`."""
    reader = reader_of(temporality)
    histogram = (
        MeterProvider([reader])
        .get_meter("reference")
        .create_histogram(
            catalog.OPERATION_DURATION.name, "s", "", explicit_bucket_boundaries_advisory=list(catalog.B_OP)
        )
    )
    for value in values:
        histogram.record(value / 1e9)
    return points(reader)[0]


@pytest.mark.parametrize("temporality", [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA])
def test_the_bridge_gives_the_buckets_count_and_sum_of_record(temporality: AggregationTemporality) -> None:
    reader = reader_of(temporality)
    metrics = Metrics(MeterProvider([reader]), "0")
    seen: list[int] = []

    for seed in range(3):
        new = samples(300, seed)
        seen = new if temporality is AggregationTemporality.DELTA else seen + new
        for value in new:
            metrics.record(catalog.OPERATION_DURATION, value, *SERIES)
        expected, (found,) = reference(seen, temporality), points(reader)

        assert found.bucket_counts == expected.bucket_counts
        assert found.count == expected.count
        assert found.sum == pytest.approx(expected.sum)


def test_two_readers_of_different_temporality_both_get_everything() -> None:
    delta, cumulative = reader_of(AggregationTemporality.DELTA), reader_of(AggregationTemporality.CUMULATIVE)
    metrics = Metrics(MeterProvider([delta, cumulative]), "0")

    metrics.record(catalog.OPERATION_DURATION, 1000, *SERIES)
    first = points(delta)
    metrics.record(catalog.OPERATION_DURATION, 2000, *SERIES)

    assert [p.count for p in first] == [1]
    assert [p.count for p in points(cumulative)] == [2]
    assert [p.count for p in points(delta)] == [1]


def test_a_view_that_drops_attributes_merges_the_series() -> None:
    reader = reader_of(AggregationTemporality.CUMULATIVE)
    view = View(instrument_name=catalog.OPERATION_DURATION.name, attribute_keys={catalog.CACHE.name})
    metrics = Metrics(MeterProvider([reader], views=[view]), "0")

    for tier in ("l1", "l2"):
        for _ in range(5):
            metrics.record(catalog.OPERATION_DURATION, 1000, "users", "get", "hit", tier, None)

    assert [(dict(p.attributes), p.count) for p in points(reader)] == [({catalog.CACHE.name: "users"}, 10)]


def test_a_view_with_other_boundaries_is_filled_from_the_grid() -> None:
    reader = reader_of(AggregationTemporality.CUMULATIVE)
    aggregation = ExplicitBucketHistogramAggregation([1e-6, 1e-3])
    view = View(instrument_name=catalog.OPERATION_DURATION.name, aggregation=aggregation)
    metrics = Metrics(MeterProvider([reader], views=[view]), "0")

    for value in (500, 1000, 5000, 2_000_000):
        metrics.record(catalog.OPERATION_DURATION, value, *SERIES)

    assert points(reader)[0].bucket_counts == (2, 1, 1)


def test_a_view_that_drops_the_metric_is_left_alone() -> None:
    reader = reader_of(AggregationTemporality.CUMULATIVE)
    view = View(instrument_name=catalog.OPERATION_DURATION.name, aggregation=DropAggregation())
    metrics = Metrics(MeterProvider([reader], views=[view]), "0")

    for value in (500, 1000):
        metrics.record(catalog.OPERATION_DURATION, value, *SERIES)

    assert points(reader) == []
    assert points(reader, catalog.BUILD_INFO.name)[0].value == 1


def test_an_exponential_view_is_fed_by_the_public_record() -> None:
    reader = reader_of(AggregationTemporality.CUMULATIVE)
    view = View(instrument_name=catalog.OPERATION_DURATION.name, aggregation=ExponentialBucketHistogramAggregation())
    metrics = Metrics(MeterProvider([reader], views=[view]), "0")
    values = samples(100, 7)

    for value in values:
        metrics.record(catalog.OPERATION_DURATION, value, *SERIES)
    (found,) = points(reader)

    assert found.count == len(values)
    assert found.sum == pytest.approx(sum(values) / 1e9)


@pytest.mark.parametrize("temporality", [AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA])
def test_without_the_expected_internals_the_numbers_are_the_same(
    temporality: AggregationTemporality, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "_is_as_expected", lambda target: False)
    reader, values = reader_of(temporality), samples(300, 11)
    metrics = Metrics(MeterProvider([reader]), "0")

    for value in values:
        metrics.record(catalog.OPERATION_DURATION, value, *SERIES)
    expected, (found,) = reference(values, temporality), points(reader)

    assert found.bucket_counts == expected.bucket_counts
    assert found.sum == pytest.approx(expected.sum)


def test_a_replay_is_bounded_and_the_rest_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "_is_as_expected", lambda target: False)
    monkeypatch.setattr(bridge, "MOST_REPLAYED", 10)
    reader = reader_of(AggregationTemporality.CUMULATIVE)
    metrics = Metrics(MeterProvider([reader]), "0")

    for _ in range(25):
        metrics.record(catalog.OPERATION_DURATION, 1000, *SERIES)

    assert [points(reader)[0].count for _ in range(4)] == [11, 22, 25, 25]


def test_the_last_sampled_value_becomes_an_exemplar() -> None:
    reader = reader_of(AggregationTemporality.CUMULATIVE)
    metrics = Metrics(MeterProvider([reader]), "0")
    sampled = trace.SpanContext(7, 9, is_remote=False, trace_flags=trace.TraceFlags(1))
    context = trace.set_span_in_context(trace.NonRecordingSpan(sampled))

    metrics.record(catalog.OPERATION_DURATION, 1000, *SERIES)
    metrics.record(catalog.OPERATION_DURATION, 3000, *SERIES, context=context)
    (point,) = points(reader)

    assert [(e.trace_id, e.span_id, e.value) for e in point.exemplars] == [(7, 9, 3e-6)]
    assert point.count == 2


def test_an_attribute_over_its_cap_is_folded_counted_and_said_once() -> None:
    metrics = Metrics(MeterProvider([InMemoryMetricReader()]), "0")
    said: list[str] = []
    metrics.on_cap = lambda attribute: said.append(attribute.name)
    cap = catalog.CACHE.cap or 0

    for number in range(cap + 3):
        metrics.add(catalog.L2_IO, 1, f"cache-{number}", "read")

    assert metrics.total(catalog.L2_IO, catalog.OTHER, "read") == 3
    assert metrics.total(catalog.DROPPED, "metrics", "cardinality") == 3
    assert said == [catalog.CACHE.name]
