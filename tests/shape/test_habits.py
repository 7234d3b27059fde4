"""What hooks and the code host's CI run is what `make lint` and `.ci/run` run."""

from __future__ import annotations

import configparser
import tomllib
from typing import Any

import pytest
import yaml

from tests.shape.source import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()


def workflow(name: str) -> dict[str, Any]:
    """A workflow, as its host reads it."""
    found: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    return found


def commands(name: str) -> list[str]:
    """What a workflow's steps run."""
    return [step["run"] for job in workflow(name)["jobs"].values() for step in job["steps"] if "run" in step]


def test_ci_runs_what_is_run_by_hand() -> None:
    (command,) = commands("ci.yml")

    assert command.split()[-2:] == ["bash", ".ci/run"]


def test_ci_sees_the_history_that_a_b_runs_measure() -> None:
    (checkout,) = [s for s in workflow("ci.yml")["jobs"]["all"]["steps"] if "checkout" in s.get("uses", "")]

    assert checkout["with"]["fetch-depth"] == 0


@pytest.mark.parametrize("name", ["ci.yml", "long.yml"])
def test_a_workflow_may_read_and_no_more(name: str) -> None:
    assert workflow(name)["permissions"] == {"contents": "read"}


def test_what_takes_long_runs_by_itself() -> None:
    assert "make test-long" in commands("long.yml")
    assert "\ntest-long:" in MAKEFILE


def test_the_hooks_run_what_make_lint_runs() -> None:
    hooks = {hook["id"]: hook for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
             for hook in repo["hooks"]}  # fmt: skip

    for name in ("ruff-check", "ruff-format", "mypy"):
        tool = hooks[name]["entry"].removeprefix(".venv/bin/python -m ").removesuffix(" --fix")
        assert f"$(RUN) -m {tool}" in MAKEFILE


def test_editors_break_lines_where_ruff_does() -> None:
    editor = configparser.ConfigParser()
    editor.read_string("[top]\n" + (ROOT / ".editorconfig").read_text())
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]

    assert editor["*.py"]["max_line_length"] == str(ruff["line-length"])
