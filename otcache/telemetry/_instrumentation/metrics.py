"""Catalogue rows become instruments; what is counted on the hit path are plain integers.

A *cell* is a list of integers that the hit path adds to: `[n]` for a counter, and the counts of the
internal grid followed by the sum for a histogram. `cells[i] += n` loses no update under the GIL, and
costs 25 ns where `counter.add()` costs 7 us (docs/performance.md). Observable callbacks report the
totals at collection; histograms are handed over by the bridge.
"""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections.abc import Callable, Iterable
from importlib import metadata
from typing import Any, Final, Protocol
from weakref import WeakSet, WeakValueDictionary

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation

from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.histogram_bridge import Bridge, Series
from otcache.telemetry.catalog import Attribute, Instrument

GRID: Final = tuple(
    bound
    for power in range(2, 11)
    for step in (100, 125, 150, 175, 200, 250, 300, 350, 400, 500, 600, 700, 800)
    if (bound := step * 10 ** (power - 2)) <= 60_000_000_000
)
"""Upper bounds of the internal grid of durations, in ns from 100 ns to 60 s (decision 29)."""

SLOTS: Final = tuple(bisect_left(GRID, ns) for ns in range(10_001))
"""The bucket of every duration up to 10 us, where hits are: looked up in a fifth of the time of a search."""

SLOTTED: Final = len(SLOTS)
"""From so many ns on a bucket is searched for."""

SUM: Final = len(GRID) + 1
"""Where a cell of durations has its sum: a position, because Python reads a list faster from the front."""

HIT_OPERATIONS: Final = ("get", "get_or_set")
"""Operations whose L1 hits are counted by the duration histogram alone."""

_GRIDS: Final = {
    row: GRID if row.scale == catalog.NS else tuple(int(bound * row.scale) for bound in row.buckets)
    for row in catalog.INSTRUMENTS
    if row.kind == "histogram"
}


def grid_of(instrument: Instrument) -> tuple[int, ...]:
    """The grid a histogram is counted in: the internal one for durations, its own buckets for anything else."""
    return _GRIDS[instrument]


def observe(cell: list[int], grid: tuple[int, ...], value: int) -> None:
    """Count `value` in a histogram's cell."""
    cell[bisect_left(grid, value)] += 1
    cell[-1] += value


class Gauges(Protocol):
    """A living part whose state is read at collection."""

    def gauges(self) -> Iterable[tuple[Instrument, int, tuple[str, ...]]]:
        """Instrument, value, attribute values; must only read plain attributes."""


