"""What one caller of `get_or_set` gets: a fresh value, a stale one, or what a load brings.

Who loads and who waits is in single_flight.py, what a load does in load_task.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, Literal, cast

from otcache._concurrency.tasks import done_within
from otcache._engine.tiers import Tiers
from otcache._loading.distributed_lock import DistributedLocks
from otcache._loading.load_task import FailedLoads, LoadEnvironment, LoadTask, TierRead, failure_reason
from otcache._loading.options import LoadPolicy, Request
from otcache._loading.single_flight import Flight, SingleFlight
from otcache._serialization.keys import check_key
from otcache._serialization.serializer import DecodeError
from otcache._serialization.types import REGISTRY
from otcache.base import Answer
from otcache.config import CacheConfig
from otcache.exceptions import ConfigurationError, LoadTimeout, ValidationError
from otcache.telemetry._instrumentation.loads import MANY
from otcache.telemetry._instrumentation.probe import Probe
from otcache.telemetry._instrumentation.signals import clock
from otcache.telemetry.catalog.values import CoalesceOutcome, LoadTrigger, MissReason, Result, StaleReason
from otcache.telemetry.record import LoadFacts, Lookup, Outcome, StaleCandidate

_CHANGED: Final = object()
"""No value; unlike `MISSING`, no loader can return it."""


class LoadCoordinator:
    """Answers the callers of one cache that may load; `flights` are the loads under way."""

    def __init__(self, config: CacheConfig, tiers: Tiers, probe: Probe) -> None:
        self.flights = SingleFlight(config.name)
        tiers.changes.listen(self.flights)
        self._policy = LoadPolicy.of(config)
        self._tiers = tiers
        self._probe = probe
        self._reports = probe.loads
        self._failures = FailedLoads(config.stale_retry_seconds, clock)
        self._locks: DistributedLocks | None = None
        l2, backplane = tiers.l2, tiers.backplane
        if config.single_flight == "distributed" and l2 is not None and l2.has_locks and backplane is not None:
            self._locks = DistributedLocks(l2, tiers.inflight, backplane, config.lock_seconds)
        self._environment = LoadEnvironment(tiers, probe, self._failures, self._locks)

    async def close(self) -> None:
        """Cancel every load, and wait for what they leave behind."""
        await self.flights.close()
        if self._locks is not None:
            await self._locks.close()

    async def answer(
        self,
        started: int,
        key: str,
        loader: Callable[[], Any],
        *,
        kind: Any = None,
        tags: Iterable[str] = (),
        forced: bool = False,
        template: str | None = None,
        **wanted: Any,
    ) -> Answer[Any]:
        """Answer one call; `wanted` is what it wants otherwise than the configuration says."""
        with self._probe.operation("get_or_set", started, key) as outcome:
            outcome.load = LoadFacts(template)
            check_key(key)
            if not callable(loader):
                raise ValidationError(f"loader is {loader.__class__.__name__}, which can't be called")
            REGISTRY.scope(kind)  # refuses what is no type: later, the value would be taken for one that can't be kept
            policy = self._policy.varied(**wanted)
            request = Request(key, loader, policy, kind, self._tiers.check_tags(tags) if tags else (), forced, template)
            return await self._serve(outcome, request)

    async def _serve(self, outcome: Outcome, request: Request) -> Answer[Any]:
        """Answer from L1 if it has a value that may be served now; else wait for what L2 or a load brings."""
        if request.forced:
            return await self._fly(outcome, request, Lookup(request.key, "bypass"))
        seen = self._tiers.l1.look(request.key, request.kind, request.template)
        if seen.result == "hit":
            return self._hit(outcome, request, seen)
        candidate = request.policy.allowed(seen.candidate)
        # past its ttl, but L1 hears what changes: L2 has no newer one
        if candidate is not None and candidate.reason == "revalidating":
            held = self._failures.reason(request.key)
            if held is not None:
                return self._stale(outcome, candidate, held)
            if not request.policy.soft_timeout:
                self._refresh(outcome, request, "revalidate", candidate.age)
                return self._stale(outcome, candidate, candidate.reason)
        return await self._fly(outcome, request, seen)

    # --- a flight -----------------------------------------------------------------------------------

    async def _fly(self, outcome: Outcome, request: Request, seen: Lookup, *, alone: bool = False) -> Answer[Any]:
        """Join the flight of the key, or open one, and answer with what it brings; `alone`, share it with nobody."""
        if self.flights.is_inside(request.key):
            raise ConfigurationError(
                "the loader calls get_or_set for its own key and would deadlock: read the origin instead"
            )
        flight = None if alone else self._joinable(request)
        first = flight is None
        if flight is None:
            flight = self._open(outcome, request, "forced" if request.forced else "miss", alone=alone)
            if request.forced:
                self.flights.launch(flight)
        with self._counted(outcome, flight, first=first):
            answer = await self._wait(outcome, request, flight, await self.flights.look(flight), seen)
        if answer is not None:
            return answer
        # it served a stale value to its first caller, and this one accepts only a less stale one; or it can't be shared
        return await self._fly(outcome, request, seen, alone=bool(flight.load.is_lone))

    def _joinable(self, request: Request) -> Flight | None:
        flight = self.flights.find(request.key)
        if flight is None or not request.forced:
            return flight
        if flight.load.run is None and flight.load.trigger == "forced":
            return flight
        flight.abandon()  # it may have read what was there before this call
        return None

    def _refresh(self, outcome: Outcome, request: Request, trigger: LoadTrigger, age: float | None) -> None:
        """Load in the background, unless a load is under way or failed a moment ago."""
        if self.flights.find(request.key) is None and self._failures.reason(request.key) is None:
            self.flights.launch(self._open(outcome, request, trigger, age))

    def _open(
        self, outcome: Outcome, request: Request, trigger: LoadTrigger, age: float | None = None, *, alone: bool = False
    ) -> Flight:
        self._probe.open_late(outcome)
        record = Outcome("get_or_set", outcome.started, request.key, span=outcome.span)
        return self.flights.open(LoadTask(self._environment, request, trigger, record, age), alone=alone)

    async def _wait(
        self, outcome: Outcome, request: Request, flight: Flight, read: TierRead, seen: Lookup
    ) -> Answer[Any] | None:
        """Answer with a cached, stale or loaded value; `None` if the flight has none that this caller accepts."""
        look, policy = read.lookup, request.policy
        if look.result == "hit":
            if not self._tiers.shared.is_intact(look.mark, look.value, request.template):
                flight.forget()
                return None
            value = self._own(request, look.value, read.payload)
            return self._hit(outcome, request, look if value is look.value else replace(look, value=value), read.size)
        outcome.reason = seen.reason if look.reason == "none" else look.reason  # until there is an answer
        trusted = seen.candidate if seen.candidate is not None and seen.candidate.reason == "revalidating" else None
        candidate = self._intact(policy.allowed(look.candidate or trusted))
        if candidate is None:
            return await self._wait_for_load(outcome, request, flight)
        if read.held is not None or not policy.soft_timeout:
            return self._stale(outcome, candidate, read.held or candidate.reason)
        has_landed = await done_within(flight.landed, min(policy.soft_timeout, policy.timeout))
        if has_landed and flight.error is None:
            return self._loaded(outcome, request, flight)
        if self._intact(candidate) is None:
            return await self._wait_for_load(outcome, request, flight)
        return self._stale(outcome, candidate, failure_reason(flight.error) if flight.error else "loader_timeout")

    def _intact(self, candidate: StaleCandidate | None) -> StaleCandidate | None:
        """Return the candidate, unless one of the callers who share it has changed it."""
        if candidate is None or not self._tiers.shared.is_intact(candidate.mark, candidate.value):
            return None
        return candidate

    async def _wait_for_load(self, outcome: Outcome, request: Request, flight: Flight) -> Answer[Any] | None:
        """Wait for the load; the caller has no stale value."""
        if not await done_within(flight.landed, request.policy.timeout):
            if flight.load.is_overdue:
                flight.abandon()  # a later caller must not wait for a loader that doesn't let itself be cancelled
            raise LoadTimeout(f"the load took longer than timeout={request.policy.timeout:g} s")
        result = flight.landed.result()
        if result is not None and result.error is not None:
            assert outcome.load is not None
            outcome.load.told = flight.load.run is not None  # by the loader's own span and event
            raise result.error.with_traceback(result.traceback)
        return self._loaded(outcome, request, flight)

    # --- what the caller gets -----------------------------------------------------------------------

    def _hit(self, outcome: Outcome, request: Request, look: Lookup, size: int | None = None) -> Answer[Any]:
        if look.due:
            self._refresh(outcome, request, "eager", look.age)
        tier = cast("Literal['l1', 'l2']", look.tier)
        answer = Answer(look.value, "fresh", look.age, look.left, tier)
        outcome.facts, outcome.size = look.facts, size
        return _close_with(outcome, answer, "hit")

    def _stale(self, outcome: Outcome, candidate: StaleCandidate, reason: StaleReason) -> Answer[Any]:
        tier = cast("Literal['l1', 'l2']", candidate.tier)
        answer = Answer(candidate.value, "stale", candidate.age, -candidate.past, tier, reason)
        _close_with(outcome, answer, "stale")
        self._reports.stale(outcome, reason, candidate.past)
        return answer

    def _loaded(self, outcome: Outcome, request: Request, flight: Flight) -> Answer[Any] | None:
        result = flight.landed.result()
        if result is None:
            return None
        if not result.left and result.payload is None and not flight.load.may_give(request, result.value):
            return None
        if self._tiers.shared.is_intact(result.mark, result.value, request.template):
            value = self._own(request, result.value, result.payload if self._tiers.copies else None)
        else:
            value = self._own(request, _CHANGED, result.payload)
        if value is _CHANGED:
            return None
        answer = Answer(value, "loaded", 0.0, result.left, "loader")
        return _close_with(outcome, answer, "bypass" if request.forced else "miss", outcome.reason)

    def _own(self, request: Request, value: Any, payload: bytes | None) -> Any:
        """Return an object of this caller's own, where the cache promises that."""
        if payload is None:
            return value
        try:
            return self._tiers.codec.decode(payload, request.key, request.kind).value
        except (ValidationError, DecodeError):  # of a type that this caller does not declare
            return value

    # --- who waits ----------------------------------------------------------------------------------

    @contextmanager
    def _counted(self, outcome: Outcome, flight: Flight, *, first: bool) -> Iterator[None]:
        """Count a caller in and out, and report how its wait ended."""
        began = clock()
        flight.join(first=first)
        if not first:
            self._probe.open_late(outcome)
            self._reports.waiting(1)
            if flight.waiters == MANY:
                self._reports.stampede(outcome, flight.load.trigger, flight.waiters)
        end: CoalesceOutcome = "cancelled"
        try:
            yield
            end = "stale" if outcome.result == "stale" else "value"
        except LoadTimeout:
            end = "timeout"
            raise
        except Exception:
            end = "error"
            raise
        finally:
            self._report_wait(outcome, flight, end, clock() - began, first=first)
            self.flights.leave(flight, first=first)

    def _report_wait(self, outcome: Outcome, flight: Flight, end: CoalesceOutcome, waited: int, *, first: bool) -> None:
        load, facts = flight.load, outcome.load
        assert facts is not None
        outcome.degraded = outcome.degraded or load.outcome.degraded
        facts.paused = load.paused
        if not first:
            self._reports.waiting(-1)
            if load.run is not None or load.scope == "distributed":
                self._reports.waited(outcome, "process", end, waited)
                self._reports.link(outcome, load.place)
            return
        if flight.waiters:
            facts.role, facts.waiters = "leader", flight.waiters
        if load.scope == "distributed":
            self._reports.waited(outcome, "distributed", end, waited)
            self._reports.link(outcome, load.leader)


def _close_with(outcome: Outcome, answer: Answer[Any], result: Result, reason: MissReason = "none") -> Answer[Any]:
    """Write into the call's record what the caller gets, and return it."""
    assert outcome.load is not None
    outcome.load.stale_reason = answer.stale_reason
    outcome.result, outcome.tier, outcome.reason = result, answer.tier, reason
    outcome.value = answer.value
    outcome.age = None if answer.status == "loaded" else answer.age
    return answer
