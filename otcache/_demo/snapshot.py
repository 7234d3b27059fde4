"""Numbers of a stretch of time, out of the same cells that the metrics are exported from."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, Final

from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.metrics import GRID, Metrics, grid_of

TIERS: Final = ("l1", "l2", "loader", "none")
_READS: Final = ("get", "get_many", "get_or_set")
_WORST_FIRST: Final = ("open", "half_open", "closed"), ("unavailable", "degraded", "available")

Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything counted up to a moment, over all caches of a process, or of all processes.

    Attributes:
        at: Seconds of the monotonic clock.
        counts: Per subject its counts by a closed set of names: `hits` by tier, `misses` by reason, `loads` by
            trigger, `waited` by scope, `stale` by reason, `responses` by result, `invalidations` by source,
            `messages` by direction, `operations` (`all`, `degraded`), `dollars` by disposition, scaled.
        levels: The same for what rises and falls: `breakers` and `backplanes` by state, `l1` (`entries`, `limit`),
            `waiting`.
        reads: Per tier, the histogram of the durations of reads; `none` are misses that were not loaded.
        lag: The histogram of the time until invalidation messages arrived.
        requests: The histogram of the durations of requests, as clients see them.
    """

    at: float
    counts: dict[str, Counts] = field(default_factory=dict)
    levels: dict[str, Counts] = field(default_factory=dict)
    reads: dict[str, list[int]] = field(default_factory=dict)
    lag: list[int] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)

    def level(self, subject: str, name: str) -> int:
        """One level; 0 where there is none."""
        return self.levels.get(subject, {}).get(name, 0)

    @property
    def breaker(self) -> str:
        """The worst state of any breaker; `none` without L2."""
        return self._worst("breakers", _WORST_FIRST[0])

    @property
    def backplane(self) -> str:
        """The worst state of any backplane; `none` without L2."""
        return self._worst("backplanes", _WORST_FIRST[1])

    def _worst(self, subject: str, states: Sequence[str]) -> str:
        return next((state for state in states if self.level(subject, state)), "none")

    @property
    def is_whole(self) -> bool:
        """Whether every cache uses L2, and its backplane is up."""
        return self.breaker == "closed" and self.backplane == "available"


def take(metrics: Metrics) -> Snapshot:
    """What `metrics` have counted so far."""
    lookups, states = metrics.totals(catalog.LOOKUPS), metrics.totals(catalog.COMPONENT_STATUS)
    counts = {
        "hits": _by((tier, n) for (_, result, tier, *_), n in lookups.items() if result in ("hit", "stale")),
        "misses": _by((reason, n) for (_, result, _, reason, _), n in lookups.items() if result == "miss"),
        "stale": _by((reason, n) for (_, result, _, _, reason), n in lookups.items() if result == "stale"),
        "loads": _by((trigger, n) for (_, trigger, _), n in metrics.totals(catalog.LOADS).items()),
        "waited": _by((scope, n) for (_, scope, _), n in metrics.totals(catalog.COALESCE_REQUESTS).items()),
        "responses": _by((result, n) for (*_, result), n in metrics.totals(catalog.HTTP_RESPONSES).items()),
        "invalidations": _by((source, n) for (*_, source), n in metrics.totals(catalog.INVALIDATIONS).items()),
        "messages": _by((direction, n) for (_, direction, *_), n in metrics.totals(catalog.NEWS).items()),
        "dollars": _by((kind, n) for (_, _, _, kind, _), n in metrics.totals(catalog.AI_COST).items()),
        "operations": {
            "all": sum(metrics.totals(catalog.OPERATIONS).values()),
            "degraded": sum(metrics.totals(catalog.DEGRADED_OPERATIONS).values()),
        },
    }
    levels = {
        "breakers": _by((state, n) for (*_, state), n in metrics.totals(catalog.CIRCUIT_STATUS).items()),
        "backplanes": _by((state, n) for (_, part, state), n in states.items() if part == "backplane"),
        "l1": {
            "entries": sum(metrics.totals(catalog.L1_COUNT).values()),
            "limit": sum(metrics.totals(catalog.L1_LIMIT).values()),
        },
        "waiting": {"callers": sum(metrics.totals(catalog.COALESCE_WAITING).values())},
    }
    lag = _sum(metrics.histogram(catalog.NEWS_LAG).values())
    return Snapshot(time.monotonic(), counts, levels, _reads(metrics), lag)


