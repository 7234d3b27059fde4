"""Benchmark runs: what fresh processes and A/B runs can show, and what keeps them from being compared."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from benchmarks.regression_cases import MACHINES, Machine, benchmark, paired, processes
from otcache.regression._model import MetricSpec, Run, SeriesKey, Verdict
from otcache.regression._runs import BENCHMARK, compare_runs, compare_values

QUIET = MACHINES["quiet"]
SIZES = [(0.7, "improved"), (1.0, "ok"), (1.07, "minor"), (1.14, "warning"), (1.4, "critical")]


@pytest.mark.parametrize(("factor", "verdict"), SIZES)
def test_fresh_processes_have_the_verdict_of_their_change(factor: float, verdict: Verdict) -> None:
    found = compare_runs(*benchmark(Random(1), QUIET, factor))

    assert (found.verdict, found.method, found.n_baseline, found.n_current) == (verdict, "runs", 10, 10)
    assert found.change == pytest.approx(factor - 1, abs=0.02)


@pytest.mark.parametrize(("factor", "verdict"), [size for size in SIZES if size[1] != "minor"])
def test_an_ab_run_has_the_verdict_of_its_change(factor: float, verdict: Verdict) -> None:
    found = compare_runs(*paired(Random(4), factor))

    assert (found.verdict, found.method, found.n_baseline) == (verdict, "paired", 10)
    assert found.change == pytest.approx(factor - 1, abs=0.04)


@pytest.mark.parametrize("number", [1, 5])
def test_too_few_processes_are_inconclusive(number: int) -> None:
    runs = processes(Random(1), QUIET, 1.0, number)

    found = compare_runs(runs, processes(Random(2), QUIET, 2.0))

    assert (found.verdict, found.change) == ("inconclusive", None)
    assert found.reason == f"too little data: {number} and 10 fresh processes, 6 are needed on each side"


def test_runs_of_one_process_count_once() -> None:
    one = [replace(run, process="the same") for run in processes(Random(1), QUIET, 1.0)]

    assert compare_runs(one, processes(Random(2), QUIET, 1.3)).verdict == "inconclusive"


def test_another_machine_is_inconclusive_and_says_what_differs() -> None:
    before, after = benchmark(Random(1), QUIET, 1.5)
    here = [replace(run, fingerprint={"cpu": "a", "python": "3.12", "git_sha": "1"}) for run in before]
    there = [replace(run, fingerprint={"cpu": "b", "git_sha": "2"}) for run in after]

    found = compare_runs(here, there)

    assert found.verdict == "inconclusive"
    assert found.reason == "another machine or other versions: cpu, python differ"


def test_another_commit_of_ours_is_what_is_compared() -> None:
    before, after = (
        [replace(run, fingerprint={"cpu": "a", "git_sha": name, "otcache": name}) for run in side]
        for name, side in zip("12", benchmark(Random(1), QUIET, 1.5), strict=True)
    )

    assert compare_runs(before, after).verdict == "critical"


def test_a_slow_path_that_only_some_rounds_take_is_seen_by_the_median_not_the_minimum() -> None:
    before = processes(Random(1), QUIET, 1.0)
    after = [replace(run, rounds=run.rounds[:4] + tuple(1.4 * seconds for seconds in run.rounds[4:])) for run in before]

    found = compare_runs(before, after)

    assert (found.verdict, found.statistic) == ("critical", "p50")


def test_a_change_below_a_noisy_neighbour_is_seen_by_the_minimum() -> None:
    noisy = Machine(process=0.002, load=3.0)

    found = compare_runs(*benchmark(Random(3), noisy, 1.3))

    assert found.statistic == "min"
    assert found.verdict in ("warning", "critical")


def test_the_minimum_alone_does_not_rule_a_regression_out() -> None:
    noisy = Machine(process=0.002, load=5.0)

    assert compare_runs(*benchmark(Random(3), noisy, 1.0)).verdict == "inconclusive"


@pytest.mark.parametrize("bouts", [1, 4])
def test_too_few_bouts_are_inconclusive(bouts: int) -> None:
    found = compare_runs(*paired(Random(1), 2.0, bouts))

    assert (found.verdict, found.method) == ("inconclusive", "paired")


def test_five_bouts_show_a_regression_but_rule_none_out() -> None:
    worse, same = (compare_runs(*paired(Random(1), factor, 5)) for factor in (1.5, 1.0))

    assert (worse.verdict, worse.high) == ("critical", None)
    assert same.verdict == "inconclusive"


def test_a_load_that_both_sides_feel_cancels_out_in_turns_only() -> None:
    before, after = paired(Random(5), 1.0)
    alone = [replace(run, paired_with=None) for run in after]

    in_turns, unpaired = compare_runs(before, after), compare_runs(before, alone)

    assert in_turns.verdict == "ok"
    assert (in_turns.high or 0) - (in_turns.low or 0) < ((unpaired.high or 0) - (unpaired.low or 0)) / 2


def test_a_round_without_its_partner_or_without_a_time_is_passed_over() -> None:
    before, after = paired(Random(5), 1.5)
    cut = [replace(run, rounds=(0.0, *run.rounds[1:], 1.0)) for run in after]

    assert compare_runs(before, cut).verdict == "critical"


def test_a_partner_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="paired_with=9 is not one of 0 runs"):
        compare_runs([], [Run("1", (1.0,), paired_with=9)])


def test_nothing_at_all_is_inconclusive() -> None:
    assert compare_runs([], []).verdict == "inconclusive"


def test_thresholds_and_floor_are_the_specification_s() -> None:
    sides = benchmark(Random(1), QUIET, 1.3)

    lenient = compare_runs(*sides, spec=replace(BENCHMARK, warning=0.5, critical=1.0))
    floored = compare_runs(*sides, spec=replace(BENCHMARK, min_abs=1e-6))

    assert (lenient.verdict, floored.verdict) == ("minor", "minor")


@pytest.mark.parametrize(("factor", "verdict"), SIZES)
def test_one_value_per_process_is_judged_by_the_same_rule(factor: float, verdict: Verdict) -> None:
    draw, spec = Random(2), MetricSpec("peak", "gauge", ("level",))
    before, after = ([level * draw.lognormvariate(0, 0.01) for _ in range(10)] for level in (1.0, factor))

    assert compare_values(before, after, spec, SeriesKey("peak"), "level").verdict == verdict


def test_values_that_are_zero_or_not_numbers_are_no_values() -> None:
    values = [0.0, float("nan"), *[1.0] * 5]

    found = compare_values(values, [1.0] * 9, BENCHMARK, SeriesKey("x"), "mean")

    assert found.reason == "too little data: 5 and 9 usable values, 6 are needed"
