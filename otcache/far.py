"""The far tier as the pipeline sees it: a store behind one deadline, a breaker and a journal of failed writes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from contextvars import Context
from typing import Any, Final, TypeVar

from otcache.base import LockAnswer, Store, StoreError
from otcache.breaker import Breaker, State
from otcache.journal import Journal
from otcache.telemetry import catalog
from otcache.telemetry.outcome import DegradedReason, Outcome, Purpose, RoundTrip
from otcache.telemetry.probe import Probe
from otcache.telemetry.reporter import clock

T = TypeVar("T")

CLOCK_AGE: Final = 60_000_000_000
"""How old the learnt difference to the server's clock may be, in ns."""
REPAIR_BATCH: Final = 500
"""Keys removed in one round trip while a journal is worked off."""


class FarTier:
    """One far store, guarded.

    Every call costs at most `timeout` seconds, waiting for a connection, connect and DNS included.
    After `failures` calls in a row that say the server is away, calls cost nothing until a probe in
    the background succeeds. Keys whose write or delete failed are removed before anything is read.

    Args:
        store: The store.
        probe: What it reports through.
        timeout: Seconds.
        failures: Failures in a row that open the breaker.
        probe_seconds: Seconds between probes while it is open.
        journal_size: Failed keys remembered before the whole prefix is distrusted.
        connections: Calls under way at once; the pool never has to refuse one.
    """

    def __init__(
        self,
        store: Store,
        probe: Probe,
        *,
        timeout: float,
        failures: int,
        probe_seconds: float,
        journal_size: int,
        connections: int,
    ) -> None:
        self.store = store
        self.journal = Journal(journal_size)
        self.breaker = Breaker(failures, self._moved)
        self.error: StoreError | None = None
        self._probe = probe
        self._timeout = timeout
        self._probe_seconds = probe_seconds
        self._places = asyncio.Semaphore(connections)
        self._connections = connections
        self._loop: asyncio.AbstractEventLoop | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._clock_learnt = 0
        self._closed = False
        self._recovered: list[Callable[[], None]] = []
        probe.trips.set_server(store.address, store.port, store.database)
        probe.metrics.watch(self)

    # --- operations ---------------------------------------------------------------------------------

    async def read(self, outcome: Outcome, key: str) -> bytes | None:
        """The payload under `key`."""
        return await self._call(outcome, "GET", "read", self.store.read, key)

    async def read_many(self, outcome: Outcome, keys: Sequence[str]) -> list[bytes | None]:
        """The payloads under `keys`, in their order, in one round trip."""
        return await self._call(outcome, "MGET", "read", self.store.read_many, keys)

    async def contains(self, outcome: Outcome, key: str) -> bool:
        """Whether `key` exists."""
        return await self._call(outcome, "EXISTS", "read", self.store.contains, key)

    async def left_ms(self, outcome: Outcome, key: str) -> int | None:
        """Milliseconds left of `key`; 0 if it never expires, `None` if absent."""
        return await self._call(outcome, "PTTL", "read", self.store.left_ms, key)

    async def touch(self, outcome: Outcome, key: str, ttl_ms: int) -> bool:
        """Give `key` a new time to live; whether it existed."""
        return await self._call(outcome, "EVALSHA", "write", self.store.touch, key, ttl_ms)

    async def write(self, outcome: Outcome, key: str, payload: bytes, ttl_ms: int) -> None:
        """Store `payload`; returns only on the server's OK."""
        try:
            await self._call(outcome, "SET", "write", self.store.write, key, payload, ttl_ms, sent=len(payload))
        except BaseException:
            self.distrust([key])
            raise
        self.journal.discard([key])

    async def write_many(
        self, outcome: Outcome, items: Sequence[tuple[str, bytes]], ttl_ms: int
    ) -> list[StoreError | None]:
        """Store `items` in one round trip; per item `None` for the server's OK, or its error."""
        keys, sent = [key for key, _ in items], sum(len(payload) for _, payload in items)
        store = self.store.write_many
        try:
            errors = await self._call(
                outcome, "PIPELINE SET", "write", store, items, ttl_ms, batch=len(items), sent=sent
            )
        except BaseException:
            self.distrust(keys)
            raise
        self.journal.discard(key for key, error in zip(keys, errors, strict=True) if error is None)
        self.distrust([key for key, error in zip(keys, errors, strict=True) if error is not None])
        return errors

    async def remove(self, outcome: Outcome, keys: Sequence[str]) -> int:
        """Remove `keys`; how many existed."""
        try:
            removed = await self._call(outcome, "UNLINK", "delete", self.store.remove, keys)
        except BaseException:
            self.distrust(keys)
            raise
        self.journal.discard(keys)
        return removed

    async def clear(self, outcome: Outcome | None, pattern: str = "*") -> int:
        """Remove every key that matches a Redis glob under the prefix, batch by batch; how many.

        Each batch has a deadline of its own.
        """
        removed = 0
        try:
            async for keys in self._scan(outcome, pattern):
                if keys:
                    removed += await self._call(outcome, "UNLINK", "delete", self.store.remove, keys)
        except BaseException:
            self.journal.add_everything()
            self.breaker.enter("open")  # the prefix is cleared in the background
            raise
        if pattern == "*":
            self.journal.forgive()
        return removed

    async def _scan(self, outcome: Outcome | None, pattern: str) -> AsyncIterator[list[str]]:
        async with aclosing(self.store.scan(pattern)) as batches:
            while (keys := await self._call(outcome, "SCAN", "delete", _next, batches)) is not _END:
                yield keys

    async def lock(self, outcome: Outcome, key: str, value: bytes, ms: int) -> LockAnswer:
        """Take the lock of `key` for `ms`, or learn who holds it; and the payload under `key`, in one round trip."""
        return await self._call(outcome, "PIPELINE EVAL", "lock", self.store.lock, key, value, ms, batch=2)

    async def renew_lock(self, key: str, value: bytes, ms: int) -> bool:
        """Hold the lock of `key` for `ms` from now; whether it was still ours. Nobody waits for it."""
        return await self._call(None, "EVAL", "lock", self.store.renew_lock, key, value, ms)

    async def unlock(self, outcome: Outcome, key: str, value: bytes, news: bytes) -> bool:
        """Give the lock of `key` back and publish `news`; whether it was still ours."""
        return await self._call(outcome, "EVAL", "lock", self.store.unlock, key, value, news)

    def distrust(self, keys: Sequence[str]) -> None:
        """What the store holds under `keys` may be old: remove it there before it is read again."""
        if keys and self.journal.add(keys):
            self._probe.journal_full(self.journal.limit)
            self.breaker.enter("open")  # its prefix is cleared in the background

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
        try:
            async with asyncio.timeout(self._timeout) as deadline, self._place():
                if purpose in ("read", "lock"):
                    await self._prepare_read(outcome, deadline)
                trip = self._probe.trips.begin(outcome, command, purpose, batch)
                trip.sent = sent
                return await self._run(trip, deadline, function, *args)
        except StoreError as exc:
            raise self._note(exc, outcome) from exc.__cause__
        except TimeoutError as exc:
            timeout = StoreError("timeout", "TimeoutError", counts=True)
            raise self._note(timeout, outcome) from exc

    def _place(self) -> asyncio.Semaphore:
        """A place in the pool; places belong to one event loop."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._places = asyncio.Semaphore(self._connections)
            self._recovery = None
        return self._places

    async def _prepare_read(self, outcome: Outcome | None, deadline: asyncio.Timeout) -> None:
        """Remove the journal's keys, batch by batch: what is done stays done if the deadline comes."""
        while keys := self.journal.take(REPAIR_BATCH):
            trip = self._probe.trips.begin(outcome, "UNLINK", "delete", None)
            try:
                await self._run(trip, deadline, self.store.remove, keys)
            except BaseException:
                self.journal.add(keys)
                raise
        if not self._clock_learnt or clock() - self._clock_learnt > CLOCK_AGE:
            await self._run(self._probe.trips.begin(outcome, "TIME", "health", None), deadline, self.store.sync_clock)
            self._clock_learnt = clock()

    async def _run(
        self, trip: RoundTrip, deadline: asyncio.Timeout, function: Callable[..., Awaitable[T]], *args: Any
    ) -> T:
        try:
            with self._probe.trips.quiet():
                answer = await function(*args)
        except BaseException as exc:
            self._probe.trips.end(trip, _TIMED_OUT if deadline.expired() else exc)
            raise
        if answer is not _END:  # the end of a scan is known without asking the server
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
            outcome.degraded = _reason(error)
        return error

    # --- recovery -----------------------------------------------------------------------------------

    def _moved(self, previous: State, state: State) -> None:
        self._probe.breaker_moved(previous, state, _reason(self.error) if self.error else None)
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
        """Prove that the server answers, and remove what must not be read again."""
        await self._call(None, "PING", "health", self.store.ping)
        await self._call(None, "TIME", "health", self.store.sync_clock)
        self._clock_learnt = clock()
        if self.journal.everything:
            await self.clear(None)
        while self.journal:
            keys = self.journal.take(REPAIR_BATCH)
            try:
                await self._call(None, "UNLINK", "delete", self.store.remove, keys)
            except BaseException:
                self.journal.add(keys)
                raise

    async def connect(self) -> bool:
        """Ask the server once; `False`, and the breaker open, if it does not answer in time."""
        try:
            await self._call(None, "PING", "health", self.store.ping)
            await self._call(None, "TIME", "health", self.store.sync_clock)
        except StoreError:
            self.breaker.enter("open")
            return False
        self._clock_learnt = clock()
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
            "url": self.store.url,
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
        used, idle, limit = self.store.pool_stats() or (0, 0, self._connections)
        name = self._probe.name
        yield catalog.CONNECTIONS, used, (name, "used")
        yield catalog.CONNECTIONS, idle, (name, "idle")
        yield catalog.CONNECTION_LIMIT, limit, (name,)


_END: Final[list[str]] = []
_TIMED_OUT: Final = StoreError("timeout", "TimeoutError", counts=True)


async def _next(batches: AsyncGenerator[list[str], None]) -> list[str]:
    return await anext(batches, _END)


def _reason(error: StoreError) -> DegradedReason:
    known: tuple[DegradedReason, ...] = ("circuit_open", "timeout", "connection", "auth", "server_error", "codec")
    return next((reason for reason in known if reason == error.reason), "server_error")


def _bytes_in(answer: object) -> int:
    if isinstance(answer, LockAnswer):
        answer = answer.payload
    if isinstance(answer, bytes):
        return len(answer)
    if isinstance(answer, list):
        return sum(len(item) for item in answer if isinstance(item, bytes))
    return 0
