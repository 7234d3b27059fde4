"""What every part of the seam shares: the tracers, metrics and events of one cache, and their one cache of cells."""

from __future__ import annotations

import asyncio
import re
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode

from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.events import Events
from otcache.telemetry._instrumentation.metrics import Metrics, grid_of, metrics_for
from otcache.telemetry._instrumentation.privacy import own_words
from otcache.telemetry._instrumentation.sampling import SPAN_KEY, SpanPolicy, current_context
from otcache.telemetry.catalog import Attribute, Combination, Instrument
from otcache.telemetry.providers import Providers
from otcache.telemetry.record import Measurement

clock: Final[Callable[[], int]] = time.perf_counter_ns
Values = tuple[str | None, ...]

# A parent-based sampler with the default delegates drops every child of an unsampled parent.
_PARENT_BASED = re.compile(
    r"ParentBased\{root:.*,remoteParentSampled:AlwaysOnSampler,remoteParentNotSampled:AlwaysOffSampler,"
    r"localParentSampled:AlwaysOnSampler,localParentNotSampled:AlwaysOffSampler\}"
)


class Guard:
    """Swallows and counts what other people's exporters and processors raise; a fifth of the price of a generator."""

    __slots__ = ("_signal", "_signals")

    def __init__(self, signals: Signals, signal: str) -> None:
        self._signals = signals
        self._signal = signal

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace_: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._signals.lost(self._signal)
        return True


class Signals:
    """The tracers, metrics and events of one cache; `backend` is the name of L2.

    Writers name a row of the catalogue and the values of its attributes after the cache's or the backend's name,
    which is added here: `count(catalog.WRITES, "l1", "set")`. Absent values at the end may be left out.
    """

    def __init__(self, name: str, backend: str, providers: Providers, policy: SpanPolicy, version: str) -> None:
        self.name = name
        self.backend = backend
        self.metrics: Metrics = metrics_for(providers.meter_provider, version)
        self.tracing = Tracing(providers.tracer_provider, version, policy)
        self.events = Events(version, providers.logger_provider, dropped=self.metrics.log_dropped)
        self.metrics.on_cap = self._capped
        self._guards = {signal: Guard(self, signal) for signal in ("traces", "metrics", "logs")}
        self._owners: dict[Attribute, str | None] = {catalog.CACHE: name, catalog.BACKEND: backend}
        self._cells: dict[Instrument, dict[Values, tuple[list[int], tuple[int, ...]]]] = {
            row: {} for row in catalog.INSTRUMENTS
        }
        for row in catalog.INSTRUMENTS:
            if row.present == "always":
                self._begin_at_zero(row, row.zero, self._owners)

    def with_l2(self) -> None:
        """Let the series of a cache that has an L2 exist at 0, too."""
        for row in catalog.INSTRUMENTS:
            self._begin_at_zero(row, row.zero if row.present == "far" else row.zero_l2, self._owners)

    def _begin_at_zero(
        self, row: Instrument, combinations: tuple[Combination, ...], known: Mapping[Attribute, str | None]
    ) -> None:
        for values in row.series(combinations, known):
            self.metrics.cell(row, *values)

    # --- writing ------------------------------------------------------------------------------------

    def count(self, row: Instrument, *values: str | None, n: int = 1) -> None:
        """Add `n` to a counter's series."""
        try:
            cell, _ = self._cells[row][values]
        except KeyError:
            cell, _ = self._find(row, values)
        cell[0] += n

    def observe(self, row: Instrument, value: int, *values: str | None, span: trace.Span | None = None) -> None:
        """Count `value`, in what the row's cells count (ns, ms, bytes), in a histogram; `span` is its exemplar."""
        try:
            cell, grid = self._cells[row][values]
        except KeyError:
            cell, grid = self._find(row, values)
        cell[bisect_left(grid, value)] += 1
        cell[-1] += value
        if span is not None:
            self.exemplar(row, value, values, span)

    def measure(self, measured: list[Measurement]) -> None:
        """Count what a call has measured, in one function: two calls per measurement would cost a set 5%."""
        for row, amount, values in measured:
            try:
                cell, grid = self._cells[row][values]
            except KeyError:
                cell, grid = self._find(row, values)
            if grid:
                cell[bisect_left(grid, amount)] += 1
                cell[-1] += amount
            else:
                cell[0] += amount

    def exemplar(self, row: Instrument, value: int, values: Values, span: trace.Span) -> None:
        """Let `span`, if it is sampled, be the example of a value that was counted."""
        with self.guard("metrics"):
            context = exemplar_context(span)
            if context is not None:
                self.metrics.exemplar(row, self._whole(row, values), value, context)

    def _find(self, row: Instrument, values: Values) -> tuple[list[int], tuple[int, ...]]:
        """A cell that was not used before, or that must be looked up each time; never raises."""
        grid = grid_of(row) if row.kind == "histogram" else ()
        with self.guard("metrics"):
            whole = self._whole(row, values)
            found, folded = (self.metrics.cell(row, *whole), grid), self.metrics.folded(row, whole)
            if row.present == "use":  # every result of a route, from its first response on
                self._begin_at_zero(row, row.zero, dict(zip(row.keys, folded, strict=True)))
            # Values beyond their cap are no keys: there is no end of them, and each use is counted as dropped.
            if folded[1:] == whole[1:]:
                self._cells[row][values] = found
            return found
        return [0] * (len(grid) + 2), grid

    def _whole(self, row: Instrument, values: Values) -> Values:
        owner = self._owners.get(row.keys[0])
        given = values if owner is None else (owner, *values)
        return given + (None,) * (len(row.keys) - len(given))

    # --- what is lost -------------------------------------------------------------------------------

    def guard(self, signal: str) -> Guard:
        """Swallow and count what an observer raises."""
        return self._guards[signal]

    def lost(self, signal: str) -> None:
        """Count what an observer has raised."""
        self.metrics.add(catalog.DROPPED, 1, signal, "recording_error")

    def _capped(self, attribute: Attribute) -> None:
        limit = attribute.cap or 0
        body = f"{attribute.name} has over {limit} values; further ones are {catalog.OTHER}"
        facts = {catalog.ATTRIBUTE_NAME.name: attribute.name, catalog.LIMIT.name: limit}
        self.events.emit(catalog.CAPPED, body, facts)


