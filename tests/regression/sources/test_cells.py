"""Histograms are subtracted and added without inventing or losing a value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otcache.regression._model import Explicit, Exponential
from otcache.regression._sources.cells import Cells, Packed, added, cumulative, explicit, rise

BOUNDS = (1.0, 2.0, 4.0)


def exponential(scale: int, counts: dict[int, float], zero: float = 0.0, threshold: float = 0.0) -> Cells:
    count = sum(counts.values()) + zero
    return Cells(count, 10.0 * count, Exponential(scale, threshold), counts, zero)


EXPLICIT = st.lists(st.integers(0, 9), min_size=4, max_size=4).map(
    lambda counts: explicit(sum(counts), 3.0 * sum(counts), BOUNDS, counts)
)
EXPONENTIAL = st.builds(
    exponential, st.integers(-3, 8), st.dictionaries(st.integers(-50, 50), st.integers(1, 9), max_size=9)
)


@given(EXPLICIT, EXPLICIT)
def test_what_was_added_is_what_it_rose_by(one: Cells, other: Cells) -> None:
    risen = rise(one, added(one, other))

    assert (risen.count, risen.sum, dict(risen.counts)) == (other.count, other.sum, dict(other.counts))


@given(EXPONENTIAL, EXPONENTIAL)
def test_exponential_ones_rise_by_what_was_added_at_the_smaller_scale(one: Cells, other: Cells) -> None:
    together = added(one, other)
    risen = rise(one, together)

    assert (risen.count, sum(risen.counts.values())) == (other.count, other.count)
    assert all(n >= 0 for n in risen.counts.values())
    if one.count and other.count:
        scales = [each.layout.scale for each in (one, other, together) if isinstance(each.layout, Exponential)]
        assert scales[2] == min(scales[:2])


@given(st.one_of(EXPLICIT, EXPONENTIAL), st.one_of(EXPLICIT, EXPONENTIAL))
def test_whatever_the_buckets_count_and_sum_are_exact(one: Cells, other: Cells) -> None:
    together = added(one, other)

    assert together.count == one.count + other.count == sum(together.counts.values()) + together.zero
    assert together.sum == one.sum + other.sum


@given(st.one_of(EXPLICIT, EXPONENTIAL))
def test_packing_changes_nothing(cells: Cells) -> None:
    assert Packed.of(cells).unpacked() == cells


def test_a_wider_zero_bucket_takes_in_what_is_below_it() -> None:
    before, now = exponential(0, {-3: 4, 2: 1}), exponential(0, {2: 3}, zero=6, threshold=0.25)

    assert rise(before, now) == Cells(4, 40.0, Exponential(0, 0.25), {2: 2}, 2)


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (explicit(3, 1.0, BOUNDS, [3, 0, 0, 0]), "the count falls"),
        (explicit(9, 1.0, BOUNDS, [0, 9, 0, 0]), "a bucket falls"),
        (explicit(9, 1.0, (1.0, 3.0), [5, 4, 0]), "the bounds are others"),
        (exponential(3, {1: 9}), "the buckets are of another kind"),
    ],
)
def test_a_restart_is_seen(now: Cells, why: str) -> None:
    before = explicit(4, 1.0, BOUNDS, [4, 0, 0, 0])

    assert rise(before, now) == now, why


def test_a_bound_that_appears_is_no_restart() -> None:
    before, now = cumulative(4, 1.0, {1.0: 4.0}), cumulative(6, 3.0, {1.0: 4.0, 2.0: 6.0})

    assert rise(before, now) == Cells(2, 2.0, Explicit((1.0, 2.0)), {1: 2.0})


def test_buckets_that_fall_with_their_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="a bucket holds less than the one below it"):
        cumulative(3, 1.0, {1.0: 3.0, 2.0: 2.0})


def test_buckets_of_two_kinds_become_one_with_what_was_in_the_zero_bucket() -> None:
    together = added(explicit(2, 1.0, BOUNDS, [1, 1, 0, 0]), exponential(0, {1: 2}, zero=3))

    assert together == Cells(7, 51.0, Explicit(()), {0: 7})
