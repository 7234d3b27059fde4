"""Steps in a history, one value per commit or day: where the level changed, and by how much."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

SIDE: Final = 5
"""Points on each side of a step: fewer would make a step of a spike."""
SMALLEST: Final = 0.05
"""Jumps below this are not reported."""
CRITICAL: Final[tuple[tuple[int, float], ...]] = (
    (14, 3.130), (15, 3.240), (16, 3.255), (18, 3.311), (20, 3.394), (25, 3.503), (30, 3.629), (40, 3.701),
    (60, 3.837), (90, 3.930), (140, 4.071), (250, 4.126), (500, 4.188), (1000, 4.277),
)  # fmt: skip
"""Length of a series, and the standardised rank sum that chance exceeds in one of 1000 stable series.

The largest over all splits, from its permutation distribution: `python -m benchmarks.changepoint_table` prints it.
"""


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """A step.

    Attributes:
        index: The first value on the new level.
        before: Median of the level before, from the last step on.
        after: Median of the level after, up to the next step.
        change: The step as a fraction of the level before; `None` where that is zero.
    """

    index: int
    before: float
    after: float
    change: float | None


def find_steps(values: Sequence[float], smallest: float = SMALLEST) -> tuple[ChangePoint, ...]:
    """The steps of a series, in order.

    Args:
        values: One per commit or day, in order. What is not a number was not measured, and is passed over.
        smallest: The smallest step that counts, as a fraction of the smaller of its two levels.
    """
    places = [place for place, value in enumerate(values) if math.isfinite(value)]
    known = [values[place] for place in places]
    edges = _merged(known, _refined(known, sorted(_split(known, 0, len(known)))), smallest)
    return tuple(_change(known, edges, number, places) for number in range(1, len(edges) - 1))


def critical_value(size: int) -> float:
    """What the largest standardised rank sum must reach; infinite for a series too short to show a step."""
    lengths = [length for length, _ in CRITICAL]
    if size < lengths[0]:
        return math.inf
    if size > lengths[-1]:
        return CRITICAL[-1][1]
    above = max(1, bisect_left(lengths, size))
    (left, low), (right, high) = CRITICAL[above - 1], CRITICAL[above]
    return low + (high - low) * math.log(size / left) / math.log(right / left)


def strongest_split(values: Sequence[float]) -> tuple[int, float]:
    """The split with the largest standardised rank sum, and how large that is; (0, 0) where no split has two sides."""
    size = len(values)
    ranks, ties = _ranks(values)
    spread = (size + 1 - ties / (size * (size - 1))) / 12 if size > 1 else 0.0
    if size < 2 * SIDE or spread <= 0:
        return 0, 0.0
    sums = list(accumulate(ranks))
    return max(
        (
            (place, abs(sums[place - 1] - place * (size + 1) / 2) / math.sqrt(place * (size - place) * spread))
            for place in range(SIDE, size - SIDE + 1)
        ),
        key=lambda found: found[1],
    )


def _ranks(values: Sequence[float]) -> tuple[list[float], int]:
    """The rank of each value, equal ones sharing theirs, and the sum of t**3 - t over the ties."""
    counts = Counter(values)
    rank_of, below = {}, 0
    for value in sorted(counts):
        rank_of[value] = below + (counts[value] + 1) / 2
        below += counts[value]
    return [rank_of[value] for value in values], sum(count**3 - count for count in counts.values())


def _split(values: Sequence[float], start: int, stop: int) -> Iterator[int]:
    """The steps between two places: the clearest, and those on either side of it."""
    pending = [(start, stop)]
    while pending:
        left, right = pending.pop()
        place = _clearest(values, left, right)
        if place is not None:
            yield place
            pending += [(left, place), (place, right)]


def _clearest(values: Sequence[float], start: int, stop: int) -> int | None:
    """The clearest step of a segment or of a part of it: over the whole, a level that comes back hides its two steps.

    The parts share a level (Bonferroni, by the normal tail), the whole has its own.
    """
    parts = list(_parts(start, stop))
    rise = 2 * math.log(max(1, len(parts)))
    best, found = 1.0, None
    for left, right in [(start, stop), *parts]:
        place, strength = strongest_split(values[left:right])
        needed = critical_value(right - left)
        clearness = strength / (math.hypot(needed, math.sqrt(rise)) if right - left < stop - start else needed)
        if place and clearness >= best:
            best, found = clearness, left + place
    return found


def _parts(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Halves, quarters and eighths of a segment, each overlapping the next by half."""
    for share in (2, 4, 8):
        length = (stop - start) // share
        if length >= CRITICAL[0][0]:
            for half in range(2 * share - 1):
                left = start + half * (stop - start) // (2 * share)
                yield left, left + length


def _refined(values: Sequence[float], found: Sequence[int]) -> list[int]:
    """The edges of all levels, each step moved to where it is strongest between its neighbours, or dropped."""
    edges = [0, *found, len(values)]
    number = 1
    while number < len(edges) - 1:
        left, right = edges[number - 1], edges[number + 1]
        place, strength = strongest_split(values[left:right])
        if place and strength >= critical_value(right - left):
            edges[number] = left + place
            number += 1
        else:
            del edges[number]
    return edges


def _merged(values: Sequence[float], edges: list[int], smallest: float) -> list[int]:
    """The edges without the steps that are too small, the smallest taken out first."""
    edges = list(edges)
    while len(edges) > 2:
        levels = [statistics.median(values[one:two]) for one, two in pairwise(edges)]
        size, number = min((_jump(one, two), number) for number, (one, two) in enumerate(pairwise(levels), 1))
        if size >= smallest:
            break
        del edges[number]
    return edges


def _jump(before: float, after: float) -> float:
    """The step as a fraction of the smaller level, so that a fall and a rise weigh the same."""
    smaller = min(abs(before), abs(after))
    if before == after:
        return 0.0
    return abs(after - before) / smaller if smaller else math.inf


def _change(values: Sequence[float], edges: Sequence[int], number: int, places: Sequence[int]) -> ChangePoint:
    before = statistics.median(values[edges[number - 1] : edges[number]])
    after = statistics.median(values[edges[number] : edges[number + 1]])
    return ChangePoint(places[edges[number]], before, after, (after - before) / abs(before) if before else None)
