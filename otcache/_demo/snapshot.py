"""Numbers of a stretch of time, out of the same cells that the metrics are exported from."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.metrics import GRID, Metrics

_READS: Final = ("get", "get_many", "get_or_set")
_COUNTED: Final = {
    "loads": (catalog.LOADS, 1), "waited": (catalog.COALESCE_REQUESTS, 1), "invalidations": (catalog.INVALIDATIONS, -1),
    "messages": (catalog.MESSAGES, 1), "dollars": (catalog.AI_COST, 3), "breakers": (catalog.CIRCUIT_STATUS, -1),
}  # fmt: skip
"""What is counted by one attribute of its metric: which metric, and where the attribute stands."""

Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything counted up to a moment, over all caches of a process, or of all processes.

    Attributes:
        at: Seconds of the monotonic clock.
        counts: Per subject its counts by a closed set of names: those of `_COUNTED`, `hits` by tier, `misses` and
            `stale` by reason, `backplanes` by state, `operations` (`all`, `degraded`).
        cells: Histograms of durations: of reads by tier, and `requests` as the clients see them.
    """

    at: float
    counts: dict[str, Counts] = field(default_factory=dict)
    cells: dict[str, list[int]] = field(default_factory=dict)

    @property
    def breaker(self) -> str:
        """The worst state of any breaker; `none` without L2."""
        states = self.counts.get("breakers", {})
        return next((state for state in ("open", "half_open", "closed") if states.get(state)), "none")

    @property
    def is_whole(self) -> bool:
        """Whether every cache uses L2, and its backplane is up."""
        backplanes = {state for state, n in self.counts.get("backplanes", {}).items() if n}
        return self.breaker == "closed" and backplanes == {"available"}


def take(metrics: Metrics) -> Snapshot:
    """What `metrics` have counted so far."""
    lookups, parts = metrics.totals(catalog.LOOKUPS), metrics.totals(catalog.COMPONENT_STATUS)
    operations, degraded = metrics.totals(catalog.OPERATIONS), metrics.totals(catalog.DEGRADED_OPERATIONS)
    counts = {
        "hits": _by((tier, n) for (_, result, tier, *_), n in lookups.items() if result in ("hit", "stale")),
        "misses": _by((reason, n) for (_, result, _, reason, _), n in lookups.items() if result == "miss"),
        "stale": _by((reason, n) for (_, result, _, _, reason), n in lookups.items() if result == "stale"),
        "backplanes": _by((state, n) for (_, part, state), n in parts.items() if part == "backplane"),
        "operations": {"all": sum(operations.values()), "degraded": sum(degraded.values())},
    }
    for subject, (row, place) in _COUNTED.items():
        counts[subject] = _by((values[place], n) for values, n in metrics.totals(row).items())
    cells: dict[str, list[int]] = {}
    for (_, operation, _, tier, error), cell in metrics.histogram(catalog.OPERATION_DURATION).items():
        if operation in _READS and error is None:
            cells[str(tier)] = total([cells.get(str(tier), []), cell])
    return Snapshot(time.monotonic(), counts, cells)


def _by(counts: Iterable[tuple[Any, int]]) -> Counts:
    totals: Counter[str] = Counter()
    for name, n in counts:
        totals[str(name)] += n
    return dict(totals)


def together(snapshots: Sequence[Snapshot], requests: list[int]) -> Snapshot:
    """All processes as one, at the moment of the last, with what the clients have seen."""
    counts: dict[str, Counts] = {}
    cells: dict[str, list[int]] = {}
    for each in snapshots:
        for subject, found in each.counts.items():
            counts[subject] = dict(Counter(counts.get(subject, {})) + Counter(found))
        for tier, cell in each.cells.items():
            cells[tier] = total([cells.get(tier, []), cell])
    return Snapshot(max(each.at for each in snapshots), counts, {**cells, "requests": requests})


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

    def hit_ratio(self, *tiers: str) -> float | None:
        """Share of lookups answered by `tiers` (by any, if none is given); `None` without a lookup."""
        hits = self.counts("hits")
        lookups = self.total("hits") + self.total("misses")
        return sum(hits.get(tier, 0) for tier in tiers or hits) / lookups if lookups else None

    @property
    def degraded_share(self) -> float | None:
        """Share of operations that completed without a tier that they needed."""
        operations = self.counts("operations")
        return operations.get("degraded", 0) / operations["all"] if operations.get("all") else None

    def cell(self, name: str) -> list[int]:
        """One histogram."""
        new, old = self.new.cells.get(name, []), self.old.cells.get(name, [])
        return [n - o for n, o in zip(new, old, strict=True)] if old else new


def total(cells: Iterable[list[int]]) -> list[int]:
    """Several histograms as one; those without a value may be empty."""
    return [sum(column) for column in zip(*filter(None, cells), strict=True)]


def count(cell: list[int]) -> int:
    """How many values a histogram's cell holds."""
    return sum(cell[:-1])


def quantile(cell: list[int], share: float) -> float | None:
    """Seconds below which `share` of the values lie: the end of a bucket of the grid; `None` if the cell is empty."""
    wanted = share * count(cell)
    if not wanted:
        return None
    index = next(i for i, below in enumerate(accumulate(cell[:-1])) if below >= wanted)
    return float(GRID[min(index, len(GRID) - 1)]) / 1e9
