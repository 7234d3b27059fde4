"""Windows of a service that becomes worse and recovers, such that each statistic leads the verdict of one series."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from otcache._exports.read import SourceError
from otcache.regression._model import CounterWindow, Explicit, HistogramWindow, SeriesKey, Window
from otcache.regression._sources import Reading
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.metrics import GRID
from otcache.telemetry.catalog import Attribute, Instrument

Phase = Literal["before", "worse", "better"]
PHASES: Final[tuple[Phase | None, ...]] = ("worse", "worse", "worse", "better", "better", "better", None)
"""Of the looks at it, one by one: an alarm is raised, and cleared; then nobody answers."""
MINUTE: Final = 60.0
BOUNDS: Final = tuple(bound / catalog.NS for bound in GRID)
Bands = Sequence[tuple[int, float]]
"""A window: how many values of which size, 1000 in all."""

_STEADY: Final[Bands] = ((900, 0.001), (100, 0.003))
_TAILED: Final[Bands] = ((900, 0.001), (100, 0.01))
SHAPES: Final[Mapping[str, Mapping[Phase, Bands]]] = {
    "mean": {
        "before": _TAILED, "worse": ((600, 0.001), (300, 0.0045), (100, 0.01)), "better": _TAILED,
    },
    "p50": {
        "before": ((600, 0.001), (400, 0.003)), "worse": ((400, 0.001), (200, 0.002), (400, 0.003)),
        "better": ((400, 0.0005), (200, 0.001), (400, 0.0015)),
    },
    "p95": {
        "before": ((980, 0.001), (20, 0.01)), "worse": ((900, 0.001), (80, 0.003), (20, 0.01)),
        "better": ((900, 0.0005), (80, 0.001), (20, 0.005)),
    },
    "p99": {
        "before": ((970, 0.001), (30, 0.002)), "worse": ((970, 0.001), (30, 0.008)),
        "better": ((970, 0.0005), (30, 0.002)),
    },
    "ok": dict.fromkeys(("before", "worse", "better"), _STEADY),
    "minor": {"before": ((1000, 4e-7),), "worse": ((1000, 4.6e-7),), "better": ((1000, 4.6e-7),)},
    "inconclusive": dict.fromkeys(("before", "worse", "better"), ((1, 0.001),)),
}  # fmt: skip
"""By what a series is to show: the statistic that leads, or the verdict."""
HITS: Final[Mapping[Phase, Mapping[str, float]]] = {
    "before": {"hit/none": 900, "miss/absent": 100},
    "worse": {"hit/none": 600, "miss/absent": 400},
    "better": {"hit/none": 900, "miss/absent": 100, "miss/backend_unavailable": 5000},
}
ERRORS: Final[Mapping[Phase, Mapping[str, float]]] = {
    "before": {"ok": 999, "error": 1}, "worse": {"ok": 970, "error": 30}, "better": {"ok": 999, "error": 1},
}  # fmt: skip


def key(row: Instrument, attributes: Mapping[Attribute, str]) -> SeriesKey:
    """A series of a cache called judged."""
    named = {catalog.CACHE: "judged", **attributes}
    return SeriesKey(row.name, frozenset((attribute.name, said) for attribute, said in named.items()))


def _operation(name: str, result: str, tier: str) -> SeriesKey:
    told = {catalog.OPERATION: name, catalog.RESULT: result, catalog.TIER: tier}
    return key(catalog.OPERATION_DURATION, told)


TIMES: Final[Mapping[SeriesKey, str]] = {
    _operation("get", "hit", "l2"): "mean",
    _operation("get", "hit", "l1"): "p50",
    _operation("get", "miss", "none"): "p95",
    _operation("set", "ok", "l2"): "ok",
    _operation("delete", "ok", "l1"): "minor",
    _operation("exists", "hit", "l2"): "inconclusive",
    key(catalog.L2_DURATION, {catalog.DB_OPERATION: "GET"}): "p99",
}
SIZES: Final = key(catalog.PAYLOAD_SIZE, {catalog.IO_DIRECTION: "read"})
LOOKUPS: Final = key(catalog.LOOKUPS, {})
OPERATIONS: Final = key(catalog.OPERATIONS, {catalog.OPERATION: "get"})


SPREAD: Final = ((0.64, 0.1), (0.8, 0.2), (1.0, 0.4), (1.25, 0.2), (1.5625, 0.1))
"""How the values of a band lie around it: factor and share. In one bucket alone no quantile could be told."""


def histogram(bands: Bands, start: float, bounds: tuple[float, ...] = BOUNDS) -> HistogramWindow:
    """One window of values."""
    counts: dict[int, float] = {}
    total = 0.0
    for number, value in bands:
        for factor, share in SPREAD:
            at = bisect_left(bounds, value * factor)
            counts[at] = counts.get(at, 0) + number * share
            total += number * share * value * factor
    number_of_all = sum(number for number, _ in bands)
    layout = Explicit(bounds)
    return HistogramWindow(start, start + MINUTE, number_of_all, total, layout, dict(sorted(counts.items())))


def reading(phase: Phase, start: float, end: float) -> Reading:
    """Every series of the service in a phase, minute by minute."""
    minutes = [start + number * MINUTE for number in range(round((end - start) / MINUTE))]
    bytes_bounds, factor = catalog.PAYLOAD_SIZE.buckets, {"before": 1000.0, "worse": 1150.0, "better": 1000.0}[phase]
    series: dict[SeriesKey, tuple[Window, ...]] = {
        name: tuple(histogram(SHAPES[shape][phase], at) for at in minutes) for name, shape in TIMES.items()
    }
    series[SIZES] = tuple(histogram([(1000, factor)], at, bytes_bounds) for at in minutes)
    series[LOOKUPS] = tuple(CounterWindow(at, at + MINUTE, HITS[phase]) for at in minutes)
    series[OPERATIONS] = tuple(CounterWindow(at, at + MINUTE, ERRORS[phase]) for at in minutes)
    return Reading(series)


class Service:
    """A source of a `Watch`, and its clock.

    Attributes:
        phase: What the service is like from now on; `None` if nobody can be asked.
        now: Seconds since the epoch.
    """

    def __init__(self, now: float = 1_790_000_040.0) -> None:
        self.phase: Phase | None = "before"
        self.now = now

    def __call__(self) -> float:
        return self.now

    def read(self, start: float, end: float) -> Reading:
        """Its windows: the baseline is always as it was before."""
        if self.phase is None:
            raise SourceError("nobody answers")
        return reading(self.phase if end == self.now else "before", start, end)
