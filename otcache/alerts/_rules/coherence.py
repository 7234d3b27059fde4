"""Whether processes hear of each other's writes.

No rule here calls somebody: where nothing is heard L1 is not used, so that Redis gets more and nobody an old value.
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
        "An instance reaches Redis and hears nothing of other processes.",
        f"For {q.time(5 * MINUTE)} {its(INSTANCE)} of {its(JOB)} has heard no news by {its(BACKEND)}: its L1 is not "
        "used, and Redis gets every read.",
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
        "L1 is emptied again and again, because the connection for others' news breaks or others clear the cache.",
        f"L1 of cache {its(CACHE)} at {its(INSTANCE)} of {its(JOB)} was emptied {TIMES} times in {q.time(window)}: its "
        "subscription was lost, or others called clear().",
    )


@ALERTS.add
def _lagging(q: Query) -> Iterator[Alert]:
    late = q.p99(catalog.NEWS_LAG, 10 * MINUTE, by=(BACKEND,))
    heard = q.rate(catalog.NEWS, 10 * MINUTE, one_of(catalog.NEWS_DIRECTION, "receive"), by=(BACKEND,))
    yield Alert(
        "OtcacheBackplaneLagging",
        "warning",
        "otcache-loading",
        f"{late}\n> {number(q.parameters.backplane_lag)}\n"
        f"and {q.on(BACKEND)} {heard}\n> {number(q.parameters.operation_floor)}",
        10 * MINUTE,
        "Writes are seen late by other processes.",
        f"1% of the news that {its(JOB)} hears by {its(BACKEND)} comes later than {TIME}; until then L1 has the value "
        "before.",
    )
