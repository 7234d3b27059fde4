"""What the catalogue says is what arrives by OTLP, through somebody else's receiver: names, kinds, parents, numbers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import pytest
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otcache.telemetry import TelemetryHandle, catalog, setup
from otcache.telemetry.metrics import GRID, Metrics, metrics_for
from otcache.telemetry.providers import Providers
from otcache.testing import EventRecord, Span, _event, _span
from otcache.version import __version__
from tests.servers import RedisServer
from tests.stack.otlp import DELTA, Exemplar, Rotel, Sink
from tests.telemetry.contract import UNREACHABLE, Emitted, Metric, allowed, promised, seen
from tests.telemetry.scenario import STEPS, play, stage

HALF: Final = len(STEPS) // 2
CUMULATIVE: Final = 2


@dataclass(frozen=True)
class Way:
    """How a run exports."""

    protocol: Literal["grpc", "http/protobuf"]
    temporality: Literal["cumulative", "delta"]
    histograms: Literal["default", "fine", "exponential"]

    def __str__(self) -> str:
        return f"{self.protocol.replace('/', '-')}-{self.temporality}-{self.histograms}"


WAYS: Final = (
    Way("grpc", "cumulative", "default"),
    Way("http/protobuf", "delta", "fine"),
    Way("grpc", "delta", "exponential"),
)


Counts = dict[str, dict[frozenset[tuple[str, str]], Any]]
"""By metric and attributes."""


@dataclass(frozen=True)
class Run:
    """One run of the scenario, as it was in this process and as it arrived.

    Attributes:
        sent: Its spans, from an exporter in memory.
        said: Its events, likewise.
        totals: What counters and up-down counters stood at.
        cells: What histograms had counted, by the internal grid; the sum last.
        arrived: All of it at the other end.
    """

    way: Way
    sent: tuple[Span, ...]
    said: tuple[EventRecord, ...]
    totals: Counts
    cells: Counts
    arrived: Emitted
    exemplars: list[Exemplar]
    temporalities: dict[str, set[int]]
    boundaries: dict[str, set[tuple[float, ...]]]


@pytest.fixture(scope="module", params=WAYS, ids=str)
def run(request: pytest.FixtureRequest, sink: Sink, rotel: Rotel) -> Iterator[Run]:
    """The scenario, played and arrived."""
    way: Way = request.param
    server = RedisServer("valkey").start()
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("OTEL_")]:
            environment.delenv(name)
        environment.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", way.temporality)
        yield asyncio.run(played(way, sink, rotel.endpoints[way.protocol], server))
    server.stop()


async def played(way: Way, sink: Sink, endpoint: str, server: RedisServer) -> Run:
    """Play the scenario in two halves, each of them exported; return when everything is there."""
    service, spans, events = str(way), InMemorySpanExporter(), InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    handle = setup(
        service, endpoint=endpoint, protocol=way.protocol, export_interval=3600, histograms=way.histograms,
        configure_logging=False, set_global=False,
    )  # fmt: skip
    handle.tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
    handle.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(events))
    providers = Providers(handle.tracer_provider, handle.meter_provider, handle.logger_provider)
    async with shut(handle), stage(providers, server, "otlp:") as on:
        for steps in (STEPS[:HALF], STEPS[HALF:]):
            await play(on, steps)
            assert await asyncio.to_thread(handle.force_flush)
        sent, said = _spans(spans), tuple(_event(data.log_record) for data in events.get_finished_logs())

        def is_there() -> bool:
            there = (len(sink.spans(service)), len(sink.events(service)), sink.collections(service))
            return there == (len(sent), len(said), 2)

        await asyncio.to_thread(sink.wait_for, is_there, f"everything of {service}")
        metrics = metrics_for(handle.meter_provider, __version__)
        return Run(
            way, sent, said, _totals(metrics), _cells(metrics), sink.emitted(service), sink.exemplars(service),
            sink.temporalities(service), sink.boundaries(service),
        )  # fmt: skip


@contextlib.asynccontextmanager
async def shut(handle: TelemetryHandle) -> AsyncIterator[None]:
    """Shut down after the block."""
    try:
        yield
    finally:
        await asyncio.to_thread(handle.shutdown)


def _spans(exporter: InMemorySpanExporter) -> tuple[Span, ...]:
    made = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in made if span.context is not None}
    return tuple(_span(span, names) for span in made)


def _totals(metrics: Metrics) -> Counts:
    rows = (row for row in catalog.INSTRUMENTS if row.kind != "histogram")
    return {row.name: {_key(row, values): total for values, total in metrics.totals(row).items()} for row in rows}


def _cells(metrics: Metrics) -> Counts:
    rows = (row for row in catalog.INSTRUMENTS if row.kind == "histogram")
    found = {row.name: {_key(row, v): cell for v, cell in metrics.histogram(row).items()} for row in rows}
    return {name: {key: cell for key, cell in cells.items() if any(cell[:-1])} for name, cells in found.items()}


def _key(row: catalog.Instrument, values: tuple[str | None, ...]) -> frozenset[tuple[str, str]]:
    return frozenset((key.name, value) for key, value in zip(row.keys, values, strict=True) if value is not None)


# --- promises ---------------------------------------------------------------------------------------


def test_what_arrives_is_what_the_catalogue_lists(run: Run) -> None:
    found = seen(run.arrived)

    assert sorted(promised() - found - UNREACHABLE.keys()) == [], "listed, and never arrived"
    assert sorted(found - promised() - allowed()) == [], "arrived, and not listed"


def test_spans_arrive_as_they_were_made(run: Run) -> None:
    def in_order(spans: tuple[Span, ...]) -> list[Span]:
        return sorted(spans, key=lambda span: span.span_id)

    assert in_order(run.arrived.spans) == in_order(run.sent)


def test_every_operation_is_under_its_request_and_every_round_trip_under_its_operation(run: Run) -> None:
    parents = {(span.scope, by_id.scope if by_id else None) for span, by_id in _with_parents(run.arrived.spans)}

    assert parents == {("application", None), ("otcache", "application"), ("otcache.redis", "otcache")}


def _with_parents(spans: tuple[Span, ...]) -> list[tuple[Span, Span | None]]:
    known = {span.span_id: span for span in spans}
    return [(span, known[span.parent_id] if span.parent_id is not None else None) for span in spans]


def test_links_survive(run: Run) -> None:
    steps = sorted((span for span in run.arrived.spans if span.scope == "application"), key=lambda span: span.start_ns)
    halves = (steps[:HALF], steps[HALF:])

    linked = [pair[1].links == (pair[0].span_id,) for half in halves for pair in pairwise(half)]

    assert linked == [True] * (len(STEPS) - 2)


def test_events_arrive_as_they_were_said(run: Run) -> None:
    def in_order(events: tuple[EventRecord, ...]) -> list[EventRecord]:
        return sorted(events, key=lambda event: (event.name, event.span_id, event.body, str(event.attributes)))

    assert in_order(run.arrived.events) == in_order(run.said)


def test_exemplars_lead_to_spans_that_arrived(run: Run) -> None:
    known = {(span.trace_id, span.span_id) for span in run.arrived.spans}

    assert {(each.trace_id, each.span_id) for each in run.exemplars} <= known
    assert {catalog.OPERATION_DURATION.name, catalog.L2_DURATION.name} <= {each.metric for each in run.exemplars}


def test_counters_add_up_to_what_they_stood_at_in_this_process(run: Run) -> None:
    arrived = {
        metric.name: {frozenset(point.attributes.items()): point.value for point in metric.points}
        for metric in run.arrived.metrics
        if metric.kind != "histogram"
    }

    assert arrived == {name: series for name, series in run.totals.items() if series}


def test_histograms_add_up_to_what_was_counted_in_this_process(run: Run) -> None:
    for row in (row for row in catalog.INSTRUMENTS if row.kind == "histogram"):
        (metric,) = (each for each in run.arrived.metrics if each.name == row.name)
        arrived = {frozenset(point.attributes.items()): (point.count, point.sum) for point in metric.points}

        assert arrived == {key: _count_and_sum(row, cell) for key, cell in run.cells[row.name].items()}


def _count_and_sum(row: catalog.Instrument, cell: list[int]) -> tuple[int, Any]:
    """As they should arrive: what is replayed one by one is rounded to whole ns, and to one at least."""
    count, scale = sum(cell[:-1]), 1e9 if row.unit == "s" else 1
    return count, pytest.approx(cell[-1] / scale, abs=2 * count / scale)


def test_views_decide_the_boundaries(run: Run) -> None:
    fine = tuple(bound / 1e9 for bound in GRID)
    rows = [row for row in catalog.INSTRUMENTS if row.kind == "histogram"]
    seconds = {"default": None, "fine": fine, "exponential": ()}[run.way.histograms]

    expected = {row.name: row.buckets if seconds is None or row.unit != "s" else seconds for row in rows}

    assert run.boundaries == {name: {bounds} for name, bounds in expected.items() if bounds}


@pytest.mark.parametrize("run", [way for way in WAYS if way.histograms == "fine"], indirect=True, ids=str)
def test_the_fine_view_hands_over_every_bucket_of_the_grid(run: Run) -> None:
    (metric,) = (each for each in run.arrived.metrics if each.name == catalog.OPERATION_DURATION.name)

    arrived = {frozenset(point.attributes.items()): list(point.buckets) for point in metric.points}

    assert arrived == {key: cell[:-1] for key, cell in run.cells[metric.name].items()}


def test_the_temporality_is_the_one_asked_for(run: Run) -> None:
    wanted = DELTA if run.way.temporality == "delta" else CUMULATIVE
    kinds = {row.name: row.kind for row in catalog.INSTRUMENTS}

    # a sum that may fall is cumulative either way: the specification's preference says so
    expected = {name: {CUMULATIVE if kind == "updowncounter" else wanted} for name, kind in kinds.items()}

    assert run.temporalities == expected


def test_the_standard_translation_gives_the_names_of_a_metrics_page(run: Run) -> None:
    translated = {metric.name: prometheus_name(metric) for metric in run.arrived.metrics}

    assert translated == {row.name: row.prometheus for row in catalog.INSTRUMENTS}


def prometheus_name(metric: Metric) -> str:
    """A metric's name as Prometheus' own OTLP receiver and the collector make it."""
    words = [word for word in re.split(r"[^a-zA-Z0-9]+", metric.name) if word]
    unit = {"s": "seconds", "By": "bytes"}.get(metric.unit, "")
    if unit and unit not in words:
        words.append(unit)
    if metric.kind == "counter":
        words = [word for word in words if word != "total"] + ["total"]
    if metric.kind == "gauge" and metric.unit == "1":
        words = [word for word in words if word != "ratio"] + ["ratio"]
    return "_".join(words)
