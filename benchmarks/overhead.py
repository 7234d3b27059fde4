"""What observing an L1 hit costs: bare, metered, metered under an unsampled parent, and recorded."""

from __future__ import annotations

import time
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from benchmarks.harness import Case, measure, spread, table
from otcache import InMemoryCache, Providers

OPERATIONS = 2_000
TTL_NS = 3600 * 10**9


class _Discard(SpanExporter):
    def export(self, spans: Any) -> SpanExportResult:
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def _parent(*, sampled: bool) -> trace.Span:
    flags = trace.TraceFlags(int(sampled))
    return trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True, trace_flags=flags))


def _under(parent: trace.Span | None, case: Case) -> Case:
    async def run() -> None:
        context = otel_context.Context() if parent is None else trace.set_span_in_context(parent)
        token = otel_context.attach(context)
        try:
            await case()
        finally:
            otel_context.detach(token)

    return run


def _getting(get: Any) -> Case:
    async def case() -> None:
        for _ in range(OPERATIONS):
            await get("key")

    return case


def _bare() -> Any:
    """An async dictionary with a time to live: what a hit can't be cheaper than."""
    entries = {"key": ("value", time.perf_counter_ns() + TTL_NS)}

    async def get(key: str) -> Any:
        entry = entries.get(key)
        if entry is not None and entry[1] > time.perf_counter_ns():
            return entry[0]
        return None

    return get


def _by_hand(tracer: trace.Tracer, meter: Any) -> Any:
    """The way tutorials show: a span, a counter and a histogram around the same dictionary."""
    get_bare, lookups = _bare(), meter.create_counter("lookups")
    duration = meter.create_histogram("duration", "s")
    attributes = {"cache": "users", "operation": "get", "result": "hit"}

    async def get(key: str) -> Any:
        started = time.perf_counter()
        with tracer.start_as_current_span("get", attributes=attributes):
            value = await get_bare(key)
            lookups.add(1, attributes)
            duration.record(time.perf_counter() - started, attributes)
        return value

    return get


def _one_add(meter: Any) -> Any:
    counter, attributes = meter.create_counter("adds"), {"cache": "users", "operation": "get", "result": "hit"}

    async def get(_: str) -> None:
        counter.add(1, attributes)

    return get


async def run(rounds: int = 31) -> str:
    """The table: each case as a ratio to the bare dictionary, and to the tutorial way."""
    tracers, meters = TracerProvider(), MeterProvider([InMemoryMetricReader()])
    tracers.add_span_processor(BatchSpanProcessor(_Discard()))
    cache = InMemoryCache(providers=Providers(tracers, meters))
    untraced = InMemoryCache(providers=Providers(meter_provider=MeterProvider([InMemoryMetricReader()])))
    for each in (cache, untraced):
        await each.set("key", "value")
    by_hand = _getting(_by_hand(tracers.get_tracer("tutorial"), meters.get_meter("tutorial")))
    unsampled, sampled = _parent(sampled=False), _parent(sampled=True)
    cases = {
        "bare async dict with TTL": _under(None, _getting(_bare())),
        "otcache, metered, no tracing": _under(None, _getting(untraced.get)),
        "otcache, metered, sampled out": _under(unsampled, _getting(cache.get)),
        "otcache, metered, span recorded": _under(sampled, _getting(cache.get)),
        "one counter.add() of the SDK": _under(unsampled, _getting(_one_add(meters.get_meter("adds")))),
        "tutorial way, sampled out": _under(unsampled, by_hand),
        "tutorial way, recorded": _under(sampled, by_hand),
    }
    timings = await measure(cases, OPERATIONS, rounds)
    bare, tutorial = timings["bare async dict with TTL"], timings["tutorial way, recorded"]
    rows = [
        (name, f"{t.median_ns:.0f} ns", spread(t.ratio_to(bare)), spread(t.ratio_to(tutorial)))
        for name, t in timings.items()
    ]
    tracers.shutdown()
    return table("One L1 hit", ("case", "CPU", "x bare", "x tutorial way, recorded"), rows)
