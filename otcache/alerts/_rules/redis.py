"""Redis as the application sees it: down, degraded, flapping, failing, slow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from otcache.alerts._model import Alert, Rules
from otcache.alerts._promql import INSTANCE, JOB, none_of, number, one_of, present
from otcache.alerts._query import MINUTE, SHARE, TIME, TIMES, Query, its, share
from otcache.telemetry import catalog
from otcache.telemetry.catalog import BACKEND, CACHE, COMPONENT

ALERTS: Final = Rules()
_L2: Final = one_of(COMPONENT, "l2")
_OURS: Final = none_of(catalog.DB_OPERATION, "PING", "TIME")
"""Without commands that no caller waits for: the breaker's probe, the look at the server's clock, health."""


@ALERTS.add
def _down(q: Query) -> Iterator[Alert]:
    # by share: two caches of one process add up in one series
    away = q.series(catalog.COMPONENT_STATUS, _L2, one_of(catalog.COMPONENT_STATE, "unavailable"))
    every = q.series(catalog.COMPONENT_STATUS, _L2)
    yield Alert(
        "OtcacheRedisDown",
        "critical",
        "otcache-redis",
        f"{q.total(away, BACKEND)}\n/ {q.total(every, BACKEND)}\n>= {number(q.parameters.redis_down_share)}",
        2 * MINUTE,
        "Most L2 tiers of a job can't reach Redis.",
        f"{SHARE} of the L2 tiers of {its(JOB)} can't reach {its(BACKEND)}: L1 misses go to the origin. Protect the "
        "origin, then restore Redis.",
    )


@ALERTS.add
def _degraded(q: Query) -> Iterator[Alert]:
    bad = q.series(catalog.COMPONENT_STATUS, _L2, one_of(catalog.COMPONENT_STATE, "degraded", "unavailable"))
    yield Alert(
        "OtcacheRedisDegraded",
        "warning",
        "otcache-redis",
        f"{q.total(bad, INSTANCE, BACKEND, COMPONENT, how='max')} >= 1",
        10 * MINUTE,
        "An instance works without a healthy L2.",
        f"{its(BACKEND)} has been degraded or unavailable for {q.time(10 * MINUTE)} at {its(INSTANCE)} of {its(JOB)}. "
        "Compare the instance with the others.",
    )


@ALERTS.add
def _flapping(q: Query) -> Iterator[Alert]:
    # by recoveries: while Redis stays away the breaker opens again after every probe
    window, closed = 15 * MINUTE, one_of(catalog.CIRCUIT_STATE, "closed")
    times = q.increase(catalog.CIRCUIT_TRANSITIONS, window, closed, by=(INSTANCE, BACKEND, COMPONENT))
    yield Alert(
        "OtcacheCircuitFlapping",
        "warning",
        "otcache-redis",
        f"{times} > {number(q.parameters.circuit_recoveries)}",
        0,
        "A circuit breaker opens and closes again and again.",
        f"The breaker of {its(BACKEND)} at {its(INSTANCE)} of {its(JOB)} closed {TIMES} times in {q.time(window)}. "
        "Look at Redis' log at those times.",
    )


@ALERTS.add
def _errors(q: Query) -> Iterator[Alert]:
    failed = q.rate(catalog.L2_OPERATIONS, 5 * MINUTE, _OURS, present(catalog.ERROR_TYPE), by=(CACHE,))
    every = q.rate(catalog.L2_OPERATIONS, 5 * MINUTE, _OURS, by=(CACHE,))
    yield Alert(
        "OtcacheRedisErrors",
        "warning",
        "otcache-redis",
        f"{share(failed, every, q.parameters.operation_floor)}\n> {number(q.parameters.redis_error_share)}",
        5 * MINUTE,
        "Round trips to Redis fail.",
        f"{SHARE} of the round trips to Redis for cache {its(CACHE)} in {its(JOB)} fail. Look at them by error type.",
    )


@ALERTS.add
def _slow(q: Query) -> Iterator[Alert]:
    trips = q.rate(catalog.L2_DURATION, 10 * MINUTE, _OURS, by=(CACHE,), part="_count")
    yield Alert(
        "OtcacheRedisSlow",
        "warning",
        "otcache-redis",
        f"{q.p99(catalog.L2_DURATION, 10 * MINUTE, _OURS, by=(CACHE,))}\n> {number(q.parameters.redis_p99)}\n"
        f"and {q.on(CACHE)} {trips}\n> {number(q.parameters.operation_floor)}",
        10 * MINUTE,
        "The slowest round trips to Redis come near the deadline of a call.",
        f"1% of the round trips to Redis for cache {its(CACHE)} in {its(JOB)} take longer than {TIME}. Look at "
        "them by command.",
    )
