"""From windows to blocks: enough in each, not too many, and one value per block."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.regression_cases import FINE, counted
from otcache.regression._model import CounterWindow, Exponential, GaugeWindow, HistogramWindow
from otcache.regression._specs import ERROR_RATIO, HIT_RATIO, MEMORY, OPERATION_TIME
from otcache.regression._statistics.blocks import sample, spans


def minutes(number: int, requests: int) -> list[HistogramWindow]:
    """Requests of 0.5 to 1.5 ms, evenly."""
    values = [5e-4 + 1e-3 * (place + 0.5) / requests for place in range(requests)]
    return [counted(values, 60.0 * minute) for minute in range(number)]


@given(st.lists(st.integers(0, 100).map(float), max_size=90), st.integers(1, 500), st.integers(1, 40))
def test_blocks_are_neighbours_full_enough_and_not_too_many(weights: list[float], need: int, most: int) -> None:
    found = spans(weights, need, most)

    assert len(found) <= most
    assert bool(found) == (sum(weights) >= need)
    assert all(sum(weights[first:stop]) >= need for first, stop in found)
    if found:
        assert [0, *(stop for _, stop in found)] == [*(first for first, _ in found), len(weights)]


@pytest.mark.parametrize(
    ("number", "requests", "blocks"),
    [
        (30, 600, {"mean": 30, "p50": 30, "p95": 30, "p99": 30}),
        (30, 60, {"mean": 30, "p50": 30, "p95": 15, "p99": 3}),
        (30, 2, {"mean": 2, "p50": 2, "p95": 0, "p99": 0}),
        (90, 600, {"mean": 30, "p50": 30, "p95": 30, "p99": 30}),
    ],
)
def test_each_statistic_has_blocks_that_hold_enough_for_it(number: int, requests: int, blocks: dict[str, int]) -> None:
    found = sample(minutes(number, requests), OPERATION_TIME, FINE)

    assert {name: len(part.values) for name, part in found.items()} == blocks


def test_a_block_of_a_histogram_is_the_logarithm_of_its_statistic() -> None:
    found = sample(minutes(8, 600), OPERATION_TIME, FINE)

    assert found["mean"].values == pytest.approx([math.log(0.001)] * 8)
    assert found["p95"].middle == pytest.approx(0.00145, rel=0.03)


def test_windows_that_hold_nothing_are_no_blocks() -> None:
    idle = HistogramWindow(0, 60, 0, 0.0, FINE, {})
    broken = HistogramWindow(0, 60, 600, math.nan, FINE, {20: 600})

    found = sample([idle, broken, *minutes(6, 600)], OPERATION_TIME, FINE)

    assert len(found["mean"].values) == 6
    assert len(found["p50"].values) == 7


def test_a_few_coarse_blocks_are_borne_and_many_are_not() -> None:
    slow = [counted([100.0] * 600, 0)]

    few, many = (sample([*slow * times, *minutes(20, 600)], OPERATION_TIME, FINE) for times in (2, 3))

    assert (few["p50"].coarse, many["p50"].coarse) == (False, True)
    assert not many["mean"].coarse


def test_a_quantile_without_a_layout_is_coarse() -> None:
    windows = [HistogramWindow(0, 60, 600, 1.0, Exponential(3), {0: 600})] * 8

    found = sample(windows, OPERATION_TIME, None)

    assert [name for name, part in found.items() if part.coarse] == ["p50", "p95", "p99"]


def test_a_hit_ratio_leaves_outages_and_bypasses_out() -> None:
    by = {"hit/none": 60.0, "stale/none": 20.0, "miss/absent": 15.0, "miss/expired": 5.0,
          "miss/backend_unavailable": 900.0, "bypass/none": 500.0}  # fmt: skip

    found = sample([CounterWindow(0, 60, by)] * 6, HIT_RATIO)["ratio"]

    assert found.values == pytest.approx([0.8] * 6)


def test_a_ratio_can_be_split_by_one_attribute_only() -> None:
    found = sample([CounterWindow(0, 60, {"hit": 90.0, "miss": 10.0, "bypass": 7.0})], HIT_RATIO)["ratio"]

    assert found.values == pytest.approx([0.9])


def test_an_error_ratio_is_of_all_operations() -> None:
    by = {"hit": 70.0, "miss": 20.0, "error": 10.0}

    assert sample([CounterWindow(0, 60, by)], ERROR_RATIO)["ratio"].values == pytest.approx([0.1])


def test_counters_that_are_not_numbers_cost_their_window_only() -> None:
    windows = [CounterWindow(0, 60, {"error": math.nan, "ok": 50.0}), CounterWindow(60, 120, {"ok": 50.0})]

    assert sample(windows, ERROR_RATIO)["ratio"].values == (0.0,)


def test_a_level_is_the_middle_of_what_a_gauge_showed() -> None:
    windows = [GaugeWindow(0, 60, (1.0, 2.0, 9.0)), GaugeWindow(60, 120, ()), GaugeWindow(120, 180, (math.nan, 4.0))]

    assert sample(windows, MEMORY)["level"].values == (2.0, 4.0)


def test_windows_of_another_kind_are_left_out() -> None:
    assert sample([GaugeWindow(0, 60, (1.0,))], OPERATION_TIME, FINE)["mean"].values == ()
