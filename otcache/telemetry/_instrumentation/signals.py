"""What every part of the seam shares: the signals of one cache, and the guard around other people's code."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, get_args

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.events import Events
from otcache.telemetry._instrumentation.metrics import GRID, Metrics, grid_of, metrics_for, observe
from otcache.telemetry._instrumentation.privacy import own_words, redact
from otcache.telemetry._instrumentation.sampling import SpanPolicy, Tracing
from otcache.telemetry.providers import Providers
from otcache.telemetry.record import DegradedReason, ResponseResult

clock: Final[Callable[[], int]] = time.perf_counter_ns

_SIZES: Final = grid_of(catalog.PAYLOAD_SIZE)
_AGES: Final = grid_of(catalog.ENTRY_AGE)


class Guard:
    """Swallows and counts what other people's exporters and processors raise; a fifth of the price of a generator."""

    __slots__ = ("_reporter", "_signal")

    def __init__(self, reporter: Signals, signal: str) -> None:
        self._reporter = reporter
        self._signal = signal

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace_: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._reporter.lost(self._signal)
        return True


class Signals:
    """The tracers, metrics and events of one cache, and the facts that are not one operation's.

    Args:
        name: The cache's name, `otcache.cache.name`.
        backend: The far tier's name.
        providers: Where to report; the global providers by default.
        policy: Which operations get a span.
        version: The package's version.
    """

    def __init__(self, name: str, backend: str, providers: Providers, policy: SpanPolicy, version: str) -> None:
        self.name = name
        self.backend = backend
        self.metrics: Metrics = metrics_for(providers.meter_provider, version)
        self.tracing = Tracing(providers.tracer_provider, version, policy)
        self.events = Events(version, providers.logger_provider, dropped=self._dropped_log)
        self.metrics.on_cap = self._capped
        self._guards = {signal: Guard(self, signal) for signal in ("traces", "metrics", "logs")}
        self._codecs: dict[tuple[str, str], list[int]] = {}
        self._writes: dict[tuple[str, str], list[int]] = {}
        self._sizes: dict[str, list[int]] = {}
        self._ages: dict[str, list[int]] = {}
        self._routes: set[str] = set()
        self._declare()

    def _declare(self) -> None:
        """Every series that will surely come exists from the first collection on, at 0 (telemetry.md R5)."""
        self.metrics.cell(catalog.OPERATION_DURATION, self.name, "get", "miss", "none", None)
        self.metrics.cell(catalog.OPERATION_DURATION, self.name, "set", "ok", "none", None)
        for reason in ("absent", "expired", "backend_unavailable"):
            self.metrics.cell(catalog.LOOKUPS, self.name, "miss", "none", reason, None)
        for reason in ("capacity", "expired"):
            self.metrics.cell(catalog.EVICTIONS, self.name, "l1", reason)
        self.metrics.cell(catalog.WRITES, self.name, "l1", "set")
        for target in catalog.INVALIDATION_TARGET.values or ():
            self.metrics.cell(catalog.INVALIDATIONS, self.name, target, "local")
        for signal in ("traces", "metrics", "logs"):
            self.metrics.cell(catalog.DROPPED, signal, "recording_error")

    def declare_far(self) -> None:
        """The same for a cache that has a far tier."""
        for tier, reason in (("l1", "backfill"), ("l2", "set")):
            self.metrics.cell(catalog.WRITES, self.name, tier, reason)
        self.metrics.cell(catalog.LOOKUPS, self.name, "hit", "l2", "none", None)
        for reason in catalog.DEGRADED_REASON.values or ():
            self.metrics.cell(catalog.DEGRADED_OPERATIONS, self.name, reason)
        for state in catalog.CIRCUIT_STATE.values or ():
            self.metrics.cell(catalog.CIRCUIT_TRANSITIONS, self.backend, "l2", state)
        for direction in catalog.IO_DIRECTION.values or ():
            self.metrics.cell(catalog.L2_IO, self.name, direction)

    def wrote(self, tier: str, reason: str, count: int = 1) -> None:
        """Entries were stored in a tier."""
        cell = self._writes.get((tier, reason))
        if cell is None:
            with self.guard("metrics"):
                cell = self._writes[tier, reason] = self.metrics.cell(catalog.WRITES, self.name, tier, reason)
        if cell is not None:
            cell[0] += count

    def payload(self, direction: str, size: int) -> None:
        """One payload went to (`write`) or came from (`read`) the far tier."""
        cell = self._sizes.get(direction)
        if cell is None:
            with self.guard("metrics"):
                cell = self._sizes[direction] = self.metrics.cell(catalog.PAYLOAD_SIZE, self.name, direction)
        if cell is not None:
            observe(cell, _SIZES, size)

    def compressed(self, algorithm: str, before: int, after: int) -> None:
        """The compressor made `before` bytes into `after`."""
        with self.guard("metrics"):
            self.metrics.add(catalog.COMPRESSION_IO, before, self.name, "input", algorithm)
            self.metrics.add(catalog.COMPRESSION_IO, after, self.name, "output", algorithm)

    def coded(self, operation: str, codec: str, duration_ns: int, error: Exception | None = None) -> None:
        """A value became bytes, or bytes a value, or smaller or larger ones."""
        cell = self._codecs.get((operation, codec)) if error is None else None
        if cell is not None:  # every write comes here: half of the price of looking the series up
            observe(cell, GRID, duration_ns)
            return
        with self.guard("metrics"):
            series = (self.name, operation, codec, error_type(error))
            self.metrics.record(catalog.CODEC_DURATION, duration_ns, *series)
            if error is None:
                self._codecs[operation, codec] = self.metrics.cell(catalog.CODEC_DURATION, *series)

    def count_response(self, route: str, result: ResponseResult) -> None:
        """An HTTP response was decided on; a route's series begin at 0, all of them."""
        with self.guard("metrics"):
            if route not in self._routes:
                self._routes.add(route)
                for each in get_args(ResponseResult):
                    self.metrics.cell(catalog.HTTP_RESPONSES, self.name, route, each)
            self.metrics.add(catalog.HTTP_RESPONSES, 1, self.name, route, result)

    def aged(self, result: str, seconds: float) -> None:
        """The far tier answered with a value of this age."""
        cell = self._ages.get(result)
        if cell is None:
            with self.guard("metrics"):
                cell = self._ages[result] = self.metrics.cell(catalog.ENTRY_AGE, self.name, result)
        if cell is not None:
            observe(cell, _AGES, round(seconds * catalog.MS))

    def eviction_cell(self, reason: str) -> list[int]:
        """The cell that the near tier counts its evictions in."""
        return self.metrics.cell(catalog.EVICTIONS, self.name, "l1", reason)

    def breaker_moved(self, previous: str, state: str, reason: DegradedReason | None) -> None:
        """Count the transition; say so when the far tier went away or came back."""
        with self.guard("metrics"):
            self.metrics.add(catalog.CIRCUIT_TRANSITIONS, 1, self.backend, "l2", state)
        if state == "half_open" or (previous, state) == ("half_open", "open"):
            return  # a probe of an outage that has been reported
        away = state == "open"
        facts = {catalog.CACHE.name: self.name, catalog.BACKEND.name: self.backend}
        self.events.emit(
            catalog.CIRCUIT_CHANGED,
            f"circuit breaker of {self.backend} for cache {self.name} is {state}",
            {**facts, catalog.CIRCUIT_STATE.name: state, catalog.CIRCUIT_PREVIOUS.name: previous},
            severity="WARN" if away else "INFO",
        )
        component = {catalog.COMPONENT.name: "l2", catalog.COMPONENT_STATE.name: "unavailable" if away else "available"}
        if reason is not None and away:
            component[catalog.DEGRADED_REASON.name] = reason
        self.events.emit(
            catalog.COMPONENT_CHANGED,
            f"far tier {self.backend} of cache {self.name} is {'unavailable' if away else 'available again'}",
            {**facts, **component},
            severity="WARN" if away else "INFO",
        )

    def journal_full(self, limit: int) -> None:
        """More writes failed than the journal holds."""
        body = f"cache {self.name}: over {limit} failed writes; all of it is invalid from now on"
        self.events.emit(catalog.JOURNAL_FULL, body, {catalog.CACHE.name: self.name, catalog.LIMIT.name: limit})

    def started(self, configuration: str, lacks: Sequence[str] = ()) -> None:
        """A cache is ready; a warning if its store lacks a feature."""
        body = f"cache {self.name} is ready: {redact(configuration)}"
        if lacks:
            body += f"; the store of its L2 has no {', no '.join(lacks)} (docs/stores.md)"
        facts = {catalog.CACHE.name: self.name}
        self.events.emit(catalog.STARTED, body, facts, severity="WARN" if lacks else None)

    # --- guards -------------------------------------------------------------------------------------

    def guard(self, signal: str) -> Guard:
        """Telemetry never changes behaviour: what an SDK raises is counted, and that is all."""
        return self._guards[signal]

    def lost(self, signal: str) -> None:
        self.metrics.cell(catalog.DROPPED, signal, "recording_error")[0] += 1

    def _dropped_log(self) -> None:
        self.metrics.cell(catalog.DROPPED, "logs", "rate_limited")[0] += 1

    def _capped(self, attribute: catalog.Attribute) -> None:
        limit = attribute.cap or 0
        body = f"{attribute.name} has over {limit} values; further ones are {catalog.OTHER}"
        facts = {catalog.ATTRIBUTE_NAME.name: attribute.name, catalog.LIMIT.name: limit}
        self.events.emit(catalog.CAPPED, body, facts)


