"""What callers feel: calls that raise, writes that no tier stored, operations without L2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from otcache.alerts._model import Alert, Recording, Rules
from otcache.alerts._promql import JOB, Expr, label, none_of, number, one_of, over, present, rate
from otcache.alerts._query import DAY, HOUR, MINUTE, SHARE, Query, base, its, part_of, percent, share
from otcache.telemetry import catalog
from otcache.telemetry.catalog import CACHE, ERROR_TYPE, OPERATION, OPERATIONS, RESULT
from otcache.telemetry.catalog.values import Operation


class Burn(NamedTuple):
    """One pair of windows: how fast the error budget burns, and how long that must last before the alert fires."""

    factor: float
    long: int
    short: int
    hold: int
    severity: Literal["critical", "warning"]


ALERTS: Final = Rules()
_LOADING: Final[Operation] = "get_or_set"
BURNS: Final = (
    Burn(14.4, HOUR, 5 * MINUTE, 2 * MINUTE, "critical"),
    Burn(6, 6 * HOUR, 30 * MINUTE, 15 * MINUTE, "critical"),
    Burn(3, DAY, 2 * HOUR, HOUR, "warning"),
    Burn(1, 3 * DAY, 6 * HOUR, 3 * HOUR, "warning"),
)
"""A month's budget gone in 2 days, 5 days, 10 days, 30 days (the usual multi-window burn rates)."""


def recordings(q: Query) -> Iterator[Recording]:
    """The share of calls that raised, once for every window."""
    for seconds in sorted({window for burn in BURNS for window in (burn.long, burn.short)}):
        yield Recording(_ratio(q, seconds), _failed(q, seconds).text)


def _ratio(q: Query, seconds: int) -> str:
    return f"job:{base(OPERATIONS)}_failed:ratio_rate{q.time(seconds)}"


def _failed(q: Query, seconds: int) -> Expr:
    # without what a loader of the same cache raised: OtcacheLoaderErrors tells of that
    raised = q.series(OPERATIONS, one_of(RESULT, "error"), none_of(ERROR_TYPE, *q.parameters.caller_errors))
    every = rate(raised, q.time(seconds))
    loads = over("last_over_time", q.series(catalog.LOADS, present(ERROR_TYPE)), q.time(seconds))
    own = f'label_replace({loads}, "{label(OPERATION)}", "{_LOADING}", "", "")'
    failed = Expr(f"{every}\nunless {q.on(CACHE, OPERATION, ERROR_TYPE)} {own}", every.labels)
    return part_of(q.total(failed), q.rate(OPERATIONS, seconds))


@ALERTS.add
def _budget(q: Query) -> Iterator[Alert]:
    for burn in BURNS:
        limit = number(burn.factor * (1 - q.parameters.slo))
        windows = {"long": q.time(burn.long), "short": q.time(burn.short)}
        yield Alert(
            "OtcacheErrorBudgetBurn",
            burn.severity,
            "otcache-overview",
            f"{_ratio(q, burn.long)} > {limit}\nand {_ratio(q, burn.short)} > {limit}\n"
            f"and {q.on()} {q.increase(OPERATIONS, burn.long)} > {number(q.parameters.slo_calls)}",
            burn.hold,
            "Cache calls raise faster than the error budget allows.",
            f"{SHARE} of the cache calls of {its(JOB)} raised in the last {windows['long']}, {number(burn.factor)} "
            f"times what an objective of {percent(q.parameters.slo)} allows. Look at the errors by type.",
            windows,
        )


@ALERTS.add
def _dropped(q: Query) -> Iterator[Alert]:
    # only `set`: the repair journal makes up for a `delete` that Redis did not take
    sets = one_of(OPERATION, "set", "set_many")
    dropped = q.rate(OPERATIONS, 5 * MINUTE, sets, one_of(RESULT, "dropped"), by=(CACHE,))
    every = q.rate(OPERATIONS, 5 * MINUTE, sets, by=(CACHE,))
    yield Alert(
        "OtcacheWritesDropped",
        "warning",
        "otcache-cache",
        f"{share(dropped, every, q.parameters.operation_floor)}\n> {number(q.parameters.dropped_share)}",
        5 * MINUTE,
        "No tier stores the values that the application sets.",
        f"{SHARE} of the writes to cache {its(CACHE)} in {its(JOB)} were stored by no tier. Look at the errors of "
        "Redis.",
    )


@ALERTS.add
def _degraded(q: Query) -> Iterator[Alert]:
    yield Alert(
        "OtcacheDegradedTraffic",
        "warning",
        "otcache-overview",
        f"{degraded_share(q, 5 * MINUTE)}\n> {number(q.parameters.degraded_share)}",
        5 * MINUTE,
        "Cache operations do without a tier that they need.",
        f"{SHARE} of the operations on cache {its(CACHE)} in {its(JOB)} did without Redis, or could not decode a "
        "value. Look at the operations by reason.",
    )


def degraded_share(q: Query, seconds: int) -> Expr:
    """The share of a cache's operations that went without a tier."""
    degraded = q.rate(catalog.DEGRADED_OPERATIONS, seconds, by=(CACHE,))
    return share(degraded, q.rate(OPERATIONS, seconds, by=(CACHE,)), q.parameters.operation_floor)
