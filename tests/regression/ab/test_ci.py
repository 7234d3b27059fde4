"""What `.ci/ab` compares with, and what it lets pass."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.regression.ab.project import ROOT, Project, environment

SMALL = ("--bouts", "5", "--rounds", "4", "--round-seconds", "0.002", "--target", "delete")


def gate(top: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it in a project, with the interpreter that runs the tests."""
    return subprocess.run(
        ["sh", ".ci/ab", *arguments], cwd=top, env=environment(PYTHON=sys.executable, PYTHONPATH=str(top)),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def baseline(top: Path) -> str:
    """What it says that it would compare with."""
    done = gate(top, "baseline")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@pytest.fixture
def gated(project: Project) -> Project:
    """A project with the gate in it, and two commits."""
    shutil.copytree(ROOT / ".ci", project.top / ".ci", ignore=shutil.ignore_patterns("__pycache__"))
    project.commit("first")
    project.commit("second")
    return project


def clone(project: Project, *options: str) -> Project:
    """A clone, with one commit of its own on a branch of its own."""
    place = project.top.with_name("clone")
    project.git("clone", "--quiet", *options, f"file://{project.top}", str(place))
    cloned = Project.__new__(Project)
    cloned.top = place
    cloned.git("switch", "--quiet", "--create", "branch")
    cloned.commit("own")
    return cloned


def test_it_compares_with_the_commit_before(gated: Project) -> None:
    assert baseline(gated.top) == "the working tree against HEAD~1"


def test_it_compares_with_the_last_release(gated: Project) -> None:
    gated.git("tag", "v1.0", "HEAD~1")
    gated.git("tag", "v1.1")

    assert baseline(gated.top) == "the working tree against v1.0"
    gated.commit("third")
    assert baseline(gated.top) == "the working tree against v1.1"


def test_it_compares_with_where_the_branch_left_main(gated: Project) -> None:
    ours = clone(gated)
    ours.commit("more")
    first = ours.git("rev-parse", "--short", "own")

    assert baseline(ours.top) == f"the working tree against {first}~1"


def test_a_shallow_clone_on_main_passes_and_says_so(gated: Project) -> None:
    place = gated.top.with_name("shallow")
    gated.git("clone", "--quiet", "--depth", "1", "--no-tags", f"file://{gated.top}", str(place))

    assert baseline(place).endswith("in this clone: nothing to compare with")


def test_a_directory_without_git_passes_and_says_so(gated: Project) -> None:
    shutil.rmtree(gated.top / ".git")

    assert baseline(gated.top).endswith("nothing to compare with")


@pytest.fixture
def copy(gated: Project) -> Project:
    """This otcache in the project, committed."""
    shutil.copytree(ROOT / "otcache", gated.top / "otcache", ignore=shutil.ignore_patterns("__pycache__"))
    gated.commit("copied")
    return gated


@pytest.mark.long
def test_only_a_critical_regression_fails(copy: Project) -> None:
    copy.commit("same")

    same = gate(copy.top, *SMALL)
    slow = copy.top / "otcache" / "cache.py"
    slow.write_text(slow.read_text().replace("            check_key(key)\n", "            sum(range(5000))\n"))
    spoilt = gate(copy.top, *SMALL)

    assert same.returncode == 0, same.stdout
    assert same.stdout.startswith("the working tree against HEAD~1\n")
    assert "benchmark{benchmark=delete}" in same.stdout
    assert spoilt.returncode == 1, spoilt.stdout
    assert "critical: a critical regression; series: " in spoilt.stdout


def test_a_baseline_that_can_t_be_measured_passes_and_says_so(copy: Project) -> None:
    copy.git("checkout", "--quiet", "first")
    copy.git("checkout", "copied", "--", "otcache")
    copy.commit("arrived")

    done = gate(copy.top, *SMALL)

    assert done.returncode == 0
    assert done.stdout.endswith("HEAD~1 can't be measured here: nothing to compare with\n")
