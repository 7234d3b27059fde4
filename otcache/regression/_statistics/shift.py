"""Shifts and their intervals by rank: no assumption on the shape of the noise, and the same answer every time."""

from __future__ import annotations

import math
import statistics
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, combinations_with_replacement
from typing import Final, NamedTuple

EXACT_PAIRS: Final = 25
"""Up to so many values on each side the Mann-Whitney distribution is counted out."""
EXACT_SIGNS: Final = 1000
EXACT_RANKS: Final = 50

STANDS_OUT: Final = 4.0
"""Deviations (1.4826 median absolute ones) above the median from which on a value was disturbed."""
MOST_DISTURBED: Final = 0.4


class Interval(NamedTuple):
    """An estimate between its one-sided bounds, each infinite where the data can't give one."""

    estimate: float
    low: float
    high: float

    def map(self, change: Callable[[float], float]) -> Interval:
        """The same on another scale; `change` grows with its argument."""
        return Interval(*map(change, self))

    @property
    def known_low(self) -> float | None:
        """The lower bound; `None` if there is none."""
        return self.low if math.isfinite(self.low) else None

    @property
    def known_high(self) -> float | None:
        """The upper bound; `None` if there is none."""
        return self.high if math.isfinite(self.high) else None

    def mirrored(self) -> Interval:
        """The same with the two sides exchanged."""
        return Interval(-self.estimate, -self.high, -self.low)


class Levels(NamedTuple):
    """How often a bound may be wrong by chance, each side on its own."""

    low: float = 0.01
    high: float = 0.005

    def shared(self, series: int) -> Levels:
        """The levels of one of so many series that are compared together (Bonferroni)."""
        return Levels(self.low / max(series, 1), self.high / max(series, 1))


LEVELS: Final = Levels()


def shift(baseline: Sequence[float], current: Sequence[float], levels: Levels = LEVELS) -> Interval:
    """How far `current` lies above `baseline`: Hodges-Lehmann, bounds from the Mann-Whitney distribution.

    Raises:
        ValueError: If a side is empty.
    """
    if not baseline or not current:
        raise ValueError("a shift needs values on both sides")
    ordered = sorted([new - old for new in current for old in baseline])
    sizes = len(baseline), len(current)
    if max(sizes) <= EXACT_PAIRS:
        return _between(ordered, levels, lambda level: bisect_right(_mann_whitney(*sizes), level))
    spread = _spread_with_ties(baseline, current)
    return _between(ordered, levels, lambda level: _normal_skip(len(ordered), spread, level))


def sign_interval(values: Sequence[float], levels: Levels = LEVELS) -> Interval:
    """The median of `values`, bounds from the number of signs. Raises ValueError: if there are none."""
    ordered = sorted(values)
    size = len(ordered)
    if size <= EXACT_SIGNS:
        return _between(ordered, levels, lambda level: bisect_right(_signs(size), level))
    return _between(ordered, levels, lambda level: _normal_skip(size, math.sqrt(size) / 2, level))


def signed_rank_interval(values: Sequence[float], levels: Levels = LEVELS) -> Interval:
    """The centre of symmetric `values`: the median of all averages of two, bounds by Wilcoxon's signed ranks.

    Raises:
        ValueError: If there are none.
    """
    size = len(values)
    averages = sorted([(one + two) / 2 for one, two in combinations_with_replacement(values, 2)])
    if size <= EXACT_RANKS:
        return _between(averages, levels, lambda level: bisect_right(_signed_ranks(size), level))
    spread = math.sqrt(size * (size + 1) * (2 * size + 1) / 24)
    return _between(averages, levels, lambda level: _normal_skip(len(averages), spread, level))


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which `share` of sorted values lie, interpolated."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def undisturbed(values: Sequence[float]) -> tuple[float, ...] | None:
    """The values without those that stand out upwards; `None` if too many do to tell which are the disturbed ones."""
    middle = statistics.median(values)
    spread = 1.4826 * statistics.median(abs(value - middle) for value in values)
    kept = tuple(value for value in values if value <= middle + STANDS_OUT * spread)
    return kept if len(kept) >= len(values) * (1 - MOST_DISTURBED) else None


def _between(ordered: Sequence[float], levels: Levels, skip: Callable[[float], int]) -> Interval:
    """The median, and the bounds that leave out as many of the ordered values as the level allows."""
    down, up = skip(levels.low), skip(levels.high)
    low = ordered[down - 1] if down else -math.inf
    high = ordered[-up] if up else math.inf
    return Interval(statistics.median(ordered), low, high)


def _normal_skip(size: int, spread: float, level: float) -> int:
    """How many of `size` ordered values lie outside of a bound, by the normal distribution with continuity."""
    return max(0, math.floor(size / 2 + 0.5 + statistics.NormalDist().inv_cdf(level) * spread))


def _spread_with_ties(baseline: Sequence[float], current: Sequence[float]) -> float:
    """The standard deviation of the Mann-Whitney statistic, smaller where values are equal."""
    total = len(baseline) + len(current)
    ties = sum(count**3 - count for count in Counter([*baseline, *current]).values())
    return math.sqrt(len(baseline) * len(current) / 12 * (total + 1 - ties / (total * (total - 1))))


def _cumulated(ways: Iterable[int]) -> tuple[float, ...]:
    sums = list(accumulate(ways))
    return tuple(value / sums[-1] for value in sums)


@lru_cache(maxsize=512)
def _mann_whitney(first: int, second: int) -> tuple[float, ...]:
    """P(U <= u) for u = 0, 1, …: a Gaussian binomial coefficient, multiplied out."""
    ways = [1] + [0] * (first * second)
    for step in range(1, first + 1):
        for place in range(len(ways) - 1, second + step - 1, -1):
            ways[place] -= ways[place - second - step]
        for place in range(step, len(ways)):
            ways[place] += ways[place - step]
    return _cumulated(ways)


@lru_cache(maxsize=512)
def _signs(size: int) -> tuple[float, ...]:
    """P(B <= b) of so many fair coins."""
    return _cumulated(math.comb(size, heads) for heads in range(size + 1))


@lru_cache(maxsize=128)
def _signed_ranks(size: int) -> tuple[float, ...]:
    """P(W <= w): in how many ways ranks 1..size add up to w."""
    ways = [1] + [0] * (size * (size + 1) // 2)
    for rank in range(1, size + 1):
        for place in range(len(ways) - 1, rank - 1, -1):
            ways[place] += ways[place - rank]
    return _cumulated(ways)


def wilson(hits: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share, 95 % by default; (0, 1) without a trial."""
    if not trials:
        return 0.0, 1.0
    share, room = hits / trials, z * z / trials
    middle = share + room / 2
    spread = z * math.sqrt((share * (1 - share) + room / 4) / trials)
    return max(0.0, (middle - spread) / (1 + room)), min(1.0, (middle + spread) / (1 + room))
