"""What a cache emitted, as plain objects: for tests of otcache and of applications that use it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from otcache.telemetry import catalog
from otcache.telemetry.providers import Providers

try:
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.sdk.trace.id_generator import IdGenerator
except ImportError as exc:  # pragma: no cover  needs an environment without the SDK
    raise ImportError('otcache.testing needs the OpenTelemetry SDK: pip install "otcache[otlp]"') from exc


@dataclass(frozen=True, slots=True)
class Span:
    """One finished span; times in ns since the epoch."""

    name: str
    kind: str
    scope: str
    attributes: Mapping[str, Any]
    status: str
    span_id: int
    parent_id: int | None
    parent_name: str | None
    links: tuple[int, ...]
    start_ns: int
    end_ns: int
    trace_id: int = 0
    status_description: str = ""
    link_attributes: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """One series: `value` of a counter; `count`, `sum` and `buckets` of a histogram."""

    attributes: Mapping[str, Any]
    value: float = 0
    count: int = 0
    sum: float = 0.0
    buckets: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One event; `trace_id` and `span_id` are 0 outside a trace."""

    name: str
    severity: str
    body: str
    attributes: Mapping[str, Any]
    trace_id: int
    span_id: int


class ManualClock:
    """A clock that moves when it is told to; give it to a cache as `cache._clock` in a test of expiry.

    Attributes:
        now: ns.
    """

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.now += round(seconds * 1e9)


class _Counting(IdGenerator):
    """1, 2, 3, ...: the same ids in every run."""

    def __init__(self) -> None:
        self._spans, self._traces = itertools.count(1), itertools.count(1)

    def generate_span_id(self) -> int:
        return next(self._spans)

    def generate_trace_id(self) -> int:
        return next(self._traces)


class Capture:
    """Providers of an SDK in memory, and what they have received.

    Attributes:
        providers: To be given to caches: `InMemoryCache(providers=telemetry.providers)`.
    """

    def __init__(self) -> None:
        self._span_exporter = InMemorySpanExporter()
        self._log_exporter: Any = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        self._reader = InMemoryMetricReader()
        tracers, loggers = TracerProvider(id_generator=_Counting()), LoggerProvider()
        tracers.add_span_processor(SimpleSpanProcessor(self._span_exporter))
        loggers.add_log_record_processor(SimpleLogRecordProcessor(self._log_exporter))
        self._sdk = (tracers, MeterProvider([self._reader]), loggers)
        self.providers = Providers(*self._sdk)

    @property
    def tracer_provider(self) -> TracerProvider:
        """For spans of the test's own."""
        return self._sdk[0]

    @property
    def spans(self) -> list[Span]:
        """Every finished span, in the order of their ends."""
        finished = self._span_exporter.get_finished_spans()
        names = {span.context.span_id: span.name for span in finished if span.context is not None}
        return [_span(span, names) for span in finished]

    @property
    def events(self) -> list[EventRecord]:
        """Every event."""
        return [_event(data.log_record) for data in self._log_exporter.get_finished_logs()]

    def metrics(self) -> dict[str, list[Point]]:
        """Every series of every metric, collected now."""
        return {metric.name: [_point(point) for point in metric.data.data_points] for _, metric in self._collected()}

    def metric_value(self, name: str, **attributes: str) -> float:
        """The sum over the series of a metric that have these attributes (`_` stands for `.`); 0 if there are none."""
        wanted = {attribute.replace("_", "."): value for attribute, value in attributes.items()}.items()
        points = (point for point in self.metrics().get(name, []) if wanted <= point.attributes.items())
        return sum(point.value or point.count for point in points)

    def clear(self) -> None:
        """Forget spans and events; metrics are cumulative."""
        self._span_exporter.clear()
        self._log_exporter.clear()

    def span_tree(self) -> str:
        """The spans as an indented tree, for people."""
        spans = sorted(self.spans, key=lambda span: span.start_ns)
        known = {span.span_id for span in spans}

        def lines(parent: int | None, depth: int) -> Iterator[str]:
            for span in spans:
                if (span.parent_id if span.parent_id in known else None) == parent:
                    yield f"{'  ' * depth}{span.name} ({span.kind}, {(span.end_ns - span.start_ns) / 1e6:.2f} ms)"
                    yield from lines(span.span_id, depth + 1)

        return "\n".join(lines(None, 0))

    def assert_schema(self) -> None:
        """All of otcache's that was captured is as the catalogue says; an `AssertionError` names every difference."""
        found = [*self._metric_problems(), *self._span_problems(), *self._event_problems()]
        assert not found, "\n".join(found)

    def shutdown(self) -> None:
        """End the SDK."""
        for provider in self._sdk:
            provider.shutdown()

    def _collected(self) -> Iterator[tuple[str, Any]]:
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                yield from ((scope.scope.name, metric) for metric in scope.metrics)

    def _metric_problems(self) -> Iterator[str]:
        rows = {row.name: row for row in catalog.INSTRUMENTS}
        for scope, metric in self._collected():
            if not scope.startswith("otcache"):
                continue
            row = rows.get(metric.name)
            if row is None:
                yield f"metric {metric.name} is not in the catalogue"
                continue
            if (_kind(metric.data), metric.unit, scope) != (row.kind, row.unit, row.scope):
                yield f"metric {metric.name} is a {_kind(metric.data)} with unit {metric.unit!r} and scope {scope}"
            for point in metric.data.data_points:
                yield from _set_problems(metric.name, point.attributes, row.attributes, row.conditional)

    def _span_problems(self) -> Iterator[str]:
        for span in self.spans:
            if not span.scope.startswith("otcache"):
                continue
            row = span_type(span)
            if row is None:
                yield f"span {span.name} of scope {span.scope} is not in the catalogue"
                continue
            if span.kind != row.kind:
                yield f"span {span.name} has kind {span.kind}"
            yield from _set_problems(f"span {span.name}", span.attributes, (), row.at_start + row.attributes)
            for attributes in span.link_attributes:
                yield from _set_problems(f"a link of span {span.name}", attributes, row.links, ())

    def _event_problems(self) -> Iterator[str]:
        rows = {row.name: row for row in catalog.EVENTS}
        for event in self.events:
            row = rows.get(event.name)
            if row is None:
                yield f"event {event.name} is not in the catalogue"
                continue
            optional = (*row.attributes, catalog.SUPPRESSED)
            yield from _set_problems(f"event {event.name}", event.attributes, (), optional)


