"""How often the detector is right: every row of the evaluation, on few cases and seeds of the tests' own."""

from __future__ import annotations

from functools import lru_cache
from random import Random

import pytest

from benchmarks.regression_eval import ROWS, Row, Score, score

CASES = 12
STREAMS = 1
MORE = 10
"""So many times as many in a long run."""


@lru_cache
def scored(row: Row, times: int = 1, seeds: str = "tests") -> Score:
    """What is found in a row, counted once for all tests."""
    return score(row, times * (CASES if row.weight == 100 else STREAMS), seeds)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_what_was_found_does_not_exclude_the_target(row: Row) -> None:
    found = scored(row)

    assert found.meets(row), found


@pytest.mark.long
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_nor_does_what_was_found_in_many(row: Row, seed: int) -> None:
    found = scored(row, MORE, f"tests {seed}")

    # each of these rows would be beyond its 95 % once in twenty runs
    assert found.meets(row) or scored(row, 2 * MORE, f"again {seed}").meets(row), found


def test_where_nothing_changed_two_alarms_in_a_thousand_are_not_excluded() -> None:
    quiet = [row for row in ROWS if (row.group, row.says) == ("nothing changed", "alarm")]

    pooled = Score(sum(scored(row).found for row in quiet), sum(scored(row).cases for row in quiet))

    assert pooled.interval[0] <= 0.002, pooled


@pytest.mark.parametrize(
    ("found", "cases", "interval"), [(0, 40, (0.0, 0.0876)), (40, 40, (0.9124, 1.0)), (9, 10400, (0.0005, 0.0016))]
)
def test_an_interval_is_wilson_s(found: int, cases: int, interval: tuple[float, float]) -> None:
    assert Score(found, cases).interval == pytest.approx(interval, abs=5e-5)


def test_a_detector_that_always_alarms_is_found_out() -> None:
    quiet = next(row for row in ROWS if row.group == "nothing changed")

    assert not Score(5, 40).meets(quiet)


def test_a_case_is_the_same_in_every_run() -> None:
    row = next(row for row in ROWS if row.group == "+10 %")

    first, second = (row.check(Random("the same")) for _ in range(2))

    assert first == second
