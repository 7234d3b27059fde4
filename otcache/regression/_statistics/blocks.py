"""From windows to blocks: neighbours merged until each holds enough, and one value per block."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from otcache.regression._model import CounterWindow, GaugeWindow, HistogramWindow, Layout, MetricSpec, Statistic, Window
from otcache.regression._statistics.histograms import Histogram, Reading, merge, readings
from otcache.regression._statistics.shift import undisturbed

MOST: Final = 30
"""Blocks a side: more than these win little, fewer lose power (regression.md 2.4, measured)."""
FEWEST: Final = 6
"""Below so many blocks on either side nothing is said."""
NEEDS: Final[Mapping[Statistic, float]] = {"mean": 30, "p50": 30, "p95": 100, "p99": 500, "ratio": 30, "level": 1}
"""Requests that a block must hold before the statistic means something; windows for a level."""
SHARES: Final[Mapping[Statistic, float]] = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
COARSE_SHARE: Final = 0.1
"""Blocks that may be too coarse: ranks bear a few values that are only known to be large."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One statistic of one side.

    Attributes:
        values: One per block: logarithms for a histogram, shares for a ratio, the level of a gauge.
        middle: The side's value, in the metric's unit; `None` without values.
        total: The statistic of all windows together; `None` where it is not known or the same as `middle`.
        coarse: Whether the buckets are too coarse for it.
        need: What a block had to hold.
    """

    values: tuple[float, ...]
    middle: float | None
    total: float | None = None
    coarse: bool = False
    need: float = 1

    @property
    def is_enough(self) -> bool:
        """Whether there are blocks enough to say anything."""
        return len(self.values) >= FEWEST

    def undisturbed(self) -> Sample | None:
        """The same without the blocks that a noisy neighbour disturbed; `None` if those can't be distinguished."""
        kept = undisturbed(self.values)
        return None if kept is None or len(kept) < FEWEST else replace(self, values=kept)


Samples = dict[Statistic, Sample]
Span = tuple[int, int]


def spans(weights: Sequence[float], need: float, most: int = MOST) -> list[Span]:
    """Neighbouring windows merged, as (first, past the last): each weighs `need` or more, and at most `most` of them.

    Args:
        weights: What each window holds, in the order of time.
        need: What a block must hold. A rest that holds less joins the last block.
        most: The most blocks; beyond that, neighbours are merged evenly.
    """
    found: list[Span] = []
    first, held = 0, 0.0
    for place, weight in enumerate(weights, 1):
        held += weight
        if held >= need:
            found.append((first, place))
            first, held = place, 0.0
    if found:
        found[-1] = (found[-1][0], len(weights))
    if len(found) <= most:
        return found
    edges = [part * len(found) // most for part in range(most + 1)]
    return [(found[one][0], found[two - 1][1]) for one, two in pairwise(edges)]


def sample(windows: Sequence[Window], spec: MetricSpec, layout: Layout | None = None) -> Samples:
    """The block values of one side of a series, per statistic of the specification.

    Args:
        windows: What was exported, of the kind that the specification names; others are left out.
        spec: How the metric is compared.
        layout: Common layout of both sides; `None` if there is none: then a histogram has its mean only.
    """
    if spec.kind == "histogram":
        histograms = [window for window in windows if isinstance(window, HistogramWindow) and window.count > 0]
        return _histogram_samples(histograms, spec.statistics, layout)
    if spec.kind == "ratio":
        return {"ratio": _ratio_sample([window for window in windows if isinstance(window, CounterWindow)], spec)}
    return {"level": _level_sample([window for window in windows if isinstance(window, GaugeWindow)])}


def _histogram_samples(
    windows: Sequence[HistogramWindow], wanted: Sequence[Statistic], layout: Layout | None
) -> Samples:
    weights = [window.count for window in windows]
    merged: dict[Span, Histogram] = {}
    read: dict[Span, tuple[Reading | None, ...]] = {}
    shares = tuple(SHARES.values())
    found: Samples = {}
    for statistic in wanted:
        parts = spans(weights, NEEDS[statistic])
        for part in parts:
            if part not in merged:
                merged[part] = merge(windows[slice(*part)], layout)
                read[part] = readings(merged[part], shares)
        if statistic == "mean":
            found[statistic] = _means([merged[part] for part in parts])
        else:
            place = list(SHARES).index(statistic)
            found[statistic] = _quantiles([read[part][place] for part in parts], NEEDS[statistic])
    return found


def _means(blocks: Iterable[Histogram]) -> Sample:
    return _logarithms((block.sum / block.count for block in blocks), NEEDS["mean"])


def _quantiles(found: Sequence[Reading | None], need: float) -> Sample:
    known = [reading for reading in found if reading is not None]
    coarse = sum(reading.coarse for reading in known) + len(found) - len(known)
    return _logarithms((reading.value for reading in known), need, coarse=coarse > COARSE_SHARE * len(found))


def _logarithms(values: Iterable[float], need: float, *, coarse: bool = False) -> Sample:
    """Values that have no logarithm are left out: they are zero, negative or not a number."""
    logs = tuple(math.log(value) for value in values if value > 0 and math.isfinite(value))
    return Sample(logs, math.exp(statistics.median(logs)) if logs else None, coarse=coarse, need=need)


def _ratio_sample(windows: Sequence[CounterWindow], spec: MetricSpec) -> Sample:
    shares = (_shares_of(window.by, spec) for window in windows)
    counted = [(above, below) for above, below in shares if math.isfinite(above) and 0 < below < math.inf]
    above, below = [part[0] for part in counted], [part[1] for part in counted]
    parts = spans(below, NEEDS["ratio"])
    values = tuple(sum(above[slice(*part)]) / sum(below[slice(*part)]) for part in parts)
    total = sum(above) / sum(below) if values else None
    return Sample(values, total, total, need=NEEDS["ratio"])


def _shares_of(by: Mapping[str, float], spec: MetricSpec) -> tuple[float, float]:
    """What counts above the line of one window, and below it."""
    known = {name: number for name, number in by.items() if not _is_one_of(name, spec.leave_out)}
    above = sum(number for name, number in known.items() if _is_one_of(name, spec.numerator))
    below = sum(n for name, n in known.items() if not spec.denominator or _is_one_of(name, spec.denominator))
    return above, below


def _is_one_of(name: str, names: Sequence[str]) -> bool:
    return any(name == known or name.startswith(known + "/") for known in names)


def _level_sample(windows: Sequence[GaugeWindow]) -> Sample:
    shown = [[value for value in window.values if math.isfinite(value)] for window in windows]
    levels = [statistics.median(values) for values in shown if values]
    values = tuple(statistics.fmean(levels[slice(*part)]) for part in spans([1.0] * len(levels), NEEDS["level"]))
    return Sample(values, statistics.median(values) if values else None)
