"""Numbers of a stretch of time, out of the same cells that the metrics are exported from."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import accumulate
from typing import Any, Final

from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.metrics import GRID, Metrics, grid_of

TIERS: Final = ("l1", "l2", "loader", "none")
_READS: Final = ("get", "get_many", "get_or_set")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything counted up to a moment, over all caches of a process, or of all processes.

    Attributes:
        at: Seconds of the monotonic clock.
        reads: Per tier, the histogram of the durations of reads; `loader` are loads and those who waited for one,
            `none` are other misses.
        hits: Keys found, per tier.
        misses: Keys not found, per reason.
        operations: Calls of a cache.
        degraded: Those that had to do without a tier.
        breakers: How many far tiers' breakers are in each state.
        entries: Entries in memory.
        limit: Most entries in memory.
        requests: The histogram of the durations of requests, as clients see them.
        dollars: What AI responses cost (`spent`) and what keeping them saved (`saved`), in US dollars.
        loads: Runs of loaders, per trigger.
        waited: Callers that waited for another's load, per scope.
        waiting: Callers that wait now.
        stale: Stale answers, per reason.
        responses: HTTP responses that a cache has decided on, per result.
        invalidations: Keys, tags and everything that were invalidated, per source.
        news: Messages between processes, per direction.
        lag: The histogram of the time until they were heard.
        backplanes: How many connections for news are in each state.
    """

    at: float
    reads: dict[str, list[int]] = field(default_factory=dict)
    hits: dict[str, int] = field(default_factory=dict)
    misses: dict[str, int] = field(default_factory=dict)
    operations: int = 0
    degraded: int = 0
    breakers: dict[str, int] = field(default_factory=dict)
    entries: int = 0
    limit: int = 0
    requests: list[int] = field(default_factory=list)
    dollars: dict[str, float] = field(default_factory=dict)
    loads: dict[str, int] = field(default_factory=dict)
    waited: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    stale: dict[str, int] = field(default_factory=dict)
    responses: dict[str, int] = field(default_factory=dict)
    invalidations: dict[str, int] = field(default_factory=dict)
    news: dict[str, int] = field(default_factory=dict)
    lag: list[int] = field(default_factory=list)
    backplanes: dict[str, int] = field(default_factory=dict)

    @property
    def backplane(self) -> str:
        """The worst state of any connection for news; `none` where there is no far tier."""
        return next((state for state in ("unavailable", "degraded", "available") if self.backplanes.get(state)), "none")

    @property
    def is_whole(self) -> bool:
        """Whether every cache uses its far tier, and hears of other processes."""
        return self.breaker == "closed" and self.backplane == "available"

    @property
    def breaker(self) -> str:
        """The worst state of any breaker; `none` where there is no far tier."""
        return next((state for state in ("open", "half_open", "closed") if self.breakers.get(state)), "none")


def take(metrics: Metrics) -> Snapshot:
    """What `metrics` have counted so far."""
    lookups = metrics.totals(catalog.LOOKUPS)
    return Snapshot(
        time.monotonic(),
        _reads(metrics),
        _by((tier, count) for (_, result, tier, *_), count in lookups.items() if result in ("hit", "stale")),
        _by((reason, count) for (_, result, _, reason, _), count in lookups.items() if result == "miss"),
        sum(metrics.totals(catalog.OPERATIONS).values()),
        sum(metrics.totals(catalog.DEGRADED_OPERATIONS).values()),
        _by((state, count) for (*_, state), count in metrics.totals(catalog.CIRCUIT_STATUS).items()),
        sum(metrics.totals(catalog.L1_COUNT).values()),
        sum(metrics.totals(catalog.L1_LIMIT).values()),
        dollars=_dollars(metrics),
        loads=_by((trigger, count) for (_, trigger, _), count in metrics.totals(catalog.LOADS).items()),
        waited=_by((scope, count) for (_, scope, _), count in metrics.totals(catalog.COALESCE_REQUESTS).items()),
        waiting=sum(metrics.totals(catalog.COALESCE_WAITING).values()),
        stale=_by((reason, count) for (_, result, _, _, reason), count in lookups.items() if result == "stale"),
        **_between_processes(metrics),
    )


def _between_processes(metrics: Metrics) -> dict[str, Any]:
    states = metrics.totals(catalog.COMPONENT_STATUS).items()
    return {
        "responses": _by((result, count) for (*_, result), count in metrics.totals(catalog.HTTP_RESPONSES).items()),
        "invalidations": _by((source, count) for (*_, source), count in metrics.totals(catalog.INVALIDATIONS).items()),
        "news": _by((direction, count) for (_, direction, *_), count in metrics.totals(catalog.NEWS).items()),
        "lag": _sum(metrics.histogram(catalog.NEWS_LAG).values()),
        "backplanes": _by((state, count) for (_, part, state), count in states if part == "backplane"),
    }


def together(snapshots: Sequence[Snapshot]) -> Snapshot:
    """All processes as one, at the moment of the last."""
    added = {each.name: _added([getattr(snapshot, each.name) for snapshot in snapshots]) for each in fields(Snapshot)}
    return Snapshot(**added | {"at": max(snapshot.at for snapshot in snapshots)})


def _added(values: list[Any]) -> Any:
    if isinstance(values[0], dict):
        names = dict.fromkeys(name for value in values for name in value)
        return {name: _added([value[name] for value in values if name in value]) for name in names}
    return _sum(values) if isinstance(values[0], list) else sum(values)


