"""Numbers of a stretch of time, out of the same cells that the metrics are exported from."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Final

from otcache.telemetry import catalog
from otcache.telemetry.metrics import GRID, Metrics

TIERS: Final = ("l1", "l2", "none")
_READS: Final = ("get", "get_many")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything counted up to a moment, over all caches of the application.

    Attributes:
        at: Seconds of the monotonic clock.
        reads: Per tier, the histogram of the durations of reads; `none` are misses.
        hits: Keys found, per tier.
        misses: Keys not found, per reason.
        operations: Calls of a cache.
        degraded: Those that had to do without a tier.
        breakers: How many far tiers' breakers are in each state.
        entries: Entries in memory.
        limit: Most entries in memory.
        requests: The histogram of the durations of requests, as clients see them.
        dollars: What AI responses cost (`spent`) and what keeping them saved (`saved`), in US dollars.
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
    )


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
        counts = {reason: n - self.old.misses.get(reason, 0) for reason, n in self.new.misses.items()}
        return {reason: n for reason, n in counts.items() if n}

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


def with_requests(snapshot: Snapshot, cell: list[int]) -> Snapshot:
    """The same snapshot with what the clients have seen."""
    return replace(snapshot, requests=cell[:])
