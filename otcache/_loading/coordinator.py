"""The way of one call that may load: what is there, what may be given stale, who loads and who waits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Literal, cast

from otcache._engine.tiers import Tiers
from otcache._engine.write_options import WriteOptions
from otcache._loading.distributed_lock import DistributedLocks
from otcache._loading.failed_loads import Failures
from otcache._loading.load_task import LoadTask, failure_reason
from otcache._loading.options import LoadPolicy, Request
from otcache._loading.single_flight import Flight, SingleFlight, arrives
from otcache._serialization.keys import check_key
from otcache._serialization.serializer import DecodeError
from otcache.base import Answer
from otcache.config import CacheConfig
from otcache.exceptions import ConfigurationError, LoadTimeout, ValidationError
from otcache.telemetry._instrumentation.loads import MANY
from otcache.telemetry._instrumentation.probe import Probe
from otcache.telemetry._instrumentation.signals import clock
from otcache.telemetry.record import (
    CoalesceOutcome,
    LoadFacts,
    LoadTrigger,
    Lookup,
    Outcome,
    StaleCandidate,
    StaleReason,
)


class LoadCoordinator:
    """The loads of one cache.

    Args:
        config: The options.
        tiers: Where values are.
        probe: What is reported through.

    Attributes:
        flights: The loads under way.
    """

    def __init__(self, config: CacheConfig, tiers: Tiers, probe: Probe) -> None:
        self.flights = SingleFlight(config.name)
        tiers.changes.listen(self.flights)
        self._policy = LoadPolicy.of(config)
        self._tiers = tiers
        self._probe = probe
        self._reports = probe.loads
        self._failures = Failures(config.stale_retry_seconds, clock)
        self._locks: DistributedLocks | None = None
        if tiers.far is not None and tiers.backplane is not None and config.single_flight == "distributed":
            self._locks = DistributedLocks(tiers.far, tiers.inflight, tiers.backplane, config.lock_seconds)
        self._work = LoadTask(tiers, probe, self.flights, self._failures, self._locks)

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
        """What a caller gets for `key`; `wanted` is what it wants otherwise than the configuration."""
        with self._probe.operation("get_or_set", started, key) as outcome:
            outcome.load = LoadFacts(template)
            check_key(key)
            if not callable(loader):
                raise ValidationError(f"loader is {loader.__class__.__name__}, which can't be called")
            policy = self._policy.varied(**wanted)
            request = Request(key, loader, policy, kind, self._tiers.check_tags(tags) if tags else (), forced, template)
            return await self._serve(outcome, request)

    async def _serve(self, outcome: Outcome, request: Request) -> Answer[Any]:
        if request.forced:
            return await self._ride(outcome, request, Lookup(request.key, "bypass"))
        near = self._tiers.near_tier.look(request.key, request.kind)
        if near.result == "hit":
            return self._hit(outcome, request, near)
        kept = request.policy.allowed(near.kept)
        if kept is not None and kept.reason == "revalidating":  # one that can be trusted: the far tier has no other
            held = self._failures.reason(request.key)
            if held is not None:
                return self._stale(outcome, kept, held)
            if not request.policy.soft_timeout:
                self._refresh(outcome, request, "revalidate", kept.age)
                return self._stale(outcome, kept, kept.reason)
        return await self._ride(outcome, request, near)

    # --- what a caller is given ---------------------------------------------------------------------

    def _hit(self, outcome: Outcome, request: Request, look: Lookup) -> Answer[Any]:
        outcome.result, outcome.tier, outcome.reason, outcome.age = "hit", look.tier, "none", look.age
        outcome.value, outcome.facts = look.value, look.facts
        if look.due:
            self._refresh(outcome, request, "eager", look.age)
        return Answer(look.value, "fresh", look.age, look.left, cast("Literal['l1', 'l2']", look.tier))

    def _stale(self, outcome: Outcome, kept: StaleCandidate, reason: StaleReason) -> Answer[Any]:
        outcome.result, outcome.tier, outcome.reason, outcome.age = "stale", kept.tier, "none", kept.age
        outcome.value = kept.value
        assert outcome.load is not None
        outcome.load.stale_reason = reason
        self._reports.stale(outcome, reason, kept.past)
        return Answer(kept.value, "stale", kept.age, -kept.past, cast("Literal['l1', 'l2']", kept.tier), reason)

    def _loaded(self, outcome: Outcome, request: Request, flight: Flight) -> Answer[Any]:
        outcome.result, outcome.tier = "bypass" if request.forced else "miss", "loader"
        outcome.value = value = self._own(flight, request, flight.value)
        return Answer(value, "loaded", 0.0, flight.left, "loader")

    def _own(self, flight: Flight, request: Request, value: Any) -> Any:
        """An object of this caller's own, where that is promised."""
        if not self._tiers.copies:
            return value
        coding = self._tiers.coding
        try:
            if flight.payload is None:
                flight.payload = coding.encode(request.key, value, WriteOptions(0, 0), request.kind).payload
            return coding.decode(flight.payload, request.key, request.kind).value
        except (ValidationError, DecodeError):  # not stored, and nothing that could be
            return value

    # --- flights ------------------------------------------------------------------------------------

    def _refresh(self, outcome: Outcome, request: Request, trigger: LoadTrigger, age: float | None) -> None:
        """Load anew in the background, unless that is under way or failed a moment ago."""
        if self.flights.find(request.key) is None and self._failures.reason(request.key) is None:
            self._launch(self._open(outcome, request, trigger), request, age)

    def _open(self, outcome: Outcome, request: Request, trigger: LoadTrigger) -> Flight:
        self._probe.open_late(outcome)
        record = Outcome("get_or_set", outcome.started, request.key, span=outcome.span)
        flight = self.flights.open(request.key, trigger, record)
        flight.tags = request.tags
        return flight

    def _launch(self, flight: Flight, request: Request, age: float | None = None) -> None:
        self.flights.launch(flight, partial(self._work.fly, request=request, age=age))

    async def _ride(self, outcome: Outcome, request: Request, near: Lookup) -> Answer[Any]:
        """Join the flight of the key, or begin one, and wait for what it brings."""
        if self.flights.is_inside(request.key):
            raise ConfigurationError("a loader asks the cache for the key that it loads")
        flight = self.flights.find(request.key)
        if flight is not None and request.forced and (flight.load is not None or flight.trigger != "forced"):
            self.flights.abandon(flight)  # it may have read what was there before this call
            flight = None
        joined = flight is not None
        if flight is None:
            flight = self._open(outcome, request, "forced" if request.forced else "miss")
            if request.forced:
                self._launch(flight, request)
        with self._aboard(outcome, flight, joined=joined):
            while not flight.looked.done():
                await (arrives(flight.looked) if flight.looking else self._look(flight, request))
            return await self._wait(outcome, request, flight, near)

    async def _look(self, flight: Flight, request: Request) -> None:
        """Find out what the tiers hold, for all who are aboard; a hit costs no task."""
        flight.looking = True
        try:
            if await self._work.is_there(flight, request):
                self.flights.finish(flight)
            else:
                self._launch(flight, request)
        except Exception as exc:  # noqa: BLE001  raised to every caller
            flight.fail(exc)
            self.flights.finish(flight)
        except BaseException:
            flight.pass_on()
            raise

    async def _wait(self, outcome: Outcome, request: Request, flight: Flight, near: Lookup) -> Answer[Any]:
        look, policy = flight.look, request.policy
        if look.result == "hit":
            outcome.size = flight.outcome.size
            value = self._own(flight, request, look.value)
            return self._hit(outcome, request, look if value is look.value else replace(look, value=value))
        outcome.reason = near.reason if look.reason == "none" else look.reason
        trusted = near.kept if near.kept is not None and near.kept.reason == "revalidating" else None
        kept = request.policy.allowed(look.kept or trusted)
        if kept is None:
            return await self._wait_long(outcome, request, flight)
        if flight.held is not None or not policy.soft_timeout:
            return self._stale(outcome, kept, flight.held or kept.reason)
        if not await arrives(flight.landed, min(policy.soft_timeout, policy.timeout)):
            return self._stale(outcome, kept, "loader_timeout")
        if flight.error is not None:
            return self._stale(outcome, kept, failure_reason(flight.error))
        return self._loaded(outcome, request, flight)

    async def _wait_long(self, outcome: Outcome, request: Request, flight: Flight) -> Answer[Any]:
        """Wait with nothing in hand."""
        if not await arrives(flight.landed, request.policy.timeout):
            if flight.loop.time() >= flight.deadline:  # a loader that does not let itself be cancelled
                self.flights.abandon(flight)
            raise LoadTimeout(f"the load took longer than timeout={request.policy.timeout:g} s")
        if flight.error is not None:
            assert outcome.load is not None
            outcome.load.told = flight.load is not None
            raise flight.error.with_traceback(flight.traceback)
        return self._loaded(outcome, request, flight)

    # --- who waits ----------------------------------------------------------------------------------

    @contextmanager
    def _aboard(self, outcome: Outcome, flight: Flight, *, joined: bool) -> Iterator[None]:
        began = clock()
        flight.aboard += 1
        if joined:
            self._board(outcome, flight)
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
            self._leave(outcome, flight, joined, end, clock() - began)
            self.flights.leave(flight)

    def _board(self, outcome: Outcome, flight: Flight) -> None:
        self._probe.open_late(outcome)
        self._reports.waiting(1)
        flight.waiters += 1
        if flight.waiters == MANY:
            self._reports.stampede(outcome, flight.trigger, flight.waiters)

    def _leave(self, outcome: Outcome, flight: Flight, joined: bool, end: CoalesceOutcome, waited: int) -> None:
        facts = outcome.load
        assert facts is not None
        outcome.degraded = outcome.degraded or flight.outcome.degraded
        facts.paused = flight.paused
        if joined:
            self._reports.waiting(-1)
            if flight.load is not None or flight.scope == "distributed":
                self._reports.waited(outcome, "process", end, waited)
                self._reports.link(outcome, flight.place)
            return
        flight.detached = not flight.landed.done()
        if flight.waiters:
            facts.role, facts.waiters = "leader", flight.waiters
        if flight.scope == "distributed":
            self._reports.waited(outcome, "distributed", end, waited)
            self._reports.link(outcome, flight.leader)
