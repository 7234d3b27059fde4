"""The default specifications are about metrics and attributes that the catalogue has."""

from __future__ import annotations

from random import Random

import pytest

from benchmarks.regression_cases import NONE, PROFILES, Effect, service
from otcache.regression._detector import compare
from otcache.regression._model import Dataset, MetricSpec, SeriesKey
from otcache.regression._specs import DEFAULT_SPECS, MEMORY
from otcache.telemetry.catalog import INSTRUMENTS, OPERATION, OPERATION_DURATION, OPERATIONS, RESULT, TIER

OURS = [spec for spec in DEFAULT_SPECS if spec is not MEMORY]


@pytest.mark.parametrize("spec", OURS, ids=lambda spec: spec.metric)
def test_a_specification_fits_its_instrument(spec: MetricSpec) -> None:
    instrument = next(one for one in INSTRUMENTS if one.name == spec.metric)
    attributes = {attribute.name: attribute for attribute in instrument.keys}

    assert (instrument.kind == "histogram") == (spec.kind == "histogram")
    assert attributes.keys() >= {*spec.per, *spec.by, *(name for name, _ in spec.where)}
    values = {value for name in spec.by for value in attributes[name].values or ()}
    assert values >= {part for name in spec.numerator + spec.denominator + spec.leave_out for part in name.split("/")}
    assert 0 < spec.warning < spec.critical


@pytest.mark.parametrize(("tier", "floor"), [("l1", 2e-7), ("l2", 2e-5), ("none", 2e-7)])
def test_each_tier_has_its_floor(tier: str, floor: float) -> None:
    key = SeriesKey(OPERATION_DURATION.name, frozenset({(TIER.name, tier)}))

    spec = next(spec for spec in DEFAULT_SPECS if spec.fits(key))

    assert spec.min_abs == floor


def judged(operation: str, result: str, tier: str) -> bool:
    """Whether the durations of these calls are judged."""
    return any(spec.fits(_durations(operation, result, tier)) for spec in DEFAULT_SPECS)


@pytest.mark.parametrize("tier", ["l1", "l2"])
def test_a_hit_is_judged_by_whichever_call_it_is_found(tier: str) -> None:
    assert judged("get", "hit", tier)
    assert judged("get_or_set", "hit", tier)


@pytest.mark.parametrize(
    ("result", "tier"),
    [("miss", "loader"), ("bypass", "loader"), ("stale", "l1"), ("stale", "l2"), ("error", "none"),
     ("cancelled", "none")],
)  # fmt: skip
def test_a_loaders_time_is_the_applications_own(result: str, tier: str) -> None:
    assert not judged("get_or_set", result, tier)
    assert tier == "loader" or judged("get", result, tier)


def test_what_a_loader_raises_is_the_applications_own() -> None:
    fitting = {
        operation: [spec for spec in DEFAULT_SPECS if spec.fits(_operations(operation))]
        for operation in ("get", "get_or_set")
    }

    assert fitting["get_or_set"] == []
    assert len(fitting["get"]) == 1


def _operations(operation: str) -> SeriesKey:
    return SeriesKey(OPERATIONS.name, frozenset({(OPERATION.name, operation)}))


def test_a_slow_database_is_no_regression_of_the_cache() -> None:
    def side(seed: int, loads: Effect) -> Dataset:
        return {
            _durations("get", "hit", "l1"): service(Random(seed), PROFILES["clean"], 30),
            _durations("get_or_set", "miss", "loader"): service(Random(seed), PROFILES["clean"], 30, loads),
        }

    report = compare(side(1, NONE), side(2, Effect(2.0)))

    assert report.verdict == "ok"
    assert list(report.skipped.values()) == ["no specification fits it"]


def _durations(operation: str, result: str, tier: str) -> SeriesKey:
    named = {(OPERATION.name, operation), (RESULT.name, result), (TIER.name, tier)}
    return SeriesKey(OPERATION_DURATION.name, frozenset(named))
