"""Recovery: what L2 needs before it is read, and the background task that closes an open circuit breaker."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from contextvars import Context
from typing import Any, Final

from otcache._concurrency.circuit_breaker import CircuitBreaker, State
from otcache._engine.commands import CLOCK, INVALIDATE, REMOVE, VERSIONS
from otcache._engine.invalidation_log import EVERYTHING, InvalidationLog, new_id
from otcache._engine.repair_journal import RepairJournal
from otcache.exceptions import StoreError
from otcache.stores.base import Backend, ChangeMessage, InvalidationRows
from otcache.telemetry._instrumentation.probe import Probe
from otcache.telemetry._instrumentation.signals import clock

CLOCK_AGE: Final = 60_000_000_000
"""How long a learnt difference to the store's clock counts: 60 s, in ns."""
REPAIR_BATCH: Final = 500
"""Keys removed in one round trip while the repair journal is worked off."""
_NEVER: Final = 2**63 - 1

Run = Callable[..., Awaitable[Any]]
"""Makes one call, `run(command, function, *arguments)`, within a deadline that has begun."""


class Recovery:
    """Keeps L2 right: a circuit breaker, a repair journal, and the invalidation versions that a read needs.

    A key whose write or removal failed is removed from L2 before L2 is read again; a failed invalidation is repeated.

    Args:
        backend: The store, and what it can do.
        log: The invalidations that this process knows.
        probe: What it reports through.
        moved: Called with the state that the breaker left and the one that it entered.
        sync: Learns the store's clock.
        attempt: Proves in the background that the store answers, and repairs it. Raises `StoreError` if not.
        invalidated: Called with the targets of invalidations that are new here.
        message: Makes the message of a removal; `None` publishes nothing.
        head: Makes the head of an invalidation message; `None` publishes nothing.
        failures: Failures in a row that open the breaker.
        probe_seconds: Seconds between probes while it is open.
        journal_size: Failed keys remembered before all of L2 is invalidated instead.
        version_limit: Targets whose invalidation version the store remembers by name.
        version_age: Seconds that the known versions may be old when an entry is judged by them.

    Attributes:
        due_at: From when on `prepare` has to come before a read, on the `perf_counter_ns` clock. A plain attribute: it
            is all that a call on the way of `get` asks.
    """

    def __init__(
        self,
        backend: Backend,
        log: InvalidationLog,
        probe: Probe,
        moved: Callable[[State, State], None],
        sync: Callable[[], Awaitable[None]],
        attempt: Callable[[], Awaitable[None]],
        invalidated: Callable[[Sequence[str]], None],
        message: ChangeMessage | None,
        head: Callable[[], bytes] | None,
        *,
        failures: int,
        probe_seconds: float,
        journal_size: int,
        version_limit: int,
        version_age: float,
    ) -> None:
        self.breaker = CircuitBreaker(failures, self._moved)
        self.journal = RepairJournal(journal_size)
        self.due_at = 0
        self._store, self._invalidations = backend.store, backend.invalidations
        self._log = log
        self._probe = probe
        self._tell_moved = moved
        self._sync, self._attempt = sync, attempt
        self._invalidated = invalidated
        self._message, self._head = message, head
        self._probe_seconds = probe_seconds
        self._version_limit = version_limit
        self._version_age = int(version_age * 1e9)
        self._clock_until = 0
        self._versions_until = 0 if self._invalidations is not None else _NEVER
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    # --- what failed --------------------------------------------------------------------------------

    def distrust(self, keys: Sequence[str]) -> None:
        """L2 may hold something old under `keys`: remove them there before L2 is read again."""
        if keys and self.journal.add(keys):
            self._probe.journal_full(self.journal.limit)
            self.breaker.enter("open")  # so that the background task invalidates everything
        self._plan()

    def distrust_everything(self) -> None:
        """What of L2 is valid is unknown: the background task invalidates all of it."""
        self.journal.add_everything()
        self._plan()
        self.breaker.enter("open")

    def repeat(self, target: str) -> None:
        """The invalidation of `target` has not reached L2: repeat it before L2 is read again."""
        self.journal.add_target(target)
        self._plan()

    def _plan(self) -> None:
        self.due_at = 0 if self.journal.pending else min(self._clock_until, self._versions_until)

    # --- before a read ------------------------------------------------------------------------------

    async def prepare(self, run: Run) -> None:
        """Repair L2 and learn what a read rests on, step by step: what is done stays done if the deadline comes."""
        if self.journal.pending:
            await self.repair(run)
        if clock() >= self._clock_until:
            await run(CLOCK, self._sync)
            self.clock_learnt()
        await self.learn_versions(run)
        self._plan()

    def clock_learnt(self) -> None:
        """The difference to the store's clock is known from now on."""
        self._clock_until = clock() + CLOCK_AGE
        self._plan()

    async def learn_versions(self, run: Run) -> None:
        """Learn what has been invalidated, unless that is known well enough."""
        if self._invalidations is not None and clock() >= self._versions_until:
            began = clock()  # before the question: an invalidation right after the answer is younger than that
            self.adopt(await run(VERSIONS, self._invalidations.versions, *self.known()), began)

    def known(self) -> tuple[str, int, str]:
        """What the store is asked with: the epoch and the newest version known here, and an id for a new epoch."""
        return self._log.id, self._log.newest, new_id()

    def numbering(self) -> tuple[str, int, bytes | None]:
        """What an invalidation takes along: an id for a new epoch, the store's limit, the head of the message."""
        return new_id(), self._version_limit, None if self._head is None else self._head()

    def adopt(self, rows: InvalidationRows, began: int) -> None:
        """Take over the versions that the store has given to a question which began at `began`."""
        targets = self._log.adopt(rows.id, rows.rows)
        self._versions_until = began + self._version_age
        self._plan()
        if targets:
            self._invalidated(targets)

    def forget_versions(self) -> None:
        """A version is missing here: ask before the next read."""
        self._versions_until = 0 if self._invalidations is not None else _NEVER
        self._plan()

    # --- repair -------------------------------------------------------------------------------------

    async def repair(self, run: Run) -> None:
        """Work the journal off: repeat invalidations, then remove keys."""
        if self.journal.everything:
            await self._invalidate_everything(run)
        while (target := self.journal.target) is not None:
            assert self._invalidations is not None, "only a store with invalidations has targets"
            await run(INVALIDATE, self._invalidations.invalidate, target, *self.numbering())
            self.journal.forget_target(target)
            self.forget_versions()
        # Only now: the target that stands for everything has reached L2.
        self.journal.forgive()
        while keys := self.journal.take(REPAIR_BATCH):
            try:
                await run(REMOVE, self._store.remove, keys, self._message)
            except BaseException:  # cancelled as well: the keys are out of the journal, and may be in L2
                self.distrust(keys)
                raise

    async def _invalidate_everything(self, run: Run) -> None:
        if self._invalidations is not None:
            self.journal.add_target(EVERYTHING)
            return
        # Without invalidation versions every key has to be removed. The deadline may come first; then the next round
        # goes on, with fewer keys.
        async with aclosing(self._store.scan("*")) as batches:
            async for keys in batches:
                if keys:
                    await run(REMOVE, self._store.remove, keys, self._message)

    # --- in the background --------------------------------------------------------------------------

    def _moved(self, previous: State, state: State) -> None:
        self._tell_moved(previous, state)
        if state == "open":
            self.ensure()

    def ensure(self) -> None:
        """See that one background task of this event loop probes while the breaker is open."""
        loop = asyncio.get_running_loop()
        task = self._task
        if not self._closed and (task is None or task.done() or task.get_loop() is not loop):
            # Empty context: keep the probes out of the trace of the request that met the outage.
            self._task = loop.create_task(self._recover(), name="otcache-recovery", context=Context())

    async def _recover(self) -> None:
        while self.breaker.is_open:
            # Jitter: the processes that lost the same Redis must not return in one moment.
            await asyncio.sleep(self._probe_seconds * random.uniform(0.8, 1.0))  # noqa: S311  no secret
            self.breaker.enter("half_open")
            try:
                await self._attempt()
            except StoreError:
                self.breaker.enter("open")
            else:
                self.breaker.enter("closed")

    async def close(self) -> None:
        """End the background task."""
        self._closed = True
        task, self._task = self._task, None
        if task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait([task])
