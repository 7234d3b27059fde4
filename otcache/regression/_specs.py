"""How otcache's own metrics are compared unless the caller passes other specifications."""

from __future__ import annotations

from typing import Final

from otcache.regression._model import MetricSpec, Statistic
from otcache.telemetry import catalog
from otcache.telemetry.catalog.values import Operation, Result

TIMES: Final[tuple[Statistic, ...]] = ("mean", "p50", "p95", "p99")
L1_FLOOR: Final = 2e-7
"""Seconds: the smallest change of an L1 operation that counts (decision 30)."""
L2_FLOOR: Final = 2e-5
"""The same for whatever went over the network."""


def _names(*attributes: catalog.Attribute) -> tuple[str, ...]:
    return tuple(attribute.name for attribute in attributes)


_LOADING: Final[Operation] = "get_or_set"
_IN_VAIN: Final[tuple[Result, ...]] = ("miss", "bypass", "stale", "error", "cancelled")
_LOADS: Final = (
    frozenset({(catalog.TIER.name, "loader")}),
    *(frozenset({(catalog.OPERATION.name, _LOADING), (catalog.RESULT.name, result)}) for result in _IN_VAIN),
)
"""Calls whose time has a loader's in it. That is the application's own, and so is what a loader raises."""
_OPERATION_SERIES: Final = _names(catalog.CACHE, catalog.OPERATION, catalog.RESULT, catalog.TIER)
L2_OPERATION_TIME: Final = MetricSpec(
    catalog.OPERATION_DURATION.name, "histogram", TIMES, min_abs=L2_FLOOR,
    where=frozenset({(catalog.TIER.name, "l2")}), but=_LOADS, per=_OPERATION_SERIES,
)  # fmt: skip
OPERATION_TIME: Final = MetricSpec(
    catalog.OPERATION_DURATION.name, "histogram", TIMES, min_abs=L1_FLOOR, but=_LOADS, per=_OPERATION_SERIES
)  # fmt: skip
"""What L1 answered, and what no tier did: an embedded cache misses within microseconds. Of `get_or_set` only hits."""
ROUND_TRIP_TIME: Final = MetricSpec(
    catalog.L2_DURATION.name, "histogram", TIMES, min_abs=L2_FLOOR, per=_names(catalog.CACHE, catalog.DB_OPERATION)
)  # fmt: skip
HIT_RATIO: Final = MetricSpec(
    catalog.LOOKUPS.name, "ratio", ("ratio",), worse="lower", numerator=("hit", "stale"),
    denominator=("hit", "stale", "miss"), leave_out=("miss/backend_unavailable",), per=_names(catalog.CACHE),
    by=_names(catalog.RESULT, catalog.MISS_REASON),
)  # fmt: skip
"""Compared by its relative fall. An outage is not a worse hit ratio, and a bypass is no lookup."""
ERROR_RATIO: Final = MetricSpec(
    catalog.OPERATIONS.name, "ratio", ("ratio",), warning=0.01, critical=0.05, scale="points", numerator=("error",),
    but=(frozenset({(catalog.OPERATION.name, _LOADING)}),), per=_names(catalog.CACHE, catalog.OPERATION),
    by=_names(catalog.RESULT),
)  # fmt: skip
"""In points: a relative rule on 0.1 % of errors flags every other quiet day. `get_or_set` raises what loaders do."""
PAYLOAD: Final = MetricSpec(
    catalog.PAYLOAD_SIZE.name, "histogram", ("mean",), per=_names(catalog.CACHE, catalog.IO_DIRECTION)
)
"""The mean only: its default buckets are four times as wide as they are high."""
MEMORY: Final = MetricSpec("process.memory.usage", "gauge", ("level",), min_abs=5e6)
"""Not ours: what the process metrics of OpenTelemetry call resident memory, where they are exported."""

DEFAULT_SPECS: Final = (L2_OPERATION_TIME, OPERATION_TIME, ROUND_TRIP_TIME, HIT_RATIO, ERROR_RATIO, PAYLOAD, MEMORY)
