"""Which histograms are exported, and how fine: Views for the SDK, chosen by the catalogue's rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal, get_args

from opentelemetry.sdk.metrics import view
from opentelemetry.sdk.metrics.view import View

from otcache.exceptions import ConfigurationError
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.metrics import GRID
from otcache.telemetry._setup.redis_metrics import KEPT, METER
from otcache.telemetry.catalog import Instrument

Histograms = Literal["default", "fine", "exponential"]
Profile = Literal["default", "lean", "counters"]

_REDIS: Final = View(meter_name=METER, attribute_keys=set(KEPT))


def views(
    histograms: Histograms = "default",
    *,
    profile: Profile = "default",
    redis_metrics: bool = False,
    prometheus: bool = False,
) -> tuple[View, ...]:
    """Views for a `MeterProvider` of the application's own: `MeterProvider(views=[*views(profile="lean"), *mine])`.

    Args:
        histograms: `default` needs none: boundaries travel with the instruments. `fine` exports the internal
            grid of durations. `exponential` re-buckets approximately.
        profile: `default` exports everything; `lean` leaves out some histograms and some attributes of others;
            `counters` leaves out all histograms. Counters are the same in each.
        redis_metrics: Whether redis-py's own metrics, if they are on, lose the attributes of many values.
        prometheus: Whether a Prometheus reader is used; it fails on exponential histograms.

    Raises:
        ConfigurationError: An argument is unknown, or exponential and prometheus together.
    """
    if histograms not in get_args(Histograms):
        raise ConfigurationError(f"histograms={histograms!r} is not one of {', '.join(get_args(Histograms))}")
    if profile not in get_args(Profile):
        raise ConfigurationError(f"profile={profile!r} is not one of {', '.join(get_args(Profile))}")
    if histograms == "exponential" and prometheus:
        raise ConfigurationError("histograms='exponential' breaks the Prometheus page; use 'fine', or OTLP")
    return (*_views(histograms, profile), *((_REDIS,) if redis_metrics else ()))


def _views(histograms: Histograms, profile: Profile) -> Iterator[View]:
    for row in catalog.INSTRUMENTS:
        if row.kind == "histogram":
            keys, aggregation = _keys(row, profile), _aggregation(row, histograms, profile)
            if keys is not None or aggregation is not None:  # one view per metric: two would export it twice
                yield View(instrument_name=row.name, attribute_keys=keys, aggregation=aggregation)


def _keys(row: Instrument, profile: Profile) -> set[str] | None:
    """The attributes that stay; `None` for all."""
    return {key.name for key in row.lean} if profile == "lean" and isinstance(row.lean, tuple) else None


def _aggregation(row: Instrument, histograms: Histograms, profile: Profile) -> Any:
    """`None` for the instrument's own boundaries."""
    if profile == "counters" or (profile == "lean" and row.lean == "dropped"):
        return view.DropAggregation()
    if row.scale != catalog.NS or histograms == "default":
        return None
    if histograms == "fine":
        return view.ExplicitBucketHistogramAggregation([bound / 1e9 for bound in GRID])
    return view.ExponentialBucketHistogramAggregation()
