"""Arithmetic on histograms: what one has grown by, and two of them together, whatever their buckets are."""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from otcache.regression._model import Explicit, Exponential, HistogramWindow, Layout

FINEST: Final = 20
"""The largest scale of exponential buckets."""
_OVERFLOW: Final = math.inf


@dataclass(frozen=True, slots=True)
class Cells:
    """A histogram without a time.

    Attributes:
        count: Values.
        sum: Their sum.
        layout: How they are bucketed.
        counts: Values per bucket, by the upper bound of an explicit one, by the index of an exponential one.
        zero: Values in the zero bucket.
    """

    count: float
    sum: float
    layout: Layout
    counts: Mapping[float, float]
    zero: float = 0.0

    def window(self, start: float, end: float) -> HistogramWindow:
        """With a time; buckets by index."""
        counts = self.counts
        if isinstance(self.layout, Explicit):
            index = {bound: at for at, bound in enumerate((*self.layout.bounds, _OVERFLOW))}
            counts = {index[bound]: count for bound, count in counts.items()}
        filled = {int(at): count for at, count in sorted(counts.items()) if count}
        return HistogramWindow(start, end, self.count, self.sum, self.layout, filled, self.zero)


def explicit(count: float, total: float, bounds: tuple[float, ...], counts: Collection[float]) -> Cells:
    """From counts in the order of `bounds`, which ascend, one more than there are bounds; or none at all."""
    uppers = (*bounds, _OVERFLOW)
    if not counts and not (bounds and count):
        return Cells(count, total, Explicit(bounds), {_OVERFLOW: count} if count else {})
    if len(counts) != len(uppers):
        raise ValueError(f"{len(counts)} buckets do not fit {len(bounds)} bounds")
    return Cells(count, total, Explicit(bounds), {upper: n for upper, n in zip(uppers, counts, strict=True) if n})


@dataclass(frozen=True, slots=True)
class Packed:
    """Cells in a fifth of the memory, for those that are kept in number."""

    cells: Cells
    uppers: array[float]
    values: array[float]

    @classmethod
    def of(cls, cells: Cells) -> Packed:
        """Pack them."""
        return cls(replace(cells, counts={}), array("d", cells.counts.keys()), array("d", cells.counts.values()))

    def unpacked(self) -> Cells:
        """The cells again."""
        return replace(self.cells, counts=dict(zip(self.uppers, self.values, strict=True)))


def cumulative(count: float, total: float, below: Mapping[float, float]) -> Cells:
    """From the number of values at or below each bound, as Prometheus has it; bounds without values may be missing.

    Raises:
        ValueError: The numbers fall as the bounds rise.
    """
    counts, before = {}, 0.0
    for bound, at_or_below in sorted({**below, _OVERFLOW: count}.items()):
        if at_or_below < before:
            raise ValueError("a bucket holds less than the one below it")
        counts[bound] = at_or_below - before
        before = at_or_below
    bounds = tuple(bound for bound in sorted(below) if bound != _OVERFLOW)
    return Cells(count, total, Explicit(bounds), {bound: n for bound, n in counts.items() if n})


def rise(before: Cells | None, now: Cells) -> Cells:
    """What was counted since `before`: all of `now` where it can't have grown out of it, which is a restart."""
    if before is None:
        return now
    old, new = (before, now) if before.layout == now.layout else _comparable(before, now)
    if old is None:
        return now
    counts = {at: new.counts.get(at, 0.0) - old.counts.get(at, 0.0) for at in {*new.counts, *old.counts}}
    count, zero = new.count - old.count, new.zero - old.zero
    if min(count, zero, *counts.values()) < 0:
        return now
    filled = {at: n for at, n in counts.items() if n}
    return Cells(count, max(0.0, new.sum - old.sum) if count else 0.0, new.layout, filled, zero)


def added(one: Cells, other: Cells) -> Cells:
    """Both together, in the buckets that both have."""
    if not one.count or not other.count:
        return one if one.count else other
    one, other = _common(one, other)
    counts = dict(one.counts)
    for at, n in other.counts.items():
        counts[at] = counts.get(at, 0.0) + n
    return Cells(one.count + other.count, one.sum + other.sum, one.layout, counts, one.zero + other.zero)


def _comparable(before: Cells, now: Cells) -> tuple[Cells | None, Cells]:
    """Both in the same buckets; `None` if those of `before` are gone."""
    if isinstance(before.layout, Exponential) and isinstance(now.layout, Exponential):
        return _aligned(before, now)
    if isinstance(before.layout, Explicit) and isinstance(now.layout, Explicit):
        return (before if {*before.layout.bounds} <= {*now.layout.bounds} else None), now
    return None, now


def _common(one: Cells, other: Cells) -> tuple[Cells, Cells]:
    if one.layout == other.layout:
        return one, other
    if isinstance(one.layout, Exponential) and isinstance(other.layout, Exponential):
        return _aligned(one, other)
    if isinstance(one.layout, Explicit) and isinstance(other.layout, Explicit):
        shared = tuple(sorted({*one.layout.bounds} & {*other.layout.bounds}))
        return _wider(one, shared), _wider(other, shared)
    return _wider(one, ()), _wider(other, ())  # buckets of two kinds: only count and sum are exact


def _wider(cells: Cells, bounds: tuple[float, ...]) -> Cells:
    """In fewer explicit buckets, whose bounds it has."""
    if isinstance(cells.layout, Exponential):
        return Cells(cells.count, cells.sum, Explicit(()), {_OVERFLOW: cells.count})
    counts: dict[float, float] = {}
    for upper, n in cells.counts.items():
        at = next((bound for bound in bounds if bound >= upper), _OVERFLOW)
        counts[at] = counts.get(at, 0.0) + n
    return replace(cells, layout=Explicit(bounds), counts=counts)


def _aligned(one: Cells, other: Cells) -> tuple[Cells, Cells]:
    """Two exponential ones at the smaller scale and the larger zero threshold."""
    layouts = [cells.layout for cells in (one, other) if isinstance(cells.layout, Exponential)]
    layout = Exponential(min(each.scale for each in layouts), max(each.zero_threshold for each in layouts))
    return _coarser(one, layout), _coarser(other, layout)


def _coarser(cells: Cells, layout: Exponential) -> Cells:
    shift = cells.layout.scale - layout.scale if isinstance(cells.layout, Exponential) else 0
    counts: dict[float, float] = {}
    zero = cells.zero
    for at, n in cells.counts.items():
        index = int(at) >> shift
        if layout.zero_threshold and upper_of(index, layout.scale) <= layout.zero_threshold:
            zero += n
        else:
            counts[index] = counts.get(index, 0.0) + n
    return replace(cells, layout=layout, counts=counts, zero=zero)


def upper_of(index: int, scale: int) -> float:
    """Upper bound of an exponential bucket; infinite where a float ends."""
    try:
        return math.pow(2.0, (index + 1) * 2.0**-scale)
    except OverflowError:
        return math.inf
