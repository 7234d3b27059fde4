"""Files as the collector writes them, from what the real SDK hands over."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    Aggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)
from opentelemetry.sdk.resources import Resource

from otcache.telemetry import catalog
from tests.regression.sources.histories import BOUNDS, GET_HIT, LOOKUP, STEP, Minute

Temporality = Literal["cumulative", "delta"]
EXPLICIT: Final = ExplicitBucketHistogramAggregation(BOUNDS)
EXPONENTIAL: Final = ExponentialBucketHistogramAggregation(max_size=160)
Request = dict[str, Any]


class Process:
    """One process with an SDK of its own; its clock says what the test says."""

    def __init__(
        self,
        temporality: Temporality = "cumulative",
        born: float = 0.0,
        name: str = "a",
        aggregation: Aggregation = EXPLICIT,
    ) -> None:
        kinds: dict[type, AggregationTemporality] = dict.fromkeys(
            (Counter, ObservableCounter, Histogram), AggregationTemporality[temporality.upper()]
        )
        self._delta = temporality == "delta"
        self._born, self._measured = born, False
        self._reader = InMemoryMetricReader(preferred_temporality=kinds)
        view = View(instrument_name=catalog.OPERATION_DURATION.name, aggregation=aggregation)
        resource = Resource({"service.name": "shop", "service.instance.id": name})
        self._provider = MeterProvider([self._reader], resource=resource, views=[view], shutdown_on_exit=False)
        meter = self._provider.get_meter("otcache")
        self._durations = meter.create_histogram(catalog.OPERATION_DURATION.name, unit="s")
        self._lookups = meter.create_counter(catalog.LOOKUPS.name, unit="{lookup}")

    def measure(self, values: Iterable[float]) -> None:
        """Record durations of hits."""
        for value in values:
            self._measured = True
            self._durations.record(value, GET_HIT)
            self._lookups.add(1, LOOKUP | {"otcache.result": "hit"})

    def look_up(self, result: str, reason: str, number: int) -> None:
        """Count look-ups that took no time."""
        if number:
            self._measured = True
            self._lookups.add(number, LOOKUP | {"otcache.result": result, "otcache.miss.reason": reason})

    def export(self, at: float) -> Request | None:
        """What it hands over at a time; nothing if nothing was ever measured."""
        data, born = self._reader.get_metrics_data(), self._born
        self._born = born if self._measured and not self._delta else at  # of a series, as the SDK has it
        if data is None or not data.resource_metrics:
            return None
        request: Request = MessageToDict(encode_metrics(data))
        for point in points(request):
            point["startTimeUnixNano"], point["timeUnixNano"] = str(round(born * 1e9)), str(round(at * 1e9))
        return request

    def end(self) -> None:
        """It is gone."""
        self._provider.shutdown()


def points(request: Request) -> Iterator[dict[str, Any]]:
    """All data points."""
    for resource in request["resourceMetrics"]:
        for metric in (metric for scope in resource["scopeMetrics"] for metric in scope["metrics"]):
            for field in ("sum", "histogram", "exponentialHistogram", "gauge"):
                yield from metric.get(field, {}).get("dataPoints", ())


def history(
    minutes: Sequence[Minute],
    start: float,
    temporality: Temporality = "cumulative",
    name: str = "a",
    aggregation: Aggregation = EXPLICIT,
) -> list[Request]:
    """The exports of a process that is restarted as the minutes say, from a first one at `start` on."""
    process = Process(temporality, start - STEP, name, aggregation)
    process.measure([0.003])
    found = [process.export(start)]
    for number, minute in enumerate(minutes):
        if minute.restarted:
            process.end()
            process = Process(temporality, start + number * STEP, name, aggregation)
        process.measure(minute.values)
        found.append(process.export(start + (number + 1) * STEP))
    process.end()
    return [request for request in found if request is not None]


def lines(requests: Iterable[Mapping[str, Any]]) -> str:
    """One request per line."""
    return "".join(f"{json.dumps(request)}\n" for request in requests)


def as_the_collector(request: Request) -> Request:
    """Enums as numbers, empty fields left out: the other way to write the same."""
    for resource in request["resourceMetrics"]:
        for metric in (metric for scope in resource["scopeMetrics"] for metric in scope["metrics"]):
            for field in ("sum", "histogram", "exponentialHistogram"):
                if field in metric:
                    named = metric[field]["aggregationTemporality"]
                    metric[field]["aggregationTemporality"] = 1 if named.endswith("DELTA") else 2
    for point in points(request):
        for field in ("startTimeUnixNano", "timeUnixNano", "count", "asInt"):
            if field in point:
                point[field] = int(point[field])
        if "bucketCounts" in point:
            point["bucketCounts"] = [int(each) for each in point["bucketCounts"]]
    return request
