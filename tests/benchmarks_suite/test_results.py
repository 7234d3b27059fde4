"""A run as a file, in words, as a picture, and judged."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import catalogue, gate, margins, plot, report
from benchmarks.harness import Spread
from benchmarks.results import BASELINE, Results
from benchmarks.setting import Setting
from benchmarks.targets import TARGETS, Target
from benchmarks.workloads import hits
from tests.benchmarks_suite.runs import hit_run, times

HIT = next(target for target in TARGETS if target.group == "hit")


def test_a_file_holds_a_run_whole(tmp_path: Path) -> None:
    run = hit_run()
    run.absent["aiocache"] = "not installed"

    run.save(tmp_path / "run.json")

    assert Results.load(tmp_path / "run.json") == run


@pytest.mark.parametrize("changed", [{"schema_version": 2}, {"kind": "something else"}])
def test_a_file_of_another_kind_or_version_is_refused(tmp_path: Path, changed: dict[str, object]) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps(json.loads(hit_run().to_json()) | changed))

    with pytest.raises(ValueError, match=r"run\.json is not a result of version 1"):
        Results.load(path)


@pytest.mark.parametrize(("factor", "verdict"), [(3.1, "met"), (3.2, "met"), (3.3, "missed")])
def test_a_target_is_met_up_to_its_value(factor: float, verdict: str) -> None:
    assert HIT.verdict(hit_run(factor)) == verdict


def test_a_target_of_what_was_left_out_is_neither_met_nor_missed() -> None:
    of_fastapi_cache = next(target for target in TARGETS if "fastapi-cache2" in target.what)

    assert of_fastapi_cache.verdict(hit_run()) == "left out"
    assert of_fastapi_cache.passes(hit_run())


def test_a_target_of_throughput_is_met_from_its_value_on() -> None:
    of_cashews = next(target for target in TARGETS if "cashews" in target.what)

    assert of_cashews.figure(hit_run(2)) == Spread(10.0, 10.0, 10.0)
    assert of_cashews.verdict(hit_run(2)) == "met"
    assert of_cashews.verdict(hit_run(4)) == "missed"


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.what)
def test_a_gate_is_never_narrower_than_its_target(target: Target) -> None:
    if target.gate is not None:
        assert (target.gate >= target.value) == (target.bound == "at most")


def test_a_time_has_no_gate() -> None:
    assert {target.what for target in TARGETS if target.unit == "µs" and target.gate is not None} == set()


def test_every_row_of_the_table_has_a_target() -> None:
    assert sorted({target.row for target in TARGETS}) == ["a", "b", "c", "d", "e", "f", "flat", "g", "h"]


async def test_a_ratio_beyond_its_gate_fails_when_it_is_so_a_second_time(setting: Setting) -> None:
    never = replace(HIT, gate=0.001)

    failed = await gate.failures(hit_run(9), setting, [never])

    assert len(failed) == 1
    assert failed[0].startswith(HIT.what)


async def test_a_ratio_beyond_its_gate_once_does_not_fail(setting: Setting) -> None:
    always = replace(HIT, gate=500.0)

    failed = await gate.failures(hit_run(1000), setting, [always])

    assert failed == []


async def test_a_run_within_its_gates_measures_nothing_again(setting: Setting) -> None:
    run = Results({}, 0)

    assert await gate.failures(run, setting) == []


@pytest.mark.parametrize(("medians", "wanted"), [((3.0, 4.0), 5.0), ((2.0, 2.1), 3.2)])
def test_a_proposed_gate_is_a_quarter_beyond_the_worst_run(medians: tuple[float, ...], wanted: float) -> None:
    assert margins.proposed(HIT, medians) == wanted


def test_the_report_names_what_was_left_out_and_where_it_ran() -> None:
    run = hit_run()
    run.absent["aiocache"] = "not installed"

    words = report.whole(run)

    assert "3 rounds on a processor" in words
    assert "Left out: aiocache: not installed." in words
    assert "| a | hit in memory over a bare async dict with a time to live | at most 3.2 x |" in words
    assert f"| {hits.UNSAMPLED_HIT} | 3.00 (3.00-3.00) |" in words


def test_a_group_on_redis_shows_both_clocks() -> None:
    run = Results({}, 3, {"readers": {catalogue.of(["readers"])[0].base: times(1), "other": times(2)}})

    lines = report.groups(run).splitlines()

    assert lines[2] == "| case | x the first, time that passes | x the first, CPU |"
    assert lines[-1] == "| other | 2.00 (2.00-2.00) | 2.00 (2.00-2.00) |"


def test_a_picture_is_well_formed_and_marks_what_is_ours() -> None:
    drawn = ET.fromstring(plot.svg(hit_run()))

    texts = {text.text: text.get("fill") for text in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert texts[hits.UNSAMPLED_HIT] == plot.OURS
    assert texts["cashews"] != plot.OURS
    assert len(list(drawn.iter("{http://www.w3.org/2000/svg}circle"))) == 6


# --- what is committed -----------------------------------------------------------------------------------


def test_the_picture_in_the_docs_is_of_the_committed_run() -> None:
    assert plot.PICTURE.read_text() == plot.svg(Results.load(BASELINE))


def test_the_committed_run_has_every_group_and_enough_rounds() -> None:
    run = Results.load(BASELINE)

    assert run.groups.keys() == {group.name for group in catalogue.GROUPS}
    assert all(len(timing.wall) >= 31 for cases in run.groups.values() for timing in cases.values())
    assert max(run.bytes_per_entry["otcache"]) == 1_000_000


def test_the_quick_set_has_the_group_of_every_target() -> None:
    groups = {target.group for target in TARGETS}

    assert groups <= set(catalogue.quick())
