"""The arithmetic of interleaved rounds."""

from __future__ import annotations

import pytest

from benchmarks.harness import Case, Spread, Timing, measure
from tests.benchmarks_suite.runs import times


def test_a_spread_is_the_median_and_the_range_of_eight_rounds_of_ten() -> None:
    figures = [float(number) for number in range(1, 32)]

    spread = Spread.of(figures)

    assert spread == Spread(4.0, 16.0, 28.0)


def test_a_spread_of_one_round_is_that_round() -> None:
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0)


@pytest.mark.parametrize(
    ("figure", "shown"), [(0.0734, "0.073"), (0.4567, "0.46"), (3.414, "3.41"), (46.34, "46.3"), (118.4, "118")]
)
def test_a_figure_is_shown_with_what_counts(figure: float, shown: str) -> None:
    assert str(Spread(figure, figure, figure)) == f"{shown} ({shown}-{shown})"


def test_a_ratio_is_taken_within_each_round_so_a_slower_machine_does_not_show() -> None:
    ratio = times(3).ratio_to(times(1))

    assert ratio == Spread(3.0, 3.0, 3.0)


def test_a_case_that_ran_elsewhere_has_no_ratio_of_cpu() -> None:
    elsewhere = Timing([], [50.0, 100.0, 200.0])

    assert elsewhere.ratio_to(times(1)) is None
    assert elsewhere.ratio_to(times(1), "wall") == Spread.of([1 / 3] * 3)


async def test_every_round_runs_every_case_once_and_after_what_it_needs_before() -> None:
    seen: list[str] = []

    def case(name: str) -> Case:
        async def before() -> None:
            seen.append(f"before {name}")

        async def run() -> None:
            seen.append(name)

        return Case(run, 1, before)

    timings = await measure({name: case(name) for name in "abc"}, rounds=4)

    rounds = [seen[start : start + 6] for start in range(0, len(seen), 6)]
    assert {name: len(timing.cpu) for name, timing in timings.items()} == {"a": 4, "b": 4, "c": 4}
    assert len(rounds) == 5  # the first is a warm-up
    assert all(sorted(each) == ["a", "b", "before a", "before b", "before c", "c"] for each in rounds)
    assert all(each[at] == f"before {each[at + 1]}" for each in rounds for at in (0, 2, 4))


async def test_the_order_of_the_rounds_is_that_of_the_seed() -> None:
    async def order(seed: int) -> list[str]:
        seen: list[str] = []

        def case(name: str) -> Case:
            async def run() -> None:
                seen.append(name)

            return Case(run, 1)

        await measure({name: case(name) for name in "abcdef"}, rounds=5, seed=seed)
        return seen

    assert await order(1) == await order(1)
    assert await order(1) != await order(2)


async def test_what_a_case_says_of_another_process_is_its_wall_time() -> None:
    async def run() -> float:
        return 0.5

    timings = await measure({"elsewhere": Case(run, operations=1000)}, rounds=2)

    assert timings["elsewhere"] == Timing([], [500_000.0, 500_000.0])
