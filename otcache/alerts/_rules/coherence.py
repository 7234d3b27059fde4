"""Whether processes hear of each other's writes.

No rule here calls somebody: where nothing is heard L1 is not used, so that Redis gets more and nobody an old value.
"""

from __future__ import annotations

from collections.abc import Iterator

from otcache.alerts.model import Alert
from otcache.alerts.parameters import Parameters
from otcache.alerts.promql import MINUTE, Is, by, number, rate, select, summed, told
from otcache.telemetry.catalog import (
    BACKEND,
    CACHE,
    COMPONENT,
    COMPONENT_STATE,
    COMPONENT_STATUS,
    INVALIDATION_SOURCE,
    INVALIDATION_TARGET,
    INVALIDATIONS,
    NEWS,
    NEWS_DIRECTION,
    NEWS_LAG,
)


def alerts(parameters: Parameters) -> Iterator[Alert]:
    """Down, flapping, lagging."""
    yield _down(parameters)
    yield _flapping(parameters)
    yield _lagging(parameters)


def _away(parameters: Parameters, component: str) -> str:
    where = {COMPONENT: Is([component]), COMPONENT_STATE: Is(["unavailable"])}
    return summed(parameters, select(parameters, COMPONENT_STATUS, where), ["instance", BACKEND], "max")


def _down(parameters: Parameters) -> Alert:
    """Not while the far tier is away as well: that is told of by its own name."""
    return Alert(
        "OtcacheBackplaneDown",
        "warning",
        "otcache-loading",
        f"{_away(parameters, 'backplane')} >= 1\n"
        f"unless on ({by(parameters, 'instance', BACKEND)}) {_away(parameters, 'l2')} >= 1",
        5 * MINUTE,
        "An instance reaches Redis and hears nothing of other processes.",
        told(
            f"For {parameters.time(5 * MINUTE)} {{{{ $labels.instance }}}} of {{{{ $labels.job }}}} has heard no news "
            "by {backend}: its L1 is not used, and Redis gets every read.",
            backend=BACKEND,
        ),
    )


def _flapping(parameters: Parameters) -> Alert:
    where = {INVALIDATION_TARGET: Is(["all"]), INVALIDATION_SOURCE: Is(["backplane"])}
    window = parameters.time(15 * MINUTE)
    emptied = f"increase({select(parameters, INVALIDATIONS, where)}[{window}])"
    return Alert(
        "OtcacheBackplaneFlapping",
        "warning",
        "otcache-loading",
        f"{summed(parameters, emptied, ['instance', CACHE])} > {number(parameters.backplane_losses)}",
        0,
        "L1 is emptied again and again, because the connection for others' news breaks or others clear the cache.",
        told(
            "L1 of cache {cache} at {{ $labels.instance }} of {{ $labels.job }} was emptied "
            f'{{{{ $value | printf "%.0f" }}}} times in {window}: its subscription was lost, or others called clear().',
            cache=CACHE,
        ),
    )


def _lagging(parameters: Parameters) -> Alert:
    buckets = rate(parameters, select(parameters, NEWS_LAG, part="_bucket"), 10 * MINUTE)
    heard = rate(parameters, select(parameters, NEWS, {NEWS_DIRECTION: Is(["receive"])}), 10 * MINUTE)
    return Alert(
        "OtcacheBackplaneLagging",
        "warning",
        "otcache-loading",
        f"histogram_quantile(0.99, {summed(parameters, buckets, [BACKEND, 'le'])})\n"
        f"> {number(parameters.backplane_lag)}\n"
        f"and on ({by(parameters, BACKEND)}) {summed(parameters, heard, [BACKEND])}\n"
        f"> {number(parameters.operation_floor)}",
        10 * MINUTE,
        "Writes are seen late by other processes.",
        told(
            "1% of the news that {{ $labels.job }} hears by {backend} comes later than "
            "{{ $value | humanizeDuration }}; until then L1 has the value before.",
            backend=BACKEND,
        ),
    )
