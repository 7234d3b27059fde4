"""`otcache regress compare` and `bench` as processes: statuses, files, and what is no answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from otcache.telemetry import catalog
from tests.cli.regress.conftest import START, Regress, benchmark, in_a_process
from tests.regression.sources.exports import Process, lines
from tests.regression.sources.histories import STEP

Exports = dict[str, Path]


@pytest.mark.parametrize(
    ("current", "options", "status", "verdict"),
    [
        ("same", [], 0, "ok"),
        ("slow", [], 1, "critical"),
        ("slow", ["--fail-on", "never"], 0, "critical"),
        ("slow", ["--exit-code", "detailed"], 1, "critical"),
        ("slow", ["--warning", "150", "--critical", "300"], 0, "minor"),
        ("slower", [], 0, "warning"),
        ("slower", ["--fail-on", "warning"], 1, "warning"),
        ("slower", ["--exit-code", "detailed"], 3, "warning"),
        ("slower", ["--exit-code", "detailed", "--fail-on", "never"], 0, "warning"),
        ("short", [], 4, "inconclusive"),
        ("short", ["--on-inconclusive", "pass"], 0, "inconclusive"),
        ("short", ["--fail-on", "never"], 4, "inconclusive"),
    ],
)
def test_the_status_says_what_was_found(
    regress: Regress, exports: Exports, current: str, options: list[str], status: int, verdict: str
) -> None:
    answer = regress("compare", "--baseline", exports["before"], "--current", exports[current], *options)

    assert (answer.status, answer.complained) == (status, "")
    assert answer.said.startswith(f"{verdict}: ")


def test_several_forms_go_to_a_file_each(regress: Regress, exports: Exports, tmp_path: Path) -> None:
    files = {form: tmp_path / form for form in ("json", "markdown", "junit")}
    formats = [argument for form, file in files.items() for argument in ("--format", f"{form}:{file}")]

    sides = ("--baseline", exports["before"], "--current", exports["slow"])
    answer = regress("compare", *sides, *formats, "--format", "github")

    assert answer.status == 1
    assert [line.split("::")[1].split()[0] for line in answer.said.splitlines()][-1] == "notice"
    assert json.loads(files["json"].read_text())["verdict"] == "critical"
    assert files["markdown"].read_text().startswith("**critical: ")
    assert ElementTree.parse(files["junit"]).getroot().tag == "testsuites"


BAD = {
    "empty": ("", "is empty"),
    "cut off": ("{before}[:-40]", "is not JSON, or is cut off"),
    "HTML": ("<html>502</html>", "is HTML or XML, not JSON"),
    "NaN": ('{"resourceMetrics": [NaN]}', "holds NaN"),
    "another JSON": ('{"hello": 1}\n', "is JSON, and not OTLP"),
    "a benchmark in it": ('{before}{"kind": "otcache.benchmark"}\n', "is JSON, and not OTLP"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("side", ["--baseline", "--current"])
def test_a_file_that_cannot_be_read_is_5_and_one_sentence(
    regress: Regress, exports: Exports, tmp_path: Path, name: str, side: str
) -> None:
    content, said = BAD[name]
    good = exports["before"].read_text()
    bad = tmp_path / "bad.jsonl"
    bad.write_text(good[:-40] if content.endswith("[:-40]") else content.replace("{before}", good))
    sides = {"--baseline": exports["before"], "--current": exports["same"]} | {side: bad}

    answer = regress("compare", *(part for pair in sides.items() for part in pair))

    assert (answer.status, answer.said) == (5, "")
    assert said in answer.complained
    assert answer.complained.count("\n") == 1


def test_a_file_that_is_not_there_is_5(regress: Regress, exports: Exports) -> None:
    answer = regress("compare", "--baseline", "nowhere.jsonl", "--current", exports["same"])

    assert (answer.status, answer.complained) == (
        5, "otcache: nowhere.jsonl: it can't be read: No such file or directory\n",
    )  # fmt: skip


def test_telemetry_and_a_benchmark_are_not_compared(regress: Regress, exports: Exports, tmp_path: Path) -> None:
    saved = benchmark(tmp_path / "bench.json", {"get": 1e-6})

    answer = regress("compare", "--baseline", exports["before"], "--current", saved)

    assert (answer.status, answer.said) == (2, "")
    assert answer.complained == ("otcache: one side is telemetry and the other a benchmark: they can't be compared\n")


def test_standard_input_is_a_side(exports: Exports) -> None:
    answer = in_a_process(
        "compare", "--baseline", exports["before"], "--current", "-", stdin=exports["slow"].read_text()
    )

    assert (answer.status, answer.said.partition(":")[0]) == (1, "critical")


def looked_up(path: Path, hits: int, absent: int, unavailable: int) -> Path:
    """Twelve minutes of look-ups, as the real SDK exports them."""
    process = Process(born=START - STEP)
    requests = []
    for number in range(13):
        process.look_up("hit", "none", hits)
        process.look_up("miss", "absent", absent)
        process.look_up("miss", "backend_unavailable", unavailable)
        requests.append(process.export(START + number * STEP))
    process.end()
    path.write_text(lines(request for request in requests if request is not None))
    return path


@pytest.mark.parametrize(
    ("absent", "unavailable", "verdict", "ratio"), [(10, 0, "ok", 0.9), (10, 400, "ok", 0.9), (90, 0, "critical", 0.5)]
)
def test_an_outage_is_no_worse_hit_ratio(
    regress: Regress, tmp_path: Path, absent: int, unavailable: int, verdict: str, ratio: float
) -> None:
    before = looked_up(tmp_path / "before.jsonl", 90, 10, 0)
    now = looked_up(tmp_path / "now.jsonl", 90, absent, unavailable)

    told = json.loads(regress("compare", "--baseline", before, "--current", now, "--format", "json").said)

    assert told["verdict"] == verdict
    (found,) = (each for each in told["findings"] if each["metric"] == catalog.LOOKUPS.name)
    assert found["current"] == pytest.approx(ratio)


# --- benchmarks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("factor", "status"), [(1.0, 0), (1.5, 1), (0.5, 0)])
@pytest.mark.parametrize("command", ["bench", "compare"])
def test_two_saved_benchmarks_are_compared(
    regress: Regress, tmp_path: Path, command: str, factor: float, status: int
) -> None:
    old = benchmark(tmp_path / "old.json", {"get": 1e-6, "set": 2e-6})
    new = benchmark(tmp_path / "new.json", {"get": 1e-6 * factor, "set": 2e-6}, seed=2)

    answer = regress(command, "--baseline", old, "--current", new)

    assert (answer.status, answer.complained) == (status, "")
    assert f"({new} against {old})" in answer.said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"count": 3}, "3 fresh processes, 6 are needed on each side"),
        ({"cpu": "another"}, "another machine or other versions: cpu differ"),
        ({"operations": {"set": 1e-6}}, "not compared, not in the current file: get"),
    ],
)
def test_a_benchmark_that_cannot_be_compared_is_inconclusive(
    regress: Regress, tmp_path: Path, change: dict[str, object], said: str
) -> None:
    old = benchmark(tmp_path / "old.json", {"get": 1e-6, "set": 1e-6}, cpu="one")
    options: dict[str, object] = {"operations": {"get": 1e-6, "set": 1e-6}, "cpu": "one", "seed": 2, **change}
    new = benchmark(tmp_path / "new.json", **options)  # type: ignore[arg-type]

    answer = regress("compare", "--baseline", old, "--current", new)

    assert (answer.status, answer.said.partition(":")[0]) == (4, "inconclusive")
    assert said in answer.said


def test_what_otcache_bench_saves_is_read(regress: Regress, tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    command = [sys.executable, "-m", "otcache", "bench", "--iterations", "40", "--processes", "6"]
    subprocess.run([*command, "--operations", "get", "--save", str(old)], check=True, capture_output=True, timeout=120)
    document = json.loads(old.read_text())
    for run in document["results"][0]["metadata"]["runs"]:
        run["rounds"] = [100 * seconds for seconds in run["rounds"]]
    new.write_text(json.dumps(document))

    assert regress("compare", "--baseline", old, "--current", new).status == 1


# --- acknowledgements -----------------------------------------------------------------------------------


def test_what_is_acknowledged_fails_no_more(regress: Regress, tmp_path: Path) -> None:
    old = benchmark(tmp_path / "old.json", {"get": 1e-6, "set": 1e-6})
    new = benchmark(tmp_path / "new.json", {"get": 2e-6, "set": 1e-6}, seed=2)
    acks = tmp_path / "acks.json"

    made = regress("ack", acks, "--metric", "benchmark", "--attribute", "benchmark=get", "--reason", "signed values")
    answer = regress("compare", "--baseline", old, "--current", new, "--acks", acks)

    assert (made.status, made.said.partition(" until")[0]) == (0, f"{acks}: benchmark is acknowledged")
    assert (answer.status, answer.said.partition(":")[0]) == (0, "minor")
    assert ": signed values; " in answer.said


def test_of_another_series_it_says_nothing(regress: Regress, tmp_path: Path) -> None:
    old = benchmark(tmp_path / "old.json", {"get": 1e-6})
    new = benchmark(tmp_path / "new.json", {"get": 2e-6}, seed=2)
    acks = tmp_path / "acks.json"
    regress("ack", acks, "--metric", "benchmark", "--attribute", "benchmark=set", "--reason", "r")

    assert regress("compare", "--baseline", old, "--current", new, "--acks", acks).status == 1


# --- a history ------------------------------------------------------------------------------------------


def a_history(directory: Path, levels: list[float]) -> list[Path]:
    return [
        benchmark(directory / f"{number:02}.json", {"get": level}, seed=number, count=3)
        for number, level in enumerate(levels)
    ]


def test_a_step_for_the_worse_is_found_at_its_file(regress: Regress, tmp_path: Path) -> None:
    files = a_history(tmp_path, [1e-6] * 10 + [1.3e-6] * 10)

    answer = regress("series", *files)

    assert answer.status == 1
    assert answer.said.splitlines()[0] == "get:"
    assert answer.said.splitlines()[1].startswith(f"  at {files[10]}: +")


@pytest.mark.parametrize("levels", [[1e-6] * 20, [1e-6] * 10 + [7e-7] * 10])
def test_a_history_that_is_no_worse_is_0(regress: Regress, tmp_path: Path, levels: list[float]) -> None:
    answer = regress("series", *a_history(tmp_path, levels), "--format", "json")

    assert (answer.status, answer.complained) == (0, "")
    assert json.loads(answer.said)["too_short"] == []


def test_a_history_that_is_too_short_is_never_ok(regress: Regress, tmp_path: Path) -> None:
    answer = regress("series", *a_history(tmp_path, [1e-6] * 3))

    assert answer.status == 4
    assert answer.said.startswith("get: inconclusive: a step shows from 14 files on")