def _dollars(metrics: Metrics) -> dict[str, float]:
    costs = metrics.totals(catalog.AI_COST).items()
    amounts = _by((disposition, amount) for (_, _, _, disposition, _), amount in costs)
    return {name: amount / catalog.AI_COST.scale for name, amount in amounts.items()}


def _reads(metrics: Metrics) -> dict[str, list[int]]:
    reads: dict[str, list[int]] = {}
    for (_, operation, _, tier, error), cell in metrics.histogram(catalog.OPERATION_DURATION).items():
        if operation in _READS and error is None:
            reads[str(tier)] = _sum([reads.get(str(tier), []), cell])
    return reads


def _by(counts: Iterable[tuple[Any, int]]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for name, count in counts:
        totals[str(name)] = totals.get(str(name), 0) + count
    return totals


def _sum(cells: Iterable[list[int]]) -> list[int]:
    filled = [cell for cell in cells if cell]
    return [sum(column) for column in zip(*filled, strict=True)]


@dataclass(frozen=True, slots=True)
class Window:
    """What happened between two snapshots."""

    old: Snapshot
    new: Snapshot

    @property
    def seconds(self) -> float:
        """Its length."""
        return max(self.new.at - self.old.at, 1e-9)

    @property
    def misses(self) -> dict[str, int]:
        """Keys not found, per reason, reasons that did not occur left out."""
        return _rise(self.old.misses, self.new.misses)

    @property
    def loads(self) -> dict[str, int]:
        """Runs of loaders, per trigger."""
        return _rise(self.old.loads, self.new.loads)

    @property
    def waited(self) -> dict[str, int]:
        """Callers that waited for another's load, per scope: `process` or `distributed`."""
        return _rise(self.old.waited, self.new.waited)

    @property
    def stale(self) -> dict[str, int]:
        """Stale answers, per reason."""
        return _rise(self.old.stale, self.new.stale)

    @property
    def responses(self) -> dict[str, int]:
        """HTTP responses that a cache has decided on, per result."""
        return _rise(self.old.responses, self.new.responses)

    @property
    def invalidations(self) -> dict[str, int]:
        """What was invalidated, per source: `local`, or `backplane` for another process."""
        return _rise(self.old.invalidations, self.new.invalidations)

    @property
    def news(self) -> dict[str, int]:
        """Messages between processes, per direction: `publish` or `receive`."""
        return _rise(self.old.news, self.new.news)

    def heard_within(self, share: float) -> float | None:
        """Seconds within which `share` of the news were heard, as the metric's buckets tell it."""
        cell, grid = _less(self.new.lag, self.old.lag), grid_of(catalog.NEWS_LAG)
        if not count(cell):
            return None
        totals = list(accumulate(cell[:-1]))
        index = next(i for i, total in enumerate(totals) if total >= share * count(cell))
        return grid[min(index, len(grid) - 1)] / catalog.NEWS_LAG.scale

    def hits(self, tier: str) -> int:
        """Keys found in a tier."""
        return self.new.hits.get(tier, 0) - self.old.hits.get(tier, 0)

    @property
    def lookups(self) -> int:
        """Keys looked up."""
        return sum(map(self.hits, self.new.hits)) + sum(self.misses.values())

    def hit_ratio(self, *tiers: str) -> float | None:
        """Share of lookups answered by `tiers` (by any, if none is given); `None` without a lookup."""
        found = sum(map(self.hits, tiers or self.new.hits))
        return found / self.lookups if self.lookups else None

    @property
    def degraded_share(self) -> float | None:
        """Share of operations that had to do without a tier."""
        operations = self.new.operations - self.old.operations
        return (self.new.degraded - self.old.degraded) / operations if operations else None

    def dollars(self, disposition: str) -> float:
        """US dollars of AI responses, `spent` or `saved`."""
        return self.new.dollars.get(disposition, 0.0) - self.old.dollars.get(disposition, 0.0)

    def reads(self, *tiers: str) -> list[int]:
        """The histogram of the reads answered by `tiers`, or by any."""
        return _sum(_less(self.new.reads.get(t, []), self.old.reads.get(t, [])) for t in tiers or self.new.reads)

    @property
    def requests(self) -> list[int]:
        """The histogram of requests, as clients see them."""
        return _less(self.new.requests, self.old.requests)


def _rise(old: dict[str, int], new: dict[str, int]) -> dict[str, int]:
    counts = {name: n - old.get(name, 0) for name, n in new.items()}
    return {name: n for name, n in counts.items() if n}


def _less(new: list[int], old: list[int]) -> list[int]:
    return [n - o for n, o in zip(new, old, strict=True)] if old else new


def count(cell: list[int]) -> int:
    """How many values a histogram's cell holds."""
    return sum(cell[:-1])


def quantile(cell: list[int], share: float) -> float | None:
    """Seconds below which `share` of the values lie, interpolated inside the bucket; `None` if it is empty."""
    wanted = share * count(cell)
    if not wanted:
        return None
    totals = list(accumulate(cell[:-1]))
    index = next(i for i, total in enumerate(totals) if total >= wanted)
    if index == len(GRID):
        return float(GRID[-1]) / 1e9
    low, high = float(GRID[index - 1] if index else 0), float(GRID[index])
    inside = 1 - (totals[index] - wanted) / cell[index]
    return (low + (high - low) * inside) / 1e9


def with_requests(snapshot: Snapshot, cells: Iterable[list[int]]) -> Snapshot:
    """The same snapshot with what the clients have seen."""
    return replace(snapshot, requests=_sum(cells))
