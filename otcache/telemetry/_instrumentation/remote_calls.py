"""Remote calls to L2: one CLIENT span each, below the operation's, counted and timed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from otcache.exceptions import StoreError
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
from otcache.telemetry.catalog.values import Purpose
from otcache.telemetry.record import Outcome, RemoteCall

MOST_LINKS: Final = 127
"""The most operations that link to a remote call below another one."""


class RemoteCalls:
    """What one cache reports of its calls to L2.

    `start_operation` starts the span of an operation that has none yet (span policy `io`).
    """

    def __init__(self, signals: Signals, start_operation: Callable[[Outcome], None]) -> None:
        self._signals = signals
        self._start_operation = start_operation
        self._server: dict[str, Any] = {}
        self._late = signals.tracing.policy == "io"

    def begin(self, outcome: Outcome | None, command: str, purpose: Purpose, batch: int | None) -> RemoteCall:
        """Open the record of one remote call; its CLIENT span is a child of the operation's."""
        trip = RemoteCall(command, purpose, clock(), batch)
        if outcome is None:
            trip.background = True
            return trip
        if outcome.span is None and self._late:
            self.open(outcome)
        if outcome.span is not None and is_traced(outcome.span):
            self._start_span(trip, outcome)
        return trip

    def open(self, outcome: Outcome) -> None:
        """Start the span of an operation that leaves this process, in the operation's own context."""
        if outcome.span is None and self._late and self._signals.tracing.wants():
            self._start_operation(outcome)

    @staticmethod
    def share(outcomes: Sequence[Outcome]) -> Outcome:
        """The record of remote calls that answer several operations: one span below the first that is traced."""
        traced = [each for each in outcomes if each.span is not None and is_traced(each.span)]
        first = traced[0].span if traced else trace.INVALID_SPAN
        return Outcome(outcomes[0].operation, outcomes[0].started, span=first, shared=traced[1 : MOST_LINKS + 1])

    def _start_span(self, trip: RemoteCall, outcome: Outcome) -> None:
        with self._signals.guard("traces"):
            trip.span = self._client_span(outcome.span, trip)
            if outcome.shared and trip.purpose == "read":
                _link(outcome.shared, trip.span.get_span_context())

    def _client_span(self, parent: trace.Span, trip: RemoteCall) -> trace.Span:
        attributes: dict[str, Any] = {
            catalog.DB_OPERATION.name: trip.command,
            catalog.CACHE.name: self._signals.name,
            catalog.PURPOSE.name: trip.purpose,
            **self._server,
        }
        if trip.batch is not None and trip.batch > 1:
            attributes[catalog.DB_BATCH_SIZE.name] = trip.batch
        return self._signals.tracing.redis.start_span(
            trip.command, context=trace.set_span_in_context(parent), kind=SpanKind.CLIENT, attributes=attributes,
            start_time=wall(trip.started),
            record_exception=False, set_status_on_exception=False,
        )  # fmt: skip

    def set_server(self, system: str, address: str, port: int | None, database: str | None) -> None:
        """What L2 is and where, for CLIENT spans."""
        found = {
            catalog.DB_SYSTEM.name: system,
            catalog.SERVER_ADDRESS.name: address,
            catalog.SERVER_PORT.name: port,
            catalog.DB_NAMESPACE.name: database,
        }
        self._server = {name: value for name, value in found.items() if value is not None}

    def end(self, trip: RemoteCall, error: BaseException | None) -> None:
        """The remote call is over: count it, end its span, log what failed."""
        now, signals, command = clock(), self._signals, trip.command
        if error is not None:
            trip.error_type = error.error_type if isinstance(error, StoreError) else error_type(error)
        signals.observe(catalog.L2_DURATION, now - trip.started, command, trip.error_type, span=trip.span)
        if trip.error_type is None:
            if trip.received:
                signals.count(catalog.L2_IO, "read", n=trip.received)
            if trip.sent:
                signals.count(catalog.L2_IO, "write", n=trip.sent)
        elif isinstance(error, StoreError) and not trip.background:
            self._log_trip(trip, error)
        if trip.span is not None:
            with signals.guard("traces"):
                self._end_client_span(trip, error, now)

    def _end_client_span(self, trip: RemoteCall, error: BaseException | None, now: int) -> None:
        if trip.error_type is not None and not isinstance(error, asyncio.CancelledError):
            trip.span.set_attribute(catalog.ERROR_TYPE.name, trip.error_type)
            if trip.error_type.isupper():  # the server's own prefix: WRONGTYPE, OOM
                trip.span.set_attribute(catalog.DB_STATUS.name, trip.error_type)
            set_status(trip.span, error)
        trip.span.end(wall(now))

    def _log_trip(self, trip: RemoteCall, error: StoreError) -> None:
        attributes = {
            catalog.CACHE.name: self._signals.name,
            catalog.DB_OPERATION.name: trip.command,
            catalog.ERROR_TYPE.name: error.error_type,
        }
        body = f"{trip.command} for cache {self._signals.name} failed: {error.reason}"
        self._signals.events.emit(catalog.REDIS_EXCEPTION, body, attributes, context=context_of(trip.span))

    @staticmethod
    def quiet() -> AbstractContextManager[None]:
        """Keep the Redis instrumentor, where one is loaded, from a second span for the same remote call."""
        if "opentelemetry.instrumentation.redis" not in sys.modules:
            return _LOUD
        suppress = getattr(sys.modules.get("opentelemetry.instrumentation.utils"), "suppress_instrumentation", None)
        return _LOUD if suppress is None else suppress()


_LOUD: Final = nullcontext()


def _link(operations: Sequence[Outcome], place: trace.SpanContext) -> None:
    for operation in operations:
        operation.span.add_link(place, {catalog.LINK_TYPE.name: "batch"})
