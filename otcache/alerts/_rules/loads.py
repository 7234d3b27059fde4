"""Loads: failing, slow, wanted by many callers at once; and the stale values that callers get meanwhile.

No rule here is critical: a loader is the application's own, and the origin has its own alarms.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from otcache.alerts._model import Alert, Recording, Rules
from otcache.alerts._promql import JOB, Expr, Part, absent, number, one_of, present
from otcache.alerts._query import AMOUNT, MINUTE, SHARE, TIME, Query, base, its, share
from otcache.telemetry import catalog
from otcache.telemetry.catalog import CACHE, COALESCE_REQUESTS, LOADER_DURATION, LOADS, LOOKUPS, RESULT

ALERTS: Final = Rules()
_WINDOW: Final = 30 * MINUTE
_SHORT: Final = 5 * MINUTE
"""Half of what must hold: one bad minute is over before the alert fires."""


def recordings(q: Query) -> Iterator[Recording]:
    """How many loads succeed, and how long they take; one that fails at once is no faster loader."""
    loads = _good(q, "_count")
    yield Recording(_traffic(q), loads.text)
    yield Recording(_mean(q), share(_good(q, "_sum"), loads, 0).text)


def _good(q: Query, part: Part) -> Expr:
    return q.rate(LOADER_DURATION, _WINDOW, absent(catalog.ERROR_TYPE), by=(CACHE,), part=part)


def _traffic(q: Query) -> str:
    return f"job_cache:{base(LOADER_DURATION)}:rate{q.time(_WINDOW)}"


def _mean(q: Query) -> str:
    return f"job_cache:{base(LOADER_DURATION)}:mean{q.time(_WINDOW)}"


@ALERTS.add
def _errors(q: Query) -> Iterator[Alert]:
    failed = q.rate(LOADS, _SHORT, present(catalog.ERROR_TYPE), by=(CACHE,))
    every = q.rate(LOADS, _SHORT, by=(CACHE,))
    yield Alert(
        "OtcacheLoaderErrors",
        "warning",
        "otcache-loading",
        f"{share(failed, every, q.parameters.load_floor)}\n> {number(q.parameters.load_error_share)}",
        10 * MINUTE,
        "Loads of a cache fail.",
        f"{SHARE} of the loads of cache {its(CACHE)} in {its(JOB)} fail. Look at them by error.",
    )


@ALERTS.add
def _refused(q: Query) -> Iterator[Alert]:
    refused = q.rate(catalog.WRITES, _SHORT, one_of(catalog.WRITE_REASON, "refused"), by=(CACHE,))
    every = q.rate(LOADS, _SHORT, by=(CACHE,))
    yield Alert(
        "OtcacheValuesRefused",
        "warning",
        "otcache-cache",
        f"{share(refused, every, q.parameters.load_floor)}\n> {number(q.parameters.refused_share)}",
        10 * MINUTE,
        "Loaded values can't be kept.",
        f"{SHARE} of the loads of cache {its(CACHE)} in {its(JOB)} bring a value that can't be kept, so every call "
        "loads it. Look for the event otcache.value.refused, which names key and reason.",
    )


@ALERTS.add
def _slow(q: Query) -> Iterator[Alert]:
    mean, factor = _mean(q), number(q.parameters.load_factor)
    yield Alert(
        "OtcacheLoaderSlow",
        "warning",
        "otcache-loading",
        f"(\n  {mean}\n    > {factor} * {q.yesterday(mean)}\n  unless\n"
        f"  {mean}\n    <= {factor} * {q.last_week(mean)}\n)\n"
        f"and {mean} > {number(q.parameters.load_duration_floor)}\n"
        f"and {_traffic(q)} > {number(q.parameters.load_floor)}",
        15 * MINUTE,
        "Loads of a cache take longer than in its own past.",
        f"A load of cache {its(CACHE)} in {its(JOB)} takes {TIME} on average, over {factor} times yesterday's and "
        "last week's. Look at the slowest traces of loads.",
    )


@ALERTS.add
def _stampede(q: Query) -> Iterator[Alert]:
    waiting = q.rate(COALESCE_REQUESTS, 5 * MINUTE, by=(CACHE,))
    loads = q.rate(LOADS, 5 * MINUTE, by=(CACHE,))
    yield Alert(
        "OtcacheStampede",
        "warning",
        "otcache-loading",
        f"{share(waiting, loads, q.parameters.load_floor)}\n> {number(q.parameters.stampede_callers)}",
        5 * MINUTE,
        "Many callers wait for each load.",
        f"{AMOUNT} callers wait for each load of cache {its(CACHE)} in {its(JOB)}, on average. Set a stale_ttl with "
        "soft_timeout=0.",
    )


@ALERTS.add
def _timeouts(q: Query) -> Iterator[Alert]:
    late = q.rate(COALESCE_REQUESTS, _SHORT, one_of(catalog.COALESCE_OUTCOME, "timeout"), by=(CACHE,))
    every = q.rate(COALESCE_REQUESTS, _SHORT, by=(CACHE,))
    yield Alert(
        "OtcacheCoalesceTimeouts",
        "warning",
        "otcache-loading",
        f"{share(late, every, q.parameters.load_floor)}\n> {number(q.parameters.coalesce_timeout_share)}",
        10 * MINUTE,
        "Waiters time out before the load ends.",
        f"{SHARE} of the waiters for loads of cache {its(CACHE)} in {its(JOB)} get LoadTimeout instead of a value. "
        "Compare the load duration with `timeout`.",
    )


@ALERTS.add
def _stale(q: Query) -> Iterator[Alert]:
    # without answers that are stale because Redis is away: one alert per outage, OtcacheRedisDown
    why = one_of(catalog.STALE_REASON, "loader_error", "loader_timeout")
    stale = q.rate(LOOKUPS, _SHORT, one_of(RESULT, "stale"), why, by=(CACHE,))
    every = q.rate(LOOKUPS, _SHORT, one_of(RESULT, "hit", "stale", "miss"), by=(CACHE,))
    yield Alert(
        "OtcacheStaleServing",
        "warning",
        "otcache-loading",
        f"{share(stale, every, q.parameters.operation_floor)}\n> {number(q.parameters.stale_share)}",
        10 * MINUTE,
        "Callers get stale values because loads fail or are slow.",
        f"{SHARE} of the lookups of cache {its(CACHE)} in {its(JOB)} get a stale value because the load failed or is "
        "slow. Look at the failed loads.",
    )
