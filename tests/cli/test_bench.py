"""`otcache bench` as a person or a CI job runs it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from otcache import BenchmarkSuite
from otcache.cli import main
from tests.servers import RedisServer, wait_for

SMALL = ("bench", "--iterations", "40", "--processes", "2")


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "otcache", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **{"stderr": subprocess.PIPE, **options})


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str, str]:
    """A run in memory, as a process of its own: its file, status, output and errors."""
    file = tmp_path_factory.mktemp("bench") / "suite.json"
    process = start(*SMALL, "--operations", "get,set", "--data-size", "64", "--save", str(file))
    output, errors = process.communicate(timeout=60)
    return file, process.returncode, output, errors


def test_a_run_prints_a_table_and_nothing_else(saved: tuple[Path, int, str, str]) -> None:
    _, status, output, errors = saved

    title, head, *rows = output.splitlines()
    assert (status, errors) == (0, "")
    assert title == "memory, values of 64 B, 2 processes per operation"
    assert head.split()[:5] == ["operation", "count", "mean", "p95", "p99"]
    assert [row.split()[:2] for row in rows] == [["get", "80"], ["set", "80"]]


def test_the_file_holds_the_rounds_of_every_process(saved: tuple[Path, int, str, str]) -> None:
    suite = BenchmarkSuite.load(saved[0])

    for result in suite.results:
        runs = result.metadata["runs"]
        assert len({run["process"] for run in runs}) == 2
        assert [len(run["rounds"]) for run in runs] == [20, 20]
        assert (result.iterations, result.metadata["data_size"]) == (80, 64)
        assert result.total_duration_ms == pytest.approx(80 * result.avg_duration_ms)
        assert result.min_duration_ms <= result.p95_duration_ms <= result.p99_duration_ms <= result.max_duration_ms


def test_the_file_names_the_machine(saved: tuple[Path, int, str, str]) -> None:
    written = json.loads(saved[0].read_text())

    assert {"cpu", "cpu_count", "python", "otcache"} <= written["fingerprint"].keys()
    assert all(each["metadata"]["fingerprint"] == written["fingerprint"] for each in written["results"])


def test_json_on_a_real_redis_leaves_no_key_there(
    redis_server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main([*SMALL, "--operations", "get_many", "--json", "--redis-url", redis_server.url])

    written = json.loads(capsys.readouterr().out)
    assert status == 0
    assert written["kind"] == "otcache.benchmark"
    assert written["results"][0]["cache_hit_rate"] == 1.0
    assert written["fingerprint"]["server"].startswith("valkey")
    assert keys_of_benchmarks(redis_server) == []


def test_a_preset_is_what_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--preset", "quick", "--iterations", "10", "--json"]) == 0

    results = json.loads(capsys.readouterr().out)["results"]
    assert [(each["operation"], each["iterations"]) for each in results] == [("get", 20), ("set", 20), ("delete", 20)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--operations", "get,fetch"], "operation='fetch' is none of"),
        (["--operations", ""], "operation='' is none of"),
        (["--iterations", "0"], "iterations=0 is outside 1..10000000"),
        (["--processes", "0"], "processes=0 is outside 1..1000"),
        (["--data-size", "-1"], "data_size=-1 is outside"),
        (["--redis-url", "http://localhost"], "redis_url"),
        (["--save", "/nowhere/suite.json"], "--save /nowhere/suite.json: not a file that can be written"),
    ],
)
def test_wrong_usage_is_exit_status_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 2

    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""


def test_an_unreachable_redis_is_exit_status_1_without_its_password(
    away_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, "--redis-url", away_url]) == 1

    shown = capsys.readouterr()
    assert "does not answer" in shown.err
    assert shown.err.count("\n") == 1
    assert "hunter2" not in shown.err + shown.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_its_workers_and_keys(redis_server: RedisServer, number: signal.Signals) -> None:
    url = ("--redis-url", redis_server.url)
    process = start("bench", "--operations", "get", "--iterations", "1000000", *url)
    wait_for(lambda: bool(keys_of_benchmarks(redis_server)), "the first keys")

    process.send_signal(number)

    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (130, "", "")
    assert keys_of_benchmarks(redis_server) == []
    assert children_of(process.pid) == []


def keys_of_benchmarks(server: RedisServer) -> list[bytes]:
    found: list[bytes] = server.command("KEYS", "*otcache-bench:*")
    return found


def children_of(pid: int) -> list[str]:
    """Workers that were started with `pid` as their parent, or lost it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if b"otcache.benchmarks._run.worker" in (entry / "cmdline").read_bytes():
                found.append((entry / "status").read_text())
        except OSError:
            continue
    return [status for status in found if f"PPid:\t{pid}\n" in status or "PPid:\t1\n" in status]


@pytest.mark.parametrize(("arguments", "drawn"), [((), True), (("--no-progress",), False)])
def test_progress_is_shown_on_a_terminal_only_and_can_be_left_out(arguments: tuple[str, ...], drawn: bool) -> None:
    ours, theirs = pty.openpty()
    process = start(*SMALL, "--operations", "get", *arguments, stderr=theirs, env={**os.environ, "TERM": "xterm"})
    os.close(theirs)

    output, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert output.startswith("memory")
    assert ("benchmarks: 2 of 2 processes" in read_all(ours)) == drawn


def read_all(terminal: int) -> str:
    shown = b""
    try:
        while part := os.read(terminal, 65536):
            shown += part
    except OSError:  # Linux says so when nobody holds the other end
        pass
    finally:
        os.close(terminal)
    return shown.decode()
