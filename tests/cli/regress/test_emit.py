"""Verdicts as telemetry, beyond what the watch's own tests show."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from otcache.regression import _hysteresis as hysteresis
from otcache.regression._model import SeriesKey
from otcache.regression._reporting.metrics import Identity, Verdicts, identity
from otcache.regression._specs import MEMORY
from otcache.telemetry import catalog
from otcache.testing import Capture, capture_telemetry
from tests.cli.regress.reports import DURATION, GET, finding, report
from tests.telemetry.judged import LOOKUPS, SIZES, TIMES


@pytest.fixture
def telemetry() -> Iterator[Capture]:
    with capture_telemetry() as captured:
        yield captured


def test_a_series_is_told_in_the_words_of_the_catalogue() -> None:
    told = [identity("shop", key) for key in (next(iter(TIMES)), LOOKUPS, SIZES)]

    assert told == [
        Identity("shop", "operation_duration", "get hit", "judged", "l2"),
        Identity("shop", "hit_ratio", "all", "judged", "none"),
        Identity("shop", "payload_size", "read", "judged", "none"),
    ]
    assert identity("shop", SeriesKey(MEMORY.metric)) is None


def test_every_count_is_there_at_0_from_the_beginning(telemetry: Capture) -> None:
    verdicts = Verdicts("shop", telemetry.providers)

    points = telemetry.metrics()[catalog.EVALUATIONS.name]

    assert verdicts is not None
    assert len(points) == len(catalog.INDICATOR.values or ()) * len(catalog.VERDICT.values or ())
    assert {point.value for point in points} == {0}


def test_a_number_that_is_none_is_no_number_of_a_gauge(telemetry: Capture) -> None:
    odd = finding("minor", math.inf, low=math.nan, baseline=None, current=math.inf)
    known = finding("ok", 0.01, statistic="p50")

    Verdicts("shop", telemetry.providers).evaluated(report("minor", odd, known), {}, (), 0.1)

    changes = {
        p.attributes[catalog.STATISTIC.name]: p.value for p in telemetry.metrics()[catalog.REGRESSION_CHANGE.name]
    }
    assert changes == {"p50": 0.01}
    telemetry.assert_schema()


def test_an_event_leaves_out_a_bound_that_is_open(telemetry: Capture) -> None:
    found = report("critical", finding("critical", math.inf, low=0.3, high=None))
    state, transitions = hysteresis.step({}, found, need=1)

    Verdicts("shop", telemetry.providers).evaluated(found, state, transitions, 0.1)

    (event,) = telemetry.events
    assert event.attributes[catalog.CHANGE_LOW.name] == 0.3
    assert {catalog.CHANGE.name, catalog.CHANGE_HIGH.name}.isdisjoint(event.attributes)
    assert event.body.endswith("is critical: mean any (above +30.0 %)")


def test_beyond_the_cap_an_alarm_is_seen_in_what_is_folded_and_goes_with_it(telemetry: Capture) -> None:
    many = [
        SeriesKey(DURATION, frozenset({(catalog.OPERATION.name, f"op{number}")}))
        for number in range((catalog.SERIES.cap or 0) + 5)
    ]
    verdicts = Verdicts("shop", telemetry.providers)
    calm = report("ok", *(finding("ok", 0.0, key) for key in many))
    verdicts.evaluated(calm, {}, (), 0.1)
    loud = report("critical", *(finding("critical" if key is many[-1] else "ok", 0.5, key) for key in many))
    state, _ = hysteresis.step({}, loud, need=1)

    verdicts.evaluated(loud, state, (), 0.1)
    folded = {catalog.SERIES.name.replace(".", "_"): catalog.OTHER}
    during = telemetry.metric_value(catalog.REGRESSION_STATUS.name, **folded, otcache_regression_state="critical")
    verdicts.evaluated(report("ok", finding("ok", 0.0, GET)), {}, (), 0.1)

    assert during == 1
    assert telemetry.metric_value(catalog.REGRESSION_STATUS.name, **folded) <= 1


def test_events_that_are_too_many_at_once_are_counted(telemetry: Capture) -> None:
    many = [SeriesKey(DURATION, frozenset({(catalog.OPERATION.name, f"op{number}")})) for number in range(60)]
    found = report("critical", *(finding("critical", 0.5, key) for key in many))
    state, transitions = hysteresis.step({}, found, need=1)

    Verdicts("shop", telemetry.providers).evaluated(found, state, transitions, 0.1)

    dropped = telemetry.metric_value(catalog.DROPPED.name, otcache_telemetry_signal="logs")
    assert len(telemetry.events) + dropped == 60
    assert dropped > 0
