"""What a process did, minute by minute, and the windows that must come out of it, computed without any source."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from otcache.regression._model import CounterWindow, Explicit, HistogramWindow

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01)
"""Of every explicit histogram of these tests."""
STEP: Final = 60.0
GET_HIT: Final = {
    "otcache.cache.name": "users",
    "otcache.operation.name": "get",
    "otcache.result": "hit",
    "otcache.tier": "l2",
}
"""Attributes of a duration."""
LOOKUP: Final = {"otcache.cache.name": "users", "otcache.tier": "l2", "otcache.miss.reason": "none"}


@dataclass(frozen=True)
class Minute:
    """What one process measured in one minute.

    Attributes:
        values: Durations, in seconds.
        restarted: Whether it is a new process, whose counts begin at 0 with this minute.
    """

    values: tuple[float, ...]
    restarted: bool = False


@dataclass(frozen=True)
class Total:
    """The cumulative numbers at the end of a minute.

    Attributes:
        at: Seconds since the epoch.
        born: When the process began to count.
        below: Values at or below each of `BOUNDS`.
    """

    at: float
    born: float
    count: int
    sum: float
    below: tuple[int, ...]


def totals(minutes: Sequence[Minute], start: float) -> list[Total]:
    """The cumulative numbers at `start` and at the end of every minute."""
    born, values, found = start - STEP, [0.003], [_total(start, start - STEP, [0.003])]
    for number, minute in enumerate(minutes):
        if minute.restarted:
            born, values = start + number * STEP, []
        values = [*values, *minute.values]
        found.append(_total(start + (number + 1) * STEP, born, values))
    return found


def _total(at: float, born: float, values: Sequence[float]) -> Total:
    below = tuple(sum(value <= bound for value in values) for bound in BOUNDS)
    return Total(at, born, len(values), math.fsum(values), below)


def window(number: int, values: Sequence[float], start: float) -> HistogramWindow:
    """The window of these values, by hand."""
    counts: dict[int, float] = {}
    for value in values:
        at = bisect.bisect_left(BOUNDS, value)
        counts[at] = counts.get(at, 0) + 1
    begin = start + number * STEP
    filled = dict(sorted(counts.items()))
    return HistogramWindow(begin, begin + STEP, len(values), math.fsum(values), Explicit(BOUNDS), filled)


def windows(minutes: Sequence[Minute], start: float) -> list[HistogramWindow]:
    """The windows of minutes in which something was measured."""
    return [window(at, minute.values, start) for at, minute in enumerate(minutes) if minute.values]


def counted(minutes: Sequence[Minute], start: float) -> list[CounterWindow]:
    """How many values there were per minute, as hits."""
    return [
        CounterWindow(start + at * STEP, start + (at + 1) * STEP, {"hit/none": len(minute.values)})
        for at, minute in enumerate(minutes)
        if minute.values
    ]


def same(found: Sequence[object], expected: Sequence[HistogramWindow]) -> bool:
    """Whether windows are equal, their sums to what subtracting floats leaves."""
    return len(found) == len(expected) and all(map(_same, found, expected))


def _same(one: object, other: HistogramWindow) -> bool:
    return (
        isinstance(one, HistogramWindow)
        and (one.start, one.end, one.layout) == (other.start, other.end, other.layout)
        and (one.count, dict(one.counts), one.zero) == (other.count, dict(other.counts), other.zero)
        and math.isclose(one.sum, other.sum, abs_tol=1e-9)
    )
