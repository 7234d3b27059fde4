"""Steps in a history: found where they are, and not found in spikes, noise or short series."""

from __future__ import annotations

import math
from random import Random

import pytest

from benchmarks.changepoint_table import ALPHA, LENGTHS, critical
from benchmarks.regression_eval import Score
from otcache.regression._statistics.change_points import (
    CRITICAL,
    ChangePoint,
    critical_value,
    find_steps,
    strongest_split,
)


def noise(draw: Random, level: float, length: int) -> list[float]:
    return [level * draw.lognormvariate(0, 0.01) for _ in range(length)]


def test_a_step_is_found_with_both_of_its_levels() -> None:
    found = find_steps([1.0] * 20 + [1.5] * 15)

    assert found == (ChangePoint(20, 1.0, 1.5, 0.5),)


def test_every_step_of_a_staircase_is_found() -> None:
    draw = Random(1)
    values = [value for level in (1.0, 1.2, 0.9, 1.4) for value in noise(draw, level, 25)]

    found = find_steps(values)

    assert [change.index for change in found] == [25, 50, 75]
    assert [change.change for change in found] == pytest.approx([0.2, -0.25, 0.55], abs=0.03)


def test_a_spike_is_no_step() -> None:
    values = noise(Random(2), 1.0, 60)
    values[30:34] = [5.0] * 4

    assert find_steps(values) == ()


def test_a_level_that_comes_back_is_two_steps() -> None:
    draw = Random(3)
    values = noise(draw, 1.0, 40) + noise(draw, 1.3, 20) + noise(draw, 1.0, 40)

    assert [change.index for change in find_steps(values)] == [40, 60]


def test_a_step_below_the_smallest_is_not_reported() -> None:
    values = [1.0] * 30 + [1.04] * 30

    assert find_steps(values) == ()
    assert [change.index for change in find_steps(values, smallest=0.03)] == [30]


def test_what_was_not_measured_is_passed_over_and_places_stay() -> None:
    values = [1.0] * 20 + [math.nan] * 3 + [1.5] * 15

    assert [change.index for change in find_steps(values)] == [23]


def test_a_step_from_zero_has_no_fraction() -> None:
    assert find_steps([0.0] * 10 + [3.0] * 10) == (ChangePoint(10, 0.0, 3.0, None),)


@pytest.mark.parametrize("values", [[], [1.0], [1.0] * 100, [1.0] * 6 + [9.0] * 7])
def test_where_nothing_can_be_shown_nothing_is_found(values: list[float]) -> None:
    assert find_steps(values) == ()


def test_a_perfect_step_in_the_shortest_series_is_found() -> None:
    assert [change.index for change in find_steps([float(v) for v in (*range(7), *range(20, 27))])] == [7]


def test_the_strongest_split_is_the_standardised_rank_sum_by_hand() -> None:
    values = [float(value) for value in range(12)]

    place, strength = strongest_split(values)

    assert place == 6
    assert strength == pytest.approx(18 / math.sqrt(6 * 6 * 13 / 12))


@pytest.mark.parametrize("length", LENGTHS[:7])
def test_the_table_is_what_its_script_prints(length: int) -> None:
    found = critical(length, 4000, seed=99)

    assert found == pytest.approx(critical_value(length), rel=0.08)


@pytest.mark.parametrize("length", [14, 35, 120])
def test_shuffled_series_exceed_the_table_no_more_often_than_its_level(length: int) -> None:
    draw, order, cases = Random(length), [float(place) for place in range(length)], 3000
    alarms = 0
    for _ in range(cases):
        draw.shuffle(order)
        alarms += strongest_split(order)[1] >= critical_value(length)

    assert Score(alarms, cases).interval[0] <= ALPHA


def test_between_two_lengths_the_critical_value_is_between_theirs() -> None:
    assert CRITICAL[3][1] < critical_value((CRITICAL[3][0] + CRITICAL[4][0]) // 2) < CRITICAL[4][1]
    assert critical_value(5000) == CRITICAL[-1][1]
    assert critical_value(13) == math.inf
