"""Loaders: failing, slow, asked for by many at once; and the old values that are given meanwhile.

A loader is the application's own, so no rule here calls somebody: whoever owns the origin has an alarm for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from otcache.alerts.model import Alert, Recording
from otcache.alerts.parameters import Parameters
from otcache.alerts.promql import (
    MINUTE,
    Is,
    Not,
    Part,
    Where,
    base,
    last_week,
    number,
    rate,
    select,
    share,
    summed,
    told,
    yesterday,
)
from otcache.telemetry.catalog import (
    CACHE,
    COALESCE_OUTCOME,
    COALESCE_REQUESTS,
    ERROR_TYPE,
    LOADER_DURATION,
    LOADS,
    LOOKUPS,
    RESULT,
    STALE_REASON,
    Instrument,
)

_WINDOW: Final = 30 * MINUTE
_SHORT: Final = 5 * MINUTE
"""Half of what must hold: one bad minute is over before it is told."""


def recordings(parameters: Parameters) -> Iterator[Recording]:
    """How many loads succeed, and how long they take; one that fails at once is no faster loader."""
    loads = _good(parameters, "_count")
    yield Recording(_traffic(parameters), loads)
    yield Recording(_mean(parameters), f"{_good(parameters, '_sum')}\n/ ({loads} > 0)")


def _good(parameters: Parameters, part: Part) -> str:
    of = select(parameters, LOADER_DURATION, {ERROR_TYPE: Is([""])}, part)
    return summed(parameters, rate(parameters, of, _WINDOW), [CACHE])


def _traffic(parameters: Parameters) -> str:
    return f"job_cache:{base(LOADER_DURATION)}:rate{parameters.time(_WINDOW)}"


def _mean(parameters: Parameters) -> str:
    return f"job_cache:{base(LOADER_DURATION)}:mean{parameters.time(_WINDOW)}"


def alerts(parameters: Parameters) -> Iterator[Alert]:
    """Errors, duration, stampedes, waits in vain, stale answers."""
    yield _errors(parameters)
    yield _slow(parameters)
    yield _stampede(parameters)
    yield _timeouts(parameters)
    yield _stale(parameters)


def _per_second(parameters: Parameters, row: Instrument, seconds: int, where: Where | None = None) -> str:
    return summed(parameters, rate(parameters, select(parameters, row, where), seconds), [CACHE])


def _errors(parameters: Parameters) -> Alert:
    failed = _per_second(parameters, LOADS, _SHORT, {ERROR_TYPE: Not([""])})
    every = _per_second(parameters, LOADS, _SHORT)
    return Alert(
        "OtcacheLoaderErrors",
        "warning",
        "otcache-loading",
        f"{share(failed, every, parameters.load_floor)}\n> {number(parameters.load_error_share)}",
        10 * MINUTE,
        "Loaders of the application fail.",
        told("{{ $value | humanizePercentage }} of the loads of cache {cache} in {{ $labels.job }} fail.", cache=CACHE),
    )


def _slow(parameters: Parameters) -> Alert:
    mean, factor = _mean(parameters), number(parameters.load_factor)
    return Alert(
        "OtcacheLoaderSlow",
        "warning",
        "otcache-loading",
        f"(\n  {mean}\n    > {factor} * {yesterday(parameters, mean)}\n  unless\n"
        f"  {mean}\n    <= {factor} * {last_week(parameters, mean)}\n)\n"
        f"and {mean} > {number(parameters.load_duration_floor)}\n"
        f"and {_traffic(parameters)} > {number(parameters.load_floor)}",
        15 * MINUTE,
        "Loaders of the application take longer than they used to.",
        told(
            "A load of cache {cache} in {{ $labels.job }} takes {{ $value | humanizeDuration }} on average, over "
            f"{factor} times yesterday's, and not what it was a week ago.",
            cache=CACHE,
        ),
    )


def _stampede(parameters: Parameters) -> Alert:
    waiting, loads = _per_second(parameters, COALESCE_REQUESTS, 5 * MINUTE), _per_second(parameters, LOADS, 5 * MINUTE)
    return Alert(
        "OtcacheStampede",
        "warning",
        "otcache-loading",
        f"{share(waiting, loads, parameters.load_floor)}\n> {number(parameters.stampede_callers)}",
        5 * MINUTE,
        "Many callers pile up behind each load.",
        told(
            "{{ $value | humanize }} callers wait for each load of cache {cache} in {{ $labels.job }}, on average.",
            cache=CACHE,
        ),
    )


def _timeouts(parameters: Parameters) -> Alert:
    late = _per_second(parameters, COALESCE_REQUESTS, _SHORT, {COALESCE_OUTCOME: Is(["timeout"])})
    every = _per_second(parameters, COALESCE_REQUESTS, _SHORT)
    return Alert(
        "OtcacheCoalesceTimeouts",
        "warning",
        "otcache-loading",
        f"{share(late, every, parameters.load_floor)}\n> {number(parameters.coalesce_timeout_share)}",
        10 * MINUTE,
        "Callers wait for another's load in vain.",
        told(
            "{{ $value | humanizePercentage }} of the callers that wait for another's load of cache {cache} in "
            "{{ $labels.job }} get LoadTimeout instead of a value.",
            cache=CACHE,
        ),
    )


def _stale(parameters: Parameters) -> Alert:
    """Without those that found Redis away: an outage is told of once, by name."""
    where = {RESULT: Is(["stale"]), STALE_REASON: Is(["loader_error", "loader_timeout"])}
    stale = _per_second(parameters, LOOKUPS, _SHORT, where)
    every = _per_second(parameters, LOOKUPS, _SHORT, {RESULT: Is(["hit", "stale", "miss"])})
    return Alert(
        "OtcacheStaleServing",
        "warning",
        "otcache-loading",
        f"{share(stale, every, parameters.operation_floor)}\n> {number(parameters.stale_share)}",
        10 * MINUTE,
        "Callers get values past their time, because loads fail or are slow.",
        told(
            "{{ $value | humanizePercentage }} of the lookups of cache {cache} in {{ $labels.job }} are answered with "
            "a value past its time, because the new one can't be had.",
            cache=CACHE,
        ),
    )
