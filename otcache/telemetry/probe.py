"""The seam: every cache operation passes here, and from here come its span, metrics, events and callbacks.

Nothing else calls OpenTelemetry, a logger or a callback about a cache operation. Every observer is
guarded: what fails in here is counted, and never changes an answer.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from otcache.base import StoreError
from otcache.callbacks import Callbacks
from otcache.telemetry import catalog
from otcache.telemetry.events import Events
from otcache.telemetry.gate import SpanPolicy, Tracing
from otcache.telemetry.metrics import GRID, Metrics, metrics_for, observe
from otcache.telemetry.outcome import AIFacts, DegradedReason, Lookup, Operation, Outcome, Purpose, RoundTrip
from otcache.telemetry.privacy import KeyPrivacy, redact
from otcache.telemetry.providers import Providers

clock: Final[Callable[[], int]] = time.perf_counter_ns
_TEXT_LIMIT: Final = 256


class Probe:
    """What one cache reports through.

    Args:
        name: The cache's name, `otcache.cache.name`.
        backend: The far tier's name.
        privacy: How keys appear in spans.
        providers: Where to report; the global providers by default.
        policy: Which operations get a span.
        version: The package's version.

    Attributes:
        hits: The cell of L1 hits by `get`, for the hit path.
    """

    def __init__(
        self, name: str, backend: str, privacy: KeyPrivacy, providers: Providers, policy: SpanPolicy, version: str
    ) -> None:
        self.name = name
        self.backend = backend
        self.metrics: Metrics = metrics_for(providers.meter_provider, version)
        self.tracing = Tracing(providers.tracer_provider, version, policy)
        self.events = Events(version, providers.logger_provider, dropped=self._dropped_log)
        self.callbacks = Callbacks(self)
        self.privacy = privacy
        self.metrics.on_cap = self._capped
        self._hit_series = (name, "get", "hit", "l1", None)
        self.hits = self.metrics.cell(catalog.OPERATION_DURATION, *self._hit_series)
        self._hit_name = f"cache.get {name}"
        self._hit_attributes = {
            catalog.CACHE.name: name,
            catalog.OPERATION.name: "get",
            catalog.RESULT.name: "hit",
            catalog.TIER.name: "l1",
        }
        self._declare()

    def _declare(self) -> None:
        """Every series that will surely come exists from the first collection on, at 0 (telemetry.md R5)."""
        self.metrics.cell(catalog.OPERATION_DURATION, self.name, "get", "miss", "none", None)
        self.metrics.cell(catalog.OPERATION_DURATION, self.name, "set", "ok", "none", None)
        for reason in ("absent", "expired", "backend_unavailable"):
            self.metrics.cell(catalog.LOOKUPS, self.name, "miss", "none", reason)
        for reason in ("capacity", "expired"):
            self.metrics.cell(catalog.EVICTIONS, self.name, "l1", reason)
        self.metrics.cell(catalog.WRITES, self.name, "l1", "set")
        for signal in ("traces", "metrics", "logs"):
            self.metrics.cell(catalog.DROPPED, signal, "recording_error")

    def declare_far(self) -> None:
        """The same for a cache that has a far tier."""
        for tier, reason in (("l1", "backfill"), ("l2", "set")):
            self.metrics.cell(catalog.WRITES, self.name, tier, reason)
        self.metrics.cell(catalog.LOOKUPS, self.name, "hit", "l2", "none")
        for reason in catalog.DEGRADED_REASON.values or ():
            self.metrics.cell(catalog.DEGRADED_OPERATIONS, self.name, reason)
        for state in catalog.CIRCUIT_STATE.values or ():
            self.metrics.cell(catalog.CIRCUIT_TRANSITIONS, self.backend, "l2", state)
        for direction in catalog.IO_DIRECTION.values or ():
            self.metrics.cell(catalog.L2_IO, self.name, direction)

    # --- operations ---------------------------------------------------------------------------------

    def operation(
        self, operation: Operation, started: int, key: str | None = None, ai: AIFacts | None = None
    ) -> OpenOperation:
        """Open the record of one call; use it as a context manager."""
        return OpenOperation(self, Outcome(operation, started, key, ai=ai))

    def hit(self, key: str, value: Any, started: int) -> None:
        """A watched L1 hit, told after the fact: one span that is born complete costs half of one that grows."""
        ended = clock()
        observe(self.hits, GRID, ended - started)
        span = self._hit_span(key, started, ended) if self.tracing.wants_hit() else None
        if self.callbacks.active:
            with self._inside(span):
                errors = self.callbacks.fire("get_success", key, value)
            if errors and span is not None:
                span.set_attribute(catalog.CALLBACK_ERRORS.name, errors)
        if span is not None:
            with self._guard("traces"):
                span.end(_wall(ended))

    def _hit_span(self, key: str, started: int, ended: int) -> trace.Span | None:
        try:
            span = self.tracing.operations.start_span(
                self._hit_name,
                attributes={**self._hit_attributes, **self.privacy.attributes(key)},
                start_time=_wall(started),
                record_exception=False,
                set_status_on_exception=False,
            )
            if span.get_span_context().trace_flags & 1:
                self.metrics.exemplar(catalog.OPERATION_DURATION, self._hit_series, ended - started, _context_of(span))
        except Exception:  # noqa: BLE001  an SDK's sampler or processor
            self._lost("traces")
            return None
        return span

    def open(self, outcome: Outcome) -> None:
        """Start the span now if the policy wants one for every operation."""
        if self.tracing.policy == "all" and self.tracing.wants():
            self.start_span(outcome)

    def start_span(self, outcome: Outcome) -> None:
        """Start the operation's span, as of the operation's own start."""
        with self._guard("traces"):
            attributes = {catalog.CACHE.name: self.name, catalog.OPERATION.name: outcome.operation}
            outcome.span = self.tracing.operations.start_span(
                f"cache.{outcome.operation} {self.name}",
                kind=SpanKind.INTERNAL,
                attributes=attributes,
                start_time=_wall(outcome.started),
                record_exception=False,
                set_status_on_exception=False,
            )

    def failed(self, outcome: Outcome, error: BaseException) -> None:
        """The call raises `error` to its caller."""
        outcome.error = error
        outcome.result = "cancelled" if isinstance(error, asyncio.CancelledError) else "error"
        outcome.lookups = None
        outcome.written = []
        outcome.removed = []

    def close(self, outcome: Outcome) -> None:
        """The call is over: count it, tell the callbacks, end the span."""
        now = clock()
        outcome.duration = now - outcome.started
        with self._guard("metrics"):
            self._count(outcome)
        self._call_back(outcome)
        if outcome.error is not None and not isinstance(outcome.error, asyncio.CancelledError):
            self._log_error(outcome)
        if outcome.span is not None:
            with self._guard("traces"):
                if outcome.span.is_recording():
                    outcome.span.set_attributes(self._attributes(outcome))
                    self._set_status(outcome.span, outcome.error)
                outcome.span.end(_wall(now))

    def _count(self, outcome: Outcome) -> None:
        context = _exemplar_context(outcome.span)
        series = (self.name, outcome.operation, outcome.result, outcome.tier, error_type(outcome.error))
        self.metrics.record(catalog.OPERATION_DURATION, outcome.duration, *series, context=context)
        for lookup in self._lookups(outcome):
            if (outcome.operation, lookup.result, lookup.tier) != ("get", "hit", "l1"):  # derived from the histogram
                self.metrics.add(catalog.LOOKUPS, 1, self.name, lookup.result, lookup.tier, lookup.reason)
            if outcome.ai is not None:
                facts = (outcome.ai.operation, outcome.ai.text_tier, lookup.result)
                self.metrics.add(catalog.AI_LOOKUPS, 1, self.name, *facts)
        if outcome.degraded is not None:
            self.metrics.add(catalog.DEGRADED_OPERATIONS, 1, self.name, outcome.degraded)

    def _lookups(self, outcome: Outcome) -> list[Lookup]:
        if outcome.operation == "get" and outcome.error is None:
            key = outcome.key or ""
            return [Lookup(key, outcome.result, outcome.tier, outcome.reason, outcome.value)]
        return outcome.lookups or []

    def _call_back(self, outcome: Outcome) -> None:
        if not self.callbacks.active or outcome.error is not None:
            return
        with self._inside(outcome.span):
            outcome.callback_errors = self._fire(outcome)

    def _fire(self, outcome: Outcome) -> int:
        fire, errors = self.callbacks.fire, 0
        for lookup in self._lookups(outcome):
            if lookup.result in ("hit", "stale"):
                errors += fire("get_success", lookup.key, lookup.value)
            elif lookup.result == "miss":
                errors += fire("get_miss", lookup.key)
        for key, value in outcome.written:
            errors += fire("set_success", key, value)
        for key in outcome.removed:
            errors += fire("delete_success", key)
        return errors

    def _attributes(self, outcome: Outcome) -> dict[str, Any]:
        found: dict[str, Any] = {
            catalog.RESULT.name: outcome.result,
            catalog.AGE.name: outcome.age,
            catalog.TTL.name: outcome.ttl,
            catalog.SIZE.name: outcome.size,
            catalog.BATCH_SIZE.name: outcome.batch_size,
            catalog.BATCH_HITS.name: outcome.batch_hits,
            catalog.DEGRADED.name: True if outcome.degraded else None,
            catalog.DEGRADED_REASON.name: outcome.degraded,
            catalog.CALLBACK_ERRORS.name: outcome.callback_errors or None,
            catalog.ERROR_TYPE.name: error_type(outcome.error),
        }
        if outcome.operation in ("get", "get_many"):
            found[catalog.TIER.name] = outcome.tier
            found[catalog.MISS_REASON.name] = outcome.reason if outcome.result == "miss" else None
        if outcome.ai is not None:
            found[catalog.AI_OPERATION.name] = outcome.ai.operation
            found[catalog.AI_TEXT_TIER.name] = outcome.ai.text_tier
        if isinstance(outcome.key, str) and outcome.key:
            found.update(self.privacy.attributes(outcome.key))
        return {name: value for name, value in found.items() if value is not None}

    def _set_status(self, span: trace.Span, error: BaseException | None, key: str | None = None) -> None:
        if error is not None and not isinstance(error, asyncio.CancelledError):
            span.set_status(Status(StatusCode.ERROR, redact(str(error), key=key)[:_TEXT_LIMIT]))

    def _log_error(self, outcome: Outcome) -> None:
        attributes = {
            catalog.CACHE.name: self.name,
            catalog.OPERATION.name: outcome.operation,
            catalog.ERROR_TYPE.name: error_type(outcome.error) or "",
        }
        body = f"cache.{outcome.operation} {self.name} raised to its caller"
        self.events.emit(
            catalog.OPERATION_EXCEPTION, body, attributes, exception=outcome.error, context=_context_of(outcome.span)
        )

    # --- round trips --------------------------------------------------------------------------------

    def begin_trip(self, outcome: Outcome | None, command: str, purpose: Purpose, batch: int | None) -> RoundTrip:
        """Open the record of one round trip; its CLIENT span is a child of the operation's."""
        trip = RoundTrip(command, purpose, clock(), batch)
        if outcome is None:  # the background probe: metered, not traced
            return trip
        if outcome.span is None and self.tracing.policy == "io" and self.tracing.wants():
            self.start_span(outcome)
        if outcome.span is not None and outcome.span.is_recording():
            with self._guard("traces"):
                trip.span = self._client_span(outcome.span, trip)
        return trip

    def _client_span(self, parent: trace.Span, trip: RoundTrip) -> trace.Span:
        attributes: dict[str, Any] = {
            catalog.DB_SYSTEM.name: "redis",
            catalog.DB_OPERATION.name: trip.command,
            catalog.CACHE.name: self.name,
            catalog.PURPOSE.name: trip.purpose,
            **self.server,
        }
        if trip.batch is not None and trip.batch > 1:
            attributes[catalog.DB_BATCH_SIZE.name] = trip.batch
        return self.tracing.redis.start_span(
            trip.command,
            context=trace.set_span_in_context(parent),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=_wall(trip.started),
            record_exception=False,
            set_status_on_exception=False,
        )

    server: dict[str, Any] = {}  # noqa: RUF012  replaced as a whole by `set_server`

    def set_server(self, address: str, port: int | None, database: str) -> None:
        """Where the far tier is, for CLIENT spans."""
        found = {
            catalog.SERVER_ADDRESS.name: address,
            catalog.SERVER_PORT.name: port,
            catalog.DB_NAMESPACE.name: database,
        }
        self.server = {name: value for name, value in found.items() if value is not None}

    def end_trip(self, trip: RoundTrip, error: BaseException | None) -> None:
        """The round trip is over: count it, end its span, log what failed."""
        now = clock()
        trip.duration = now - trip.started
        trip.error_type = error.error_type if isinstance(error, StoreError) else error_type(error)
        with self._guard("metrics"):
            self._count_trip(trip)
        if isinstance(error, StoreError):
            self._log_trip(trip, error)
        if trip.span is not None:
            with self._guard("traces"):
                self._end_client_span(trip, error, now)

    def _count_trip(self, trip: RoundTrip) -> None:
        series = (self.name, trip.command, trip.error_type)
        self.metrics.add(catalog.L2_OPERATIONS, 1, *series)
        self.metrics.record(catalog.L2_DURATION, trip.duration, *series, context=_exemplar_context(trip.span))
        for direction, amount in (("read", trip.received), ("write", trip.sent)):
            if amount and trip.error_type is None:
                self.metrics.add(catalog.L2_IO, amount, self.name, direction)

    def _end_client_span(self, trip: RoundTrip, error: BaseException | None, now: int) -> None:
        if trip.error_type is not None and not isinstance(error, asyncio.CancelledError):
            trip.span.set_attribute(catalog.ERROR_TYPE.name, trip.error_type)
            if trip.error_type.isupper():  # the server's own prefix: WRONGTYPE, OOM
                trip.span.set_attribute(catalog.DB_STATUS.name, trip.error_type)
            self._set_status(trip.span, error)
        trip.span.end(_wall(now))

    def _log_trip(self, trip: RoundTrip, error: StoreError) -> None:
        attributes = {
            catalog.CACHE.name: self.name,
            catalog.DB_OPERATION.name: trip.command,
            catalog.ERROR_TYPE.name: error.error_type,
        }
        body = f"{trip.command} for cache {self.name} failed: {error.reason}"
        self.events.emit(catalog.REDIS_EXCEPTION, body, attributes, context=_context_of(trip.span))

    # --- facts that are not one operation's ----------------------------------------------------------

    def wrote(self, tier: str, reason: str, count: int = 1) -> None:
        """Entries were stored in a tier."""
        with self._guard("metrics"):
            self.metrics.add(catalog.WRITES, count, self.name, tier, reason)

    def payload(self, direction: str, size: int) -> None:
        """One payload went to (`write`) or came from (`read`) the far tier."""
        with self._guard("metrics"):
            self.metrics.record(catalog.PAYLOAD_SIZE, size, self.name, direction)

    def compressed(self, algorithm: str, before: int, after: int) -> None:
        """The compressor made `before` bytes into `after`."""
        with self._guard("metrics"):
            self.metrics.add(catalog.COMPRESSION_IO, before, self.name, "input", algorithm)
            self.metrics.add(catalog.COMPRESSION_IO, after, self.name, "output", algorithm)

    def eviction_cell(self, reason: str) -> list[int]:
        """The cell that the near tier counts its evictions in."""
        return self.metrics.cell(catalog.EVICTIONS, self.name, "l1", reason)

    def breaker_moved(self, previous: str, state: str, reason: DegradedReason | None) -> None:
        """Count the transition; say so when the far tier went away or came back."""
        with self._guard("metrics"):
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
        body = f"cache {self.name}: over {limit} failed writes; its prefix is cleared before it is read again"
        self.events.emit(catalog.JOURNAL_FULL, body, {catalog.CACHE.name: self.name, catalog.LIMIT.name: limit})

    def started(self, configuration: str) -> None:
        """A cache is ready."""
        body = f"cache {self.name} is ready: {redact(configuration)}"
        self.events.emit(catalog.STARTED, body, {catalog.CACHE.name: self.name})

    # --- the observer of callbacks -------------------------------------------------------------------

    def callback_ran(self, event: str, name: str, duration_ns: int, error: BaseException | None) -> None:
        """One user callback returned or raised."""
        with self._guard("metrics"):
            self.metrics.add(catalog.CALLBACKS, 1, event, name, error_type(error))
            self.metrics.record(catalog.CALLBACK_DURATION, duration_ns, event, name)
        if error is not None:
            facts = {catalog.CALLBACK_EVENT.name: event, catalog.CALLBACK_NAME.name: name}
            facts[catalog.ERROR_TYPE.name] = error_type(error) or ""
            self.events.emit(catalog.CALLBACK_EXCEPTION, f"callback {name} for {event} raised", facts, exception=error)

    def callback_quarantined(self, event: str, name: str) -> None:
        """One user callback is skipped for a while."""
        facts = {catalog.CALLBACK_EVENT.name: event, catalog.CALLBACK_NAME.name: name}
        self.events.emit(catalog.CALLBACK_QUARANTINED, f"callback {name} for {event} is skipped for a while", facts)

    # --- guards -------------------------------------------------------------------------------------

    @contextmanager
    def _guard(self, signal: str) -> Iterator[None]:
        """Telemetry never changes behaviour: what an SDK raises is counted, and that is all."""
        try:
            yield
        except Exception:  # noqa: BLE001  other people's exporters and processors
            self._lost(signal)

    def _lost(self, signal: str) -> None:
        self.metrics.cell(catalog.DROPPED, signal, "recording_error")[0] += 1

    def _dropped_log(self) -> None:
        self.metrics.cell(catalog.DROPPED, "logs", "rate_limited")[0] += 1

    def _capped(self, attribute: catalog.Attribute) -> None:
        limit = attribute.cap or 0
        body = f"{attribute.name} has over {limit} values; further ones are {catalog.OTHER}"
        facts = {catalog.ATTRIBUTE_NAME.name: attribute.name, catalog.LIMIT.name: limit}
        self.events.emit(catalog.CAPPED, body, facts)

    @contextmanager
    def _inside(self, span: trace.Span | None) -> Iterator[None]:
        """Make the span current, so that a callback can add to it."""
        if span is None:
            yield
            return
        token = otel_context.attach(trace.set_span_in_context(span))
        try:
            yield
        finally:
            otel_context.detach(token)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Keep the Redis instrumentor, where one is loaded, from a second span for the same round trip."""
        suppress = _suppressor()
        if suppress is None:
            yield
            return
        with suppress():
            yield


class OpenOperation:
    """The record of one call while it runs."""

    __slots__ = ("_outcome", "_probe")

    def __init__(self, probe: Probe, outcome: Outcome) -> None:
        self._probe = probe
        self._outcome = outcome

    def __enter__(self) -> Outcome:
        self._probe.open(self._outcome)
        return self._outcome

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        if error is not None:
            self._probe.failed(self._outcome, error)
        self._probe.close(self._outcome)


def error_type(error: BaseException | None) -> str | None:
    """`error.type`: the fully qualified class; `None` for success and for a cancelled call."""
    if error is None or isinstance(error, asyncio.CancelledError):
        return None
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _wall(reading: int) -> int:
    """The wall clock, in ns since the epoch, of a `perf_counter_ns` reading of a moment ago."""
    return time.time_ns() - (clock() - reading)


def _exemplar_context(span: trace.Span | None) -> otel_context.Context | None:
    if span is None or not span.get_span_context().trace_flags & 1:
        return None
    return trace.set_span_in_context(trace.NonRecordingSpan(span.get_span_context()))


def _context_of(span: trace.Span | None) -> otel_context.Context | None:
    return None if span is None else trace.set_span_in_context(span)


def _suppressor() -> Any:
    """`suppress_instrumentation` of the instrumentation package, while its Redis instrumentor is loaded."""
    if "opentelemetry.instrumentation.redis" not in sys.modules:
        return None
    return getattr(sys.modules.get("opentelemetry.instrumentation.utils"), "suppress_instrumentation", None)
