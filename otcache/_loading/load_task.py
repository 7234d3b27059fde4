"""What a flight does: look, lock, load, store."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from typing import Any, Final, NamedTuple

from otcache._engine.tiers import Tiers
from otcache._engine.write_options import WriteOptions
from otcache._loading.distributed_lock import DistributedLocks, Lease
from otcache._loading.failed_loads import Failures
from otcache._loading.options import LoadPolicy, Request
from otcache._loading.single_flight import Flight, SingleFlight
from otcache.base import Loaded, run
from otcache.exceptions import LoadTimeout
from otcache.telemetry._instrumentation.loads import write_place
from otcache.telemetry._instrumentation.probe import Probe
from otcache.telemetry._instrumentation.signals import clock
from otcache.telemetry.record import Lookup, StaleReason, WriteReason

CLOCK_TOLERANCE: Final = 0.01
"""Seconds by which the ages of one value may differ in two processes that both know the server's clock."""


class _Made(NamedTuple):
    """A loaded value, ready to be stored; `payload` is `None` if it is not to be."""

    value: Any
    terms: WriteOptions
    payload: bytes | None


class LoadTask:
    """Runs the flights of one cache.

    Args:
        tiers: Where values are.
        probe: What is reported through.
        flights: Where a flight is taken out once it has landed.
        failures: What failed a moment ago.
        locks: By which one process among all loads; `None` where each does for itself.
    """

    def __init__(
        self,
        tiers: Tiers,
        probe: Probe,
        flights: SingleFlight,
        failures: Failures,
        locks: DistributedLocks | None = None,
    ) -> None:
        self._tiers = tiers
        self._locks = locks
        self._probe = probe
        self._reports = probe.loads
        self._flights = flights
        self._failures = failures

    async def fly(self, flight: Flight, request: Request, age: float | None) -> None:
        """Bring the value that `request` wants; for a miss, its callers have looked whether it is there.

        Args:
            flight: What is told of it.
            request: Of the caller who began it.
            age: Seconds since the value was made that is to be replaced.
        """
        flight.deadline = flight.loop.time() + request.policy.timeout
        refresh = self._turn(flight, request) if flight.in_background else None
        try:
            if flight.trigger == "revalidate" and await self.is_there(flight, request):
                return
            if flight.trigger == "miss" and flight.look.kept is not None and not request.policy.soft_timeout:
                refresh = self._turn(flight, request)
            flight.tell_look()
            await self._bring(flight, request, age)
        except Exception as exc:
            flight.fail(exc)
            raise
        finally:
            self._reports.close_refresh(refresh, flight.error, flight.key)

    def _turn(self, flight: Flight, request: Request) -> Any:
        """Nobody waits for this one: from here on it is a trace of its own."""
        record = flight.outcome
        if not flight.in_background:
            flight.trigger = "revalidate"
        refresh = self._reports.open_refresh(record.span, flight.trigger, request.loader)
        record.span = refresh
        return refresh

    async def is_there(self, flight: Flight, request: Request) -> bool:
        """Whether nothing has to be loaded: a tier holds the value, or a stale one is to be given for a while."""
        flight.look = await self._tiers.look_up(flight.outcome, flight.key, request.kind, True)
        if flight.look.result == "hit":
            return True
        flight.look.kept = request.policy.allowed(flight.look.kept)
        if flight.look.kept is not None:
            flight.held = self._failures.reason(flight.key)
        return flight.held is not None

    # --- loading ------------------------------------------------------------------------------------

    async def _bring(self, flight: Flight, request: Request, age: float | None) -> None:
        """Load, alone among all processes where that is wanted and can be had."""
        if self._locks is None:
            await self._load(flight, request)
            return
        place = partial(self._place, flight, request)
        lease: Lease | Lookup | None
        if flight.trigger == "forced":
            lease = await self._locks.seize(flight, place)
        else:
            lease = await self._locks.take(flight, place, partial(self._newer, flight, request, clock(), age))
        if isinstance(lease, Lookup):
            flight.value, flight.left = lease.value, lease.left
            self._flights.land(flight)
            return
        if lease is None:
            flight.span = None  # of an attempt that ended in waiting
        else:
            flight.give_back = partial(self._locks.give_back, lease)
            flight.lease = lease
        try:
            await self._load(flight, request)
        finally:
            flight.unlock()

    def _place(self, flight: Flight, request: Request) -> bytes:
        """Where the span of the load begins, for the links of other processes."""
        flight.span = self._reports.announce(flight.outcome.span, flight.trigger, request.loader)
        return write_place(flight.span)

    def _newer(
        self, flight: Flight, request: Request, began: int, age: float | None, payload: bytes, may_copy: bool
    ) -> Lookup | None:
        """What the far tier holds, if another process has put it there since it was decided to load."""
        waited = flight.scope == "distributed"
        known = not waited and (flight.trigger != "miss" or flight.look.kept is not None)  # the near tier has it
        look = Lookup(flight.key, "miss")
        found = self._tiers.take(flight.outcome, look, payload, request.kind, copy=may_copy and not known)
        if found.result != "hit":
            return None
        if flight.trigger == "eager" and age is not None and found.age is not None:
            same = age + (clock() - began) / 1e9
            return found if found.age < same - CLOCK_TOLERANCE else None
        return found if flight.trigger != "eager" else None

    async def _load(self, flight: Flight, request: Request) -> None:
        try:
            await self._make_and_store(flight, request)
            self._failures.forget(flight.key)
        except asyncio.CancelledError as exc:
            if _is_cancelled():
                raise
            flight.fail(exc)  # the loader's own
        except Exception as exc:  # noqa: BLE001  the loader's: it is raised to every caller
            flight.fail(exc)
        if flight.error is not None:
            self._failures.note(flight.key, failure_reason(flight.error))
        self._flights.land(flight)

    async def _make_and_store(self, flight: Flight, request: Request) -> None:
        stamp, inflight = await self._tiers.stamp(flight.outcome), self._tiers.inflight
        token = inflight.begin_load(flight.key)
        try:
            made = await self._make(flight, request, stamp)
        finally:
            is_newest = inflight.end_load(flight.key, token)
        flight.value, flight.left = made.value, 0.0
        if made.payload is not None and is_newest and not flight.outdated:
            await self._store(flight, made.payload, made)

    async def _make(self, flight: Flight, request: Request, stamp: int) -> _Made:
        """Run the loader, in time."""
        span = flight.span or self._reports.announce(flight.outcome.span, flight.trigger, request.loader)
        load = flight.load = self._reports.begin(span, flight.trigger)
        error: BaseException | None = None
        value: Any = None
        try:
            with self._reports.inside(load):
                loaded = await self._in_time(flight, request)
                load.ended, value = clock(), loaded.value
                return self._prepare(flight, request, loaded, stamp)
        except BaseException as exc:
            error = exc
            raise
        finally:
            load.ended = load.ended or clock()
            self._tell(flight, value, error)

    @staticmethod
    async def _in_time(flight: Flight, request: Request) -> Loaded[Any]:
        try:
            async with asyncio.timeout_at(flight.deadline) as limit:
                return await run(request.loader)
        except TimeoutError:
            if not limit.expired():
                raise  # the loader's own
        raise LoadTimeout(f"the load took longer than timeout={request.policy.timeout:g} s")

    def _prepare(self, flight: Flight, request: Request, loaded: Loaded[Any], stamp: int) -> _Made:
        record, load, policy = flight.outcome, flight.load, request.policy
        assert load is not None
        tags = self._tiers.check_tags((*request.tags, *loaded.tags))
        reason: WriteReason = "refresh" if flight.in_background else "load"
        seconds, duration = self._seconds(policy, loaded), load.ended - load.started
        terms = WriteOptions(
            seconds, stamp, tags, policy.stale_ttl, duration, reason, policy.early_refresh, load.started
        )
        if not loaded.store:
            return _Made(loaded.value, terms, None)
        record.facts = facts = self._probe.with_writer(record, None)
        payload = self._tiers.coding.encode(request.key, loaded.value, terms, request.kind, facts).payload
        record.ttl, record.size = float(seconds), len(payload)
        return _Made(loaded.value, terms, payload)

    @staticmethod
    def _seconds(policy: LoadPolicy, loaded: Loaded[Any]) -> int:
        if loaded.ttl is not None:
            seconds = policy.varied(ttl=loaded.ttl).ttl
        elif loaded.value is None and policy.negative_ttl is not None:
            seconds = policy.negative_ttl
        else:
            seconds = policy.ttl
        if not seconds or not policy.ttl_jitter:
            return seconds
        share = policy.ttl_jitter * random.random()  # noqa: S311  spreads expiries, no secret
        return max(1, round(seconds * (1 - share)))

    def _tell(self, flight: Flight, value: Any, error: BaseException | None) -> None:
        """Callbacks first: they may add to the span that ends then."""
        load, key = flight.load, flight.key
        assert load is not None
        callbacks, began = self._probe.callbacks, clock()
        if callbacks.active and not isinstance(error, asyncio.CancelledError):
            with self._reports.inside(load):
                if error is None:
                    callbacks.fire("load", key, value)
                else:
                    callbacks.fire("load_error", key, error)
            flight.paused = clock() - began
        stale = failure_reason(error) if error is not None and flight.look.kept is not None else None
        detached = flight.detached and not flight.in_background
        self._reports.end(load, error, stale, key, detached=detached)

    async def _store(self, flight: Flight, payload: bytes, made: _Made) -> None:
        if self._tiers.copies:
            flight.payload = payload
        flight.left, flight.storing = made.terms.ttl or None, True
        values, payloads = {flight.key: made.value}, {flight.key: payload}
        lease = flight.lease
        lock = lease.value if lease is not None and lease.is_certain else None
        stored = await self._tiers.write(flight.outcome, values, payloads, made.terms, clock(), lock)
        if stored and lock is not None and lease is not None:
            lease.is_over = True  # by the same command


def failure_reason(error: BaseException) -> StaleReason:
    """Why a stale value is given after this error."""
    return "loader_timeout" if isinstance(error, LoadTimeout) else "loader_error"


def _is_cancelled() -> bool:
    """Whether this task is to end, rather than a part of the loader's."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
