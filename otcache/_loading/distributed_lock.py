"""One load per key among all processes: a lock in Redis, and a lock message when the lock is free; no polling."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from otcache._concurrency.tasks import done_within
from otcache._engine.backplane import Backplane
from otcache._engine.inflight import Inflight
from otcache._engine.l2 import L2
from otcache.exceptions import LoadTimeout, StoreError
from otcache.telemetry._instrumentation.loads import SpanContext, read_place
from otcache.telemetry.catalog.values import CoalesceScope
from otcache.telemetry.record import Lookup, Outcome

_TOKEN: Final = 16
"""Random bytes of a lock's value: no process takes another's lock for its own."""
_LATER: Final = 0.01
"""Seconds after a lock's end at which we ask for it again: the server's clock ticks in milliseconds."""

Place = Callable[[], bytes]
"""Returns the place of the load's span, for the links of processes that wait for it."""
Fresh = Callable[[bytes, bool], Lookup | None]
"""Decodes a payload of L2: returns a hit if it makes the load needless. The flag says whether L1 may take a copy."""


@dataclass(slots=True, eq=False)
class LockAttempt:
    """One load on its way to the lock of its key.

    Attributes:
        deadline: When the load is given up, on the clock of `loop`, the load's event loop.
        scope: `distributed` while the load waits for another process, and afterwards if it takes that one's value.
        leader: The span of that process's load, if it is traced.
    """

    key: str
    outcome: Outcome
    deadline: float
    loop: asyncio.AbstractEventLoop
    scope: CoalesceScope = "process"
    leader: SpanContext | None = None


class Lease:
    """A lock that this process holds, or may hold: `value` in Redis says that it is ours; renewed until released."""

    def __init__(self, l2: L2, attempt: LockAttempt, value: bytes, seconds: float) -> None:
        self.is_returned = False  # the release has begun
        self.key = attempt.key
        self.value = value
        self._outcome = attempt.outcome
        self._l2 = l2
        self._seconds = seconds
        self._is_free = False
        self._renewal: asyncio.Task[None] | None = None
        self._timer = attempt.loop.call_later(seconds / 3, self._begin)

    def _begin(self) -> None:
        self._renewal = asyncio.get_running_loop().create_task(self._renew(), name="otcache-lock")

    async def _renew(self) -> None:
        """Renew the lock every third of its life; nearly every load ends before the first time."""
        while not self._l2.breaker.is_open:
            with suppress(StoreError):  # the next one may get through in time
                if not await self._l2.renew_lock(self.key, self.value, round(self._seconds * 1000)):
                    return
            await asyncio.sleep(self._seconds / 3)

    def note_free(self) -> None:
        """The script that stored the value has released the lock, too."""
        self._is_free = True

    async def release(self, message: bytes) -> None:
        """Stop the renewal and release the lock, as far as Redis can be reached."""
        self._timer.cancel()
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])
        if self._is_free:
            return
        with suppress(StoreError):  # the lock expires by itself
            await self._l2.unlock(self._outcome, self.key, self.value, message)


class DistributedLocks:
    """The locks of one cache, in L2. One outlives a process that died with it by `seconds` at most.

    A lock's answer brings the key's value along, so it counts as a read in `inflight`.
    """

    def __init__(self, l2: L2, inflight: Inflight, backplane: Backplane, seconds: float) -> None:
        self._l2 = l2
        self._inflight = inflight
        self._backplane = backplane
        self._seconds = seconds
        self._life_ms = round(seconds * 1000)
        self._returning: set[asyncio.Task[None]] = set()

    async def take(self, attempt: LockAttempt, place: Place, fresh: Fresh, *, waits: bool) -> Lease | Lookup | None:
        """Take the lock; wait for another process that has it, if this one `waits` at all.

        Returns:
            The lock, or the value that another process has stored meanwhile, or `None`: load without a lock, because
            Redis is away, or because another process has the lock and the message that it is free would not arrive.

        Raises:
            LoadTimeout: Another process was not done at the attempt's deadline.
        """
        token = secrets.token_hex(_TOKEN).encode()
        while self.are_available:
            # before the command: a message that follows the answer would be missed otherwise
            message = self._backplane.wait(attempt.key)
            try:
                answer = await self._try(attempt, token + b" " + place(), fresh)
                if not isinstance(answer, float):
                    return answer
                if not waits or not self._backplane.is_live:  # the message that the lock is free would not arrive
                    break
                await self._wait(attempt, message, answer)
            finally:
                message.cancel()
        attempt.scope, attempt.leader = "process", None  # no caller is given the other process's value
        return None

    async def seize(self, attempt: LockAttempt, place: Place) -> Lease | None:
        """Take the lock even from its holder: a forced load is newer than the holder's. `None`: load without one."""
        if not self.are_available:
            return None
        lease = self._lease(attempt, secrets.token_hex(_TOKEN).encode() + b" " + place())
        try:
            await self._l2.seize(attempt.outcome, attempt.key, lease.value, self._life_ms)
        except StoreError:
            pass  # Redis may hold our lock although the reply was lost: the token decides when the value is stored
        except BaseException:
            self.give_back(lease)
            raise
        return lease

    @property
    def are_available(self) -> bool:
        """Whether Redis is asked at all."""
        return not self._l2.breaker.is_open

    def _lease(self, attempt: LockAttempt, value: bytes) -> Lease:
        return Lease(self._l2, attempt, value, self._seconds)

    async def _try(self, attempt: LockAttempt, value: bytes, fresh: Fresh) -> Lease | Lookup | float:
        """As `take`, once; a number is how many seconds another process has the lock at most."""
        read = self._inflight.begin_read(attempt.key)
        try:
            answer = await self._l2.lock(attempt.outcome, attempt.key, value, self._life_ms)
        except StoreError:  # as in `seize`
            return self._lease(attempt, value)
        except BaseException:  # cancelled: Redis may hold our lock, and other processes must not wait for its end
            self.give_back(self._lease(attempt, value))
            raise
        finally:
            may_copy = self._inflight.end_read(attempt.key, read)
        found = fresh(answer.payload, may_copy) if answer.payload is not None else None
        if found is not None:
            if answer.holder is None:
                self.give_back(self._lease(attempt, value))
            # `leader` stays: the load we waited for, even if the lock's present holder only found its value, too
            attempt.scope = "distributed"
            return found
        if answer.holder is None:
            attempt.scope, attempt.leader = "process", None
            return self._lease(attempt, value)
        attempt.scope, attempt.leader = "distributed", read_place(answer.holder.partition(b" ")[2])
        return answer.left_ms / 1000

    @staticmethod
    async def _wait(attempt: LockAttempt, message: asyncio.Future[None], left: float) -> None:
        patience = attempt.deadline - attempt.loop.time()
        if patience <= 0:
            raise LoadTimeout("another process loads the value and did not finish within the timeout")
        await done_within(message, min(left + _LATER, patience))

    def give_back(self, lease: Lease) -> None:
        """Release a lock in the background, once: no caller waits for that, and no cancellation stops it."""
        if lease.is_returned:
            return
        lease.is_returned = True
        task = asyncio.get_running_loop().create_task(lease.release(self._backplane.lock_message(lease.key)))
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)

    async def close(self) -> None:
        """Wait until the locks that are being released are free, each at most for the deadline of a call to L2."""
        here = asyncio.get_running_loop()
        returning = [task for task in self._returning if task.get_loop() is here]
        if returning:
            await asyncio.wait(returning)