class Metrics:
    """The cells and instruments of one meter provider, shared by every cache that reports to it.

    Without a provider it is the global one, which may be set later.
    """

    def __init__(self, provider: metrics.MeterProvider | None, version: str) -> None:
        self.on_cap: Callable[[Attribute], None] | None = None
        self._provider = provider  # kept: the id of a provider that is gone would be another's, and so would these
        self._series: dict[Instrument, dict[tuple[str | None, ...], Series]] = {i: {} for i in catalog.INSTRUMENTS}
        self._values: dict[tuple[Instrument, Attribute], set[str]] = {}
        self._announced: set[tuple[Instrument, Attribute]] = set()
        self._living: WeakSet[Gauges] = WeakSet()
        self._bridges: list[tuple[Instrument, Bridge]] = []
        scopes = {row.scope for row in catalog.INSTRUMENTS}
        meters = {scope: metrics.get_meter(scope, version, provider) for scope in scopes}
        for instrument in catalog.INSTRUMENTS:
            self._create(meters[instrument.scope], instrument)
        identity = (version, catalog.SCHEMA_VERSION, platform.python_version(), _version_of("redis"))
        self.cell(catalog.BUILD_INFO, *identity)[0] = 1

    def _create(self, meter: metrics.Meter, row: Instrument) -> None:
        if row.kind == "histogram":
            handle = meter.create_histogram(
                row.name, row.unit, row.brief, explicit_bucket_boundaries_advisory=list(row.buckets)
            )
            self._bridges.append((row, Bridge(handle, grid_of(row), row.scale)))
            return
        create = {
            "counter": meter.create_observable_counter,
            "updowncounter": meter.create_observable_up_down_counter,
            "gauge": meter.create_observable_gauge,
        }[row.kind]
        create(row.name, [lambda options: self._report(row, options)], row.unit, row.brief)

    def watch(self, part: Gauges) -> None:
        """Read `part` at every collection as long as it lives."""
        self._living.add(part)

    def forget(self, part: Gauges) -> None:
        """Read `part` no more."""
        self._living.discard(part)

    # --- writing ------------------------------------------------------------------------------------

    def cell(self, row: Instrument, *values: str | None) -> list[int]:
        """The cell of one series; the values in the order of `row.keys`, `None` for an absent one."""
        series = self._series[row]
        found = series.get(values)
        if found is None:
            found = self._fold_or_add(row, series, values)
        return found.cell

    def add(self, row: Instrument, amount: int, *values: str | None) -> None:
        """Add to a counter."""
        self.cell(row, *values)[0] += amount

    def log_dropped(self) -> None:
        """Count an event that the rate limit refused."""
        self.add(catalog.DROPPED, 1, "logs", "rate_limited")

    def set(self, row: Instrument, value: float, *values: str | None) -> None:
        """Let a gauge show `value`, in its unit, from now on."""
        self.cell(row, *values)[0] = round(value * row.scale)

    def drop(self, row: Instrument, *values: str | None) -> None:
        """Export one series of a gauge or status no more; a folded one goes with the first that it stands for."""
        self._series[row].pop(self.folded(row, values), None)

    def record(self, row: Instrument, value: int, *values: str | None, context: Any = None) -> None:
        """Count a value (in what the row's cells count) in a histogram; a sampled context becomes its exemplar."""
        cell = self.cell(row, *values)
        observe(cell, grid_of(row), value)
        if context is not None:
            self.exemplar(row, values, value, context)

    def exemplar(self, row: Instrument, values: tuple[str | None, ...], value: int, context: Any) -> None:
        """Let the sampled `context` be the example of a value that has been counted in this series."""
        series = self._series[row]
        found = series.get(values) or series.get(self.folded(row, values))
        if found is not None:
            found.exemplar = (value, context)

    def _fold_or_add(
        self, row: Instrument, series: dict[tuple[str | None, ...], Series], values: tuple[str | None, ...]
    ) -> Series:
        folded = self.folded(row, values, grow=True)
        if folded != values:
            self._series[catalog.DROPPED].setdefault(
                ("metrics", "cardinality"), _new_series(catalog.DROPPED, ("metrics", "cardinality"))
            ).cell[0] += 1
        return series.setdefault(folded, _new_series(row, folded))

    def folded(self, row: Instrument, values: tuple[str | None, ...], *, grow: bool = False) -> tuple[str | None, ...]:
        """`values` as they are exported: those beyond their attribute's cap are `_OTHER`."""
        return tuple(
            value if key.cap is None or value is None else self._capped(row, key, value, grow)
            for key, value in zip(row.keys, values, strict=True)
        )

    def _capped(self, row: Instrument, key: Attribute, value: str, grow: bool) -> str:
        seen = self._values.setdefault((row, key), set())
        if value in seen:
            return value
        if not grow or len(seen) >= (key.cap or 0):
            if grow and self.on_cap is not None and (row, key) not in self._announced:
                self._announced.add((row, key))
                self.on_cap(key)
            return catalog.OTHER
        seen.add(value)
        return value

    # --- reading ------------------------------------------------------------------------------------

    def total(self, row: Instrument, *values: str | None) -> int:
        """What a counter's series would report now; 0 if it does not exist."""
        return dict(self._totals(row)).get(values, 0)

    def totals(self, row: Instrument) -> dict[tuple[str | None, ...], int]:
        """Every series of a counter or up-down counter, by its attribute values."""
        return dict(self._totals(row))

    def histogram(self, row: Instrument) -> dict[tuple[str | None, ...], list[int]]:
        """A copy of every cell of a histogram, by attribute values."""
        return {values: series.cell[:] for values, series in list(self._series[row].items())}

    def _totals(self, row: Instrument) -> Iterable[tuple[tuple[str | None, ...], int]]:
        totals = {values: series.cell[0] for values, series in list(self._series[row].items())}
        for values, amount in self._derived(row):
            totals[values] = totals.get(values, 0) + amount
        return totals.items()

    def _derived(self, row: Instrument) -> Iterable[tuple[tuple[str | None, ...], int]]:
        """Counts that the hit path does not keep, because the duration histogram already holds them."""
        if row is catalog.OPERATIONS:
            for (cache, operation, result, _, error), cell in self.histogram(catalog.OPERATION_DURATION).items():
                yield (cache, operation, result, error), sum(cell) - cell[-1]
        elif row is catalog.LOOKUPS:
            for (cache, operation, result, tier, _), cell in self.histogram(catalog.OPERATION_DURATION).items():
                if operation in HIT_OPERATIONS and (result, tier) == ("hit", "l1"):
                    yield (cache, result, tier, "none", None), sum(cell) - cell[-1]
        elif row is catalog.L2_OPERATIONS:
            for values, cell in self.histogram(catalog.L2_DURATION).items():
                yield values, sum(cell) - cell[-1]
        else:
            for part in list(self._living):
                yield from ((values, value) for gauge, value, values in part.gauges() if gauge is row)

    def _report(self, row: Instrument, _: CallbackOptions) -> Iterable[Observation]:
        if row is catalog.BUILD_INFO:  # any observable will do: they all run before histograms are collected
            self.hand_over()
        names = [key.name for key in row.keys]
        for values, total in list(self._totals(row)):
            amount = total if row.scale == 1 else total / row.scale
            yield Observation(amount, {n: v for n, v in zip(names, values, strict=True) if v is not None})

    def hand_over(self) -> None:
        """Give the histograms' new counts to the SDK."""
        for row, bridge in self._bridges:
            bridge.hand_over(list(self._series[row].values()))


