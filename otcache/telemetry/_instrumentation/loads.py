"""Loads: what is counted of them, their spans, and what waiting for another's load came to."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Span as Span
from opentelemetry.trace import SpanContext as SpanContext

from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.signals import (
    Signals,
    clock,
    context_of,
    error_type,
    is_traced,
    set_status,
    wall,
)
from otcache.telemetry.catalog.values import CoalesceOutcome, CoalesceScope, LoadTrigger, StaleReason
from otcache.telemetry.record import LoadFacts, Outcome

MANY: Final = 50
"""Waiters of one load from which on an event reports a stampede."""
REFUSED: Final = 1000
"""Most key templates whose refusal is told; of more, only the counter tells."""
_PLACE: Final = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(slots=True, eq=False)
class OpenLoad:
    """One run of a loader, its times by `perf_counter_ns`; it has a span where one is wanted."""

    trigger: LoadTrigger
    started: int
    span: trace.Span | None = None
    ended: int = 0

    @property
    def place(self) -> SpanContext | None:
        """Where its span is, for the links of those who wait for it."""
        return None if self.span is None else self.span.get_span_context()


class LoadReports:
    """What one cache reports of its loads."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._name = signals.name
        self._refused: set[str] = set()  # key templates whose refusal has been told

    # --- one run ------------------------------------------------------------------------------------

    def announce(
        self, parent: trace.Span | None, trigger: LoadTrigger, loader: Callable[..., Any]
    ) -> trace.Span | None:
        """The span of a run that may come, below `parent`; if none does it is never ended, and so never exported."""
        if parent is None or not is_traced(parent):
            return None
        return self._span("load", trigger, loader, trace.set_span_in_context(parent), clock())

    def begin(self, span: trace.Span | None, trigger: LoadTrigger) -> OpenLoad:
        """A loader is about to run, in `span`."""
        self._signals.count(catalog.LOADER_ACTIVE)
        return OpenLoad(trigger, clock(), span)

    @contextmanager
    def inside(self, load: OpenLoad) -> Iterator[None]:
        """Make the loader's span current, so that the application's own are below it."""
        if load.span is None:
            yield
            return
        token = otel_context.attach(trace.set_span_in_context(load.span))
        try:
            yield
        finally:
            otel_context.detach(token)

    def end(
        self, load: OpenLoad, error: BaseException | None, stale: StaleReason | None, key: str, *, detached: bool
    ) -> None:
        """The loader has returned or raised, or was given up, at `load.ended`.

        `stale` is why a stale value is given instead, if there is one; `detached`, whether the call that began the load
        does not wait for it any more. The `key` must not be shown.
        """
        duration = load.ended - load.started
        raised = error_type(error)
        self._signals.count(catalog.LOADER_ACTIVE, n=-1)
        self._signals.count(catalog.LOADS, load.trigger, raised)
        self._signals.observe(catalog.LOADER_DURATION, duration, load.trigger, raised, span=load.span)
        if raised is not None:
            self._tell(load, error, stale, key, "raised or timed out")
        self._end_span(load.span, error, key, load.ended, detached=detached)

    def wrong_ttl(self, load: OpenLoad, key: str, error: BaseException) -> None:
        """The loader has given something else than a time to live; the load goes on, and its value is not kept."""
        self._tell(load, error, None, key, "gave no time to live, so its value is not kept")

    def _tell(
        self, load: OpenLoad, error: BaseException | None, stale: StaleReason | None, key: str, what: str
    ) -> None:
        facts = {catalog.CACHE.name: self._name, catalog.TRIGGER.name: load.trigger}
        facts[catalog.ERROR_TYPE.name] = error_type(error) or ""
        if stale is not None:
            facts[catalog.STALE_REASON.name] = stale
        body = f"cache {self._name}: the loader {what} ({load.trigger})"
        context = context_of(load.span)
        self._signals.events.emit(catalog.LOADER_EXCEPTION, body, facts, exception=error, context=context, key=key)

    def refused(
        self, load: OpenLoad, template: str | None, loader: Callable[..., Any], error: Exception, key: str
    ) -> None:
        """The callers get a loaded value that can't be kept. Told once per key template, or loader; counted each time.

        The `key` must not be shown.
        """
        self._signals.count(catalog.WRITES, "none", "refused")
        if self.was_refused(template, loader) or len(self._refused) >= REFUSED:
            return
        shape = template or function_name(loader)
        self._refused.add(shape)
        facts = {catalog.CACHE.name: self._name}
        facts[catalog.KEY_TEMPLATE.name if template else catalog.LOADER.name] = shape
        body = f"cache {self._name}: a loaded value can't be kept, so every call loads it"
        context = context_of(load.span)
        self._signals.events.emit(catalog.VALUE_REFUSED, body, facts, exception=error, context=context, key=key)

    def was_refused(self, template: str | None, loader: Callable[..., Any]) -> bool:
        """Whether a value of this key template, or loader, couldn't be kept."""
        return bool(self._refused) and (template or function_name(loader)) in self._refused

    # --- spans --------------------------------------------------------------------------------------

    def open_refresh(
        self, asked: trace.Span | None, trigger: LoadTrigger, loader: Callable[..., Any]
    ) -> trace.Span | None:
        """The span of a load in the background: a trace of its own, that links to the caller's span."""
        if asked is None or not is_traced(asked):
            return None
        root = trace.set_span_in_context(trace.INVALID_SPAN)
        link = trace.Link(asked.get_span_context(), {catalog.LINK_TYPE.name: "refresh_trigger"})
        return self._span("refresh", trigger, loader, root, clock(), (link,))

    def close_refresh(self, span: trace.Span | None, error: BaseException | None, key: str) -> None:
        """It is over."""
        self._end_span(span, error, key, clock())

    def _span(
        self,
        what: str,
        trigger: LoadTrigger,
        loader: Callable[..., Any],
        context: otel_context.Context,
        started: int,
        links: tuple[trace.Link, ...] = (),
    ) -> trace.Span | None:
        with self._signals.guard("traces"):
            named = {catalog.CACHE.name: self._name, catalog.TRIGGER.name: trigger}
            named[catalog.LOADER.name] = function_name(loader)
            return self._signals.tracing.operations.start_span(
                f"cache.{what} {self._name}",
                context=context, attributes=named, links=links, start_time=wall(started),
                record_exception=False, set_status_on_exception=False,
            )  # fmt: skip
        return None

    def _end_span(
        self, span: trace.Span | None, error: BaseException | None, key: str, now: int, *, detached: bool = False
    ) -> None:
        if span is None:
            return
        with self._signals.guard("traces"):
            if span.is_recording():
                kind = error_type(error)
                if kind is not None:
                    span.set_attribute(catalog.ERROR_TYPE.name, kind)
                if detached:
                    span.set_attribute(catalog.DETACHED.name, True)
                set_status(span, error, key)
            span.end(wall(now))

    # --- those who wait -----------------------------------------------------------------------------

    def waiting(self, change: int) -> None:
        """`change` more callers wait for another caller's load."""
        self._signals.count(catalog.COALESCE_WAITING, n=change)

    def waited(self, outcome: Outcome, scope: CoalesceScope, end: CoalesceOutcome, waited_ns: int) -> None:
        """A caller has waited for another's load."""
        self._signals.count(catalog.COALESCE_REQUESTS, scope, end)
        self._signals.observe(catalog.COALESCE_WAIT_DURATION, waited_ns, scope, end, span=outcome.span)
        if outcome.load is not None:
            outcome.load.role, outcome.load.wait = "waiter", waited_ns / catalog.NS

    def link(self, outcome: Outcome, leader: SpanContext | None) -> None:
        """Lead from the span of a caller that waits to what it waits for."""
        if leader is not None and outcome.span is not None and outcome.span.is_recording():
            with self._signals.guard("traces"):
                outcome.span.add_link(leader, {catalog.LINK_TYPE.name: "coalesced_leader"})

    def stampede(self, outcome: Outcome, trigger: LoadTrigger, waiters: int) -> None:
        """`waiters` callers wait for one load."""
        facts = {catalog.CACHE.name: self._name, catalog.TRIGGER.name: trigger, catalog.COALESCE_WAITERS.name: waiters}
        body = f"cache {self._name}: {waiters} callers wait for one load"
        self._signals.events.emit(catalog.STAMPEDE, body, facts, context=context_of(outcome.span))

    # --- stale values -------------------------------------------------------------------------------

    def stale(self, outcome: Outcome, reason: StaleReason, past: float) -> None:
        """A caller gets a stale value, `past` seconds beyond its time to live."""
        self._signals.observe(catalog.STALE_AGE, max(0, round(past * catalog.MS)), reason, span=outcome.span)
        if reason != "revalidating":
            facts = {catalog.CACHE.name: self._name, catalog.STALE_REASON.name: reason}
            body = f"cache {self._name} served a stale value: {reason}"
            self._signals.events.emit(catalog.STALE_SERVED, body, facts, context=context_of(outcome.span))

    @staticmethod
    def attributes(facts: LoadFacts) -> dict[str, Any]:
        """What a load adds to the operation's span; `None` for what does not apply."""
        return {
            catalog.STALE_REASON.name: facts.stale_reason,
            catalog.COALESCE_ROLE.name: facts.role,
            catalog.COALESCE_WAITERS.name: facts.waiters,
            catalog.COALESCE_WAIT.name: facts.wait,
        }


def write_place(span: trace.Span | None) -> bytes:
    """Where a span is, as a `traceparent`; nothing for one that is not recorded."""
    context = None if span is None else span.get_span_context()
    if context is None or not context.trace_flags & 1:
        return b""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}".encode()


def read_place(text: bytes) -> SpanContext | None:
    """The span of another process that `write_place` told of."""
    found = _PLACE.fullmatch(text)
    if found is None:
        return None
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=trace.TraceFlags(flags))


def function_name(function: Callable[..., Any]) -> str:
    """The full name of a loader; never a `repr`, which may show data."""
    inner: Any = function
    while isinstance(inner, partial):
        inner = inner.func
    inner = inspect.unwrap(inner) if callable(inner) else inner
    named = inner if hasattr(inner, "__qualname__") else type(inner)
    return f"{named.__module__}.{named.__qualname__}"
