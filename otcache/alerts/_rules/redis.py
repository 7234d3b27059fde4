"""Redis as the application sees it: away, failing, slow, coming and going."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from otcache.alerts.model import Alert
from otcache.alerts.parameters import Parameters
from otcache.alerts.promql import MINUTE, Is, Not, by, number, rate, select, share, summed, told
from otcache.telemetry.catalog import (
    BACKEND,
    CACHE,
    CIRCUIT_STATE,
    CIRCUIT_TRANSITIONS,
    COMPONENT,
    COMPONENT_STATE,
    COMPONENT_STATUS,
    DB_OPERATION,
    ERROR_TYPE,
    L2_DURATION,
    L2_OPERATIONS,
)

_OURS: Final = Not(["PING", "TIME"])
"""Commands that no caller waits for: the breaker's probe, the look at the server's clock, health."""


def alerts(parameters: Parameters) -> Iterator[Alert]:
    """Down, degraded, flapping, failing, slow."""
    yield _down(parameters)
    yield _degraded(parameters)
    yield _flapping(parameters)
    yield _errors(parameters)
    yield _slow(parameters)


def _down(parameters: Parameters) -> Alert:
    """By share: two caches of one process add up in one series."""
    away = select(parameters, COMPONENT_STATUS, {COMPONENT: Is(["l2"]), COMPONENT_STATE: Is(["unavailable"])})
    every = select(parameters, COMPONENT_STATUS, {COMPONENT: Is(["l2"])})
    part, whole = summed(parameters, away, [BACKEND]), summed(parameters, every, [BACKEND])
    return Alert(
        "OtcacheRedisDown",
        "critical",
        "otcache-redis",
        f"{part}\n/ {whole}\n>= {number(parameters.redis_down_share)}",
        2 * MINUTE,
        "Redis can't be reached by most instances.",
        told(
            "{{ $value | humanizePercentage }} of the far tiers of {{ $labels.job }} can't reach "
            "{backend}; caches work from L1 and the source of the data.",
            backend=BACKEND,
        ),
    )


def _degraded(parameters: Parameters) -> Alert:
    states = {COMPONENT: Is(["l2"]), COMPONENT_STATE: Is(["degraded", "unavailable"])}
    worst = summed(parameters, select(parameters, COMPONENT_STATUS, states), ["instance", BACKEND, COMPONENT], "max")
    return Alert(
        "OtcacheRedisDegraded",
        "warning",
        "otcache-redis",
        f"{worst} >= 1",
        10 * MINUTE,
        "An instance works without a healthy far tier.",
        told(
            "{backend} has been degraded or unavailable for "
            f"{parameters.time(10 * MINUTE)} as {{{{ $labels.instance }}}} of {{{{ $labels.job }}}} sees it.",
            backend=BACKEND,
        ),
    )


def _flapping(parameters: Parameters) -> Alert:
    """By recoveries: while Redis stays away the breaker opens again after every probe."""
    closed = select(parameters, CIRCUIT_TRANSITIONS, {CIRCUIT_STATE: Is(["closed"])})
    window = parameters.time(15 * MINUTE)
    times = summed(parameters, f"increase({closed}[{window}])", ["instance", BACKEND, COMPONENT])
    return Alert(
        "OtcacheCircuitFlapping",
        "warning",
        "otcache-redis",
        f"{times} > {number(parameters.circuit_recoveries)}",
        0,
        "A circuit breaker opens and closes again and again.",
        told(
            "The breaker of {backend} at {{ $labels.instance }} of {{ $labels.job }} closed "
            f'{{{{ $value | printf "%.0f" }}}} times in {window}.',
            backend=BACKEND,
        ),
    )


def _errors(parameters: Parameters) -> Alert:
    ours = {DB_OPERATION: _OURS}
    failed = rate(parameters, select(parameters, L2_OPERATIONS, {**ours, ERROR_TYPE: Not([""])}), 5 * MINUTE)
    every = rate(parameters, select(parameters, L2_OPERATIONS, ours), 5 * MINUTE)
    part, whole = summed(parameters, failed, [CACHE]), summed(parameters, every, [CACHE])
    return Alert(
        "OtcacheRedisErrors",
        "warning",
        "otcache-redis",
        f"{share(part, whole, parameters.operation_floor)}\n> {number(parameters.redis_error_share)}",
        5 * MINUTE,
        "Round trips to Redis fail.",
        told(
            "{{ $value | humanizePercentage }} of the round trips to Redis for cache {cache} in "
            "{{ $labels.job }} fail.",
            cache=CACHE,
        ),
    )


def _slow(parameters: Parameters) -> Alert:
    ours = {DB_OPERATION: _OURS}
    buckets = rate(parameters, select(parameters, L2_DURATION, ours, "_bucket"), 10 * MINUTE)
    trips = rate(parameters, select(parameters, L2_DURATION, ours, "_count"), 10 * MINUTE)
    return Alert(
        "OtcacheRedisSlow",
        "warning",
        "otcache-redis",
        f"histogram_quantile(0.99, {summed(parameters, buckets, [CACHE, 'le'])})\n> {number(parameters.redis_p99)}\n"
        f"and on ({by(parameters, CACHE)}) {summed(parameters, trips, [CACHE])}\n"
        f"> {number(parameters.operation_floor)}",
        10 * MINUTE,
        "Round trips to Redis come near the deadline of a call.",
        told(
            "1% of the round trips to Redis for cache {cache} in {{ $labels.job }} take longer "
            "than {{ $value | humanizeDuration }}.",
            cache=CACHE,
        ),
    )
