"""One deadline, a breaker and a journal around a far store; recovery in the background."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from typing import Any, Final, TypeVar

from otcache._concurrency.circuit_breaker import CircuitBreaker, State
from otcache._concurrency.deadlines import Deadline, Deadlines
from otcache._engine.invalidation_log import EVERYTHING, InvalidationLog, new_id
from otcache._engine.repair_journal import RepairJournal
from otcache.exceptions import StoreError
from otcache.stores.base import Backend, ChangeMessage, InvalidationRows, LockAttempt
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.probe import Probe
from otcache.telemetry._instrumentation.signals import clock
from otcache.telemetry.record import DegradedReason, Outcome, Purpose, RemoteCall

T = TypeVar("T")

CLOCK_AGE: Final = 60_000_000_000
"""How old the learnt difference to the server's clock may be, in ns."""
REPAIR_BATCH: Final = 500
"""Keys removed in one round trip while a journal is worked off."""


class Resilience:
    """A far store behind one deadline, a breaker and a journal of what failed.

    Every call costs at most `timeout` seconds, waiting for a connection, connect and DNS included.
    After `failures` calls in a row that say the server is away, calls cost nothing until a probe in
    the background succeeds. Keys whose write or delete failed are removed before anything is read.

    Args:
        backend: The store, and what it can do besides.
        probe: What it reports through.
        timeout: Seconds.
        failures: Failures in a row that open the breaker.
        probe_seconds: Seconds between probes while it is open.
        journal_size: Failed keys remembered before everything is distrusted.
        connections: Calls under way at once; the pool never has to refuse one.
        stamp_limit: Invalidations that the server remembers by name.
        stamp_age: Seconds that the copy of them may be old when an entry is judged by it.

    Attributes:
        stamps: What has been invalidated, as far as this process knows.
        news: Makes what other processes are told of a write; `None` tells nothing.
        invalidated: Called with the targets of invalidations that are new here.
        listen: Called once per event loop before its first call, within that call's deadline.
    """

    def __init__(
        self,
        backend: Backend,
        probe: Probe,
        *,
        timeout: float,
        failures: int,
        probe_seconds: float,
        journal_size: int,
        connections: int,
        stamp_limit: int,
        stamp_age: float,
    ) -> None:
        self.backend = backend
        self.store = backend.store
        assert backend.invalidations is not None and backend.locks is not None and backend.channel is not None  # noqa: PT018
        self.invalidations, self.locks, self.channel = backend.invalidations, backend.locks, backend.channel
        self.stamps = InvalidationLog()
        self.news: ChangeMessage | None = None
        self.invalidated: Callable[[list[str]], None] = _ignore
        self.listen: Callable[[], Awaitable[None]] = _no_wait
        self.journal = RepairJournal(journal_size)
        self.breaker = CircuitBreaker(failures, self._moved)
        self.error: StoreError | None = None
        self._probe = probe
        self._timeout = timeout
        self._probe_seconds = probe_seconds
        self._places: asyncio.Semaphore
        self._deadlines: Deadlines
        self._connections = connections
        self._loop: asyncio.AbstractEventLoop | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._clock_until = 0
        self._stamp_limit = stamp_limit
        self._stamp_age = int(stamp_age * 1e9)
        self._stamps_until = 0
        self._listening = False
        self._closed = False
        self._recovered: list[Callable[[], None]] = []
        probe.trips.set_server(*self.store.location[1:])
        probe.metrics.watch(self)

    # --- one call -----------------------------------------------------------------------------------

    async def _call(
        self,
        outcome: Outcome | None,
        command: str,
        purpose: Purpose,
        function: Callable[..., Awaitable[T]],
        *args: Any,
        batch: int | None = None,
        sent: int = 0,
    ) -> T:
        """One guarded round trip: refused if the breaker is open, journal first, one deadline over all."""
        if outcome is not None and self.breaker.is_open:
            self._ensure_recovery()
            raise self._note(StoreError("circuit_open", "circuit_open", counts=False), outcome)
        places = self._place()
        try:
            with self._deadlines.begin() as deadline:
                await places.acquire()  # `async with` costs two coroutines more
                try:
                    if not self._listening and outcome is not None:
                        await self._listen()
                    if purpose in ("read", "lock") and self._is_stale():
                        await self._prepare_read(outcome, deadline)
                    trip = self._probe.trips.begin(outcome, command, purpose, batch)
                    trip.sent = sent
                    return await self._run(trip, deadline, function, *args)
                finally:
                    places.release()
        except StoreError as exc:
            raise self._note(exc, outcome) from exc.__cause__
        except TimeoutError as exc:
            timeout = StoreError("timeout", "TimeoutError", counts=True)
            raise self._note(timeout, outcome) from exc

    async def begin_listening(self, outcome: Outcome | None) -> None:
        """Hear other processes, and know what has been invalidated.

        Raises:
            StoreError: Not within the time limit.
        """
        places = self._place()
        try:
            with self._deadlines.begin() as deadline:
                async with places:
                    await self._listen()
                    if clock() >= self._stamps_until:
                        await self._learn_stamps(outcome, deadline)
        except TimeoutError as exc:
            raise StoreError("timeout", "TimeoutError", counts=True) from exc

    async def _listen(self) -> None:
        """Once per event loop, before its first call."""
        self._listening = True
        await self.listen()

    async def _learn_stamps(self, outcome: Outcome | None, deadline: Deadline) -> None:
        began, stamps = clock(), self.stamps
        trip = self._probe.trips.begin(outcome, "EVAL", "tag", None)
        self._adopt(
            await self._run(trip, deadline, self.invalidations.versions, stamps.id, stamps.newest, new_id()), began
        )

    def _numbering(self) -> tuple[str, int, bytes]:
        head = f"s {'0' * 16} {self.store.clock.now_ms()} ".encode() if self.news is None else self.news([])
        return new_id(), self._stamp_limit, head

    def _adopt(self, rows: InvalidationRows, began: int) -> None:
        targets = self.stamps.adopt(rows.id, rows.rows)
        self._stamps_until = began + self._stamp_age
        if targets:
            self.invalidated(targets)

    def _place(self) -> asyncio.Semaphore:
        """The places in the pool; they and the deadlines belong to one event loop."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._places = asyncio.Semaphore(self._connections)
            self._deadlines = Deadlines(self._timeout, loop)
            self._recovery = None
            self._listening = False
        return self._places

    def _is_stale(self) -> bool:
        """Whether something has to be made good or learnt before anything is read."""
        now = clock()
        return now >= self._stamps_until or now >= self._clock_until or bool(self.journal)

    async def _prepare_read(self, outcome: Outcome | None, deadline: Deadline) -> None:
        """Make good what failed, step by step: what is done stays done if the deadline comes."""
        if self.journal:
            await self._repair(outcome, deadline)
        if clock() >= self._clock_until:
            await self._run(self._probe.trips.begin(outcome, "TIME", "health", None), deadline, self.store.clock.sync)
            self._clock_until = clock() + CLOCK_AGE
        if clock() >= self._stamps_until:
            await self._learn_stamps(outcome, deadline)

    async def _repair(self, outcome: Outcome | None, deadline: Deadline) -> None:
        if self.journal.everything:
            self.journal.add_target(EVERYTHING)
        while (target := self.journal.target) is not None:
            trip = self._probe.trips.begin(outcome, "EVAL", "tag", None)
            await self._run(trip, deadline, self.invalidations.invalidate, target, *self._numbering())
            self.journal.forget_target(target)
            self._stamps_until = 0
        self.journal.forgive()
        while keys := self.journal.take(REPAIR_BATCH):
            trip = self._probe.trips.begin(outcome, "UNLINK", "delete", None)
            try:
                await self._run(trip, deadline, self.store.remove, keys, self.news)
            except BaseException:
                self.journal.add(keys)
                raise

    async def _run(self, trip: RemoteCall, deadline: Deadline, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        try:
            with self._probe.trips.quiet():
                answer = await function(*args)
        except BaseException as exc:
            self._probe.trips.end(trip, _TIMED_OUT if deadline.expired else exc)
            raise
        if answer is not END:  # the end of a scan is known without asking the server
            trip.received = _bytes_in(answer)
            self._probe.trips.end(trip, None)
        self.breaker.succeeded()
        return answer

    def _note(self, error: StoreError, outcome: Outcome | None) -> StoreError:
        """Remember the failure: for the breaker, for the operation's record, for health."""
        if error.reason != "circuit_open":
            self.error = error
            if error.counts and outcome is not None:
                self.breaker.failed()
        if outcome is not None:
            outcome.degraded = degraded_reason(error)
        return error

    # --- recovery -----------------------------------------------------------------------------------

    def _moved(self, previous: State, state: State) -> None:
        self._probe.breaker_moved(previous, state, degraded_reason(self.error) if self.error else None)
        if state == "open":
            self._ensure_recovery()
        elif state == "closed":
            for tell in self._recovered:
                tell()

    def on_recovery(self, tell: Callable[[], None]) -> None:
        """Call `tell` each time the far tier comes back."""
        self._recovered.append(tell)

    def _ensure_recovery(self) -> None:
        """One background task probes while the breaker is open; it ends when the tier is back."""
        if not self._closed and (self._recovery is None or self._recovery.done()):
            # a context of its own: the probes belong to no request's trace
            loop, context = asyncio.get_running_loop(), Context()
            self._recovery = loop.create_task(self._recover(), name="otcache-recovery", context=context)

    async def _recover(self) -> None:
        while self.breaker.is_open:
            await asyncio.sleep(self._probe_seconds * random.uniform(0.8, 1.0))  # noqa: S311  jitter, not a secret
            self.breaker.enter("half_open")
            try:
                await self._probe_once()
            except StoreError:
                self.breaker.enter("open")
            else:
                self.breaker.enter("closed")

    async def _probe_once(self) -> None:
        """Prove that the server answers, and make good what must not be read as it is."""
        await self._call(None, "PING", "health", self.store.ping)
        await self._call(None, "TIME", "health", self.store.clock.sync)
        self._clock_until = clock() + CLOCK_AGE
        await self.repair()

    async def repair(self) -> None:
        """Make good what failed: remove keys, repeat invalidations.

        Raises:
            StoreError: Not all of it; what is done stays done.
        """
        while self.journal:
            try:
                self._place()
                with self._deadlines.begin() as deadline:
                    await self._repair(None, deadline)
            except TimeoutError as exc:
                raise StoreError("timeout", "TimeoutError", counts=True) from exc

    async def connect(self) -> bool:
        """Ask the server once; `False`, and the breaker open, if it does not answer in time."""
        try:
            await self._call(None, "PING", "health", self.store.ping)
            await self._call(None, "TIME", "health", self.store.clock.sync)
        except StoreError:
            self.breaker.enter("open")
            return False
        self._clock_until = clock() + CLOCK_AGE
        return True

    async def ping(self, outcome: Outcome) -> None:
        """One round trip that asks nothing."""
        await self._call(outcome, "PING", "health", self.store.ping)

    async def close(self) -> None:
        """Stop probing and close every connection."""
        self._closed = True
        self._probe.metrics.forget(self)
        recovery, self._recovery = self._recovery, None
        if recovery is not None and not recovery.done() and recovery.get_loop() is asyncio.get_running_loop():
            recovery.cancel()
            await asyncio.wait([recovery])
        await self.store.close()

    # --- state --------------------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """available, degraded (failures or unrepaired keys, but asked) or unavailable (not asked)."""
        if self.breaker.is_open:
            return "unavailable"
        return "degraded" if self.breaker.failures or self.journal else "available"

    def stats(self) -> dict[str, Any]:
        """Where it is and how it is; no I/O."""
        return {
            "url": self.store.location.url,
            "status": self.status,
            "breaker": self.breaker.state,
            "unrepaired_keys": len(self.journal),
            "last_error": self.error.error_type if self.error is not None else None,
        }

    def gauges(self) -> Iterable[tuple[catalog.Instrument, int, tuple[str, ...]]]:
        """The state metrics of this tier."""
        backend = self._probe.backend
        for status in catalog.COMPONENT_STATE.values or ():
            yield catalog.COMPONENT_STATUS, int(status == self.status), (backend, "l2", status)
        for state in catalog.CIRCUIT_STATE.values or ():
            yield catalog.CIRCUIT_STATUS, int(state == self.breaker.state), (backend, "l2", state)
        server = self.backend.server
        used, idle, limit = (server and server.usage()) or (0, 0, self._connections)
        name = self._probe.name
        yield catalog.CONNECTIONS, used, (name, "used")
        yield catalog.CONNECTIONS, idle, (name, "idle")
        yield catalog.CONNECTION_LIMIT, limit, (name,)


def _ignore(_: list[str]) -> None:
    """Nobody has copies."""


async def _no_wait() -> None:
    """There is nothing to listen to."""


END: Final[list[str]] = []
"""What a scan gives after its last batch."""
_TIMED_OUT: Final = StoreError("timeout", "TimeoutError", counts=True)


def degraded_reason(error: StoreError) -> DegradedReason:
    """Why the far tier did not take part, for the record."""
    known: tuple[DegradedReason, ...] = ("circuit_open", "timeout", "connection", "auth", "server_error", "codec")
    return next((reason for reason in known if reason == error.reason), "server_error")


def _bytes_in(answer: object) -> int:
    if isinstance(answer, LockAttempt):
        return len(answer.payload or b"")
    if isinstance(answer, bytes):
        return len(answer)
    if isinstance(answer, list):
        return sum(len(item) for item in answer if isinstance(item, bytes))
    return 0