class Tracing:
    """The tracers of one cache, and what its hit path must know of them.

    Attributes:
        mask: 1 if a hit under a sampled parent gets a span, 0 if no hit does.
        roots: Whether a hit without a parent may get a span.
        unset: Whether the application has set no SDK yet.
        always: Whether the sampler must be asked about hits even under an unsampled parent.
    """

    __slots__ = (
        "_ask", "_provider", "_resolved_for", "always", "mask", "operations", "policy", "redis", "roots", "unset",
    )  # fmt: skip

    def __init__(self, provider: trace.TracerProvider | None, version: str, policy: SpanPolicy) -> None:
        self.policy: SpanPolicy = policy
        self.mask = int(policy == "all")
        self.roots = False
        self.unset = False
        self.always = False
        self._ask = False
        self._provider = provider
        self._resolved_for: object = None
        self.operations = trace.get_tracer("otcache", version, provider)
        self.redis = trace.get_tracer("otcache.redis", version, provider)
        self.refresh()

    def refresh(self) -> None:
        """Look again at the provider: an application may set its SDK after it built its caches."""
        provider = self._provider or trace.get_tracer_provider()
        if provider is self._resolved_for:
            return
        self._resolved_for = provider
        self.unset = isinstance(provider, trace.ProxyTracerProvider)
        sampler = getattr(provider, "sampler", None)  # None: no SDK
        description = sampler.get_description() if sampler is not None else "AlwaysOffSampler"
        may_record = description != "AlwaysOffSampler"
        self._ask = may_record and _PARENT_BASED.fullmatch(description) is None
        self.roots = may_record and bool(self.mask)
        self.always = self._ask and bool(self.mask)

    def is_late(self) -> bool:
        """Whether an SDK has been set since, and may want a span of a hit without a parent."""
        if getattr(trace, "_TRACER_PROVIDER", self) is None:  # private, and a tenth of the price of asking
            return False
        self.refresh()
        return self.roots

    def wants_hit(self) -> bool:
        """Whether a span of an L1 hit would be recorded, or has to be offered to the sampler."""
        span = current_context().get(SPAN_KEY)
        if span is None:
            return self.roots
        return bool(span.get_span_context().trace_flags & self.mask) or self.always

    def wants(self) -> bool:
        """The same for an operation that leaves the hit path."""
        if self.policy == "off" or (self.unset and getattr(trace, "_TRACER_PROVIDER", self) is None):
            return False
        self.refresh()
        span = current_context().get(SPAN_KEY)
        if span is None:  # the root sampler decides
            return True
        return bool(span.get_span_context().trace_flags & 1) or self._ask


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
