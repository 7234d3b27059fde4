"""One load: look into the tiers, lock the key among processes, run the loader, store the value."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Final, NamedTuple

from otcache._concurrency.tasks import is_cancelled
from otcache._engine.tiers import Tiers
from otcache._engine.write_options import WriteOptions
from otcache._loading.distributed_lock import DistributedLocks, Lease, LockAttempt
from otcache._loading.options import Addressed, Request
from otcache._serialization.fingerprint import Mark
from otcache._serialization.keys import check_tags
from otcache.base import Loaded, run_loader
from otcache.exceptions import LoadTimeout
from otcache.telemetry._instrumentation.loads import OpenLoad, Span, SpanContext, write_place
from otcache.telemetry._instrumentation.probe import Probe
from otcache.telemetry._instrumentation.signals import clock
from otcache.telemetry.catalog.values import CoalesceScope, LoadTrigger, StaleReason, WriteReason
from otcache.telemetry.record import Lookup, Outcome
from otcache.ttl import FOREVER, computed_ttl

CLOCK_TOLERANCE: Final = 0.01
"""Seconds by which two processes that know the server's clock may differ about the age of one value."""
REMEMBERED: Final = 4096
"""Most failed loads remembered; the oldest one is dropped, and only loaded again earlier."""


@dataclass(frozen=True, slots=True)
class TierRead:
    """What the tiers hold for a key, read once for all callers of the key.

    Attributes:
        lookup: The hit, or the miss with its stale candidate.
        held: Why the key isn't loaded although it isn't fresh: its last load failed a moment ago.
        size: Bytes of the entry in L2, if that was read.
        payload: A hit's value in bytes, where each caller gets an object of its own.
    """

    lookup: Lookup
    held: StaleReason | None = None
    size: int | None = None
    payload: bytes | None = None

    @property
    def is_enough(self) -> bool:
        """Whether nothing has to be loaded."""
        return self.lookup.result == "hit" or self.held is not None


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What one load brought, for all callers who wait for it.

    Attributes:
        left: Seconds that the value stays fresh; 0 if it is not kept, `None` if there is no value.
        payload: The value in bytes, where each caller gets an object of its own, or gets one if the shared object has
            changed; `None` if it can't be encoded.
        error: What was raised; there is no value then.
        traceback: The error's, as it was raised first: each caller that raises the same error adds its own frames.
        mark: What the value was, if a change of it is to be noticed.
    """

    value: Any = None
    left: float | None = None
    payload: bytes | None = None
    error: BaseException | None = None
    traceback: TracebackType | None = None
    mark: Mark | None = None

    @classmethod
    def failed(cls, error: BaseException) -> LoadResult:
        """Return the result of a load that raised `error`."""
        return cls(error=error, traceback=error.__traceback__)


class FailedLoads:
    """Keys whose load failed a moment ago: for `seconds`, callers get the stale value at once and no load is tried.

    The clock is monotonic, in ns.
    """

    def __init__(self, seconds: float, clock: Callable[[], int]) -> None:
        self._span = round(seconds * 1e9)
        self._clock = clock
        self._until: dict[str, tuple[int, StaleReason]] = {}

    def note(self, key: str, reason: StaleReason) -> None:
        """Remember that the load of `key` has failed now."""
        self._until.pop(key, None)  # a dictionary keeps the order of what is added: the oldest is the first
        self._until[key] = (self._clock() + self._span, reason)
        if len(self._until) > REMEMBERED:
            del self._until[next(iter(self._until))]

    def forget(self, key: str) -> None:
        """Allow loads of `key`: one has succeeded."""
        if self._until:
            self._until.pop(key, None)

    def reason(self, key: str) -> StaleReason | None:
        """Return why `key` should not be loaded yet; `None` if it may be."""
        if not self._until:
            return None
        until, reason = self._until.get(key, (0, None))
        if reason is not None and self._clock() >= until:
            self.forget(key)
            return None
        return reason


@dataclass(frozen=True, slots=True)
class LoadEnvironment:
    """What all loads of one cache share; `locks` is `None` where each process loads for itself."""

    tiers: Tiers
    probe: Probe
    failures: FailedLoads
    locks: DistributedLocks | None

    @property
    def loads_under_lock(self) -> bool:
        """Whether Redis takes locks now; during an outage each process loads for itself, and L1 keeps the value."""
        return self.locks is not None and self.locks.are_available


class _Prepared(NamedTuple):
    """A loaded value and how to store it.

    Attributes:
        payload: The value in bytes; `None` if it must not be stored.
        outdates: Whether what is stored must go, although nothing takes its place.
    """

    value: Any
    options: WriteOptions
    payload: bytes | None
    outdates: bool = False


class LoadTask:
    """One load of one key. `SingleFlight` calls `look`, `start`, `lock`, `load`, `unlock` and `close` in this order.

    Args:
        request: What the caller who began it wants.
        trigger: Why it began; `miss` becomes `revalidate` if the callers are served stale and no one waits.
        outcome: The record of its remote calls; its span is the caller's, or a refresh's.
        age: Seconds since the value was made that an early refresh replaces.
    """

    def __init__(
        self, env: LoadEnvironment, request: Request, trigger: LoadTrigger, outcome: Outcome, age: float | None = None
    ) -> None:
        self.key = request.key
        self.tags = request.tags  # those that are known before the loader has returned
        self.trigger = trigger
        self.outcome = outcome
        self.read: TierRead | None = None  # before anyone looked
        self.run: OpenLoad | None = None  # a write of the key from here on makes the loaded value old
        self.is_storing = False
        self.is_lone: bool | None = None  # whether callers can't share the value; nobody has asked yet
        self.paused = 0  # ns that the application's callbacks took
        self._env = env
        self._request = request
        self._age = age
        self._reports = env.probe.loads
        self._loop = asyncio.get_running_loop()
        self._deadline = 0.0
        self._refresh: Span | None = None
        self._span: Span | None = None  # begins before it is known who loads: the lock tells other processes of it
        self._attempt: LockAttempt | None = None
        self._lease: Lease | None = None
        self._is_outdated = False
        self._is_detached = False

    # --- what callers may know while they wait ------------------------------------------------------

    @property
    def in_background(self) -> bool:
        """Whether no caller waits for the value."""
        return self.trigger in ("revalidate", "eager")

    @property
    def is_overdue(self) -> bool:
        """Whether the deadline has passed: the loader doesn't end although it was cancelled."""
        return self._loop.time() >= self._deadline

    @property
    def scope(self) -> CoalesceScope:
        """Where the load runs: in this process, or in another one."""
        return "process" if self._attempt is None else self._attempt.scope

    @property
    def leader(self) -> SpanContext | None:
        """The span of the other process's load."""
        return None if self._attempt is None else self._attempt.leader

    @property
    def place(self) -> SpanContext | None:
        """The span of the load that callers wait for, here or in another process."""
        return self.leader if self.run is None else self.run.place

    # --- look ---------------------------------------------------------------------------------------

    async def look(self) -> TierRead:
        """Read the tiers."""
        try:
            lookup = await self._env.tiers.look_up(self.outcome, self.key, self._request.kind, True)
        finally:
            self._env.probe.settle(self.outcome)  # no caller's call closes this record
        self._mark(lookup)
        if lookup.result == "hit":
            self.read = TierRead(lookup, None, self.outcome.size, self._encoded(lookup.value))
        else:
            has_stale = self._request.policy.allowed(lookup.candidate) is not None
            self.read = TierRead(lookup, self._env.failures.reason(self.key) if has_stale else None)
        return self.read

    def _mark(self, seen: Lookup) -> None:
        """Mark a value of L2 that is not in L1, if it is chosen: the callers of this load share it nevertheless."""
        mark, template, candidate = self._env.tiers.shared.mark, self._request.template, seen.candidate
        if seen.mark is None and seen.tier == "l2":
            seen.mark = mark(seen.value, template)
        if candidate is not None and candidate.mark is None and candidate.tier == "l2":
            candidate.mark = mark(candidate.value, template)

    def _encoded(self, value: Any) -> bytes | None:
        """Encode a value that is not stored by this load, where each caller gets an object of its own."""
        return self._encode(value) if self._env.tiers.copies else None

    def may_give(self, request: Request, value: Any) -> bool:
        """Whether a caller may have a value that is not kept: a response, a generator is theirs alone who made it."""
        if request is self._request or isinstance(value, Addressed):
            return True
        if self.is_lone is None:
            self.is_lone = self._encode(value) is None
        return not self.is_lone

    def _encode(self, value: Any) -> bytes | None:
        """Encode a value; `None` if it can't be kept."""
        try:
            return self._env.tiers.codec.encode(self.key, value, WriteOptions(FOREVER, 0), self._request.kind).payload
        except Exception:  # noqa: BLE001  runs the user's types: anything can come out
            return None

    @property
    def _has_stale(self) -> bool:
        return self.read is not None and self._request.policy.allowed(self.read.lookup.candidate) is not None

    # --- start and close ----------------------------------------------------------------------------

    def start(self) -> None:
        """Set the deadline; a load that no caller waits for gets a trace of its own from here on."""
        policy = self._request.policy
        self._deadline = self._loop.time() + policy.timeout
        if self.trigger == "miss" and self._has_stale and not policy.soft_timeout:
            self.trigger = "revalidate"
        if self.in_background:
            self._refresh = self._reports.open_refresh(self.outcome.span, self.trigger, self._request.loader)
            self.outcome.span = self._refresh

    def close(self, error: BaseException | None) -> None:
        """End that trace, and count what the load has read and written."""
        self._env.probe.settle(self.outcome)
        if self._refresh is not None:
            self._reports.close_refresh(self._refresh, error, self.key)

    # --- lock ---------------------------------------------------------------------------------------

    async def lock(self) -> LoadResult | None:
        """Lock the key, so that one process among all loads it.

        Returns:
            The value, if another process has stored it meanwhile; `None` if this one is to load, with the lock or,
            where Redis can't give it, without.
        """
        locks = self._env.locks
        if locks is None:
            return None
        attempt = self._attempt = LockAttempt(self.key, self.outcome, self._deadline, self._loop)
        if self.trigger == "forced":
            lease: Lease | Lookup | None = await locks.seize(attempt, self._announce)
        else:
            # what is not kept is nothing to wait for
            request = self._request
            waits = bool(request.policy.ttl) and not self._reports.was_refused(request.template, request.loader)
            lease = await locks.take(attempt, self._announce, partial(self._newer, clock()), waits=waits)
        if isinstance(lease, Lookup):
            return LoadResult(lease.value, lease.left, self._encoded(lease.value), mark=lease.mark)
        if lease is None:
            self._span = None  # of an attempt that ended in waiting
        self._lease = lease
        return None

    def unlock(self) -> None:
        """Let other processes load."""
        if self._lease is not None and self._env.locks is not None:
            self._env.locks.give_back(self._lease)

    def _announce(self) -> bytes:
        """Begin the span of the run that comes if we get the lock; return its place for other processes' links."""
        self._span = self._reports.announce(self.outcome.span, self.trigger, self._request.loader)
        return write_place(self._span)

    def _newer(self, began: int, payload: bytes, may_copy: bool) -> Lookup | None:
        """Return what L2 holds, if another process has put it there since we decided, at `began`, to load."""
        # L1 has the entry already, unless we waited for another process
        known = self.scope == "process" and (self.trigger != "miss" or self._has_stale)
        look, kind = Lookup(self.key, "miss"), self._request.kind
        found = self._env.tiers.take(self.outcome, look, payload, kind, copy=may_copy and not known)
        if found.result != "hit":
            return None
        if self.trigger != "eager":
            return found
        if self._age is None or found.age is None:
            return None
        # an early refresh finds the entry that it is to replace: only a younger one makes the load needless
        age_of_replaced = self._age + (clock() - began) / 1e9
        return found if found.age < age_of_replaced - CLOCK_TOLERANCE else None

    # --- load ---------------------------------------------------------------------------------------

    async def load(self) -> LoadResult:
        """Run the loader and store its value; remember for a while if it fails."""
        try:
            result = await self._load_and_store()
        except asyncio.CancelledError as exc:
            if is_cancelled():
                raise
            result = LoadResult.failed(exc)  # raised inside of the loader, by something that it awaits
        except Exception as exc:  # noqa: BLE001  any error of the loader goes to every caller
            result = LoadResult.failed(exc)
        if result.error is None:
            self._env.failures.forget(self.key)
        else:
            self._env.failures.note(self.key, failure_reason(result.error))
        return result

    async def _load_and_store(self) -> LoadResult:
        tiers = self._env.tiers
        version = await tiers.version(self.outcome)  # before the loader reads: what is invalidated meanwhile is newer
        token = tiers.inflight.begin_load(self.key)
        try:
            made = await self._make(version)
        finally:
            is_newest = tiers.inflight.end_load(self.key, token)
        if made.payload is None:
            if is_newest and not self._is_outdated and made.outdates:
                await self._remove()
            return LoadResult(made.value, 0.0, self._encoded(made.value))
        mark = made.options.marks.get(self.key)
        payload = made.payload if tiers.copies or mark is not None else None
        if not is_newest or self._is_outdated:
            return LoadResult(made.value, 0.0, payload, mark=mark)
        await self._store(made, made.payload)
        is_kept = bool(self.outcome.written)  # not if a newer write has taken the lock, or there was none
        return LoadResult(made.value, made.options.ttl if is_kept else 0.0, payload, mark=mark)

    async def _make(self, version: int) -> _Prepared:
        """Run the loader within the deadline, and encode its value."""
        span = self._span or self._reports.announce(self.outcome.span, self.trigger, self._request.loader)
        run = self.run = self._reports.begin(span, self.trigger)
        error: BaseException | None = None
        value: Any = None
        try:
            with self._reports.inside(run):
                loaded = await self._call_loader()
                run.ended, value = clock(), loaded.value
                return self._prepare_or_refuse(loaded, version, run)
        except BaseException as exc:
            error = exc
            raise
        finally:
            run.ended = run.ended or clock()
            self._report(run, value, error)

    async def _call_loader(self) -> Loaded[Any]:
        try:
            async with asyncio.timeout_at(self._deadline) as limit:
                return await run_loader(self._request.loader)
        except TimeoutError:
            if not limit.expired():
                raise  # the loader's own
        raise LoadTimeout(f"the load took longer than timeout={self._request.policy.timeout:g} s")

    def _prepare_or_refuse(self, loaded: Loaded[Any], version: int, run: OpenLoad) -> _Prepared:
        """A value that can't be kept is the callers' all the same: what they asked for is there."""
        try:
            return self._prepare(loaded, version, run)
        except Exception as exc:  # noqa: BLE001  encoding runs the user's types: anything can come out
            self._reports.refused(run, self._request.template, self._request.loader, exc, self.key)
            return _Prepared(loaded.value, WriteOptions(0, version), None, outdates=True)

    def _prepare(self, loaded: Loaded[Any], version: int, run: OpenLoad) -> _Prepared:
        record, request, policy = self.outcome, self._request, self._request.policy
        tags = self._env.tiers.check_tags((*request.tags, *check_tags(loaded.tags)))
        reason: WriteReason = "refresh" if self.in_background else "load"
        seconds, duration = self._seconds(loaded, run), run.ended - run.started
        options = WriteOptions(
            seconds, version, tags, policy.stale_ttl, duration, reason, policy.early_refresh, run.started
        )
        record.ttl = seconds
        if not loaded.store or not seconds:
            return _Prepared(loaded.value, options, None, outdates=not seconds)
        record.facts = facts = self._env.probe.with_writer(record, None)
        payload = self._env.tiers.codec.encode(request.key, loaded.value, options, request.kind, facts).payload
        marks = self._env.tiers.shared.marks({request.key: loaded.value}, request.template)
        record.size = len(payload)
        return _Prepared(loaded.value, options._replace(marks=marks), payload)

    def _seconds(self, loaded: Loaded[Any], run: OpenLoad) -> float:
        """Return the time to live of a loaded value, shortened at random if that is wanted."""
        policy = self._request.policy
        if loaded.ttl is not None:
            seconds = computed_ttl(loaded.ttl, partial(self._reports.wrong_ttl, run, self.key))
        elif loaded.value is None and policy.negative_ttl is not None:
            seconds = policy.negative_ttl
        else:
            seconds = policy.ttl
        if not seconds or seconds == FOREVER or not policy.ttl_jitter:
            return seconds
        share = policy.ttl_jitter * random.random()  # noqa: S311  spreads expiries, no secret
        return max(1, round(seconds * (1 - share) * 1000)) / 1000

    def _report(self, run: OpenLoad, value: Any, error: BaseException | None) -> None:
        """Call the callbacks, then end the run's span: the callbacks may add to it."""
        callbacks, began = self._env.probe.callbacks, clock()
        if callbacks.active and not isinstance(error, asyncio.CancelledError):
            with self._reports.inside(run):
                if error is None:
                    callbacks.fire("load", self.key, value)
                else:
                    callbacks.fire("load_error", self.key, error)
            self.paused = clock() - began
        stale = failure_reason(error) if error is not None and self._has_stale else None
        detached = self._is_detached and not self.in_background
        self._reports.end(run, error, stale, self.key, detached=detached)

    async def _store(self, made: _Prepared, payload: bytes) -> None:
        lease = self._lease
        if lease is None and self._env.loads_under_lock:
            return  # a delete that came meanwhile ended no lock of ours: the value would cover it
        self.is_storing = True
        lock = None if lease is None else lease.value
        values, payloads = {self.key: made.value}, {self.key: payload}
        stored = await self._env.tiers.write(self.outcome, values, payloads, made.options, clock(), lock)
        if stored and lease is not None:
            lease.note_free()

    async def _remove(self) -> None:
        """Remove what the tiers may hold of a value that is not kept; a write that came meanwhile is newer, and stays.

        A key of which nothing was found costs nothing: that is every call of a function whose caching is off.
        """
        seen = None if self.read is None else self.read.lookup
        if seen is None or seen.candidate is not None or seen.reason not in _NOTHING_THERE:
            self.is_storing = True
            await self._env.tiers.remove(self.outcome, [self.key])

    # --- what happens to it meanwhile ---------------------------------------------------------------

    def detach(self) -> None:
        """The caller who began the load has gone; the load goes on."""
        self._is_detached = True

    def discard(self) -> None:
        """The key has changed: don't store the value, which may be older, and let other processes load at once."""
        if self.run is None:  # nothing has been read yet that could be old
            return
        self._is_outdated = True
        if self._loop is asyncio.get_running_loop():
            self.unlock()
        elif not self._loop.is_closed():  # a change in another thread's event loop
            self._loop.call_soon_threadsafe(self.unlock)


_NOTHING_THERE: Final = frozenset(("absent", "expired", "evicted", "deleted"))


def failure_reason(error: BaseException) -> StaleReason:
    """Return why callers are served stale after this error."""
    return "loader_timeout" if isinstance(error, LoadTimeout) else "loader_error"
