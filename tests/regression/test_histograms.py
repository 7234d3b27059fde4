"""Histograms of any layout: merged, aligned, and read no finer than their buckets allow."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.regression_cases import EXPONENTIAL, FINE, WIDE, counted
from otcache.regression._model import Explicit, Exponential, HistogramWindow, Layout
from otcache.regression._statistics.histograms import Histogram, Reading, common_layout, merge, readings


def window(layout: Layout, counts: dict[int, float], zero: float = 0.0) -> HistogramWindow:
    count = sum(counts.values()) + zero
    return HistogramWindow(0, 60, count, count * 0.5, layout, counts, zero)


def read(layout: Layout, counts: dict[int, float], share: float, zero: float = 0.0) -> Reading:
    found = readings(merge([window(layout, counts, zero)], layout), (share,))[0]
    assert found is not None
    return found


@pytest.mark.parametrize("layout", [FINE, EXPONENTIAL], ids=["explicit", "exponential"])
@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_quantile_is_that_of_the_values_within_three_percent(layout: Layout, share: float) -> None:
    draw = Random(7)
    values = sorted(draw.lognormvariate(-7, 0.5) for _ in range(20_000))

    found = readings(merge([counted(values, 0, layout)], layout), (share,))[0]

    assert found is not None
    assert found.value == pytest.approx(values[int(share * len(values))], rel=0.03)
    assert not found.coarse


def test_within_a_bucket_the_quantile_is_log_linear() -> None:
    assert read(Explicit((1.0, 1.44)), {0: 1, 1: 10}, 0.5).value == pytest.approx(1.44**0.45)
    assert read(Exponential(1), {0: 10}, 0.5).value == pytest.approx(2**0.25)


@pytest.mark.parametrize(
    ("layout", "counts", "zero", "value"),
    [
        (Explicit((1.0, 1.5)), {0: 10}, 0, 1.0),
        (Explicit((1.0, 1.5)), {2: 10}, 0, 1.5),
        (Explicit((1.0, 2.5)), {1: 10}, 0, 2.5**0.5),
        (Exponential(0), {0: 10}, 0, 2**0.5),
        (Exponential(3, 1e-9), {5: 1}, 9, 0.0),
    ],
    ids=["first bucket", "overflow", "1-2.5", "factor 2", "zero bucket"],
)
def test_a_quantile_that_the_bucket_cannot_tell_is_coarse(
    layout: Layout, counts: dict[int, float], zero: float, value: float
) -> None:
    found = read(layout, counts, 0.5, zero)

    assert found.value == pytest.approx(value)
    assert found.coarse


@pytest.mark.parametrize(
    ("counts", "coarse"),
    [({10: 100}, True), ({10: 50, 11: 50}, True), ({10: 50, 11: 30, 12: 20}, False), ({10: 50, 20: 50}, False)],
)
def test_values_that_crowd_in_one_bucket_or_two_neighbours_are_coarse(counts: dict[int, float], coarse: bool) -> None:
    assert read(FINE, counts, 0.5).coarse == coarse


def test_an_empty_histogram_and_one_without_layout_have_no_quantiles() -> None:
    assert readings(merge([], FINE), (0.5, 0.9)) == (None, None)
    assert readings(merge([window(FINE, {3: 5})], None), (0.5,)) == (None,)


def test_windows_of_one_layout_add_up() -> None:
    merged = merge([window(FINE, {1: 2, 3: 4}), window(FINE, {3: 1})], FINE)

    assert merged == Histogram(7, 3.5, FINE, {1: 2, 3: 5})


@given(st.lists(st.floats(1e-6, 10), min_size=1, max_size=60))
def test_rebinning_to_common_boundaries_counts_as_if_they_had_been_there(values: list[float]) -> None:
    layout = common_layout([FINE, WIDE])
    assert isinstance(layout, Explicit)

    merged = merge([counted(values, 0, FINE), counted(values, 0, WIDE)], layout)

    assert set(layout.bounds) == set(FINE.bounds) & set(WIDE.bounds)
    assert merged.counts == {
        place: 2 * number for place, number in Counter(bisect_left(layout.bounds, value) for value in values).items()
    }


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=60), st.integers(-2, 3))
def test_aligning_exponential_scales_counts_as_if_they_had_been_coarse(values: list[float], scale: int) -> None:
    coarse, fine = Exponential(scale), Exponential(5)
    layout = common_layout([fine, coarse])

    assert layout == coarse
    assert merge([counted(values, 0, fine)], coarse).counts == merge([counted(values, 0, coarse)], coarse).counts


def test_what_the_larger_zero_threshold_covers_is_zero() -> None:
    layout = common_layout([Exponential(3, 0.0), Exponential(3, 2.0)])

    merged = merge([window(Exponential(3, 0.0), {4: 1, 7: 1, 8: 1})], layout)

    assert (merged.zero, merged.counts) == (2, {8: 1})


@pytest.mark.parametrize("others", [(FINE, EXPONENTIAL), (Explicit((1.0, 2.0)), Explicit((1.5, 3.0)))])
def test_layouts_without_anything_in_common_have_no_common_layout(others: tuple[Layout, Layout]) -> None:
    assert common_layout(others) is None


def test_indices_beyond_what_a_float_holds_are_no_crash() -> None:
    assert read(Exponential(0), {5000: 1}, 0.5).coarse
    assert read(Exponential(0), {-5000: 1}, 0.5) == (0.0, True)
    assert math.isfinite(read(Exponential(-10), {0: 1}, 0.5).value)
