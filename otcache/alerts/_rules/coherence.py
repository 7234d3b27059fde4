"""The backplane: down, flapping, lagging; and processes that share a namespace but not their options.

No rule here is critical: without a backplane L1 serves no Redis entries, so Redis gets more reads and callers no old
values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from otcache.alerts._model import Alert, Rules
from otcache.alerts._promql import INSTANCE, JOB, Expr, number, one_of
from otcache.alerts._query import MINUTE, TIME, TIMES, Query, its
from otcache.telemetry import catalog
from otcache.telemetry.catalog import BACKEND, CACHE

ALERTS: Final = Rules()


def _away(q: Query, component: str) -> Expr:
    where = one_of(catalog.COMPONENT, component), one_of(catalog.COMPONENT_STATE, "unavailable")
    return q.total(q.series(catalog.COMPONENT_STATUS, *where), INSTANCE, BACKEND, how="max")


@ALERTS.add
def _down(q: Query) -> Iterator[Alert]:
    # not while L2 is away as well: OtcacheRedisDown tells of that
    yield Alert(
        "OtcacheBackplaneDown",
        "warning",
        "otcache-loading",
        f"{_away(q, 'backplane')} >= 1\nunless {q.on(INSTANCE, BACKEND)} {_away(q, 'l2')} >= 1",
        5 * MINUTE,
        "An instance reaches Redis but its backplane is down.",
        f"{its(INSTANCE)} of {its(JOB)} has had no backplane on {its(BACKEND)} for {q.time(5 * MINUTE)}: its L1 "
        "serves no Redis entries, and Redis gets every read. Look for the reason in its log.",
    )


@ALERTS.add
def _flapping(q: Query) -> Iterator[Alert]:
    window = 15 * MINUTE
    where = one_of(catalog.INVALIDATION_TARGET, "all"), one_of(catalog.INVALIDATION_SOURCE, "backplane")
    emptied = q.increase(catalog.INVALIDATIONS, window, *where, by=(INSTANCE, CACHE))
    yield Alert(
        "OtcacheBackplaneFlapping",
        "warning",
        "otcache-loading",
        f"{emptied} > {number(q.parameters.backplane_losses)}",
        0,
        "L1 is emptied again and again: the backplane breaks, or other processes call clear().",
        f"L1 of cache {its(CACHE)} at {its(INSTANCE)} of {its(JOB)} was emptied {TIMES} times in {q.time(window)}: its "
        "subscription was lost, or other processes called clear(). Look at the flushes by instance.",
    )


@ALERTS.add
def _lagging(q: Query) -> Iterator[Alert]:
    late = q.p99(catalog.MESSAGE_LAG, 10 * MINUTE, by=(BACKEND,))
    heard = q.rate(catalog.MESSAGES, 10 * MINUTE, one_of(catalog.MESSAGE_DIRECTION, "receive"), by=(BACKEND,))
    yield Alert(
        "OtcacheBackplaneLagging",
        "warning",
        "otcache-loading",
        f"{late}\n> {number(q.parameters.backplane_lag)}\n"
        f"and {q.on(BACKEND)} {heard}\n> {number(q.parameters.operation_floor)}",
        10 * MINUTE,
        "Writes take effect late in other processes.",
        f"1% of the invalidation messages that {its(JOB)} receives by {its(BACKEND)} take longer than {TIME}; until "
        "then its L1 serves the older value. Look at the lag by instance.",
    )


@ALERTS.add
def _disagreeing(q: Query) -> Iterator[Alert]:
    found = q.total(q.series(catalog.DISAGREEMENTS), CACHE, catalog.DISAGREEMENT)
    yield Alert(
        "OtcacheOptionsDisagree",
        "warning",
        "otcache-loading",
        f"{found} >= 1",
        15 * MINUTE,
        "Processes that share a cache are set differently.",
        f"{TIMES} caches {its(CACHE)} of {its(JOB)} disagree in {its(catalog.DISAGREEMENT)} with others that share "
        "their entries: what one of them writes another can't use, or is not told of. Compare their options.",
    )
