"""One load per key and event loop at a time: who comes later waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Final, Protocol

from otcache.exceptions import InfrastructureError
from otcache.telemetry._instrumentation.loads import OpenLoad, Span, SpanContext
from otcache.telemetry.record import CoalesceScope, LoadTrigger, Lookup, Outcome, StaleReason

CLOSE_WITHIN: Final = 5.0
"""Seconds that loaders have to end once they are cancelled."""

_around: ContextVar[tuple[Flight, ...]] = ContextVar("otcache_flights", default=())
"""The flights whose loaders are around the code that runs now."""


class HeldLock(Protocol):
    """A lock among processes.

    Attributes:
        value: By which it is known to be ours.
        is_certain: Whether the server has said that it is.
        is_over: Whether it has been given back.
    """

    value: bytes
    is_certain: bool
    is_over: bool


@dataclass(slots=True, eq=False)
class Flight:
    """One load under way: the far read before it, the lock, the loader and the store.

    A caller does the far read itself; only what follows a miss has a task.

    Attributes:
        key: Whose value it brings.
        trigger: Why it began.
        outcome: The record of its round trips; its span is that of the caller who began it, or a refresh's.
        looking: Whether somebody finds out what the tiers hold.
        looked: Done when it is known, or when who found out was cancelled and another one is there.
        landed: Done when the value is there and stored, or there is none.
        look: What the tiers hold.
        tags: Of its value, as far as they are known before it is loaded.
        held: Why it is not tried: it failed a moment ago.
        deadline: When it is given up, on the clock of its event loop.
        span: The span of its load, from before it is known who loads.
        load: The run of the loader; a write of the key from here on makes its value old.
        storing: Whether its value is on the way into the tiers.
        outdated: Whether the key has been written since it began: its value may be given, not stored.
        scope: Whose load it is: this process's own, or another's that it waits for.
        leader: The span of that other's.
        detached: Whether the caller who began it does not wait for it any more.
        aboard: Callers who are here now.
        waiters: Callers beside the one who began it.
        value: What it brings.
        payload: The same as it is stored, where every caller gets an object of its own.
        left: Seconds that the value stays fresh; `None` for ever.
        error: Why it brings none.
        paused: ns of the application's callbacks inside of it.
        give_back: Releases the lock among processes that it holds.
        lease: That lock: what was written since it was taken must not be overwritten.
    """

    key: str
    trigger: LoadTrigger
    outcome: Outcome
    loop: asyncio.AbstractEventLoop
    look: Lookup
    tags: tuple[str, ...] = ()
    looking: bool = False
    looked: asyncio.Future[None] = field(init=False)
    landed: asyncio.Future[None] = field(init=False)
    task: asyncio.Task[None] | None = None
    held: StaleReason | None = None
    deadline: float = 0.0
    span: Span | None = None
    load: OpenLoad | None = None
    storing: bool = False
    outdated: bool = False
    scope: CoalesceScope = "process"
    leader: SpanContext | None = None
    detached: bool = False
    aboard: int = 0
    waiters: int = 0
    value: Any = None
    payload: bytes | None = None
    left: float | None = None
    error: BaseException | None = None
    traceback: TracebackType | None = None
    paused: int = 0
    give_back: Callable[[], None] | None = None
    lease: HeldLock | None = None

    def __post_init__(self) -> None:
        self.looked, self.landed = self.loop.create_future(), self.loop.create_future()

    @property
    def in_background(self) -> bool:
        """Whether nobody waits for it."""
        return self.trigger in ("revalidate", "eager")

    @property
    def place(self) -> SpanContext | None:
        """The span of the load that is waited for."""
        return self.leader if self.load is None else self.load.place

    def fail(self, error: BaseException) -> None:
        """It brings no value."""
        self.error, self.traceback = error, error.__traceback__

    def unlock(self) -> None:
        """Let other processes load."""
        give_back, self.give_back = self.give_back, None
        if give_back is not None:
            give_back()

    def tell_look(self) -> None:
        """What the tiers hold is known."""
        if not self.looked.done():
            self.looked.set_result(None)

    def pass_on(self) -> None:
        """Who found out what the tiers hold was cancelled: let the next caller do it."""
        if not self.looked.done():
            last, self.looked, self.looking = self.looked, self.loop.create_future(), False
            last.set_result(None)

    def land(self) -> None:
        """Let everybody go on."""
        self.tell_look()
        if not self.landed.done():
            self.landed.set_result(None)


Fly = Callable[[Flight], Awaitable[None]]


class SingleFlight:
    """The loads of one cache that are under way, per event loop: a future of one loop is of no use in another.

    Args:
        name: The cache's name.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tables: dict[asyncio.AbstractEventLoop, dict[str, Flight]] = {}
        self._all: set[Flight] = set()

    def __len__(self) -> int:
        return len(self._all)

    def find(self, key: str) -> Flight | None:
        """The flight for `key` that a caller in this event loop may join."""
        table = self._tables.get(asyncio.get_running_loop())
        return table.get(key) if table else None

    def is_inside(self, key: str) -> bool:
        """Whether the code that runs now is a loader of `key`, which would wait for itself."""
        return any(flight.key == key and flight in self._all for flight in _around.get())

    def open(self, key: str, trigger: LoadTrigger, outcome: Outcome) -> Flight:
        """A flight that later callers find."""
        loop = asyncio.get_running_loop()
        flight = Flight(key, trigger, outcome, loop, Lookup(key, "miss"))
        self._table(loop)[key] = flight
        self._all.add(flight)
        return flight

    def launch(self, flight: Flight, fly: Fly) -> None:
        """Let it load, in a task with a copy of the caller's context, unless it was closed meanwhile."""
        if not flight.landed.done():
            flight.looking = True
            flight.task = flight.loop.create_task(self._run(flight, fly), name=f"otcache-load-{self._name}")
            flight.task.add_done_callback(partial(self._end, flight))

    def _table(self, loop: asyncio.AbstractEventLoop) -> dict[str, Flight]:
        table = self._tables.get(loop)
        if table is None:
            for old in [other for other in self._tables if other.is_closed()]:
                del self._tables[old]
            table = self._tables[loop] = {}
        return table

    @staticmethod
    async def _run(flight: Flight, fly: Fly) -> None:
        _around.set((flight,) if flight.in_background else (*_around.get(), flight))
        try:
            await fly(flight)
        except Exception as exc:  # noqa: BLE001  raised to every caller
            flight.fail(exc)

    def _end(self, flight: Flight, task: asyncio.Task[None]) -> None:
        """Also of a task that was cancelled before it began."""
        if not flight.landed.done() and (task.cancelled() or task.exception() is not None):
            self._fail_closed(flight)
        self.finish(flight)

    def _fail_closed(self, flight: Flight) -> None:
        flight.fail(InfrastructureError(f"cache {self._name} was closed during a load"))

    def finish(self, flight: Flight) -> None:
        """Nothing of it is left to do."""
        self._all.discard(flight)
        self.land(flight)

    def leave(self, flight: Flight) -> None:
        """A caller goes; a flight without a task ends with the last of them."""
        flight.aboard -= 1
        if not flight.aboard and flight.task is None:
            self.finish(flight)

    def land(self, flight: Flight) -> None:
        """It has brought what it brings; nobody waits for what is left to do."""
        self._forget(flight)
        flight.land()

    def _forget(self, flight: Flight) -> None:
        table = self._tables.get(flight.loop, {})
        if table.get(flight.key) is flight:
            del table[flight.key]

    # --- writes of others ---------------------------------------------------------------------------

    async def settle(self, keys: Iterable[str]) -> None:
        """Before a write: values that are on their way into the tiers get there first, and are overwritten."""
        if self._all:
            table = self._tables.get(asyncio.get_running_loop(), {})
            for flight in [table.get(key) for key in keys]:
                if flight is not None and flight.storing:
                    await arrives(flight.landed)

    def keys_changed(self, keys: Collection[str]) -> None:
        """Later callers of `keys` must not be given what was read before the change."""
        if self._all:
            for table in list(self._tables.values()):
                self._abandon([table[key] for key in keys if key in table])

    def everything_changed(self) -> None:
        """The same for every key."""
        if self._all:
            for table in list(self._tables.values()):
                self._abandon(list(table.values()))

    def tag_invalidated(self, tag: str) -> None:
        """The same for the loads of values with this tag."""
        if self._all:
            for table in list(self._tables.values()):
                self._abandon([flight for flight in table.values() if tag in flight.tags])

    def _abandon(self, flights: Iterable[Flight]) -> None:
        for flight in flights:
            if not flight.storing:  # that one gets there first, and is overwritten
                self.abandon(flight)

    def abandon(self, flight: Flight) -> None:
        """Who comes from now on begins anew, in any process; a value that is being made is not stored."""
        self._forget(flight)
        if flight.load is None:
            return
        flight.outdated = True
        if flight.loop is asyncio.get_running_loop():
            flight.unlock()
        elif not flight.loop.is_closed():
            flight.loop.call_soon_threadsafe(flight.unlock)

    async def close(self) -> None:
        """Cancel every flight, and wait for those of this event loop."""
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
            self._fail_closed(flight)
            self.finish(flight)


async def arrives(future: asyncio.Future[None], seconds: float | None = None) -> bool:
    """Whether `future` is done within `seconds`; whoever waits may be cancelled without any effect on it."""
    if not future.done():
        await asyncio.wait([future], timeout=seconds)
    return future.done()
