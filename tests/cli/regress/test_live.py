"""`otcache regress prometheus`, `selftest` and `watch` against a real Prometheus, and against one that is away."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from otcache.telemetry import catalog
from tests.cli.regress.conftest import COMMAND, Regress, minutes
from tests.regression.sources.histories import Minute, totals
from tests.regression.sources.prometheus_server import PrometheusServer
from tests.regression.sources.test_prometheus import classic
from tests.servers import free_port

HALF = 12
MINUTE = 60.0


@dataclass(frozen=True)
class History:
    """A Prometheus, and when the history of its jobs ends."""

    url: str
    end: float

    def source(self, job: str) -> tuple[str, ...]:
        return ("--prometheus", self.url, "--target", job)

    def sides(self, job: str) -> tuple[str, ...]:
        times = (f"--end={self.end}", f"--window={HALF}m", f"--baseline={HALF}m")
        return (*self.source(job), *times)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Twelve minutes, and twelve more in which one job is slower."""
    server = PrometheusServer(tmp_path_factory.mktemp("prometheus")).start()
    start = float(int(time.time() / MINUTE) * MINUTE - 2 * HALF * MINUTE)
    for job, second in (("steady", 0.002), ("slower", 0.004)):
        found = [*minutes(0.002, 1, HALF), *minutes(second, 2, HALF)]
        server.write(classic(totals(found, start), job))
    server.write(classic(totals([Minute((0.002,))] * 2 * HALF, start), "quiet"))
    yield History(server.url, start + 2 * HALF * MINUTE)
    server.stop()


@pytest.mark.parametrize(("job", "status", "verdict"), [("steady", 0, "ok"), ("slower", 1, "critical")])
def test_two_stretches_of_time_are_compared(
    regress: Regress, history: History, job: str, status: int, verdict: str
) -> None:
    answer = regress("prometheus", *history.sides(job))

    assert (answer.status, answer.complained) == (status, "")
    assert answer.said.startswith(f"{verdict}: ")
    assert "12 min to " in answer.said.splitlines()[0]


@pytest.mark.parametrize("job", ["quiet", "nobody"])
def test_too_little_data_and_none_are_4(regress: Regress, history: History, job: str) -> None:
    answer = regress("prometheus", *history.sides(job))

    assert (answer.status, answer.said.partition(":")[0]) == (4, "inconclusive")


def test_a_reference_without_data_says_nothing(regress: Regress, history: History) -> None:
    answer = regress("prometheus", *history.sides("slower"), "--reference", "day", "--reference", "week")

    assert answer.status == 1


@pytest.mark.parametrize("command", ["prometheus", "selftest"])
def test_a_prometheus_that_is_away_is_5_and_one_sentence(regress: Regress, command: str) -> None:
    url = f"http://me:secret@127.0.0.1:{free_port()}"

    answer = regress(command, "--prometheus", url, "--target", "shop")

    assert (answer.status, answer.said) == (5, "")
    assert answer.complained.startswith("otcache: Prometheus at http://127.0.0.1:")
    assert answer.complained.count("\n") == 1
    assert "secret" not in answer.complained


def test_the_past_is_compared_with_itself(regress: Regress, history: History) -> None:
    times = (f"--end={history.end}", "--past=24m", "--window=8m")

    steady, quiet = (regress("selftest", *history.source(job), *times) for job in ("steady", "quiet"))

    assert (steady.status, quiet.status) == (0, 4)
    lines = steady.said.splitlines()
    assert lines[:1] == ["2 comparisons of 8 min with the 8 min before"]
    assert lines[1].startswith("0 of 2 would have been alarms (0.0% to ")
    assert any(line.startswith("  operation.duration{") and "mean: from +" in line for line in lines)
    assert quiet.said.splitlines()[-1] == "inconclusive: none of them had data enough"


# --- watch ----------------------------------------------------------------------------------------------


def test_a_watch_that_can_not_read_says_so_and_is_5_if_it_was_the_last_look(regress: Regress) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    answer = regress("watch", "--prometheus", url, "--target", "shop", "--exporter", "none", "--looks", "1")

    assert answer.status == 5
    assert f"not read: Prometheus at {url}" in answer.said


def test_a_watch_looks_keeps_its_state_and_ends(regress: Regress, history: History, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    options = ("--every", "1s", "--looks", "2", "--exporter", "none", "--state", state, "--reference", "none")

    answer = regress("watch", *history.source("steady"), "--window=8m", "--baseline=12m", *options)

    assert (answer.status, answer.complained) == (0, "")
    assert len(answer.said.splitlines()) == 2
    assert json.loads(state.read_text())["target"] == "steady"


def test_a_state_of_another_target_is_refused_before_anything_starts(
    regress: Regress, history: History, tmp_path: Path
) -> None:
    state = tmp_path / "state.json"
    state.write_text('{"version": 1, "target": "other", "pinned": 1, "alarms": {}}')

    answer = regress("watch", *history.source("steady"), "--state", state)

    assert (answer.status, answer.said) == (2, "")
    assert answer.complained == f"otcache: {state} is of target 'other', not 'steady'\n"


def test_verdicts_are_on_a_page_until_a_signal_ends_it(history: History) -> None:
    options = ("--window=8m", "--baseline=12m", "--every=1h", "--metrics-port=0", "--reference=none")
    command = [*COMMAND, "watch", *history.source("steady"), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().removeprefix("verdicts are on port ").partition(",")[0]
        looked = process.stdout.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as page:
            text = page.read().decode()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()

    assert (process.returncode, errors) == (0, "")
    assert "Z  ok: " in looked
    assert f"{catalog.EVALUATION_DURATION.prometheus}_count{{" in text
    assert f"{catalog.REGRESSION_STATUS.prometheus}{{" in text