def span_type(span: Span) -> catalog.SpanType | None:
    """The row of the catalogue that a span is of, by its scope and its name; `None` for a foreign one."""
    return next((row for row in catalog.SPANS if row.scope == span.scope and _pattern(row).fullmatch(span.name)), None)


def _pattern(row: catalog.SpanType) -> re.Pattern[str]:
    known = {attribute.name: attribute for attribute in row.at_start}
    parts = re.split(r"\{([\w.]+)\}", row.name)  # text, attribute, text, attribute, text
    names = [_alternatives(known[name]) if index % 2 else re.escape(name) for index, name in enumerate(parts)]
    return re.compile("".join(names))


def _alternatives(attribute: catalog.Attribute) -> str:
    return ".+" if attribute.values is None else f"(?:{'|'.join(map(re.escape, attribute.values))})"


def _kind(data: Any) -> str:
    """The catalogue's word for what a metric's points are."""
    if not hasattr(data, "is_monotonic"):
        return "histogram" if hasattr(data, "aggregation_temporality") else "gauge"
    return "counter" if data.is_monotonic else "updowncounter"


_TYPES: Final[dict[str, type]] = {"string": str, "int": int, "double": float, "boolean": bool}


_Rows = tuple[catalog.Attribute, ...]


def _set_problems(where: str, found: Mapping[str, Any], required: _Rows, optional: _Rows) -> Iterator[str]:
    known = {attribute.name: attribute for attribute in required + optional}
    for attribute in required:
        if attribute.name not in found:
            yield f"{where} lacks {attribute.name}"
    for name, value in found.items():
        if name not in known:
            yield f"{where} has {name}, which the catalogue does not give it"
        elif type(value) is not _TYPES[known[name].type]:
            yield f"{where} has {name}={value!r}, not of type {known[name].type}"
        elif (values := known[name].values) is not None and value not in values:
            yield f"{where} has {name}={value!r}, not one of {', '.join(values)}"


def _span(span: ReadableSpan, names: Mapping[int, str]) -> Span:
    scope, parent, context = span.instrumentation_scope, span.parent, span.context
    return Span(
        name=span.name,
        kind=span.kind.name,
        scope=scope.name if scope is not None else "",
        attributes=dict(span.attributes or {}),
        status=span.status.status_code.name,
        span_id=context.span_id if context is not None else 0,
        parent_id=parent.span_id if parent is not None else None,
        parent_name=names.get(parent.span_id) if parent is not None else None,
        links=tuple(link.context.span_id for link in span.links),
        start_ns=span.start_time or 0,
        end_ns=span.end_time or 0,
        trace_id=context.trace_id if context is not None else 0,
        status_description=span.status.description or "",
        link_attributes=tuple(dict(link.attributes or {}) for link in span.links),
    )


def _point(point: Any) -> Point:
    attributes = dict(point.attributes)
    if hasattr(point, "bucket_counts"):
        return Point(attributes, count=point.count, sum=point.sum, buckets=tuple(point.bucket_counts))
    return Point(attributes, value=point.value)


def _event(record: Any) -> EventRecord:
    name, severity, facts = record.event_name or "", record.severity_text or "", dict(record.attributes or {})
    return EventRecord(name, severity, str(record.body), facts, record.trace_id, record.span_id)


@contextmanager
def capture_telemetry() -> Iterator[Capture]:
    """An SDK in memory, beside the global one, for as long as the block lasts; ids count from 1."""
    captured = Capture()
    try:
        yield captured
    finally:
        captured.shutdown()
