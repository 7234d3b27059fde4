"""The detector's answers: the documented thresholds for bare results, statistics for raw rounds."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from otcache import (
    BenchmarkConfig,
    BenchmarkResult,
    CachePerformanceBenchmark,
    PerformanceRegressionDetector,
    ValidationError,
)
from otcache.benchmarks._run.verdict import Thresholds, decide
from otcache.regression._model import Run
from tests.benchmarks.examples import Own, Slow, a_result, processes

DETECTOR = PerformanceRegressionDetector()
TIMINGS = ["avg_duration_ms", "p95_duration_ms", "p99_duration_ms"]
KEYS = {
    "type", "metric", "operation", "severity", "old_value", "new_value", "change_percent", "threshold", "method",
    "ci_low_percent", "ci_high_percent", "samples", "message",
}  # fmt: skip


def severities(entries: list[dict[str, Any]]) -> dict[str, str]:
    return {entry["metric"]: entry["severity"] for entry in entries}


# --- bare results ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ms", "severity"),
    [(0.5, None), (1.05, None), (1.0999, None), (1.1, "warning"), (1.15, "warning"), (1.2499, "warning"),
     (1.25, "critical"), (1.30, "critical")],
)  # fmt: skip
def test_a_change_at_or_above_a_threshold_counts(ms: float, severity: str | None) -> None:
    found = DETECTOR.detect_timing_regressions(a_result(ms=1.0), a_result(ms=ms))

    assert severities(found) == ({} if severity is None else dict.fromkeys(TIMINGS, severity))


@pytest.mark.parametrize("old", [0.1, 0.3, 0.7, 1.1, 3.3, 123.4567])
def test_a_change_of_exactly_the_threshold_counts_in_spite_of_binary_fractions(old: float) -> None:
    found = DETECTOR.detect_timing_regressions(a_result(ms=old), a_result(ms=old * 1.1))

    assert severities(found) == dict.fromkeys(TIMINGS, "warning")


def test_an_entry_says_everything() -> None:
    found, *_ = DETECTOR.detect_timing_regressions(a_result(ms=1.0), a_result(ms=1.3))

    assert found.keys() == KEYS
    message = found.pop("message")
    assert found == {
        "type": "timing_regression", "metric": "avg_duration_ms", "operation": "get", "severity": "critical",
        "old_value": 1.0, "new_value": 1.3, "change_percent": 30.0, "threshold": 25.0, "method": "threshold",
        "ci_low_percent": None, "ci_high_percent": None, "samples": {"old": 1, "new": 1},
    }  # fmt: skip
    assert message == (
        "get: avg_duration_ms went from 1 to 1.3 (worse by 30.0 %; threshold 25 %); "
        "no statistics were possible: the results carry no raw rounds"
    )


@pytest.mark.parametrize(
    ("usage", "peak", "expected"),
    [
        (10.0, 20.0, {}),
        (10.9, 21.0, {}),
        (11.5, 20.0, {"memory_usage_mb": "warning"}),
        (13.0, 26.0, {"memory_usage_mb": "critical", "memory_peak_mb": "critical"}),
        (5.0, 10.0, {}),
    ],
)
def test_memory_is_judged_at_the_end_and_at_the_peak(usage: float, peak: float, expected: dict[str, str]) -> None:
    new = a_result(memory_usage_mb=usage, memory_peak_mb=peak)

    found = DETECTOR.detect_memory_regressions(a_result(), new)

    assert severities(found) == expected
    assert {entry["type"] for entry in found} <= {"memory_regression"}


def test_a_few_kilobytes_are_no_memory_regression() -> None:
    old, new = (a_result(memory_usage_mb=mb, memory_peak_mb=mb) for mb in (0.001, 0.099))

    assert DETECTOR.detect_memory_regressions(old, new) == []


@pytest.mark.parametrize("old", [0.0, float("nan"), float("inf"), -1.0])
def test_an_old_value_that_nothing_can_be_divided_by_has_no_percentage(old: float) -> None:
    before = a_result(avg_duration_ms=old, memory_usage_mb=old)

    found = DETECTOR.detect_timing_regressions(before, a_result()) + DETECTOR.detect_memory_regressions(
        before, a_result()
    )

    assert [(entry["metric"], entry["severity"]) for entry in found] == [
        ("avg_duration_ms", "inconclusive"),
        ("memory_usage_mb", "inconclusive"),
    ]
    assert [entry["change_percent"] for entry in found] == [None, None]
    assert all("has no verdict: " in entry["message"] for entry in found)


def test_thresholds_can_be_chosen() -> None:
    detector = PerformanceRegressionDetector(warning_threshold=2, critical_threshold=4)

    found = detector.detect_timing_regressions(a_result(ms=1.0), a_result(ms=1.03))

    assert (detector.warning_threshold, detector.critical_threshold) == (2, 4)
    assert severities(found) == dict.fromkeys(TIMINGS, "warning")


@pytest.mark.parametrize(
    ("warning", "critical", "said"),
    [
        (25.0, 10.0, "warning_threshold=25.0 is not below critical_threshold=10.0"),
        (10.0, 10.0, "is not below"),
        (-1.0, 10.0, "warning_threshold=-1.0 is outside"),
        (float("nan"), 10.0, "warning_threshold=nan is outside"),
        (10.0, float("nan"), "critical_threshold=nan is outside"),
        (10.0, float("inf"), "critical_threshold=inf is outside"),
        ("10", 25.0, "warning_threshold is str"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(warning: Any, critical: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        PerformanceRegressionDetector(warning, critical)


def test_only_results_are_compared() -> None:
    with pytest.raises(ValidationError, match="new_result is dict, not a BenchmarkResult"):
        DETECTOR.detect_timing_regressions(a_result(), {})  # type: ignore[arg-type]


# --- what can't be compared -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (a_result("get"), a_result("set"), "get and set are different operations"),
        (a_result(metadata={"data_size": 10}), a_result(metadata={"data_size": 20}), "values of 10 and of 20 bytes"),
        (
            a_result(metadata={"fingerprint": {"cpu": "A", "otcache": "1"}}),
            a_result(metadata={"fingerprint": {"cpu": "B", "otcache": "2"}}),
            "different machines or versions: cpu A and B",
        ),
    ],
)
def test_different_work_or_machines_are_not_judged(old: BenchmarkResult, new: BenchmarkResult, said: str) -> None:
    found = DETECTOR.detect_timing_regressions(old, new)

    assert severities(found) == dict.fromkeys(TIMINGS, "inconclusive")
    assert all(said in entry["message"] for entry in found)


def test_another_version_or_commit_is_what_one_compares() -> None:
    facts = [{"cpu": "A", "otcache": version, "git_sha": version} for version in ("1", "2")]
    old, new = (a_result(metadata={"fingerprint": each}) for each in facts)

    assert DETECTOR.detect_timing_regressions(old, new) == []


@pytest.mark.parametrize("runs", [3, [{}], [{"process": "a", "rounds": []}], [{"process": "a", "rounds": ["x"]}]])
def test_raw_rounds_that_are_none_are_refused(runs: Any) -> None:
    broken = a_result(metadata={"runs": runs})

    with pytest.raises(ValidationError, match="metadata of get: its runs or tails are malformed"):
        DETECTOR.detect_timing_regressions(broken, broken)


# --- raw rounds -----------------------------------------------------------------------------------------


def a_side(seconds: float, count: int = 8, **options: Any) -> BenchmarkResult:
    return a_result(ms=seconds * 1000, metadata=processes(seconds, count, **options))


@pytest.mark.parametrize("counts", [(1, 1), (5, 8), (8, 5)])
def test_too_few_processes_are_not_judged_and_the_number_needed_is_said(counts: tuple[int, int]) -> None:
    old, new = (a_side(seconds, count) for seconds, count in zip((0.001, 0.002), counts, strict=True))

    found = DETECTOR.detect_timing_regressions(old, new)

    assert severities(found) == dict.fromkeys(TIMINGS, "inconclusive")
    said = f"too little data: {counts[0]} and {counts[1]} fresh processes, 6 are needed on each side"
    assert found[0]["message"] == f"get: avg_duration_ms has no verdict: {said}"
    assert found[0]["samples"] == {"old": counts[0], "new": counts[1]}


@pytest.mark.parametrize(
    ("factor", "severity"), [(1.0, None), (1.03, None), (0.5, None), (1.15, "warning"), (1.5, "critical")]
)
def test_raw_rounds_are_judged_by_the_interval_of_the_change(factor: float, severity: str | None) -> None:
    old, new = a_side(0.001, seed=1), a_side(0.001 * factor, seed=2)

    found = DETECTOR.detect_timing_regressions(old, new)

    assert severities(found) == ({} if severity is None else dict.fromkeys(TIMINGS, severity))
    for entry in found:
        assert entry["method"] == "statistical"
        assert entry["ci_low_percent"] < entry["change_percent"] < entry["ci_high_percent"]


def test_a_change_in_the_noise_is_inconclusive() -> None:
    old, new = a_side(0.001, seed=1, spread=1.0), a_side(0.0011, seed=2, spread=1.0)

    found = DETECTOR.detect_timing_regressions(old, new)

    assert "inconclusive" in severities(found).values()
    assert "too noisy: the change lies between " in found[0]["message"]
    assert "so +10.0 % is neither shown nor ruled out" in found[0]["message"]


def test_runs_of_one_process_count_once() -> None:
    runs = [Run("same", (0.001,)) for _ in range(10)]

    finding = decide(runs, runs, Thresholds())

    assert (finding.verdict, finding.n_baseline) == ("inconclusive", 1)


def test_the_same_code_seldom_raises_an_alarm() -> None:
    draw = random.Random(5)

    def side() -> list[Run]:
        return [Run(str(number), (draw.lognormvariate(0, 0.1),)) for number in range(10)]

    alarms = [decide(side(), side(), Thresholds()).verdict in ("warning", "critical") for _ in range(300)]

    assert sum(alarms) <= 6  # the bound is wrong in one of a hundred


@pytest.mark.parametrize(("count", "seed"), [(6, 1), (25, 2), (26, 3), (40, 4)])
def test_the_bounds_hold_the_true_change(count: int, seed: int) -> None:
    draw = random.Random(seed)

    def covers() -> bool:
        old, new = ([Run(str(n), (draw.lognormvariate(at, 0.2),)) for n in range(count)] for at in (0.0, 0.3))
        finding = decide(old, new, Thresholds())
        assert finding.low is not None
        assert finding.high is not None
        return finding.low <= 1.349859 - 1 <= finding.high

    assert sum(covers() for _ in range(200)) >= 192  # 98.5 % of them, and room for chance


async def test_a_slow_cache_is_found_from_its_raw_rounds() -> None:
    config = BenchmarkConfig(warmup_iterations=20, rounds=5, progress=False)

    async def side(kind: type[Own]) -> BenchmarkResult:
        runs = [await CachePerformanceBenchmark(kind(), config).run_single_benchmark("get", 100) for _ in range(6)]
        for number, run in enumerate(runs):  # as if each had been measured by a process of its own
            run.metadata["runs"][0]["process"] = run.metadata["tails"][0]["process"] = str(number)
        first, *others = runs
        for other in others:
            first.metadata["runs"] += other.metadata["runs"]
            first.metadata["tails"] += other.metadata["tails"]
        return first

    found = DETECTOR.detect_timing_regressions(await side(Own), await side(Slow))

    assert severities(found)["avg_duration_ms"] == "critical"
    json.dumps(found)
