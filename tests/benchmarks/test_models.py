"""Results and suites as data: exact fields, files that load again, comparisons in several forms."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from otcache import BenchmarkResult, BenchmarkSuite, ComparisonResult, ConfigurationError, ValidationError
from tests.benchmarks.examples import a_result, processes


def test_a_result_has_the_sixteen_documented_fields_and_no_other() -> None:
    assert len(dataclasses.fields(BenchmarkResult)) == 16


def test_a_result_round_trips_and_shares_nothing_with_its_dictionary() -> None:
    result = a_result(metadata={"runs": [1]})

    values = result.to_dict()
    again = BenchmarkResult.from_dict(json.loads(json.dumps(values)))
    values["metadata"]["runs"].append(2)

    assert again == result == a_result(metadata={"runs": [1]})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"operation": 1}, "operation is int"),
        ({"iterations": 1.5}, "iterations is float"),
        ({"avg_duration_ms": "1"}, "avg_duration_ms is str"),
        ({"avg_duration_ms": None}, "avg_duration_ms is NoneType"),
        ({"error_count": True}, "error_count is bool"),
        ({"metadata": []}, "metadata is list"),
        ({"speed": 1}, "'speed' is no field"),
    ],
)
def test_a_dictionary_that_is_no_result_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        BenchmarkResult.from_dict(a_result().to_dict() | change)


def test_a_missing_field_is_named() -> None:
    values = a_result().to_dict()
    del values["p99_duration_ms"]

    with pytest.raises(ValidationError, match="p99_duration_ms is missing"):
        BenchmarkResult.from_dict(values)


# --- suites ---------------------------------------------------------------------------------------------


def a_suite(*results: BenchmarkResult) -> BenchmarkSuite:
    suite = BenchmarkSuite()
    for result in results:
        suite.add_result(result)
    return suite


def test_an_empty_suite_is_a_suite() -> None:
    assert BenchmarkSuite().get_summary() == {}
    assert BenchmarkSuite().compare_with(BenchmarkSuite()).verdict == "inconclusive"


def test_a_summary_has_the_figures_of_each_operation() -> None:
    summary = a_suite(a_result("get", 1.0), a_result("set", 2.0)).get_summary()

    assert list(summary) == ["get", "set"]
    assert summary["set"]["avg_duration_ms"] == 2.0
    assert summary["get"].keys() == a_result().to_dict().keys() - {"operation", "timestamp", "metadata"}


def test_one_operation_with_two_sizes_has_two_entries() -> None:
    suite = a_suite(*(a_result(metadata={"data_size": size}) for size in (10, 20)), a_result("set"))

    assert list(suite.get_summary()) == ["get 10 B", "get 20 B", "set"]


def test_only_a_result_can_be_added() -> None:
    with pytest.raises(ValidationError, match="result is str"):
        BenchmarkSuite().add_result("get")  # type: ignore[arg-type]


def test_a_saved_suite_is_versioned_and_loads_again(tmp_path: Path) -> None:
    suite = a_suite(a_result(metadata=processes(0.001, 2, fingerprint={"cpu": "A"})), a_result("set"))

    suite.save(tmp_path / "suite.json")

    written = json.loads((tmp_path / "suite.json").read_text())
    assert list(written) == ["schema_version", "kind", "fingerprint", "results"]
    assert (written["schema_version"], written["kind"]) == (1, "otcache.benchmark")
    assert written["fingerprint"] == {"cpu": "A"}
    assert written["results"][0]["metadata"]["runs"][0].keys() == {"process", "rounds", "at"}
    assert BenchmarkSuite.load(tmp_path / "suite.json") == suite


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "its kind is not"),
        ('{"kind": "other"}', "its kind is not"),
        ('{"kind": "otcache.benchmark", "schema_version": 2}', "schema_version=2 is not 1"),
        ('{"kind": "otcache.benchmark", "schema_version": 1}', "results is NoneType"),
        ('{"kind": "otcache.benchmark", "schema_version": 1, "results": [1]}', "a result is int"),
    ],
)
def test_a_file_that_is_no_suite_is_refused_by_its_path(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "suite.json").write_text(text)

    with pytest.raises(ValidationError, match=f"suite.json.*{said}"):
        BenchmarkSuite.load(tmp_path / "suite.json")


def test_what_can_t_be_written_or_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        BenchmarkSuite.load(tmp_path / "none.json")
    with pytest.raises(ConfigurationError, match="can't be written"):
        BenchmarkSuite().save(tmp_path)
    with pytest.raises(ValidationError, match="can't be written as JSON"):
        a_suite(a_result(ms=float("nan"))).save(tmp_path / "suite.json")


# --- comparisons ----------------------------------------------------------------------------------------


@pytest.fixture
def comparison() -> ComparisonResult:
    """One operation of each kind."""
    old = a_suite(
        a_result("get", 1.0, cache_hit_rate=0.9), a_result("set", 1.0), a_result("delete", 1.0), a_result("mixed", 0.0)
    )
    new = a_suite(
        a_result("get", 1.3, cache_hit_rate=0.9),
        a_result("set", 0.5),
        a_result("mixed", 1.0),
        a_result("get_miss", 1.0),
    )
    return new.compare_with(old)


def names(entries: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(entry["operation"], entry["metric"].split("_")[0]) for entry in entries}


def test_a_comparison_sorts_what_both_sides_have(comparison: ComparisonResult) -> None:
    assert comparison.operations == ["get", "set", "mixed"]
    assert (comparison.only_in_baseline, comparison.only_in_current) == (["delete"], ["get_miss"])
    assert names(comparison.regressions) == {("get", "avg"), ("get", "p95"), ("get", "p99")}
    assert names(comparison.improvements) == {("set", "avg"), ("set", "p95"), ("set", "p99")}
    assert names(comparison.inconclusive) == {("mixed", "avg"), ("mixed", "p95"), ("mixed", "p99")}
    assert names(comparison.unchanged) == {(name, "memory") for name in comparison.operations} | {("get", "cache")}
    assert comparison.verdict == "critical"


def test_the_argument_is_the_baseline_and_worse_is_positive() -> None:
    comparison = a_suite(a_result(ms=1.2)).compare_with(a_suite(a_result(ms=1.0)))

    assert [entry["change_percent"] for entry in comparison.regressions] == [20.0] * 3
    assert comparison.verdict == "warning"


def test_a_falling_hit_rate_is_a_regression() -> None:
    old, new = (a_suite(a_result(cache_hit_rate=rate)) for rate in (1.0, 0.7))

    comparison = new.compare_with(old)

    assert [(e["metric"], e["severity"], e["change_percent"]) for e in comparison.regressions] == [
        ("cache_hit_rate", "critical", 30.0)
    ]


def test_thresholds_of_a_comparison_can_be_chosen() -> None:
    old, new = a_suite(a_result(ms=1.0)), a_suite(a_result(ms=1.2))

    assert new.compare_with(old, 30, 50).verdict == "ok"
    with pytest.raises(ValidationError, match="is not below"):
        new.compare_with(old, 50, 30)


def test_what_could_not_be_judged_is_not_ok() -> None:
    suite = a_suite(a_result(metadata=processes(0.001, 1)))

    assert suite.compare_with(suite).verdict == "inconclusive"


def test_a_well_measured_small_change_is_minor() -> None:
    old, new = (
        a_suite(a_result(metadata=processes(at, 10, spread=0.002, seed=seed))) for at, seed in ((1, 1), (1.07, 2))
    )

    comparison = new.compare_with(old)

    assert names(comparison.minor) == {("get", "avg"), ("get", "p95"), ("get", "p99")}
    assert comparison.verdict == "ok"


def test_a_comparison_as_a_dictionary_is_json(comparison: ComparisonResult) -> None:
    values = json.loads(comparison.to_json())

    assert values["schema_version"] == 1
    assert values.keys() - {"schema_version"} == {field.name for field in dataclasses.fields(ComparisonResult)}


def test_a_comparison_as_markdown_shows_changes_and_folds_the_rest(comparison: ComparisonResult) -> None:
    text = comparison.to_markdown()

    head, _, folded = text.partition("<details>")
    assert head.startswith("**Benchmarks: critical**\n")
    assert "| get | avg_duration_ms | 1 | 1.3 | +30.0 % | - | critical |" in head
    assert "* mixed: avg_duration_ms has no verdict: a change from 0.0 has no percentage" in head
    assert "Only in the baseline: delete." in head
    assert "| set | memory_peak_mb | 20 | 20 | +0.0 % | - | ok |" in folded


def test_a_comparison_as_junit_fails_skips_and_passes(comparison: ComparisonResult) -> None:
    root = ElementTree.fromstring(comparison.to_junit())

    suites = {suite.get("name"): suite for suite in root}
    average = suites["avg_duration_ms"]
    assert (average.get("tests"), average.get("failures"), average.get("skipped")) == ("3", "1", "1")
    kinds = {case.get("name"): [child.tag for child in case] for case in average}
    assert kinds == {"get": ["failure"], "mixed": ["skipped"], "set": []}


def test_a_warning_is_shown_in_junit_and_does_not_fail() -> None:
    root = ElementTree.fromstring(a_suite(a_result(ms=1.2)).compare_with(a_suite(a_result())).to_junit())

    assert [child.tag for case in root[0] for child in case] == ["system-out"]
    assert root[0].get("failures") == "0"
