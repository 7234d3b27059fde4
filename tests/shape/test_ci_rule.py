"""What is left out of a run is told in one line for each reason, and is a failure in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.suite import line_of

ROOT = Path(__file__).parents[2]
MISSING = """
import pytest
from tests.servers import require

@pytest.mark.parametrize("number", range(3))
def test_a(number): require("prometheus", "apt-get install -y prometheus")

@pytest.mark.xfail
def test_b(): assert 0

def test_c(): pass
"""
MODULE = "import pytest\npytest.skip('no server', allow_module_level=True)"
OUTSIDE = "import pytest\ndef test_a(): pytest.skip('outside the repository: a trace of a day')\ndef test_b(): pass"
TOLD = ["1 test left out: no server", "prometheus is missing: 3 tests left out; apt-get install -y prometheus"]


def run(tmp_path: Path, *options: str, **files: str) -> subprocess.CompletedProcess[str]:
    for name, code in files.items():
        (tmp_path / f"test_{name}.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "", "CI": ""}
    for name in [name for name in environment if name.startswith("PYTEST_XDIST")]:
        del environment[name]  # else the run takes itself for a worker of ours
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.suite", *options, str(tmp_path)]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


def told(done: subprocess.CompletedProcess[str]) -> list[str]:
    return sorted({line for line in done.stdout.splitlines() if "left out" in line})


def test_a_part_that_is_missing_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, missing=MISSING, module=MODULE)

    assert (done.returncode, told(done)) == (0, TOLD), done.stdout
    assert done.stdout.count("apt-get") == 1


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
def test_in_ci_it_is_a_failure(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = run(tmp_path, "-p", "tests.ci_plugin", *options, missing=MISSING, module=MODULE)

    assert done.returncode == 1, done.stdout
    assert told(done) == TOLD
    assert "skipped, which is a failure in CI" in done.stdout


def test_what_the_repository_does_not_hold_may_be_left_out_in_ci_too(tmp_path: Path) -> None:
    done = run(tmp_path, "-p", "tests.ci_plugin", outside=OUTSIDE)

    assert (done.returncode, told(done)) == (0, ["1 test left out: outside the repository: a trace of a day"])


def test_a_reason_that_names_no_command_stays_as_it_is() -> None:
    assert line_of("only on Linux", 2) == "2 tests left out: only on Linux"


SEEDED = """
from hypothesis import given, strategies as st

def test_seed(seed): assert seed == 41

@given(st.integers())
def test_many(number):
    with open("examples", "a") as file:
        file.write(f"{number}\\n")
"""


def test_a_long_run_says_its_seed_and_repeats_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTCACHE_TEST_SEED", "41")

    tried = []
    for _ in range(2):
        done = run(tmp_path, "--verbose", "--hypothesis-profile=long", seeded=SEEDED)
        tried.append((tmp_path / "examples").read_text())
        (tmp_path / "examples").unlink()
        assert "seed: 41 (OTCACHE_TEST_SEED=41 repeats)" in done.stdout, done.stdout

    assert tried[0] == tried[1]
    assert tried[0].count("\n") >= 1000
