"""One guard around every call to a store: circuit breaker, place in the pool, deadline, recovery before a read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar

from otcache._concurrency.deadlines import Deadline, Deadlines
from otcache._engine.commands import Command
from otcache._engine.recovery import Recovery
from otcache.exceptions import StoreError
from otcache.stores.base import LockAttempt
from otcache.telemetry._instrumentation.probe import Probe
from otcache.telemetry._instrumentation.signals import clock
from otcache.telemetry.catalog.values import DegradedReason
from otcache.telemetry.record import Outcome

T = TypeVar("T")

END: Final[list[str]] = []
"""What a scan gives after its last batch."""


class Resilience:
    """The guard around the calls of one cache to its store.

    Every call costs at most `timeout` seconds, waiting for a connection, connect and DNS included. While the breaker
    is open, calls cost nothing.

    Args:
        probe: What it reports through.
        recovery: Has the breaker; repairs before a read, and in the background.
        first_call: Awaited once per event loop before its first call, within that call's deadline.
        timeout: Seconds.
        connections: Calls in flight at once, so that the pool never has to refuse one.

    Attributes:
        error: The last failure.
    """

    def __init__(
        self,
        probe: Probe,
        recovery: Recovery,
        first_call: Callable[[], Awaitable[None]],
        *,
        timeout: float,
        connections: int,
    ) -> None:
        self.error: StoreError | None = None
        self._breaker = recovery.breaker
        self._recovery = recovery
        self._calls = probe.trips
        self._first_call = first_call
        self._timeout = timeout
        self._connections = connections
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places: asyncio.Semaphore
        self._deadlines: Deadlines
        self._is_new = True

    # --- one call -----------------------------------------------------------------------------------

    async def call(
        self, outcome: Outcome | None, command: Command, function: Callable[..., Awaitable[T]], *args: Any
    ) -> T:
        """Make one call; `outcome` is `None` for one of the background, which an open breaker lets through."""
        if self._breaker.is_open and outcome is not None:
            raise self._refused(outcome)
        # A local name: another event loop's call may replace the attribute while this one waits.
        places = self._places_here()
        try:
            with Deadline(self._deadlines) as deadline:
                await places.acquire()  # `async with` costs two coroutines more
                try:
                    if self._is_new and outcome is not None:
                        await self._open()
                    # After the place, not before: what failed while this call waited has to be repaired, too.
                    if clock() >= self._recovery.due_at and command.purpose in ("read", "lock"):
                        await self._recovery.prepare(partial(self._run, outcome, deadline))
                    return await self._run(outcome, deadline, command, function, *args)
                finally:
                    places.release()
        except StoreError as exc:
            raise self._note(exc, outcome) from exc.__cause__
        except TimeoutError as exc:
            raise self._note(StoreError("timeout", "TimeoutError", counts=True), outcome) from exc

    def _places_here(self) -> asyncio.Semaphore:
        """The places in the pool. Places and deadlines belong to one event loop: futures can't be shared."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._places = asyncio.Semaphore(self._connections)
            self._deadlines = Deadlines(self._timeout, loop)
            self._is_new = True
        return self._places

    async def _open(self) -> None:
        # Before the await: calls that come meanwhile must not wait for each other, only the first one does.
        self._is_new = False
        await self._first_call()

    async def _run(
        self,
        outcome: Outcome | None,
        deadline: Deadline,
        command: Command,
        function: Callable[..., Awaitable[T]],
        *args: Any,
    ) -> T:
        """One round trip, measured."""
        trip = self._calls.begin(outcome, command.name, command.purpose, command.batch)
        trip.sent = command.sent
        try:
            with self._calls.quiet():
                answer = await function(*args)
        except BaseException as exc:
            # Our own deadline arrives here as a cancellation; only an application's cancellation is reported as one.
            self._calls.end(trip, _TIMED_OUT if deadline.expired else exc)
            raise
        if answer is not END:  # the end of a scan is known without asking the server
            trip.received = len(answer) if isinstance(answer, bytes) else _bytes_in(answer)
            self._calls.end(trip, None)
        if self._breaker.failures:
            self._breaker.succeeded()
        return answer

    def _refused(self, outcome: Outcome) -> StoreError:
        """The breaker is open. Its background task may have ended with another event loop: start it again."""
        self._recovery.ensure()
        return self._note(StoreError("circuit_open", "circuit_open", counts=False), outcome)

    def _note(self, error: StoreError, outcome: Outcome | None) -> StoreError:
        """Remember the failure: for the breaker, for the operation's record, for health."""
        if error.reason != "circuit_open":
            self.error = error
            if error.counts and outcome is not None:
                self._breaker.failed()
        if outcome is not None:
            outcome.degraded = degraded_reason(error)
        return error

    # --- without a call of one's own ----------------------------------------------------------------

    async def prepare(self, outcome: Outcome | None) -> None:
        """Do only what a first call would do before it: hear other processes, learn the invalidation versions.

        Raises:
            StoreError: Not within the deadline.
        """
        places = self._places_here()
        try:
            with Deadline(self._deadlines) as deadline:
                async with places:
                    await self._open()
                    await self._recovery.learn_versions(partial(self._run, outcome, deadline))
        except TimeoutError as exc:
            raise StoreError("timeout", "TimeoutError", counts=True) from exc

    async def repair(self) -> None:
        """Work the repair journal off; each round has a deadline of its own.

        Raises:
            StoreError: Not all is repaired; what is done stays done.
        """
        while self._recovery.journal.pending:
            self._places_here()
            try:
                with Deadline(self._deadlines) as deadline:
                    await self._recovery.repair(partial(self._run, None, deadline))
            except TimeoutError as exc:
                raise StoreError("timeout", "TimeoutError", counts=True) from exc


_TIMED_OUT: Final = StoreError("timeout", "TimeoutError", counts=True)


def degraded_reason(error: StoreError) -> DegradedReason:
    """Why L2 did not take part, for the record."""
    known: tuple[DegradedReason, ...] = ("circuit_open", "timeout", "connection", "auth", "server_error", "codec")
    return next((reason for reason in known if reason == error.reason), "server_error")


def _bytes_in(answer: object) -> int:
    if isinstance(answer, LockAttempt):
        return len(answer.payload or b"")
    if isinstance(answer, list):
        return sum(len(item) for item in answer if isinstance(item, bytes))
    return 0
