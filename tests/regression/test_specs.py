"""The default specifications are about metrics and attributes that the catalogue has."""

from __future__ import annotations

import pytest

from otcache.regression.model import MetricSpec, SeriesKey
from otcache.regression.specs import DEFAULT_SPECS, MEMORY
from otcache.telemetry.catalog import INSTRUMENTS, OPERATION_DURATION, TIER

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
