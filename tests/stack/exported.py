"""The scenario in this process, exported by OTLP: what was made here, and what arrived at the sink."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otcache.telemetry import TelemetryHandle, catalog, setup
from otcache.telemetry._instrumentation.metrics import Metrics, metrics_for
from otcache.telemetry.providers import Providers
from otcache.testing import EventRecord, Span
from otcache.testing._emitted import _event, _span
from otcache.version import __version__
from tests.servers import RedisServer
from tests.stack.otlp import Exemplar, Rotel, Sink
from tests.telemetry.contract import Emitted
from tests.telemetry.scenario import Step, play, stage


@dataclass(frozen=True)
class Way:
    """How a run exports."""

    protocol: Literal["grpc", "http/protobuf"]
    temporality: Literal["cumulative", "delta"]
    histograms: Literal["default", "fine", "exponential"]

    def __str__(self) -> str:
        return f"{self.protocol.replace('/', '-')}-{self.temporality}-{self.histograms}"


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


def exported(way: Way, service: str, sink: Sink, rotel: Rotel, *halves: Sequence[Step]) -> Run:
    """Play the scenario on a server of its own, exporting after each of `halves`; return when everything is there."""
    server = RedisServer("valkey").start()
    try:
        with pytest.MonkeyPatch.context() as environment:
            for name in [name for name in os.environ if name.startswith("OTEL_")]:
                environment.delenv(name)
            environment.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", way.temporality)
            return asyncio.run(_played(way, service, sink, rotel.endpoints[way.protocol], server, halves))
    finally:
        server.stop()


async def _played(
    way: Way, service: str, sink: Sink, endpoint: str, server: RedisServer, halves: Sequence[Sequence[Step]]
) -> Run:
    spans, events = InMemorySpanExporter(), InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    handle = setup(
        service, endpoint=endpoint, protocol=way.protocol, export_interval=3600, histograms=way.histograms,
        configure_logging=False, set_global=False,
    )  # fmt: skip
    handle.tracer_provider.add_span_processor(SimpleSpanProcessor(spans))
    handle.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(events))
    providers = Providers(handle.tracer_provider, handle.meter_provider, handle.logger_provider)
    async with _shut(handle), stage(providers, server, "otlp:") as on:
        for steps in halves:
            await play(on, steps)
            assert await asyncio.to_thread(handle.force_flush)
        sent, said = _spans(spans), tuple(_event(data.log_record) for data in events.get_finished_logs())

        def is_there() -> bool:
            there = (len(sink.spans(service)), len(sink.events(service)), sink.collections(service))
            return there == (len(sent), len(said), len(halves))

        await asyncio.to_thread(sink.wait_for, is_there, f"everything of {service}")
        metrics = metrics_for(handle.meter_provider, __version__)
        return Run(
            way, sent, said, _totals(metrics), _cells(metrics), sink.emitted(service), sink.exemplars(service),
            sink.temporalities(service), sink.boundaries(service),
        )  # fmt: skip


@contextlib.asynccontextmanager
async def _shut(handle: TelemetryHandle) -> AsyncIterator[None]:
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
    found = {row: metrics.totals(row) for row in rows}
    return {row.name: {_key(row, v): total / row.scale for v, total in totals.items()} for row, totals in found.items()}


def _cells(metrics: Metrics) -> Counts:
    rows = (row for row in catalog.INSTRUMENTS if row.kind == "histogram")
    found = {row.name: {_key(row, v): cell for v, cell in metrics.histogram(row).items()} for row in rows}
    return {name: {key: cell for key, cell in cells.items() if any(cell[:-1])} for name, cells in found.items()}


def _key(row: catalog.Instrument, values: tuple[str | None, ...]) -> frozenset[tuple[str, str]]:
    return frozenset((key.name, value) for key, value in zip(row.keys, values, strict=True) if value is not None)
