"""One load per key among all processes: a lock in Redis, and news when it is free; nobody asks again and again."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from otcache._engine.inflight import Inflight
from otcache._engine.l2 import L2
from otcache._loading.single_flight import Flight, arrives
from otcache.exceptions import LoadTimeout, StoreError
from otcache.telemetry._instrumentation.loads import read_place
from otcache.telemetry.record import Lookup

_TOKEN: Final = 16
"""Random bytes of a lock's value: nobody else's lock is taken for ours."""
_LATER: Final = 0.01
"""Seconds after its end at which a lock is asked for again: the server's clock ticks in milliseconds."""


class Wakes(Protocol):
    """Who tells of what other processes do."""

    @property
    def is_live(self) -> bool:
        """Whether news arrive."""

    def wait(self, key: str) -> asyncio.Future[None]:
        """Done at the next news of `key`, its lock's included; cancelled by who waits no more."""

    def lock_news(self, key: str) -> bytes:
        """The news that the lock of `key` is free."""


class Lease:
    """A lock that this process holds, or may hold; it is held on until it is given back."""

    def __init__(self, far: L2, flight: Flight, value: bytes, seconds: float, *, is_certain: bool = True) -> None:
        self.is_certain = is_certain
        self.is_over = False
        self.key = flight.key
        self.value = value
        self.outcome = flight.outcome
        self._far = far
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None
        self._timer = flight.loop.call_later(seconds / 3, self._begin)

    def _begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._renew(), name="otcache-lock")

    async def _renew(self) -> None:
        """Nearly every load is over before this begins."""
        while not self._far.breaker.is_open:
            with suppress(StoreError):  # the next one may get through in time
                if not await self._far.renew_lock(self.key, self.value, round(self._seconds * 1000)):
                    return
            await asyncio.sleep(self._seconds / 3)

    async def give_back(self, news: bytes) -> None:
        """Release it, as far as the server can be reached."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self.is_over:
            return
        with suppress(StoreError):  # it ends by itself
            await self._far.unlock(self.outcome, self.key, self.value, news)


Place = Callable[[], bytes]
"""Where the span of the load begins that comes if the lock is ours."""
Fresh = Callable[[bytes, bool], Lookup | None]
"""What a payload holds, if it makes a load needless; and whether it may be copied to the near tier."""


class DistributedLocks:
    """The locks of one cache.

    Args:
        far: Where they are.
        inflight: What is being read: the value comes with the answer.
        wakes: Who tells that one is free.
        seconds: How long one lives after the process that holds it has died.
    """

    def __init__(self, far: L2, inflight: Inflight, wakes: Wakes, seconds: float) -> None:
        self._far = far
        self._inflight = inflight
        self._wakes = wakes
        self._seconds = seconds
        self._returning: set[asyncio.Task[None]] = set()

    async def take(self, flight: Flight, place: Place, fresh: Fresh) -> Lease | Lookup | None:
        """The lock of the flight's key, what another process has stored meanwhile, or `None`: load without one.

        Raises:
            LoadTimeout: Another process was not done when the flight's time was over.
        """
        token = secrets.token_hex(_TOKEN).encode()
        while self._wakes.is_live and not self._far.breaker.is_open:
            news = self._wakes.wait(flight.key)  # before the question: nothing that follows it is missed
            try:
                answer = await self._attempt(flight, token + b" " + place(), fresh)
                if not isinstance(answer, float):
                    return answer
                await self._wait(flight, news, answer)
            finally:
                news.cancel()
        return None

    async def seize(self, flight: Flight, place: Place) -> Lease | None:
        """The lock, whoever has it: a forced load is newer than what others load. `None`: load without one."""
        if not self._wakes.is_live or self._far.breaker.is_open:
            return None
        value = secrets.token_hex(_TOKEN).encode() + b" " + place()
        lease = Lease(self._far, flight, value, self._seconds)
        try:
            await self._far.seize(flight.outcome, flight.key, value, round(self._seconds * 1000))
        except StoreError:
            lease.is_certain = False
        except BaseException:
            self.give_back(lease)
            raise
        return lease

    async def _attempt(self, flight: Flight, value: bytes, fresh: Fresh) -> Lease | Lookup | float:
        """The same, or for how many seconds another process has the lock at most."""
        read = self._inflight.begin_read(flight.key)
        try:
            answer = await self._far.lock(flight.outcome, flight.key, value, round(self._seconds * 1000))
        except StoreError:
            # the server may have heard it
            return Lease(self._far, flight, value, self._seconds, is_certain=False)
        except BaseException:
            self.give_back(Lease(self._far, flight, value, self._seconds))
            raise
        finally:
            may_copy = self._inflight.end_read(flight.key, read)
        found = fresh(answer.payload, may_copy) if answer.payload is not None else None
        if found is not None:  # who has the lock now may have found it, too: the leader is who was waited for
            if answer.holder is None:
                self.give_back(Lease(self._far, flight, value, self._seconds))
            flight.scope = "distributed"
            return found
        if answer.holder is None:
            flight.scope, flight.leader = "process", None
            return Lease(self._far, flight, value, self._seconds)
        flight.scope, flight.leader = "distributed", read_place(answer.holder.partition(b" ")[2])
        return answer.left_ms / 1000

    @staticmethod
    async def _wait(flight: Flight, news: asyncio.Future[None], left: float) -> None:
        patience = flight.deadline - flight.loop.time()
        if patience <= 0:
            raise LoadTimeout("another process loads the value, and was not done in time")
        await arrives(news, min(left + _LATER, patience))

    def give_back(self, lease: Lease) -> None:
        """Release a lock in the background: nobody waits for that, and nobody can stop it."""
        task = asyncio.get_running_loop().create_task(lease.give_back(self._wakes.lock_news(lease.key)))
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)

    async def close(self) -> None:
        """Wait for the locks that are being given back; each has the far tier's deadline."""
        here = asyncio.get_running_loop()
        returning = [task for task in self._returning if task.get_loop() is here]
        if returning:
            await asyncio.wait(returning)