def _new_series(row: Instrument, values: tuple[str | None, ...]) -> Series:
    attributes = {key.name: value for key, value in zip(row.keys, values, strict=True) if value is not None}
    return Series([0] * (len(grid_of(row)) + 2 if row.kind == "histogram" else 1), attributes)


def _version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


# The SDK keeps a provider's callbacks, and with them its `Metrics`; both are collected together.
_by_provider: WeakValueDictionary[int, Metrics] = WeakValueDictionary()
_global: list[Metrics] = []


def metrics_for(provider: metrics.MeterProvider | None, version: str) -> Metrics:
    """The one `Metrics` of a provider; of the global one for `None`. Two caches of one name share cells."""
    if provider is None:
        if not _global:
            _global.append(Metrics(None, version))
        return _global[0]
    found = _by_provider.get(id(provider))
    if found is None:
        found = _by_provider[id(provider)] = Metrics(provider, version)
    return found


def lookup_stats(metrics: Metrics, cache: str) -> dict[str, Any]:
    """Hits by tier, misses by reason, the hit ratio (`None` before the first lookup) and evictions of one cache."""
    stale = 0
    hits: dict[str, int] = {"l1": 0, "l2": 0}
    misses: dict[str, int] = {}
    for (name, result, tier, reason, _), count in metrics.totals(catalog.LOOKUPS).items():
        stale += count if name == cache and result == "stale" else 0
        if name == cache and result in ("hit", "stale"):
            hits[str(tier)] = hits.get(str(tier), 0) + count
        elif name == cache and result == "miss" and count:
            misses[str(reason)] = misses.get(str(reason), 0) + count
    found, missed = sum(hits.values()), sum(misses.values())
    evicted = metrics.totals(catalog.EVICTIONS).items()
    return {
        "hits": hits, "misses": misses, "hit_ratio": found / (found + missed) if found + missed else None,
        "stale": stale, "evictions": {str(why): count for (name, _, why), count in evicted if name == cache},
    }  # fmt: skip


def load_stats(metrics: Metrics, cache: str) -> dict[str, Any]:
    """Runs of loaders by what began them, those that failed, and callers that waited for another's, of one cache."""
    runs: dict[str, int] = {}
    errors = 0
    for (name, trigger, error), count in metrics.totals(catalog.LOADS).items():
        if name == cache and count:
            runs[str(trigger)] = runs.get(str(trigger), 0) + count
            errors += count if error is not None else 0
    waited = sum(count for (name, *_), count in metrics.totals(catalog.COALESCE_REQUESTS).items() if name == cache)
    return {"runs": runs, "errors": errors, "coalesced": waited}
