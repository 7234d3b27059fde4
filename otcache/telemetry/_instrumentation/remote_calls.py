"""Round trips to the far tier: one CLIENT span each, below the operation's, counted and timed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, NamedTuple

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from otcache.exceptions import StoreError
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.metrics import GRID, observe
from otcache.telemetry._instrumentation.signals import (
    Signals,
    clock,
    context_of,
    error_type,
    exemplar_context,
    is_traced,
    set_status,
    wall,
)
from otcache.telemetry.record import Outcome, Purpose, RemoteCall

MOST_LINKS: Final = 127
"""Operations that link to a round trip below another one."""


class RemoteCalls:
    """What one cache reports of its round trips.

    Args:
        reporter: The cache's signals.
        start_operation: Starts the span of an operation that has none yet (span policy `io`).
    """

    def __init__(self, reporter: Signals, start_operation: Callable[[Outcome], None]) -> None:
        self._reporter = reporter
        self._start_operation = start_operation
        self._server: dict[str, Any] = {}
        self._cells: dict[str, _Cells] = {}

    def begin(self, outcome: Outcome | None, command: str, purpose: Purpose, batch: int | None) -> RemoteCall:
        """Open the record of one round trip; its CLIENT span is a child of the operation's."""
        trip = RemoteCall(command, purpose, clock(), batch)
        if outcome is None:
            trip.background = True
            return trip
        self.open(outcome)
        if outcome.span is not None and is_traced(outcome.span):
            with self._reporter.guard("traces"):
                trip.span = self._client_span(outcome.span, trip)
                if outcome.shared and purpose == "read":
                    _link(outcome.shared, trip.span.get_span_context())
        return trip

    def open(self, outcome: Outcome) -> None:
        """Start the span of an operation that leaves this process, in the operation's own context."""
        if outcome.span is None and self._reporter.tracing.policy == "io" and self._reporter.tracing.wants():
            self._start_operation(outcome)

    @staticmethod
    def share(outcomes: Sequence[Outcome]) -> Outcome:
        """The record of round trips that answer several operations: one span below the first that is traced."""
        traced = [each for each in outcomes if each.span is not None and is_traced(each.span)]
        first = traced[0].span if traced else trace.INVALID_SPAN
        return Outcome(outcomes[0].operation, outcomes[0].started, span=first, shared=traced[1 : MOST_LINKS + 1])

    def _client_span(self, parent: trace.Span, trip: RemoteCall) -> trace.Span:
        attributes: dict[str, Any] = {
            catalog.DB_OPERATION.name: trip.command,
            catalog.CACHE.name: self._reporter.name,
            catalog.PURPOSE.name: trip.purpose,
            **self._server,
        }
        if trip.batch is not None and trip.batch > 1:
            attributes[catalog.DB_BATCH_SIZE.name] = trip.batch
        return self._reporter.tracing.redis.start_span(
            trip.command,
            context=trace.set_span_in_context(parent),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=wall(trip.started),
            record_exception=False,
            set_status_on_exception=False,
        )

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
        """The round trip is over: count it, end its span, log what failed."""
        now = clock()
        trip.duration = now - trip.started
        trip.error_type = error.error_type if isinstance(error, StoreError) else error_type(error)
        with self._reporter.guard("metrics"):
            self._count_trip(trip)
        if isinstance(error, StoreError) and not trip.background:
            self._log_trip(trip, error)
        if trip.span is not None:
            with self._reporter.guard("traces"):
                self._end_client_span(trip, error, now)

    def _count_trip(self, trip: RemoteCall) -> None:
        if trip.error_type is not None:
            cells = self._look_up_cells(trip)
        else:  # half of the price of looking the series up
            cells = self._cells.get(trip.command) or self._cells.setdefault(trip.command, self._look_up_cells(trip))
            cells.read[0] += trip.received
            cells.written[0] += trip.sent
        cells.operations[0] += 1
        observe(cells.durations, GRID, trip.duration)
        if trip.span is not None:
            self._reporter.metrics.exemplar(
                catalog.L2_DURATION,
                (self._reporter.name, trip.command, trip.error_type),
                trip.duration,
                exemplar_context(trip.span),
            )

    def _look_up_cells(self, trip: RemoteCall) -> _Cells:
        cell, name = self._reporter.metrics.cell, self._reporter.name
        series = (name, trip.command, trip.error_type)
        return _Cells(
            cell(catalog.L2_OPERATIONS, *series),
            cell(catalog.L2_DURATION, *series),
            cell(catalog.L2_IO, name, "read"),
            cell(catalog.L2_IO, name, "write"),
        )

    def _end_client_span(self, trip: RemoteCall, error: BaseException | None, now: int) -> None:
        if trip.error_type is not None and not isinstance(error, asyncio.CancelledError):
            trip.span.set_attribute(catalog.ERROR_TYPE.name, trip.error_type)
            if trip.error_type.isupper():  # the server's own prefix: WRONGTYPE, OOM
                trip.span.set_attribute(catalog.DB_STATUS.name, trip.error_type)
            set_status(trip.span, error)
        trip.span.end(wall(now))

    def _log_trip(self, trip: RemoteCall, error: StoreError) -> None:
        attributes = {
            catalog.CACHE.name: self._reporter.name,
            catalog.DB_OPERATION.name: trip.command,
            catalog.ERROR_TYPE.name: error.error_type,
        }
        body = f"{trip.command} for cache {self._reporter.name} failed: {error.reason}"
        self._reporter.events.emit(catalog.REDIS_EXCEPTION, body, attributes, context=context_of(trip.span))

    @staticmethod
    def quiet() -> AbstractContextManager[None]:
        """Keep the Redis instrumentor, where one is loaded, from a second span for the same round trip."""
        suppress = _suppressor()
        return _LOUD if suppress is None else suppress()


def _link(operations: Sequence[Outcome], place: trace.SpanContext) -> None:
    for operation in operations:
        operation.span.add_link(place, {catalog.LINK_TYPE.name: "batch"})


_LOUD: Final = nullcontext()


class _Cells(NamedTuple):
    """What the round trips of one command are counted in."""

    operations: list[int]
    durations: list[int]
    read: list[int]
    written: list[int]


def _suppressor() -> Any:
    """`suppress_instrumentation` of the instrumentation package, while its Redis instrumentor is loaded."""
    if "opentelemetry.instrumentation.redis" not in sys.modules:
        return None
    return getattr(sys.modules.get("opentelemetry.instrumentation.utils"), "suppress_instrumentation", None)