def _reads(metrics: Metrics) -> dict[str, list[int]]:
    reads: dict[str, list[int]] = {}
    for (_, operation, _, tier, error), cell in metrics.histogram(catalog.OPERATION_DURATION).items():
        if operation in _READS and error is None:
            reads[str(tier)] = _sum([reads.get(str(tier), []), cell])
    return reads


def _by(counts: Iterable[tuple[Any, int]]) -> Counts:
    totals: Counts = {}
    for name, count in counts:
        totals[str(name)] = totals.get(str(name), 0) + count
    return totals


def _sum(cells: Iterable[list[int]]) -> list[int]:
    filled = [cell for cell in cells if cell]
    return [sum(column) for column in zip(*filled, strict=True)]


def together(snapshots: Sequence[Snapshot]) -> Snapshot:
    """All processes as one, at the moment of the last."""
    parts = (_added([getattr(each, name) for each in snapshots]) for name in Snapshot.__slots__[1:])
    return Snapshot(max(each.at for each in snapshots), *parts)


def _added(values: list[Any]) -> Any:
    if isinstance(values[0], dict):
        names = dict.fromkeys(name for value in values for name in value)
        return {name: _added([value[name] for value in values if name in value]) for name in names}
    return _sum(values) if isinstance(values[0], list) else sum(values)


def with_requests(snapshot: Snapshot, cells: Iterable[list[int]]) -> Snapshot:
    """The same snapshot with what the clients have seen."""
    return replace(snapshot, requests=_sum(cells))


@dataclass(frozen=True, slots=True)
class Window:
    """What happened between two snapshots."""

    old: Snapshot
    new: Snapshot

    @property
    def seconds(self) -> float:
        """Its length."""
        return max(self.new.at - self.old.at, 1e-9)

    def counts(self, subject: str) -> Counts:
        """What was counted, by name; names that did not occur are left out."""
        old = self.old.counts.get(subject, {})
        rises = {name: n - old.get(name, 0) for name, n in self.new.counts.get(subject, {}).items()}
        return {name: n for name, n in rises.items() if n}

    def total(self, subject: str) -> int:
        """What was counted, over all names."""
        return sum(self.counts(subject).values())

    @property
    def lookups(self) -> int:
        """Keys looked up."""
        return self.total("hits") + self.total("misses")

    def hit_ratio(self, *tiers: str) -> float | None:
        """Share of lookups answered by `tiers` (by any, if none is given); `None` without a lookup."""
        hits = self.counts("hits")
        found = sum(hits.get(tier, 0) for tier in tiers or hits)
        return found / self.lookups if self.lookups else None

    @property
    def degraded_share(self) -> float | None:
        """Share of operations that completed without a tier that they needed."""
        operations = self.counts("operations")
        return operations.get("degraded", 0) / operations["all"] if operations.get("all") else None

    def dollars(self, disposition: str) -> float:
        """US dollars of AI responses, `spent` or `saved`."""
        return self.counts("dollars").get(disposition, 0) / catalog.AI_COST.scale

    def reads(self, *tiers: str) -> list[int]:
        """The histogram of the reads answered by `tiers`, or by any."""
        return _sum(_less(self.new.reads.get(t, []), self.old.reads.get(t, [])) for t in tiers or self.new.reads)

    @property
    def requests(self) -> list[int]:
        """The histogram of requests, as clients see them."""
        return _less(self.new.requests, self.old.requests)

    def arrived_within(self, share: float) -> float | None:
        """Seconds within which `share` of the invalidation messages arrived, as the metric's buckets tell it."""
        cell, grid = _less(self.new.lag, self.old.lag), grid_of(catalog.NEWS_LAG)
        if not count(cell):
            return None
        totals = list(accumulate(cell[:-1]))
        index = next(i for i, total in enumerate(totals) if total >= share * count(cell))
        return grid[min(index, len(grid) - 1)] / catalog.NEWS_LAG.scale


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
