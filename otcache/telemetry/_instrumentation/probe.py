"""The seam: every cache operation passes here, and from here come its span, metrics, events and callbacks.

Nothing else calls OpenTelemetry, a logger or a callback about a cache operation. Every observer is
guarded: what fails in here is counted, and never changes an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from otcache._serialization.envelope import Facts, Writer
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.ai_savings import Savings
from otcache.telemetry._instrumentation.callbacks import MOST_FAILURES, MOST_SLOW, QUARANTINE_NS, Callbacks
from otcache.telemetry._instrumentation.coherence import CoherenceReport
from otcache.telemetry._instrumentation.loads import LoadReports
from otcache.telemetry._instrumentation.metrics import GRID, HIT_OPERATIONS, Metrics, observe
from otcache.telemetry._instrumentation.privacy import KeyPrivacy, redact
from otcache.telemetry._instrumentation.remote_calls import RemoteCalls
from otcache.telemetry._instrumentation.sampling import SpanPolicy
from otcache.telemetry._instrumentation.signals import Signals, clock, context_of, error_type, set_status, wall
from otcache.telemetry.catalog.values import DegradedReason, Operation
from otcache.telemetry.providers import Providers
from otcache.telemetry.record import AIFacts, Lookup, Outcome
from otcache.ttl import FOREVER

_LOOKING: Final = frozenset(("get", "get_many", "get_or_set"))
_SKIPPED: Final = (
    f"callback {{name}} for {{event}}: skipped for {QUARANTINE_NS // catalog.NS} s after {MOST_FAILURES} consecutive "
    f"errors or {MOST_SLOW} slow runs"
)


class Extras(NamedTuple):
    """What is reported only where it is asked for: links from hits to the writing span, spans of async callbacks."""

    writer_links: bool = False
    callback_spans: bool = False


class Probe:
    """What one cache reports through.

    `backend` is the name of L2, `privacy` how keys appear in spans, `policy` which operations get one. `signals` is
    what everything below is written to; `hits` and `load_hits` are the cells of L1 hits by `get` and by `get_or_set`,
    for the hit path.
    """

    def __init__(
        self,
        name: str,
        backend: str,
        privacy: KeyPrivacy,
        providers: Providers,
        policy: SpanPolicy,
        version: str,
        options: Extras = Extras(),  # noqa: B008  a frozen tuple
    ) -> None:
        self.signals = signals = Signals(name, backend, providers, policy, version)
        self.name, self.backend = name, backend
        self.metrics, self.tracing, self.events = signals.metrics, signals.tracing, signals.events
        self.callbacks = Callbacks(self)
        self.privacy = privacy
        self._extras = options
        self._savings = Savings(signals)
        self.trips = RemoteCalls(signals, self.start_span)
        self.loads = LoadReports(signals)
        self.coherence = CoherenceReport(signals)
        self._hits = {operation: _HitSeries.of(signals.metrics, name, operation) for operation in HIT_OPERATIONS}
        self.hits, self.load_hits = (self._hits[operation].cell for operation in HIT_OPERATIONS)

    # --- operations ---------------------------------------------------------------------------------

    def operation(
        self, operation: Operation, started: int, key: str | None = None, ai: AIFacts | None = None
    ) -> OpenOperation:
        """Open the record of one call, and its span if the policy wants one of every call; a context manager."""
        outcome = OpenOperation(operation, started, key, ai=ai)
        outcome.probe = self
        if self.tracing.policy == "all" and self.tracing.wants():
            self.start_span(outcome)
        return outcome

    def hit(
        self,
        key: str,
        value: Any,
        facts: Facts | None,
        started: int,
        operation: Operation = "get",
        template: str | None = None,
    ) -> None:
        """A watched L1 hit, told after the fact: one span that is born complete costs half of one that grows."""
        ended, series = clock(), self._hits[operation]
        observe(series.cell, GRID, ended - started)
        span = None
        if self.tracing.wants_hit():
            shown: dict[str, Any] = {**self.privacy.attributes(key, template)}
            if value is None:
                shown[catalog.NEGATIVE.name] = True
            span = self._hit_span(series, shown, facts, started, ended)
        if self.callbacks.active:
            with self._inside(span):
                errors = self.callbacks.fire("get_success", key, value)
            if errors and span is not None:
                span.set_attribute(catalog.CALLBACK_ERRORS.name, errors)
        if span is not None:
            with self.signals.guard("traces"):
                span.end(wall(ended))

    def _hit_span(
        self, series: _HitSeries, shown: dict[str, Any], facts: Facts | None, started: int, ended: int
    ) -> trace.Span | None:
        try:
            span = self.tracing.operations.start_span(
                series.span_name, attributes={**series.attributes, **shown}, links=self._writer_links(facts),
                start_time=wall(started),
                record_exception=False, set_status_on_exception=False,
            )  # fmt: skip
            if span.get_span_context().trace_flags & 1:
                self.metrics.exemplar(catalog.OPERATION_DURATION, series.values, ended - started, context_of(span))
        except Exception:  # noqa: BLE001  an SDK's sampler or processor
            self.signals.lost("traces")
            return None
        return span

    def open_late(self, outcome: Outcome) -> None:
        """Start the span now if the policy wants one of those calls only that leave this process, load or wait."""
        if outcome.span is None and self.tracing.policy == "io" and self.tracing.wants():
            self.start_span(outcome)

    def start_span(self, outcome: Outcome) -> None:
        """Start the operation's span, as of the operation's own start."""
        with self.signals.guard("traces"):
            attributes = {catalog.CACHE.name: self.name, catalog.OPERATION.name: outcome.operation}
            outcome.span = self.tracing.operations.start_span(
                f"cache.{outcome.operation} {self.name}", kind=SpanKind.INTERNAL, attributes=attributes,
                start_time=wall(outcome.started),
                record_exception=False, set_status_on_exception=False,
            )  # fmt: skip

    def with_writer(self, outcome: Outcome, facts: Facts | None) -> Facts | None:
        """`facts`, and where it is wanted the span that writes the entry."""
        span = outcome.span
        if not self._extras.writer_links or span is None:
            return facts
        context = span.get_span_context()
        if not context.trace_flags & 1:
            return facts
        writer = Writer(context.trace_id, context.span_id, int(context.trace_flags))
        return (facts or Facts())._replace(writer=writer)

    def _writer_links(self, facts: Facts | None) -> tuple[trace.Link, ...]:
        """The way from a hit to the span that stored the value."""
        if not self._extras.writer_links or facts is None or facts.writer is None:
            return ()
        writer = facts.writer
        flags = trace.TraceFlags(writer.flags)
        context = trace.SpanContext(writer.trace_id, writer.span_id, is_remote=True, trace_flags=flags)
        return (trace.Link(context, {catalog.LINK_TYPE.name: "writer"}),)

    def failed(self, outcome: Outcome, error: BaseException) -> None:
        """The call raises `error` to its caller."""
        outcome.error = error
        outcome.result = "cancelled" if isinstance(error, asyncio.CancelledError) else "error"
        outcome.lookups = None
        outcome.written = []
        outcome.removed = []

    def close(self, outcome: Outcome) -> None:
        """The call is over: count it, call the callbacks, end the span."""
        now, load, error = clock(), outcome.load, outcome.error
        duration = now - outcome.started - (load.paused if load is not None else 0)
        try:  # not `guard`: this is the way of every call that leaves the hit path
            self._count(outcome, duration)
        except Exception:  # noqa: BLE001
            self.signals.lost("metrics")
        raised = self._fire(outcome) if self.callbacks.active and error is None else 0
        if error is not None:
            self._log_error(outcome, error)
        if outcome.span is not None:
            self._end_span(outcome, raised, now)

    def settle(self, outcome: Outcome) -> None:
        """Count what was measured for a call that opened no operation of its own: a load in the background."""
        measured, outcome.measured = outcome.measured, []
        self.signals.measure(measured)

    def _count(self, outcome: Outcome, duration: int) -> None:
        signals, operation, error = self.signals, outcome.operation, outcome.error
        raised = error_type(error) if error is not None else None
        series = (operation, outcome.result, outcome.tier, raised)
        signals.observe(catalog.OPERATION_DURATION, duration, *series, span=outcome.span)
        if operation == "get" and error is None and outcome.ai is None:
            if outcome.tier != "l1" or outcome.result != "hit":  # the histogram has those
                signals.count(catalog.LOOKUPS, outcome.result, outcome.tier, outcome.reason)
        elif operation in _LOOKING:
            self._count_lookups(outcome)
        if outcome.ai is not None:
            self._savings.count(outcome.ai, outcome, duration)
        if outcome.degraded is not None:
            signals.count(catalog.DEGRADED_OPERATIONS, outcome.degraded)
        if outcome.measured:
            signals.measure(outcome.measured)

    def _count_lookups(self, outcome: Outcome) -> None:
        stale = outcome.load.stale_reason if outcome.load is not None else None
        for each in self._lookups(outcome):
            if each.result != "hit" or each.tier != "l1" or outcome.operation not in HIT_OPERATIONS:
                self.signals.count(catalog.LOOKUPS, each.result, each.tier, each.reason, stale)
            if outcome.ai is not None:
                self.signals.count(catalog.AI_LOOKUPS, outcome.ai.operation, outcome.ai.text_tier, each.result)

    def _lookups(self, outcome: Outcome) -> list[Lookup]:
        key = outcome.key if isinstance(outcome.key, str) else ""
        if outcome.operation == "get" and outcome.error is None:
            return [Lookup(key, outcome.result, outcome.tier, outcome.reason, outcome.value)]
        if outcome.operation == "get_or_set":
            return self._looked_up(outcome, key)
        return outcome.lookups or []

    @staticmethod
    def _looked_up(outcome: Outcome, key: str) -> list[Lookup]:
        """What the tiers gave: a value that had to be loaded, or waited for, is a miss, and so is one that failed."""
        if outcome.error is None and outcome.tier != "loader":
            return [Lookup(key, outcome.result, outcome.tier, outcome.reason, outcome.value)]
        if outcome.error is not None and outcome.reason == "none":
            return []  # it ended before anything was looked up
        return [Lookup(key, "bypass" if outcome.result == "bypass" else "miss", "none", outcome.reason)]

    def _fire(self, outcome: Outcome) -> int:
        fire, errors = self.callbacks.fire, 0
        with self._inside(outcome.span):
            for lookup in self._lookups(outcome):
                if lookup.result in ("hit", "stale"):
                    errors += fire("get_success", lookup.key, lookup.value)
                    errors += fire("get_stale", lookup.key, lookup.value) if lookup.result == "stale" else 0
                elif lookup.result == "miss":
                    errors += fire("get_miss", lookup.key)
            for key, value in outcome.written:
                errors += fire("set_success", key, value)
            for key in outcome.removed:
                errors += fire("delete_success", key)
        return errors

    def _end_span(self, outcome: Outcome, raised: int, now: int) -> None:
        with self.signals.guard("traces"):
            if outcome.span.is_recording():
                outcome.span.set_attributes(self._attributes(outcome, raised))
                for link in self._writer_links(outcome.facts) if outcome.result == "hit" else ():
                    outcome.span.add_link(link.context, link.attributes)
                set_status(outcome.span, outcome.error, outcome.key)
            outcome.span.end(wall(now))

    def _attributes(self, outcome: Outcome, raised: int) -> dict[str, Any]:
        found: dict[str, Any] = {
            catalog.RESULT.name: outcome.result,
            catalog.AGE.name: outcome.age,
            catalog.TTL.name: None if outcome.ttl == FOREVER else outcome.ttl,  # no JSON holds an infinity
            catalog.SIZE.name: outcome.size,
            catalog.BATCH_SIZE.name: outcome.batch_size,
            catalog.BATCH_HITS.name: outcome.batch_hits,
            catalog.DEGRADED.name: True if outcome.degraded else None,
            catalog.DEGRADED_REASON.name: outcome.degraded,
            catalog.CALLBACK_ERRORS.name: raised or None,
            catalog.ERROR_TYPE.name: error_type(outcome.error),
        }
        if outcome.operation in ("get", "get_many", "get_or_set"):
            found[catalog.TIER.name] = outcome.tier
            found[catalog.NEGATIVE.name] = (
                True if outcome.value is None and outcome.result in ("hit", "stale") else None
            )
            found[catalog.MISS_REASON.name] = outcome.reason if outcome.result == "miss" else None
        if outcome.ai is not None:
            found[catalog.AI_OPERATION.name] = outcome.ai.operation
            found[catalog.AI_TEXT_TIER.name] = outcome.ai.text_tier
        template = outcome.ai.template if outcome.ai is not None else None
        if outcome.load is not None:
            template = outcome.load.template
            found.update(self.loads.attributes(outcome.load))
        if isinstance(outcome.key, str) and outcome.key:
            found.update(self.privacy.attributes(outcome.key, template))
        return {name: value for name, value in found.items() if value is not None}

    def _log_error(self, outcome: Outcome, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError) or (outcome.load is not None and outcome.load.told):
            return
        attributes = {
            catalog.CACHE.name: self.name,
            catalog.OPERATION.name: outcome.operation,
            catalog.ERROR_TYPE.name: error_type(error) or "",
        }
        body = f"cache.{outcome.operation} {self.name} raised to its caller"
        key, context = outcome.key if isinstance(outcome.key, str) else None, context_of(outcome.span)
        self.events.emit(catalog.OPERATION_EXCEPTION, body, attributes, exception=error, context=context, key=key)

    # --- what belongs to no call --------------------------------------------------------------------

    def started(self, configuration: str, lacks: Sequence[str] = ()) -> None:
        """A cache is ready; a warning if its store lacks a feature."""
        body = f"cache {self.name} is ready: {redact(configuration)}"
        if lacks:
            body += f"; the store of its L2 has no {', no '.join(lacks)} (docs/stores.md)"
        facts = {catalog.CACHE.name: self.name}
        self.events.emit(catalog.STARTED, body, facts, severity="WARN" if lacks else None)

    def breaker_moved(self, previous: str, state: str, reason: DegradedReason | None) -> None:
        """Count the transition of the circuit breaker; emit an event when L2 went away or came back."""
        self.signals.count(catalog.CIRCUIT_TRANSITIONS, "l2", state)
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
            f"L2 {self.backend} of cache {self.name} is {'unavailable' if away else 'available again'}",
            {**facts, **component},
            severity="WARN" if away else "INFO",
        )

    def journal_full(self, limit: int) -> None:
        """Emit an event: more writes failed than the repair journal holds."""
        body = f"cache {self.name}: repair journal full ({limit} keys); all entries become invalid when L2 is back"
        self.events.emit(catalog.JOURNAL_FULL, body, {catalog.CACHE.name: self.name, catalog.LIMIT.name: limit})

    def eviction_cell(self, reason: str) -> list[int]:
        """The cell that L1 counts its evictions in."""
        return self.metrics.cell(catalog.EVICTIONS, self.name, "l1", reason)

    # --- the observer of callbacks -------------------------------------------------------------------

    def callback_ran(self, event: str, name: str, duration_ns: int, error: BaseException | None, key: str) -> None:
        """One user callback returned or raised."""
        self.signals.count(catalog.CALLBACKS, event, name, error_type(error))
        self.signals.observe(catalog.CALLBACK_DURATION, duration_ns, event, name)
        if error is not None:
            facts = {catalog.CALLBACK_EVENT.name: event, catalog.CALLBACK_NAME.name: name}
            facts[catalog.ERROR_TYPE.name] = error_type(error) or ""
            body = f"callback {name} for {event} raised"
            self.events.emit(catalog.CALLBACK_EXCEPTION, body, facts, exception=error, key=key)

    @contextmanager
    def callback_task(self, event: str, name: str, key: str) -> Iterator[None]:
        """Around the run of an asynchronous callback: a span of its own if that is wanted and the operation has one."""
        span = self._callback_span(event, name) if self._extras.callback_spans else None
        if span is None:
            yield
            return
        with self._inside(span):
            try:
                yield
            except Exception as exc:
                span.set_attribute(catalog.ERROR_TYPE.name, error_type(exc) or "")
                set_status(span, exc, key)
                raise
            finally:
                with self.signals.guard("traces"):
                    span.end()

    def _callback_span(self, event: str, name: str) -> trace.Span | None:
        """A new trace that links to the operation's: the operation may be over before the callback is."""
        operation = trace.get_current_span().get_span_context()
        if not operation.trace_flags & 1:
            return None
        named = {catalog.CACHE.name: self.name, catalog.CALLBACK_EVENT.name: event, catalog.CALLBACK_NAME.name: name}
        with self.signals.guard("traces"):
            return self.tracing.operations.start_span(
                f"cache.callback {event}", context=otel_context.Context(), attributes=named,
                links=(trace.Link(operation, {catalog.LINK_TYPE.name: "callback_trigger"}),),
                record_exception=False, set_status_on_exception=False,
            )  # fmt: skip
        return None

    def callback_quarantined(self, event: str, name: str) -> None:
        """One user callback is skipped for a while."""
        facts = {catalog.CALLBACK_EVENT.name: event, catalog.CALLBACK_NAME.name: name}
        self.events.emit(catalog.CALLBACK_QUARANTINED, _SKIPPED.format(name=name, event=event), facts)

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


class _HitSeries(NamedTuple):
    """What a watched L1 hit of one operation is counted in, and called."""

    values: tuple[str | None, ...]
    cell: list[int]
    span_name: str
    attributes: dict[str, str]

    @classmethod
    def of(cls, metrics: Metrics, cache: str, operation: str) -> _HitSeries:
        values = (cache, operation, "hit", "l1", None)
        named = zip(catalog.OPERATION_DURATION.attributes, values, strict=False)
        cell = metrics.cell(catalog.OPERATION_DURATION, *values)
        return cls(values, cell, f"cache.{operation} {cache}", {row.name: str(value) for row, value in named})


class OpenOperation(Outcome):
    """The record of one call while it runs; leaving it closes it."""

    __slots__ = ("probe",)
    probe: Probe

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace_: TracebackType | None
    ) -> None:
        if error is not None:
            self.probe.failed(self, error)
        self.probe.close(self)
