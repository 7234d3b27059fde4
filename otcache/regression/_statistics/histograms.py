"""Histograms in any layout: merged, brought to a common layout, and read without trusting what a bucket can't tell."""

from __future__ import annotations

import math
import sys
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

from otcache.regression._model import Explicit, Exponential, HistogramWindow, Layout

WIDEST: Final = 1.6
"""A bucket whose bounds are further apart than this can't tell +10 % from +25 % (regression.md 2.3, measured)."""
CROWDED: Final = 0.9
"""A bucket that holds so much together with a neighbour hides the shape of what it holds: requests that all take
nearly the same jump from one bucket to the next, and a median would read +25 % where they take 2 % longer."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """What several windows counted together.

    Attributes:
        count: Values.
        sum: Their sum, in the metric's unit.
        layout: The layout of `counts`; `None` if the windows have none in common.
        counts: Values per bucket index.
        zero: Values in the zero bucket.
    """

    count: float
    sum: float
    layout: Layout | None
    counts: dict[int, float]
    zero: float = 0.0


class Reading(NamedTuple):
    """A quantile, in the metric's unit, and whether its bucket is too coarse to trust it."""

    value: float
    coarse: bool


def common_layout(layouts: Iterable[Layout]) -> Layout | None:
    """The finest layout that all of these can be brought to without guessing; `None` if there is none."""
    known = set(layouts)
    if len(known) == 1:
        return known.pop()
    explicit = [layout for layout in known if isinstance(layout, Explicit)]
    exponential = [layout for layout in known if isinstance(layout, Exponential)]
    if explicit and not exponential:
        shared = set(explicit[0].bounds).intersection(*(layout.bounds for layout in explicit[1:]))
        return Explicit(tuple(sorted(shared))) if shared else None
    if exponential and not explicit:
        scale = min(layout.scale for layout in exponential)
        return Exponential(scale, max(layout.zero_threshold for layout in exponential))
    return None


def merge(windows: Sequence[HistogramWindow], layout: Layout | None) -> Histogram:
    """The windows added up in `layout`, which is theirs or one that `common_layout` gave."""
    counts: dict[int, float] = {}
    zero = 0.0
    if layout is not None:
        for window in windows:
            zero += window.zero + add_buckets(window.counts, window.layout, layout, counts)
    return Histogram(sum(w.count for w in windows), sum(w.sum for w in windows), layout, counts, zero)


def add_buckets(buckets: Mapping[int, float], old: Layout, new: Layout, counts: dict[int, float]) -> float:
    """Add buckets of the layout `old` to `counts` of `new`; what falls into the zero bucket is returned."""
    lost, same = 0.0, old == new
    for index, number in buckets.items():
        place = index if same else place_of(old, new, index)
        if place is None:
            lost += number
        else:
            counts[place] = counts.get(place, 0.0) + number
    return lost


@lru_cache(maxsize=65536)
def place_of(old: Layout, new: Layout, index: int) -> int | None:
    """Where a bucket of `old` goes in the coarser `new`, or in the single bucket of one without bounds.

    Returns:
        Its index; `None` for the zero bucket.
    """
    if isinstance(new, Explicit):
        if isinstance(old, Explicit) and index < len(old.bounds):
            return bisect_left(new.bounds, old.bounds[index])
        return len(new.bounds)
    assert isinstance(old, Exponential)
    if _power(old.scale, index + 1) <= new.zero_threshold:
        return None
    return index >> (old.scale - new.scale)


def _power(scale: int, index: int) -> float:
    """The lower bound of an exponential bucket; infinite, or 0, beyond what a float holds."""
    exponent = index * 2.0**-scale
    return math.inf if exponent >= sys.float_info.max_exp else 2.0**exponent


def readings(histogram: Histogram, shares: Sequence[float]) -> tuple[Reading | None, ...]:
    """Quantiles, log-linear within their bucket; `None` where the histogram is empty or holds no layout.

    Args:
        histogram: What was counted.
        shares: Which quantiles, ascending: 0.5, 0.95.
    """
    if histogram.layout is None:
        return (None,) * len(shares)
    indices = sorted(histogram.counts)
    sums = list(accumulate((histogram.counts[index] for index in indices), initial=histogram.zero))
    if not sums[-1] > 0:
        return (None,) * len(shares)
    return tuple(_read(histogram, indices, sums, share * sums[-1]) for share in shares)


def _read(histogram: Histogram, indices: Sequence[int], sums: Sequence[float], target: float) -> Reading:
    """The value below which `target` of the counted values lie; `sums[i]` of them lie below bucket i."""
    assert histogram.layout is not None
    if target <= sums[0]:
        return Reading(0.0, coarse=True)
    place = min(bisect_left(sums, target), len(indices)) - 1
    lower, upper = _edges(histogram.layout, indices[place])
    if lower <= 0 or upper == math.inf:
        return Reading(upper if lower <= 0 else lower, coarse=True)
    share = (target - sums[place]) / (sums[place + 1] - sums[place])
    coarse = upper / lower > WIDEST or _crowd(indices, sums, place) > CROWDED * sums[-1]
    return Reading(lower * (upper / lower) ** share, coarse)


def _crowd(indices: Sequence[int], sums: Sequence[float], place: int) -> float:
    """What a bucket holds together with the fuller one of its two neighbours."""
    beside = (other for other in (place - 1, place + 1) if 0 <= other < len(indices))
    around = (sums[other + 1] - sums[other] for other in beside if abs(indices[other] - indices[place]) == 1)
    return sums[place + 1] - sums[place] + max(around, default=0.0)


def _edges(layout: Layout, index: int) -> tuple[float, float]:
    """Lower and upper bound of a bucket; the first explicit one starts at 0, the last one never ends."""
    if isinstance(layout, Exponential):
        return _power(layout.scale, index), _power(layout.scale, index + 1)
    bounds = layout.bounds
    return bounds[index - 1] if index > 0 else 0.0, bounds[index] if index < len(bounds) else math.inf
