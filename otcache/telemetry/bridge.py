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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry.metrics import Histogram

MOST_REPLAYED: Final = 20_000
"""Public `record()` calls per series and collection (about 0.2 s); the rest waits for the next one."""


@dataclass(slots=True, eq=False)
class Series:
    """One series: its cell, its attributes, and what the SDK has been given of it.

    Attributes:
        cell: For a histogram, counts per grid bucket and the sum; for a counter, its total.
        attributes: As they are exported.
        exemplar: The last sampled value and its context, until it is handed over.
        given: The histogram's cell as of the last hand-over.
    """

    cell: list[int]
    attributes: dict[str, str]
    exemplar: tuple[int, Any] | None = None
    given: list[int] = field(default_factory=list)


class Bridge:
    """Hands the cells of one histogram to the SDK.

    Args:
        handle: The instrument, real or the API's proxy.
        grid: Upper bounds of the cells' buckets.
        scale: What a cell's unit is divided by to give the instrument's.
    """

    def __init__(self, handle: Histogram, grid: tuple[int, ...], scale: float) -> None:
        self._handle = handle
        self._grid = grid
        self._scale = scale

    def hand_over(self, all_series: Iterable[Series]) -> None:
        """Give every new count to the SDK. Called in the reader's thread, under the SDK's collection lock."""
        for series in all_series:
            snapshot = series.cell[:]
            given = series.given or [0] * len(snapshot)
            delta = [now - before for now, before in zip(snapshot, given, strict=True)]
            if any(delta[:-1]):
                series.given = self._give(series, delta, given)

    def _give(self, series: Series, delta: list[int], given: list[int]) -> list[int]:
        exemplar, series.exemplar = series.exemplar, None
        values = _representatives(delta, self._grid)
        index, value, context = self._first(delta, values, exemplar)
        self._handle.record(value / self._scale, series.attributes, context)
        rest = delta[:]
        rest[index] -= 1
        rest[-1] -= value
        targets = _aggregations(self._handle, series.attributes)
        if targets is not None:
            for target in targets:
                _merge(target, rest, values, self._grid, self._scale)
            return [a + b for a, b in zip(given, delta, strict=True)]
        given = given[:]
        given[index] += 1
        given[-1] += value
        return self._replay(series, rest, given)

    def _first(self, delta: list[int], values: list[int], exemplar: tuple[int, Any] | None) -> tuple[int, int, Any]:
        """Bucket, value and context of the one measurement that is recorded publicly."""
        if exemplar is not None:
            value, context = exemplar
            index = bisect_left(self._grid, value)
            if delta[index] > 0:
                return index, value, context
        index = next(i for i, count in enumerate(delta[:-1]) if count > 0)
        return index, values[index], None

    def _replay(self, series: Series, rest: list[int], given: list[int]) -> list[int]:
        values = _representatives(rest, self._grid)
        budget = MOST_REPLAYED
        for index, count in enumerate(rest[:-1]):
            for _ in range(min(count, budget)):
                self._handle.record(values[index] / self._scale, series.attributes)
            done = max(0, min(count, budget))
            budget -= done
            given[index] += done
            given[-1] += done * values[index]
        return given  # what rounding left of the sum goes with the next counts


def _representatives(delta: Sequence[int], grid: tuple[int, ...]) -> list[int]:
    """A value inside each bucket, so that counts times values add up to the sum (but for rounding)."""
    lows = [1, *(bound + 1 for bound in grid)]
    highs = [*grid, grid[-1] + 1]
    counts = delta[:-1]
    low = sum(n * a for n, a in zip(counts, lows, strict=True))
    high = sum(n * b for n, b in zip(counts, highs, strict=True))
    share = min(max((delta[-1] - low) / (high - low), 0.0), 1.0) if high > low else 1.0
    values = [a + round(share * (b - a)) for a, b in zip(lows, highs, strict=True)]
    if counts[-1] > 0:  # beyond the grid there is no upper bound: it takes what the others leave
        others = sum(n * v for n, v in zip(counts[:-1], values[:-1], strict=True))
        values[-1] = max(values[-1], (delta[-1] - others) // counts[-1])
    return values


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


def _merge(target: Any, rest: Sequence[int], values: list[int], grid: tuple[int, ...], scale: float) -> None:
    """Add counts and sum; a grid bucket goes where its upper bound lies, min and max are known to its width."""
    filled = [index for index, count in enumerate(rest[:-1]) if count > 0]
    with target._lock:  # noqa: SLF001
        for index in filled:
            upper = grid[index] / scale if index < len(grid) else float("inf")
            target._value[bisect_left(target._boundaries, upper)] += rest[index]  # noqa: SLF001
        target._sum += rest[-1] / scale  # noqa: SLF001
        if filled:
            target._min = min(target._min, values[filled[0]] / scale)  # noqa: SLF001
            target._max = max(target._max, values[filled[-1]] / scale)  # noqa: SLF001
