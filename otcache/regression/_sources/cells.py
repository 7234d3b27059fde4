"""Arithmetic on histograms: what one has grown by, and two of them together, whatever their buckets are."""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from otcache.regression._model import Explicit, HistogramWindow, Layout
from otcache.regression._statistics.histograms import add_buckets, common_layout

FINEST: Final = 20
"""The largest scale of exponential buckets."""
_SINGLE: Final = Explicit(())
"""One bucket for everything: of buckets that have nothing in common only count and sum are exact."""


@dataclass(frozen=True, slots=True)
class Cells:
    """A histogram without a time; `counts` are by bucket index, `zero` is the zero bucket."""

    count: float
    sum: float
    layout: Layout
    counts: Mapping[int, float]
    zero: float = 0.0

    def window(self, start: float, end: float) -> HistogramWindow:
        """With a time, and without empty buckets."""
        filled = {at: count for at, count in sorted(self.counts.items()) if count}
        return HistogramWindow(start, end, self.count, self.sum, self.layout, filled, self.zero)

    def to(self, layout: Layout) -> Cells:
        """In the buckets of another layout, which has no bucket that splits one of ours."""
        if layout == self.layout:
            return self
        counts: dict[int, float] = {}
        zero = self.zero + add_buckets(self.counts, self.layout, layout, counts)
        if zero and isinstance(layout, Explicit):  # they have no zero bucket
            counts[0], zero = counts.get(0, 0.0) + zero, 0.0
        return replace(self, layout=layout, counts=counts, zero=zero)


def explicit(count: float, total: float, bounds: tuple[float, ...], counts: Collection[float]) -> Cells:
    """From counts in the order of `bounds`, which ascend, one more than there are bounds; or none at all."""
    if not counts and not (bounds and count):
        return Cells(count, total, Explicit(bounds), {len(bounds): count} if count else {})
    if len(counts) != len(bounds) + 1:
        raise ValueError(f"{len(counts)} buckets do not fit {len(bounds)} bounds")
    return Cells(count, total, Explicit(bounds), {at: n for at, n in enumerate(counts) if n})


def cumulative(count: float, total: float, below: Mapping[float, float]) -> Cells:
    """From the number of values at or below each bound, as Prometheus has it; bounds without values may be missing.

    Raises:
        ValueError: The numbers fall as the bounds rise.
    """
    counts, before = [], 0.0
    for _, at_or_below in sorted({**below, math.inf: count}.items()):
        if at_or_below < before:
            raise ValueError("a bucket holds less than the one below it")
        counts.append(at_or_below - before)
        before = at_or_below
    return explicit(count, total, tuple(bound for bound in sorted(below) if bound != math.inf), counts)


@dataclass(frozen=True, slots=True)
class Packed:
    """Cells in a fifth of the memory, for those that are kept in number."""

    cells: Cells
    places: array[int]
    values: array[float]

    @classmethod
    def of(cls, cells: Cells) -> Packed:
        """Pack them."""
        return cls(replace(cells, counts={}), array("q", cells.counts.keys()), array("d", cells.counts.values()))

    def unpacked(self) -> Cells:
        """The cells again."""
        return replace(self.cells, counts=dict(zip(self.places, self.values, strict=True)))


def rise(before: Cells | None, now: Cells) -> Cells:
    """What was counted since `before`: all of `now` where it can't have grown out of it, which is a restart."""
    layout = None if before is None else _comparable(before.layout, now.layout)
    if before is None or layout is None:
        return now
    old, new = before.to(layout), now.to(layout)
    counts = {at: new.counts.get(at, 0.0) - old.counts.get(at, 0.0) for at in {*new.counts, *old.counts}}
    count, zero = new.count - old.count, new.zero - old.zero
    if min(count, zero, *counts.values()) < 0:
        return now
    filled = {at: n for at, n in counts.items() if n}
    return Cells(count, max(0.0, new.sum - old.sum) if count else 0.0, new.layout, filled, zero)


def _comparable(before: Layout, now: Layout) -> Layout | None:
    """The layout in which a histogram may have grown out of an older one; `None` if buckets of that are gone."""
    if isinstance(before, Explicit) and isinstance(now, Explicit):
        return now if before == now or {*before.bounds} <= {*now.bounds} else None
    return common_layout((before, now))


def added(one: Cells, other: Cells) -> Cells:
    """Both together, in the buckets that both have."""
    if not one.count or not other.count:
        return one if one.count else other
    layout = one.layout if one.layout == other.layout else common_layout((one.layout, other.layout)) or _SINGLE
    one, other = one.to(layout), other.to(layout)
    counts = dict(one.counts)
    add_buckets(other.counts, layout, layout, counts)
    return Cells(one.count + other.count, one.sum + other.sum, layout, counts, one.zero + other.zero)
