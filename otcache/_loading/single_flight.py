"""One load per key and event loop at a time: a later caller of the key waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from otcache._concurrency.tasks import done_within
from otcache._loading.load_task import LoadResult, LoadTask, TierRead
from otcache.exceptions import InfrastructureError
from otcache.telemetry.record import Lookup

CLOSE_WITHIN: Final = 5.0
"""Seconds that cancelled loaders have to end when the cache is closed."""

_around: ContextVar[tuple[Flight, ...]] = ContextVar("otcache_flights", default=())
"""The flights whose loaders are around the code that runs now."""


@dataclass(slots=True, eq=False)
class Flight:
    """The callers of one key and the load that they share.

    The first caller reads the tiers for all; only what follows a miss runs in a task.

    Attributes:
        table: The flights of its event loop that callers may join, by key; this one is in it until it lands.
        looked: Done when it is known what the tiers hold; cancelled and replaced if the caller who looks is cancelled.
        landed: Done when the value is loaded and stored, or there is none; `None`: what was read is enough.
        is_looking: Whether a caller, or the task, reads the tiers now.
        callers: Callers who are here now.
        waiters: Callers who came after the first, gone ones included.
    """

    load: LoadTask
    loop: asyncio.AbstractEventLoop
    table: dict[str, Flight]
    looked: asyncio.Future[TierRead] = field(init=False)
    landed: asyncio.Future[LoadResult | None] = field(init=False)
    is_looking: bool = False
    task: asyncio.Task[None] | None = None
    callers: int = 0
    waiters: int = 0

    def __post_init__(self) -> None:
        self.looked, self.landed = self.loop.create_future(), self.loop.create_future()
        self.table[self.load.key] = self

    @property
    def error(self) -> BaseException | None:
        """What the load raised, once it has landed."""
        result = self.landed.result() if self.landed.done() else None
        return None if result is None else result.error

    def join(self, *, first: bool) -> None:
        """Count a caller in."""
        self.callers += 1
        self.waiters += not first

    def show(self, read: TierRead) -> None:
        """Let the callers see what the tiers hold."""
        if not self.looked.done():
            self.looked.set_result(read)

    def pass_on(self) -> None:
        """Let the next waiter read the tiers; the reading caller was cancelled."""
        if not self.looked.done():
            last, self.looked, self.is_looking = self.looked, self.loop.create_future(), False
            last.cancel()  # wakes the waiters

    def land(self, result: LoadResult | None) -> None:
        """Give the callers the result; a later caller of the key starts a new load. Only the first result counts."""
        if self.landed.done():
            return
        self.forget()
        self.show(self.load.read or TierRead(Lookup(self.load.key, "miss")))
        self.landed.set_result(result)

    def forget(self) -> None:
        """Let no further caller join."""
        if self.table.get(self.load.key) is self:
            del self.table[self.load.key]

    def abandon(self) -> None:
        """Let later callers start a new load, in any process; waiting callers get this value, which is not stored."""
        self.forget()
        self.load.discard()


class SingleFlight:
    """The flights of one cache, per event loop: a future of one loop can't be awaited in another."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tables: dict[asyncio.AbstractEventLoop, dict[str, Flight]] = {}
        self._all: set[Flight] = set()

    def __len__(self) -> int:
        return len(self._all)

    def find(self, key: str) -> Flight | None:
        """Return the flight of `key` that a caller in this event loop may join."""
        table = self._tables.get(asyncio.get_running_loop())
        return table.get(key) if table else None

    def is_inside(self, key: str) -> bool:
        """Whether the code that runs now is a loader of `key`: it would wait for itself."""
        return any(flight.load.key == key and flight in self._all for flight in _around.get())

    # --- one flight ---------------------------------------------------------------------------------

    def open(self, load: LoadTask, *, alone: bool = False) -> Flight:
        """Return a new flight, which later callers of its key find unless it is for one caller `alone`."""
        loop = asyncio.get_running_loop()
        flight = Flight(load, loop, {} if alone else self._table(loop))
        self._all.add(flight)
        return flight

    def _table(self, loop: asyncio.AbstractEventLoop) -> dict[str, Flight]:
        table = self._tables.get(loop)
        if table is None:
            for old in [other for other in self._tables if other.is_closed()]:
                del self._tables[old]
            table = self._tables[loop] = {}
        return table

    async def look(self, flight: Flight) -> TierRead:
        """Return what the tiers hold: one caller reads them, the others wait for that; a hit costs no task."""
        while not flight.looked.done():  # again if the reading caller was cancelled
            await (done_within(flight.looked) if flight.is_looking else self._look(flight))
        return flight.looked.result()

    async def _look(self, flight: Flight) -> None:
        flight.is_looking = True
        try:
            read = await flight.load.look()
        except Exception as exc:  # noqa: BLE001  raised to every caller
            self._finish(flight, LoadResult.failed(exc))
        except BaseException:
            flight.pass_on()
            raise
        else:
            if read.is_enough:
                flight.show(read)
                self._finish(flight)
            else:
                self.launch(flight)

    def launch(self, flight: Flight) -> None:
        """Load in a task with a copy of the caller's context, unless the cache was closed meanwhile."""
        if not flight.landed.done():
            flight.is_looking = True
            flight.task = flight.loop.create_task(self._run(flight), name=f"otcache-load-{self._name}")
            flight.task.add_done_callback(partial(self._end, flight))

    @staticmethod
    async def _run(flight: Flight) -> None:
        load = flight.load
        # a background load's loader may ask for any key, the outer loaders' too: no caller waits for it
        _around.set((flight,) if load.in_background else (*_around.get(), flight))
        looks = load.trigger == "revalidate"  # of a miss, its callers have; the others load in any case
        try:
            load.start()
            read = await load.look() if looks else load.read
            flight.show(read or TierRead(Lookup(load.key, "miss")))
            if read is None or not read.is_enough:
                await _lock_and_load(flight)
        except Exception as exc:  # noqa: BLE001  raised to every caller
            flight.land(LoadResult.failed(exc))
        finally:
            load.close(flight.error)

    def _end(self, flight: Flight, task: asyncio.Task[None]) -> None:
        """Finish the flight of a task that has ended, even if it was cancelled before it began."""
        failed = task.cancelled() or task.exception() is not None
        self._finish(flight, self._closed() if failed else None)

    def _closed(self) -> LoadResult:
        return LoadResult.failed(InfrastructureError(f"cache {self._name} was closed during a load"))

    def _finish(self, flight: Flight, result: LoadResult | None = None) -> None:
        self._all.discard(flight)
        flight.land(result)

    def leave(self, flight: Flight, *, first: bool) -> None:
        """Count a caller out; a flight without a task ends with the last caller."""
        flight.callers -= 1
        if first and not flight.landed.done():
            flight.load.detach()
        if not flight.callers and flight.task is None:
            self._finish(flight)

    # --- changes of keys ----------------------------------------------------------------------------

    async def settle(self, keys: Iterable[str]) -> None:
        """Before a write: wait for loaded values of `keys` that are on their way into the tiers.

        The write then overwrites them; the other way round, a loaded value would overwrite the newer one.
        """
        if self._all:
            table = self._tables.get(asyncio.get_running_loop(), {})
            for flight in [table.get(key) for key in keys]:
                if flight is not None and flight.load.is_storing:
                    await done_within(flight.landed)

    def keys_changed(self, keys: Collection[str]) -> None:
        """Abandon the loads of `keys`: later callers must not get what was read before the change."""
        self._abandon(lambda table: [table[key] for key in keys if key in table])

    def everything_changed(self) -> None:
        """Abandon every load."""
        self._abandon(lambda table: list(table.values()))

    def tag_invalidated(self, tag: str) -> None:
        """Abandon the loads of values with this tag, as far as the tags are known before the value is loaded."""
        self._abandon(lambda table: [flight for flight in table.values() if tag in flight.load.tags])

    def _abandon(self, changed: Callable[[dict[str, Flight]], list[Flight]]) -> None:
        for table in list(self._tables.values()) if self._all else ():
            for flight in changed(table):
                if not flight.load.is_storing:  # `settle` made the write wait for that one
                    flight.abandon()

    async def close(self) -> None:
        """Cancel every load, and wait for those of this event loop."""
        here, waited = asyncio.get_running_loop(), []
        for flight in list(self._all):
            if flight.loop is not here:
                if not flight.loop.is_closed():
                    flight.loop.call_soon_threadsafe(self._stop, flight)
                continue
            self._stop(flight)
            if flight.task is not None:
                waited.append(flight.task)
        if waited:
            await asyncio.wait(waited, timeout=CLOSE_WITHIN)

    def _stop(self, flight: Flight) -> None:
        if flight.task is not None:
            flight.task.cancel()
        else:
            self._finish(flight, self._closed())


async def _lock_and_load(flight: Flight) -> None:
    """Load alone among all processes, where that is wanted and can be had."""
    load = flight.load
    try:
        flight.land(await load.lock() or await load.load())
    finally:
        load.unlock()  # after landing: no caller waits until Redis has released the lock