def error_type(error: BaseException | None) -> str | None:
    """`error.type`: the fully qualified class; `None` for success and for a cancelled call."""
    if error is None or isinstance(error, asyncio.CancelledError):
        return None
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def wall(reading: int) -> int:
    """The wall clock, in ns since the epoch, of a `perf_counter_ns` reading of a moment ago."""
    return time.time_ns() - (clock() - reading)


def exemplar_context(span: trace.Span | None) -> otel_context.Context | None:
    """A context for an exemplar, if the span is sampled."""
    if span is None or not span.get_span_context().trace_flags & 1:
        return None
    return trace.set_span_in_context(trace.NonRecordingSpan(span.get_span_context()))


def is_traced(span: trace.Span) -> bool:
    """Whether children of this span are wanted; also when it has ended, as that of a caller who did not wait."""
    return span.is_recording() or bool(span.get_span_context().trace_flags & 1)


def context_of(span: trace.Span | None) -> otel_context.Context | None:
    """A context in which the span is current, if there is one."""
    return None if span is None else trace.set_span_in_context(span)


def set_status(span: trace.Span, error: BaseException | None, key: str | None = None) -> None:
    """ERROR, described by our own words only, unless there is no error or the caller gave up."""
    if error is not None and not isinstance(error, asyncio.CancelledError):
        span.set_status(Status(StatusCode.ERROR, own_words(error, key)))
