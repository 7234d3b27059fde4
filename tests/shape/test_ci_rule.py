"""In CI a test that was skipped is a failure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(tmp_path: Path, code: str, *options: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_given.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    for name in [name for name in environment if name.startswith("PYTEST_XDIST")]:
        del environment[name]  # else the run takes itself for a worker of ours
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.ci_plugin", *options, str(tmp_path)]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
@pytest.mark.parametrize(
    "code",
    [
        "import pytest\ndef test_a(): pytest.skip('no server')\ndef test_b(): pass",
        "import pytest\npytest.skip('no server', allow_module_level=True)",
    ],
    ids=["test", "module"],
)
def test_a_skip_fails_the_run_and_says_why(tmp_path: Path, code: str, options: tuple[str, ...]) -> None:
    done = run(tmp_path, code, *options)

    assert done.returncode != 0
    assert "skipped, which is a failure in CI" in done.stdout
    assert "no server" in done.stdout


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
def test_an_expected_failure_is_no_skip(tmp_path: Path, options: tuple[str, ...]) -> None:
    done = run(tmp_path, "import pytest\n@pytest.mark.xfail\ndef test_a(): assert 0\ndef test_b(): pass", *options)

    assert done.returncode == 0, done.stdout
