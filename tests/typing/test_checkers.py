"""The types that callers see are what mypy and pyright make of them, in their strict modes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
CASES: Final = Path(__file__).with_name("cases.py")
SECONDS: Final = 300


def run(*command: str | Path) -> str:
    """What a checker prints."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def mypy(file: Path, folder: Path) -> list[str]:
    """The errors that mypy finds in a file."""
    lines = run("mypy", "--strict", f"--cache-dir={ROOT / '.cache' / 'mypy'}", file).splitlines()
    return [line for line in lines if ": error:" in line]


def pyright(file: Path, folder: Path) -> list[str]:
    """The errors that pyright finds in a file; basedpyright is pyright in a wheel, its own rules are off."""
    config: dict[str, Any] = {
        "include": [str(file)],
        "extraPaths": [str(ROOT)],
        "typeCheckingMode": "strict",
        "enableTypeIgnoreComments": True,
        "reportUnnecessaryTypeIgnoreComment": True,
        "pythonVersion": "3.11",
    }
    settings = folder / "pyrightconfig.json"
    settings.write_text(json.dumps(config))
    found = json.loads(run("basedpyright", "--outputjson", "--pythonpath", sys.executable, "-p", settings))
    assert found["summary"]["filesAnalyzed"] == 1
    return [f"{one['range']['start']['line'] + 1}: {one['message']}" for one in found["generalDiagnostics"]]


Checker = Callable[[Path, Path], list[str]]


@pytest.fixture(params=[mypy, pyright], ids=["mypy", "pyright"])
def check(request: pytest.FixtureRequest) -> Checker:
    """Each checker in turn."""
    checker: Checker = request.param
    return checker


def test_loads_and_cached_functions_keep_the_types_they_are_given(check: Checker, tmp_path: Path) -> None:
    assert check(CASES, tmp_path) == []


WRONG: Final = """

async def wrong() -> None:
    assert_type(await cache.get_or_set("k", user), str)
    assert_type(await read(1), str)
    await read(1)  # type: ignore
    await read("1")
"""


def test_each_wrong_line_is_found(check: Checker, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(CASES.read_text() + WRONG)

    assert len(check(wrong, tmp_path)) == WRONG.count("await")
