"""L2: every operation of the store that the processes share, each behind one guard (`Resilience`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from typing import Any, NamedTuple

from otcache._concurrency.circuit_breaker import State
from otcache._engine.backplane import Backplane
from otcache._engine.commands import (
    CLOCK,
    CONTAINS,
    INVALIDATE,
    LEFT,
    LOCK,
    PING,
    READ,
    READ_MANY,
    REMOVE,
    RENEW,
    SCAN,
    SEIZE,
    UNLOCK,
    VERSIONS,
    Command,
)
from otcache._engine.invalidation_log import InvalidationLog
from otcache._engine.messages import Messages
from otcache._engine.neighbours import Neighbours
from otcache._engine.read_batching import ReadBatcher
from otcache._engine.recovery import Recovery
from otcache._engine.resilience import END, Resilience, degraded_reason
from otcache.exceptions import StoreError
from otcache.stores.base import Backend, LockAttempt
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.probe import Probe
from otcache.telemetry._instrumentation.signals import clock
from otcache.telemetry.record import Outcome


class Limits(NamedTuple):
    """Numbers of an L2, each an option of `CacheConfig`.

    Attributes:
        timeout: Seconds that a call may take.
        failures: Failures in a row that open the circuit breaker.
        probe_seconds: Seconds between probes while it is open.
        journal_size: Failed keys remembered before all of L2 is invalidated instead.
        connections: Calls in flight at once.
        version_limit: Targets whose invalidation version the store remembers by name.
        version_age: Seconds that the known versions may be old when an entry is judged by them.
    """

    timeout: float
    failures: int
    probe_seconds: float
    journal_size: int
    connections: int
    version_limit: int
    version_age: float


class L2:
    """The operations of a store. Each may raise `StoreError`, and nothing else.

    Args:
        backend: The store, and what it can do.
        log: The invalidations that this process knows.
        invalidated: Called with the targets of invalidations that are new here.
        messages: Makes the messages; `None` if the store has no channel.
        backplane: Hears other processes; `None` if it is off: then only invalidations are published.
        probe: What it reports through.
        limits: Its numbers.
        neighbours: Who else has a cache of this name; `None` if the store can't tell.

    Attributes:
        breaker: The circuit breaker.
        journal: The repair journal.
    """

    def __init__(
        self,
        backend: Backend,
        log: InvalidationLog,
        invalidated: Callable[[Iterable[str]], None],
        messages: Messages | None,
        backplane: Backplane | None,
        probe: Probe,
        limits: Limits,
        neighbours: Neighbours | None = None,
    ) -> None:
        self.backend, self.store, self.log = backend, backend.store, log
        self.neighbours = neighbours
        self.backplane = backplane
        self._message = messages.keys_changed if messages is not None and backplane is not None else None
        self._probe = probe
        self._connections = limits.connections
        self._recovery = Recovery(
            backend,
            log,
            probe,
            moved=self._moved,
            attempt=self._attempt,
            sync=self._sync,
            invalidated=invalidated,
            message=self._message,
            head=messages.invalidated if messages is not None else None,
            failures=limits.failures,
            probe_seconds=limits.probe_seconds,
            journal_size=limits.journal_size,
            version_limit=limits.version_limit,
            version_age=limits.version_age,
        )
        self.breaker, self.journal = self._recovery.breaker, self._recovery.journal
        self._guard = Resilience(
            probe, self._recovery, self._hear, timeout=limits.timeout, connections=limits.connections
        )
        self._reads = ReadBatcher(self._read_one, self._read_together, backend.place, probe.trips.open)
        self._recovered: list[Callable[[], None]] = []
        probe.trips.set_server(*backend.store.location[1:])
        probe.metrics.watch(self)

    # --- reading ------------------------------------------------------------------------------------

    def read(self, outcome: Outcome, key: str) -> Awaitable[bytes | None]:
        """Read the payload under `key`, in one round trip with the other reads of this turn of the event loop."""
        # While nothing else is ready to run, no other read can come in this turn. An open breaker refuses at once.
        if self.breaker.is_open or (self._reads.turn is None and is_idle(asyncio.get_running_loop())):
            return self._guard.call(outcome, READ, self.store.read, key)
        return self._reads.read(outcome, key)

    def _read_one(self, outcome: Outcome, key: str) -> Awaitable[bytes | None]:
        return self._guard.call(outcome, READ, self.store.read, key)

    async def _read_together(self, outcomes: list[Outcome], keys: list[str]) -> list[bytes | None]:
        shared = self._probe.trips.share(outcomes)
        try:
            if len(keys) == 1:
                return [await self._read_one(shared, keys[0])]
            return await self.read_many(shared, keys)
        finally:
            for outcome in outcomes:
                outcome.degraded = shared.degraded

    async def read_many(self, outcome: Outcome, keys: Sequence[str]) -> list[bytes | None]:
        """Read the payloads under `keys`, in their order, in one round trip."""
        return await self._guard.call(outcome, READ_MANY, self.store.read_many, keys)

    async def contains(self, outcome: Outcome, key: str) -> bool:
        """Return whether `key` exists."""
        return await self._guard.call(outcome, CONTAINS, self.store.contains, key)

    async def left_ms(self, outcome: Outcome, key: str) -> int | None:
        """Return the milliseconds left of `key`; 0 if it never expires, `None` if absent."""
        return await self._guard.call(outcome, LEFT, self.store.left_ms, key)

    # --- writing ------------------------------------------------------------------------------------

    # Each write has the same trap: if it fails or is cancelled, L2 may or may not have taken it. The key goes into the
    # repair journal before anybody reads L2 again.

    async def write(self, outcome: Outcome, key: str, payload: bytes, ttl_ms: int) -> None:
        """Store `payload`; returns only when the store has it."""
        command = Command("SET", "write", sent=len(payload))
        try:
            await self._guard.call(outcome, command, self.store.write, key, payload, ttl_ms, self._message)
        except BaseException:
            self._recovery.distrust([key])
            raise
        self._acknowledged([key])

    async def write_loaded(self, outcome: Outcome, key: str, payload: bytes, ttl_ms: int, lock: bytes) -> bool:
        """Store the value of a load, unless the key has been written or removed meanwhile; return whether it is."""
        assert self.backend.locks is not None, "a load has a lock only where there are locks"
        command, write = Command("SET", "write", sent=len(payload)), self.backend.locks.write_loaded
        try:
            stored = await self._guard.call(outcome, command, write, key, payload, ttl_ms, lock, self._message)
        except BaseException:
            self._recovery.distrust([key])
            raise
        self._acknowledged([key])
        return stored

    async def write_many(
        self, outcome: Outcome, items: Sequence[tuple[str, bytes]], ttl_ms: int
    ) -> list[StoreError | None]:
        """Store `items` in one round trip; return per item `None` if the store has it, or its error."""
        keys = [key for key, _ in items]
        command = Command("PIPELINE SET", "write", len(items), sum(len(payload) for _, payload in items))
        try:
            errors = await self._guard.call(outcome, command, self.store.write_many, items, ttl_ms, self._message)
        except BaseException:
            self._recovery.distrust(keys)
            raise
        self._acknowledged([key for key, error in zip(keys, errors, strict=True) if error is None])
        self._recovery.distrust([key for key, error in zip(keys, errors, strict=True) if error is not None])
        return errors

    async def replace(self, outcome: Outcome, key: str, old: bytes, new: bytes, ttl_ms: int) -> bool:
        """Store `new` under `key` if `old` is what is there; return whether it was."""
        # The same value with another end: if this fails or is cancelled, either is right, and nothing is repaired.
        command = Command("EVAL", "write", sent=len(new))
        return await self._guard.call(outcome, command, self.store.replace, key, old, new, ttl_ms, self._message)

    async def remove(self, outcome: Outcome, keys: Sequence[str]) -> int:
        """Remove `keys`; return how many existed."""
        try:
            removed = await self._guard.call(outcome, REMOVE, self.store.remove, keys, self._message)
        except BaseException:
            self._recovery.distrust(keys)
            raise
        self._acknowledged(keys)
        return removed

    async def sweep(self, outcome: Outcome, pattern: str) -> int:
        """Remove every key that matches a Redis glob, batch by batch; return how many.

        Each batch has a deadline of its own.
        """
        removed = 0
        try:
            async for keys in self._scan(outcome, pattern):
                if keys:
                    removed += await self._guard.call(outcome, REMOVE, self.store.remove, keys, self._message)
        except BaseException:
            self._recovery.distrust_everything()
            raise
        return removed

    async def _scan(self, outcome: Outcome, pattern: str) -> AsyncIterator[list[str]]:
        # `aclosing`: an abandoned generator would be closed by the garbage collector, in any task and at any time.
        async with aclosing(self.store.scan(pattern)) as batches:
            while (keys := await self._guard.call(outcome, SCAN, _next, batches)) is not END:
                yield keys

    def _acknowledged(self, keys: Iterable[str]) -> None:
        """The store has something newer under `keys` than what the journal distrusts."""
        if self.journal.pending:
            self.journal.discard(keys)

    # --- invalidation -------------------------------------------------------------------------------

    async def invalidate(self, outcome: Outcome, target: str) -> None:
        """Invalidate every entry that `target` concerns: one round trip, however many there are."""
        assert self.backend.invalidations is not None, "the caller falls back where there are none"
        invalidate = self.backend.invalidations.invalidate
        try:
            numbering = self._recovery.numbering()
            epoch, version = await self._guard.call(outcome, INVALIDATE, invalidate, target, *numbering)
        except BaseException:
            self._recovery.repeat(target)
            raise
        self.journal.forget_target(target)
        if epoch != self.log.id or not self.log.follow(target, version):  # a version before it is missing
            self._recovery.forget_versions()
            with suppress(StoreError):
                await self._sync_versions()

    async def _sync_versions(self) -> None:
        """Take over what has been invalidated since the last time."""
        if self.backend.invalidations is not None:
            began, versions = clock(), self.backend.invalidations.versions
            rows = await self._guard.call(None, VERSIONS, versions, *self._recovery.known())
            self._recovery.adopt(rows, began)

    # --- locks --------------------------------------------------------------------------------------

    async def lock(self, outcome: Outcome, key: str, value: bytes, ms: int) -> LockAttempt:
        """Take the lock of `key`, or learn which process has it; and read the entry."""
        assert self.backend.locks is not None
        return await self._guard.call(outcome, LOCK, self.backend.locks.lock, key, value, ms)

    async def seize(self, outcome: Outcome, key: str, value: bytes, ms: int) -> None:
        """Take the lock of `key`, whichever process has it."""
        assert self.backend.locks is not None
        await self._guard.call(outcome, SEIZE, self.backend.locks.seize, key, value, ms)

    async def renew_lock(self, key: str, value: bytes, ms: int) -> bool:
        """Keep the lock for `ms` more; return whether it was still ours."""
        assert self.backend.locks is not None
        return await self._guard.call(None, RENEW, self.backend.locks.renew, key, value, ms)

    async def unlock(self, outcome: Outcome | None, key: str, value: bytes, message: bytes) -> bool:
        """Give the lock back and publish `message`; return whether it was still ours."""
        assert self.backend.locks is not None
        return await self._guard.call(outcome, UNLOCK, self.backend.locks.unlock, key, value, message)

    # --- what the store can do ------------------------------------------------------------------------

    @property
    def has_versions(self) -> bool:
        """Whether the store counts invalidations: by tag and prefix, in O(1)."""
        return self.backend.invalidations is not None

    @property
    def has_locks(self) -> bool:
        """Whether one process among all can load; the others hear that it is done by a message."""
        return self.backend.locks is not None and self.backplane is not None

    @property
    def scheme(self) -> str:
        """The scheme of the store's URL."""
        return self.store.location.url.partition(":")[0]

    # --- its life -----------------------------------------------------------------------------------

    async def connect(self) -> bool:
        """Ask the store once; `False`, and the breaker open, if it does not answer in time."""
        try:
            await self._reach()
        except StoreError:
            self.breaker.enter("open")
            return False
        return True

    async def listen(self, outcome: Outcome | None) -> None:
        """Hear other processes, and learn the invalidation versions, before the first call needs them.

        Raises:
            StoreError: Not within the deadline.
        """
        await self._guard.prepare(outcome)

    async def ping(self, outcome: Outcome) -> None:
        """Make one round trip that asks nothing."""
        await self._guard.call(outcome, PING, self.store.ping)

    def on_recovery(self, tell: Callable[[], None]) -> None:
        """Call `tell` each time L2 comes back."""
        self._recovered.append(tell)

    async def _reach(self) -> None:
        await self._guard.call(None, PING, self.store.ping)
        await self._guard.call(None, CLOCK, self._sync)
        self._recovery.clock_learnt()

    async def _sync(self) -> None:
        """Learn the store's clock; a cache that has no heartbeats announces itself with it."""
        await self.store.clock.sync()
        if self.backplane is None and self.neighbours is not None and self.neighbours.is_due:
            await self.neighbours.tell()

    async def _attempt(self) -> None:
        """The probe of an open breaker: prove that the store answers, and repair it before anything is read."""
        await self._reach()
        await self._guard.repair()

    async def _hear(self) -> None:
        """Before the first call of an event loop: hear other processes."""
        if self.backplane is not None:
            await self.backplane.ready(self._catch_up)

    async def _catch_up(self) -> None:
        """Part of every heartbeat: what messages alone don't carry."""
        await self._sync_versions()
        await self._guard.repair()

    def _moved(self, previous: State, state: State) -> None:
        error = self._guard.error
        self._probe.breaker_moved(previous, state, degraded_reason(error) if error is not None else None)
        if state == "closed":
            if self.backplane is not None:
                self.backplane.start(self._catch_up)
            for tell in self._recovered:
                tell()

    async def close(self) -> None:
        """End the background tasks and close every connection."""
        for part in (self, self.neighbours):
            if part is not None:
                self._probe.metrics.forget(part)
        if self.backplane is not None:
            await self.backplane.close()
        await self._recovery.close()
        await self.store.close()
        await self._reads.close()

    # --- state --------------------------------------------------------------------------------------

    @property
    def error(self) -> StoreError | None:
        """The last failure."""
        return self._guard.error

    @property
    def status(self) -> str:
        """available, degraded (failures or unrepaired keys, but asked) or unavailable (not asked)."""
        if self.breaker.is_open:
            return "unavailable"
        return "degraded" if self.breaker.failures or self.journal.pending else "available"

    def stats(self) -> dict[str, Any]:
        """Where the store is and how it is; no I/O."""
        return {
            "url": self.store.location.url,
            "status": self.status,
            "breaker": self.breaker.state,
            "unrepaired_keys": len(self.journal),
            "last_error": self.error.error_type if self.error is not None else None,
        }

    def gauges(self) -> Iterable[tuple[catalog.Instrument, int, tuple[str, ...]]]:
        """The state metrics of L2."""
        backend, name = self._probe.backend, self._probe.name
        for status in catalog.COMPONENT_STATE.values or ():
            yield catalog.COMPONENT_STATUS, int(status == self.status), (backend, "l2", status)
        for state in catalog.CIRCUIT_STATE.values or ():
            yield catalog.CIRCUIT_STATUS, int(state == self.breaker.state), (backend, "l2", state)
        usage = self.backend.server.usage() if self.backend.server is not None else None
        used, idle, limit = usage or (0, 0, self._connections)
        yield catalog.CONNECTIONS, used, (name, "used")
        yield catalog.CONNECTIONS, idle, (name, "idle")
        yield catalog.CONNECTION_LIMIT, limit, (name,)


def is_idle(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether nothing else is ready to run; `False` where the event loop does not let that be seen.

    asyncio's own loops keep what is ready in a private list. Where there is none, a read waits for the end of the turn.
    """
    ready = getattr(loop, "_ready", None)
    return ready is not None and not ready


async def _next(batches: AsyncGenerator[list[str], None]) -> list[str]:
    return await anext(batches, END)
