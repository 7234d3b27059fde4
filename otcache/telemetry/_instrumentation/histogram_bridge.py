"""Integer cells become an SDK histogram: the one file that knows SDK internals, by duck typing.

The Python SDK has no MetricProducer. What works on every supported version: an observable callback
runs before the histograms of the same collection are collected; inside it, one public `record()` per
series makes the SDK create its aggregation in every reader, views applied; the remaining counts are
then added to that aggregation. Where an aggregation is not as expected (exponential, another SDK),
the counts are replayed by the public `record()`: the same buckets, count and sum, at a higher price
that is paid in the reader's thread.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import compress
from operator import sub
from typing import Any, Final, NamedTuple

from opentelemetry.metrics import Histogram

MOST_REPLAYED: Final = 20_000
"""Public `record()` calls per series and collection (about 0.2 s); the rest waits for the next one."""


@dataclass(slots=True, eq=False)
class Series:
    """One series: its cell, its attributes as exported, and what the SDK has been given of it.

    A histogram's cell holds the counts per grid bucket and the sum, a counter's its total. `exemplar` is the last
    sampled value and its context, until it is handed over; `given` the cell as of the last hand-over.
    """

    cell: list[int]
    attributes: dict[str, str]
    exemplar: tuple[int, Any] | None = None
    given: list[int] = field(default_factory=list)


class Bridge:
    """Hands the cells of one histogram to the SDK; a cell's unit divided by `scale` is the instrument's."""

    def __init__(self, handle: Histogram, grid: tuple[int, ...], scale: float) -> None:
        self._handle = handle
        self._grid = grid
        self._scale = scale

    def hand_over(self, all_series: Iterable[Series]) -> None:
        """Give every new count to the SDK. Called in the reader's thread, under the SDK's collection lock."""
        for series in all_series:
            snapshot = series.cell[:]
            if snapshot == series.given:
                continue
            new = _News.between(series.given or [0] * len(snapshot), snapshot)
            if new.counts:
                series.given = self._give(series, new, snapshot)

    def _give(self, series: Series, new: _News, snapshot: list[int]) -> list[int]:
        exemplar, series.exemplar = series.exemplar, None
        values = _representatives(new, self._grid)
        index, value, context = self._first(new, values, exemplar)
        self._handle.record(value / self._scale, series.attributes, context)
        rest = new.without(index, value)
        targets = _aggregations(self._handle, series.attributes)
        if targets is not None:
            for target in targets:
                _merge(target, rest, values, self._grid, self._scale)
            return snapshot
        given = series.given[:] or [0] * len(snapshot)
        given[index] += 1
        given[-1] += value
        return self._replay(series, rest, given)

    def _first(self, new: _News, values: dict[int, int], exemplar: tuple[int, Any] | None) -> tuple[int, int, Any]:
        """Bucket, value and context of the one measurement that is recorded publicly."""
        if exemplar is not None:
            value, context = exemplar
            index = bisect_left(self._grid, value)
            if index in new.counts:
                return index, value, context
        index = next(iter(new.counts))
        return index, values[index], None

    def _replay(self, series: Series, rest: _News, given: list[int]) -> list[int]:
        values = _representatives(rest, self._grid)
        budget = MOST_REPLAYED
        for index, count in rest.counts.items():
            done = min(count, budget)
            for _ in range(done):
                self._handle.record(values[index] / self._scale, series.attributes)
            budget -= done
            given[index] += done
            given[-1] += done * values[index]
        return given  # what rounding left of the sum goes with the next counts


class _News(NamedTuple):
    """What has been counted since: of a hundred buckets the few that are not 0, in order, and what the sum gained."""

    counts: dict[int, int]
    total: int

    @classmethod
    def between(cls, before: list[int], now: list[int]) -> _News:
        """The difference of two states of one cell."""
        *delta, total = map(sub, now, before)
        return cls({index: delta[index] for index in compress(range(len(delta)), delta)}, total)

    def without(self, index: int, value: int) -> _News:
        """The same without one measurement of `value` in bucket `index`."""
        counts = self.counts.copy()
        counts[index] -= 1
        if not counts[index]:
            del counts[index]
        return _News(counts, self.total - value)


def _representatives(new: _News, grid: tuple[int, ...]) -> dict[int, int]:
    """A value inside each bucket, so that counts times values add up to the sum (but for rounding)."""
    limits = {index: _limits(index, grid) for index in new.counts}
    low = sum(count * limits[index][0] for index, count in new.counts.items())
    high = sum(count * limits[index][1] for index, count in new.counts.items())
    share = min(max((new.total - low) / (high - low), 0.0), 1.0) if high > low else 1.0
    values = {index: a + round(share * (b - a)) for index, (a, b) in limits.items()}
    beyond = new.counts.get(len(grid))
    if beyond:  # there is no upper bound: it takes what the others leave
        others = sum(count * values[index] for index, count in new.counts.items() if index != len(grid))
        values[len(grid)] = max(values[len(grid)], (new.total - others) // beyond)
    return values


def _limits(index: int, grid: tuple[int, ...]) -> tuple[int, int]:
    """The least and the greatest value of a bucket; the last one has room for one value only."""
    low = grid[index - 1] + 1 if index else 1
    return low, grid[index] if index < len(grid) else low


def _aggregations(handle: Any, attributes: dict[str, str]) -> list[Any] | None:
    """The explicit-bucket aggregations that hold this series, one per reader and view; `None`: replay."""
    real = getattr(handle, "_real_instrument", handle)
    try:
        storages = real._measurement_consumer._reader_storages.values()  # noqa: SLF001
        matches = [m for s in storages for m in s._instrument_view_instrument_matches.get(real, ())]  # noqa: SLF001
        found = [_aggregation(match, attributes) for match in matches]
    except (AttributeError, KeyError, TypeError):
        return None
    if any(target is _UNKNOWN for target in found):
        return None
    return [target for target in found if target is not None]


_UNKNOWN: Final = object()


def _aggregation(match: Any, attributes: dict[str, str]) -> Any:
    """The aggregation of one view; `None` where the view drops the metric, `_UNKNOWN` where it is foreign."""
    kept = match._view._attribute_keys  # noqa: SLF001
    wanted = attributes if kept is None else {k: v for k, v in attributes.items() if k in kept}
    for candidate in list(match._attributes_aggregation.values()):  # noqa: SLF001
        if dict(candidate._attributes or {}) == wanted:  # noqa: SLF001
            if type(candidate).__name__ == "_DropAggregation":
                return None
            return candidate if _is_as_expected(candidate) else _UNKNOWN
    return None if type(match._aggregation).__name__ == "_DropAggregation" else _UNKNOWN  # noqa: SLF001


def _is_as_expected(target: Any) -> bool:
    value, bounds = target._value, target._boundaries  # noqa: SLF001
    return isinstance(value, list) and len(value) == len(bounds) + 1 and hasattr(target._lock, "__enter__")  # noqa: SLF001


def _merge(target: Any, rest: _News, values: dict[int, int], grid: tuple[int, ...], scale: float) -> None:
    """Add counts and sum; a grid bucket goes where its upper bound lies, min and max are known to its width."""
    with target._lock:  # noqa: SLF001
        for index, count in rest.counts.items():
            upper = grid[index] / scale if index < len(grid) else float("inf")
            target._value[bisect_left(target._boundaries, upper)] += count  # noqa: SLF001
        target._sum += rest.total / scale  # noqa: SLF001
        if rest.counts:
            filled = list(rest.counts)
            target._min = min(target._min, values[filled[0]] / scale)  # noqa: SLF001
            target._max = max(target._max, values[filled[-1]] / scale)  # noqa: SLF001
