"""Samples as Prometheus' HTTP API writes them: numbers, classic and native histograms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Final

from otcache.regression._model import Exponential
from otcache.regression._sources.cells import FINEST, Cells, cumulative

Point = tuple[float, float]
"""A time and a value."""
_BOTH_CLOSED: Final = 3
"""The rule of a bucket that holds both its bounds: the zero bucket."""


def numbers(values: Iterable[Any]) -> list[Point]:
    """Pairs of a time and a number as text. Raises ValueError: a time is no number, or they are not in order."""
    points = [(float(at), float(value)) for at, value in values]
    if any(later[0] <= earlier[0] for earlier, later in pairwise(points)):
        raise ValueError("the times are not in order")
    return points


def classic(buckets: Mapping[float, list[Point]], sums: list[Point], counts: list[Point]) -> list[tuple[float, Cells]]:
    """Histograms from the series `_bucket` by their `le`, `_sum` and `_count`, joined by time."""
    below: dict[float, dict[float, float]] = {}
    for bound, points in buckets.items():
        for at, value in points:
            below.setdefault(at, {})[bound] = value
    summed, counted = dict(sums), dict(counts)
    found = ((at, _classic(below[at], summed.get(at), counted.get(at))) for at in sorted(below))
    return [(at, cells) for at, cells in found if cells is not None]


def _classic(below: Mapping[float, float], total: float | None, count: float | None) -> Cells | None:
    """`None` if a part is missing, is no number, or contradicts another."""
    everything = below.get(math.inf, count)
    if total is None or everything is None or not all(map(math.isfinite, (total, everything, *below.values()))):
        return None
    try:
        return cumulative(everything, total, below)
    except ValueError:
        return None


def native(samples: Iterable[Any]) -> list[tuple[float, Cells]]:
    """Native histograms: pairs of a time and `{count, sum, buckets: [[rule, low, high, n], ...]}`.

    Raises:
        ValueError: They are no such pairs.
    """
    found = sorted((float(at), histogram) for at, histogram in samples)
    bounds = _custom_bounds(histogram for _, histogram in found)
    cells = ((at, _native(histogram, bounds)) for at, histogram in found)
    return [(at, each) for at, each in cells if each is not None]


def _native(histogram: Mapping[str, Any], bounds: frozenset[float]) -> Cells | None:
    count, total = float(histogram["count"]), float(histogram["sum"])
    if not math.isfinite(count) or not math.isfinite(total):
        return None
    if bounds:
        return _custom(histogram, count, total, bounds)
    scale, threshold, zero, counts = FINEST, 0.0, 0.0, dict[int, float]()
    for rule, low, high, n in _buckets(histogram):
        if rule == _BOTH_CLOSED or high <= 0:  # nothing that otcache measures is below 0
            zero, threshold = zero + n, max(threshold, high)
            continue
        scale = _scale(low, high)
        counts[round(math.log2(high) * 2.0**scale) - 1] = n
    return Cells(count, total, Exponential(scale, threshold), counts, zero)


def _scale(low: float, high: float) -> int:
    """The scale of a bucket whose upper bound is 2**(2**-scale) times its lower one."""
    return -round(math.log2(math.log2(high) - math.log2(low)))


def _custom_bounds(histograms: Iterable[Mapping[str, Any]]) -> frozenset[float]:
    """The bounds of histograms whose buckets are not exponential (schema -53): those of the buckets that are filled."""
    filled = [_buckets(histogram) for histogram in histograms]
    if all(map(_are_exponential, filled)):
        return frozenset()
    uppers = (bound for buckets in filled for _, low, high, _ in buckets for bound in (low, high))
    return frozenset(bound for bound in uppers if math.isfinite(bound))


def _are_exponential(buckets: list[tuple[int, float, float, float]]) -> bool:
    """Whether all have the same growth, a root of 2 or a power of it, and lie where that growth leads from 1."""
    scales = set()
    for rule, low, high, _ in buckets:
        if rule == _BOTH_CLOSED or high <= 0:
            continue
        if low <= 0 or not math.isfinite(high):
            return False
        scales.add(scale := _scale(low, high))
        at = math.log2(high) * 2.0**scale
        if abs(at - round(at)) > 1e-4 or abs((at - math.log2(low) * 2.0**scale) - 1) > 1e-4:
            return False
    return len(scales) <= 1


def _custom(histogram: Mapping[str, Any], count: float, total: float, bounds: frozenset[float]) -> Cells:
    per = [(high, n) for _, _, high, n in _buckets(histogram)]
    below = {bound: math.fsum(n for high, n in per if high <= bound) for bound in bounds}
    return cumulative(count, total, below)


def _buckets(histogram: Mapping[str, Any]) -> list[tuple[int, float, float, float]]:
    filled = histogram.get("buckets") or ()
    return [(int(rule), float(low), float(high), float(n)) for rule, low, high, n in filled]
