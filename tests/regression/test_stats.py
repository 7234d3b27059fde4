"""Intervals by rank: against distributions counted out by hand, and against how often they are wrong."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import combinations, product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.regression_eval import Score
from otcache.regression._statistics.shift import (
    Interval,
    Levels,
    quantile,
    shift,
    sign_interval,
    signed_rank_interval,
    undisturbed,
)
from tests.rows import every

SIX = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
numbers = st.lists(st.integers(-1000, 1000).map(float), min_size=6, max_size=30)


def cumulated(statistics: Sequence[int]) -> list[float]:
    """P(S <= s) of equally likely outcomes."""
    return [sum(value <= most for value in statistics) / len(statistics) for most in range(max(statistics) + 1)]


def mann_whitney(first: int, second: int) -> list[float]:
    """The distribution by looking at every arrangement."""
    places = range(first + second)
    return cumulated([sum(chosen) - first * (first - 1) // 2 for chosen in combinations(places, first)])


def signed_ranks(size: int) -> list[float]:
    signs = product((0, 1), repeat=size)
    return cumulated([sum(rank * sign for rank, sign in enumerate(chosen, 1)) for chosen in signs])


def coins(size: int) -> list[float]:
    return cumulated([sum(chosen) for chosen in product((0, 1), repeat=size)])


def test_a_shift_is_the_median_of_all_differences_and_bounded_by_them() -> None:
    new = [value + 10 for value in SIX]

    assert shift(SIX, new, Levels(0.0015, 0.0045)) == Interval(10.0, 5.0, 14.0)
    assert shift(SIX, new, Levels(0.0010, 0.0010)) == Interval(10.0, -math.inf, math.inf)


@every("level", [0.005, 0.01, 0.05])
@every(("first", "second"), [(6, 6), (6, 9), (8, 7)])
def test_the_bound_of_a_shift_leaves_out_what_every_arrangement_allows(first: int, second: int, level: float) -> None:
    draw = Random(first * second)
    old, new = ([draw.random() for _ in range(size)] for size in (first, second))
    skipped = bisect_right(mann_whitney(first, second), level)

    found = shift(old, new, Levels(level, level))

    differences = sorted(after - before for before in old for after in new)
    assert (found.low, found.high) == (differences[skipped - 1], differences[-skipped])


@pytest.mark.parametrize("size", [7, 10, 12])
def test_the_bound_of_a_median_leaves_out_what_coins_allow(size: int) -> None:
    values = [float(number) for number in range(size)]
    skipped = bisect_right(coins(size), 0.01)

    found = sign_interval(values, Levels(0.01, 0.01))

    assert found == ((size - 1) / 2, values[skipped - 1], values[-skipped])


@pytest.mark.parametrize("size", [8, 10, 13])
def test_the_bound_of_a_centre_leaves_out_what_signed_ranks_allow(size: int) -> None:
    values = [Random(size).gauss(0, 1) + number for number in range(size)]
    averages = sorted((values[i] + values[j]) / 2 for i in range(size) for j in range(i, size))
    skipped = bisect_right(signed_ranks(size), 0.005)

    found = signed_rank_interval(values, Levels(0.005, 0.005))

    assert (found.low, found.high) == (averages[skipped - 1], averages[-skipped])


def test_the_normal_distribution_takes_over_where_counting_ends() -> None:
    draw = Random(3)
    old, new = ([draw.gauss(0, 1) for _ in range(26)] for _ in range(2))

    by_normal, by_count = shift(old, new), shift(old[:25], new[:25])

    assert by_normal.high - by_normal.low == pytest.approx(by_count.high - by_count.low, rel=0.15)


def test_equal_values_narrow_what_the_normal_distribution_says() -> None:
    draw = Random(5)
    old, new = ([float(draw.random() < 0.1) for _ in range(30)] for _ in range(2))

    assert shift(old, new) == Interval(0.0, 0.0, 0.0)


@pytest.mark.parametrize("size", [8, 25, 30])
def test_a_bound_is_wrong_no_more_often_than_its_level(size: int) -> None:
    draw, cases, level = Random(size), 1000, Levels(0.05, 0.05)
    draws = [[draw.gauss(0, 1) for _ in range(2 * size)] for _ in range(cases)]

    wrong = sum(shift(values[:size], values[size:], level).low > 0 for values in draws)

    assert Score(wrong, cases).interval[0] <= level.low


@given(numbers, numbers)
def test_exchanging_the_sides_mirrors_the_shift(old: list[float], new: list[float]) -> None:
    level = Levels(0.01, 0.01)

    assert shift(new, old, level) == shift(old, new, level).mirrored()


@given(numbers, numbers, st.integers(-50, 50))
def test_moving_one_side_moves_the_shift(old: list[float], new: list[float], by: int) -> None:
    moved = shift(old, [value + by for value in new])

    assert moved == shift(old, new).map(lambda value: value + by)


@given(st.lists(st.integers(-1000, 1000).map(float), min_size=1, max_size=80))
def test_an_estimate_lies_within_its_bounds(values: list[float]) -> None:
    for found in (sign_interval(values), signed_rank_interval(values), shift(values, values)):
        assert found.low <= found.estimate <= found.high


def test_thousands_of_pairs_take_the_normal_distribution() -> None:
    values = [float(number) for number in range(5000)]

    found = sign_interval(values)

    assert found.estimate == 2499.5
    assert found.low == pytest.approx(2499.5 - 2.326 * math.sqrt(5000) / 2, abs=2)


def test_several_series_share_the_levels() -> None:
    assert Levels(0.01, 0.005).shared(10) == Levels(0.001, 0.0005)
    assert Levels(0.01, 0.005).shared(0) == Levels(0.01, 0.005)


def test_a_shift_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="both sides"):
        shift([], [1.0])


def test_a_quantile_of_values_is_interpolated() -> None:
    assert [quantile([1.0, 2.0, 4.0], share) for share in (0, 0.25, 0.5, 1)] == [1.0, 1.5, 2.0, 4.0]


def test_values_that_stand_out_upwards_are_left_out() -> None:
    values = [1.0, 1.01, 0.99, 1.02, 0.98, 1.5, 2.0, 0.2]

    assert undisturbed(values) == (1.0, 1.01, 0.99, 1.02, 0.98, 0.2)


def test_where_half_of_the_values_stand_out_nobody_knows_which() -> None:
    assert undisturbed([1.0, 1.01, 0.99, 1.0, 1.01, 1.5, 1.6, 1.7, 1.8]) is None
