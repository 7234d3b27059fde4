"""What callers feel: calls that raise, writes that nobody kept, operations without their far tier."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from otcache.alerts.model import Alert, Recording
from otcache.alerts.parameters import Parameters
from otcache.alerts.promql import (
    DAY,
    HOUR,
    MINUTE,
    Is,
    Not,
    by,
    label,
    number,
    part_of,
    percent,
    rate,
    select,
    share,
    summed,
    told,
)
from otcache.telemetry.catalog import CACHE, DEGRADED_OPERATIONS, ERROR_TYPE, LOADS, OPERATION, OPERATIONS, RESULT
from otcache.telemetry.record import Operation


class Burn(NamedTuple):
    """One pair of windows: how fast the error budget goes, and how long to wait until it is told."""

    factor: float
    long: int
    short: int
    hold: int
    severity: Literal["critical", "warning"]


_LOADING: Final[Operation] = "get_or_set"
BURNS: Final = (
    Burn(14.4, HOUR, 5 * MINUTE, 2 * MINUTE, "critical"),
    Burn(6, 6 * HOUR, 30 * MINUTE, 15 * MINUTE, "critical"),
    Burn(3, DAY, 2 * HOUR, HOUR, "warning"),
    Burn(1, 3 * DAY, 6 * HOUR, 3 * HOUR, "warning"),
)
"""A month's budget gone in 2 days, 5 days, 10 days, 30 days (the usual multi-window burn rates)."""


def recordings(parameters: Parameters) -> Iterator[Recording]:
    """The share of calls that raised, once for every window."""
    for seconds in sorted({window for burn in BURNS for window in (burn.long, burn.short)}):
        yield Recording(_ratio(parameters, seconds), _failed(parameters, seconds))


def _ratio(parameters: Parameters, seconds: int) -> str:
    return f"job:{OPERATIONS.name.replace('.', '_')}_failed:ratio_rate{parameters.time(seconds)}"


def _failed(parameters: Parameters, seconds: int) -> str:
    """Without what a loader of the same cache has raised: that is the application's own (OtcacheLoaderErrors)."""
    raised = {RESULT: Is(["error"]), ERROR_TYPE: Not(parameters.caller_errors)}
    every = rate(parameters, select(parameters, OPERATIONS, raised), seconds)
    loads = f"last_over_time({select(parameters, LOADS, {ERROR_TYPE: Not([''])})}[{parameters.time(seconds)}])"
    own = f'label_replace({loads}, "{label(OPERATION)}", "{_LOADING}", "", "")'
    failed = summed(parameters, f"{every}\nunless on ({by(parameters, CACHE, OPERATION, ERROR_TYPE)}) {own}", ())
    return part_of(failed, summed(parameters, rate(parameters, select(parameters, OPERATIONS), seconds), ()))


def alerts(parameters: Parameters) -> Iterator[Alert]:
    """Burn rates of the error budget, dropped writes, degraded traffic."""
    for burn in BURNS:
        yield _budget(parameters, burn)
    yield _dropped(parameters)
    yield _degraded(parameters)


def _budget(parameters: Parameters, burn: Burn) -> Alert:
    limit = number(burn.factor * (1 - parameters.slo))
    every = select(parameters, OPERATIONS)
    calls = summed(parameters, f"increase({every}[{parameters.time(burn.long)}])", ())
    windows = {"long": parameters.time(burn.long), "short": parameters.time(burn.short)}
    return Alert(
        "OtcacheErrorBudgetBurn",
        burn.severity,
        "otcache-overview",
        f"{_ratio(parameters, burn.long)} > {limit}\nand {_ratio(parameters, burn.short)} > {limit}\n"
        f"and on ({by(parameters)}) {calls} > {number(parameters.slo_calls)}",
        burn.hold,
        "Calls of a cache raise to their callers faster than the error budget allows.",
        "{{ $value | humanizePercentage }} of the cache calls of {{ $labels.job }} raised in the last "
        f"{windows['long']}, {number(burn.factor)} times what an objective of {percent(parameters.slo)} allows.",
        windows,
    )


def _dropped(parameters: Parameters) -> Alert:
    """Only `set`: a `delete` that Redis did not take is remembered and made up for."""
    sets = {OPERATION: Is(["set", "set_many"])}
    dropped = rate(parameters, select(parameters, OPERATIONS, {**sets, RESULT: Is(["dropped"])}), 5 * MINUTE)
    every = rate(parameters, select(parameters, OPERATIONS, sets), 5 * MINUTE)
    whole = share(summed(parameters, dropped, [CACHE]), summed(parameters, every, [CACHE]), parameters.operation_floor)
    return Alert(
        "OtcacheWritesDropped",
        "warning",
        "otcache-cache",
        f"{whole}\n> {number(parameters.dropped_share)}",
        5 * MINUTE,
        "Values are set and no tier keeps them.",
        told(
            "{{ $value | humanizePercentage }} of the writes to cache {cache} in "
            "{{ $labels.job }} were kept by no tier.",
            cache=CACHE,
        ),
    )


def _degraded(parameters: Parameters) -> Alert:
    return Alert(
        "OtcacheDegradedTraffic",
        "warning",
        "otcache-overview",
        f"{degraded_share(parameters, 5 * MINUTE)}\n> {number(parameters.degraded_share)}",
        5 * MINUTE,
        "Operations end without a tier that they should have used.",
        told(
            "{{ $value | humanizePercentage }} of the operations on cache {cache} in "
            "{{ $labels.job }} went without Redis or without a value that can be read.",
            cache=CACHE,
        ),
    )


def degraded_share(parameters: Parameters, seconds: int) -> str:
    """The share of a cache's operations that went without a tier."""
    degraded = rate(parameters, select(parameters, DEGRADED_OPERATIONS), seconds)
    every = rate(parameters, select(parameters, OPERATIONS), seconds)
    return share(summed(parameters, degraded, [CACHE]), summed(parameters, every, [CACHE]), parameters.operation_floor)
