"""Loaders: failing, slow, asked for by many at once; and the old values that are given meanwhile.

A loader is the application's own, so no rule here calls somebody: whoever owns the origin has an alarm for it.
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
"""Half of what must hold: one bad minute is over before it is told."""


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
        "Loaders of the application fail.",
        f"{SHARE} of the loads of cache {its(CACHE)} in {its(JOB)} fail.",
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
        "Loaders of the application take longer than they used to.",
        f"A load of cache {its(CACHE)} in {its(JOB)} takes {TIME} on average, over {factor} times yesterday's, and "
        "not what it was a week ago.",
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
        "Many callers pile up behind each load.",
        f"{AMOUNT} callers wait for each load of cache {its(CACHE)} in {its(JOB)}, on average.",
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
        "Callers wait for another's load in vain.",
        f"{SHARE} of the callers that wait for another's load of cache {its(CACHE)} in {its(JOB)} get LoadTimeout "
        "instead of a value.",
    )


@ALERTS.add
def _stale(q: Query) -> Iterator[Alert]:
    # without those that found Redis away: an outage is told of once, by name
    why = one_of(catalog.STALE_REASON, "loader_error", "loader_timeout")
    stale = q.rate(LOOKUPS, _SHORT, one_of(RESULT, "stale"), why, by=(CACHE,))
    every = q.rate(LOOKUPS, _SHORT, one_of(RESULT, "hit", "stale", "miss"), by=(CACHE,))
    yield Alert(
        "OtcacheStaleServing",
        "warning",
        "otcache-loading",
        f"{share(stale, every, q.parameters.operation_floor)}\n> {number(q.parameters.stale_share)}",
        10 * MINUTE,
        "Callers get values past their time, because loads fail or are slow.",
        f"{SHARE} of the lookups of cache {its(CACHE)} in {its(JOB)} are answered with a value past its time, because "
        "the new one can't be had.",
    )
