"""`otcache regress ab` as a person or a CI job runs it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import venv
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.regression.ab.project import HEAVY, LIGHT, ROOT, SMALL, Project, ab, command, environment, finding
from tests.servers import wait_for

WORK = ("--target", "work:work")
LENIENT = ("--warning", "500", "--critical", "1000")
"""Beyond what any disturbance of this machine could look like."""


def other_interpreter() -> str:
    """Another Python, where there is one."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [place / "bin" / "python" for place in versions.glob("3.1[1-9].*") if place.name not in sys.version]
    return str(sorted(found)[-1]) if found else sys.executable


# --- revisions ----------------------------------------------------------------------------------------


def test_a_heavier_revision_is_critical_and_fails(shop: Project) -> None:
    done = ab(shop.top, "--baseline", "light", "--current", "heavy", *WORK)

    headline, _, row, *_ = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (1, "")
    assert headline == "critical: a critical regression; series: 1 critical (heavy against light)"
    assert row.split()[:2] == ["critical", "benchmark{benchmark=work:work}"]


@pytest.mark.long
def test_a_lighter_revision_is_an_improvement(shop: Project) -> None:
    done = ab(shop.top, "--baseline", "heavy", "--current", "light", *WORK, "--bouts", "8", "--format", "json")

    assert done.returncode == 0, done.stderr
    assert finding(done)["verdict"] == "improved"


def test_the_same_code_is_no_regression(shop: Project) -> None:
    done = ab(shop.top, "--baseline", "light", "--current", "again", *WORK, *LENIENT, "--format", "json")

    found = finding(done)
    assert (done.returncode, found["verdict"]) == (4, "inconclusive")  # from five bouts nothing can be ruled out
    assert (found["method"], found["n_baseline"], found["n_current"]) == ("paired", 5, 5)


def test_the_working_tree_is_the_current_side_by_default(project: Project) -> None:
    project.commit("old", work=LIGHT)
    project.write(work=HEAVY)

    done = ab(project.top, "--baseline", "HEAD", *WORK)

    assert done.stdout.startswith("critical: a critical regression; series: 1 critical (the working tree against HEAD)")
    assert project.git("status", "--porcelain") == "M work.py"


@pytest.mark.long
def test_a_source_directory_is_named(project: Project) -> None:
    project.commit("old", src__shop__work=LIGHT, bench="from shop.work import work")
    project.commit("new", src__shop__work=HEAVY)
    sides = ("--baseline", "old", "--current", "new", "--repo", str(project.top))

    done = ab(project.top.parent, *sides, "--path", ".", "--path", "src", "--target", "bench:work")

    assert done.stdout.startswith("critical"), done.stderr


@pytest.mark.long
def test_several_targets_are_judged_together(shop: Project) -> None:
    done = ab(shop.top, "--baseline", "light", "--current", "heavy", *WORK, *WORK[:1], "work:__name__.upper", "--all")

    assert done.returncode == 1
    assert "benchmark{benchmark=work:__name__.upper}" in done.stdout


def test_the_documented_example_can_be_measured(project: Project) -> None:
    text = (ROOT / "docs" / "ab.md").read_text()
    code = text.partition("```python\n")[2].partition("```")[0]
    project.commit("old", bench=code)
    project.write(bench=code.replace("    await cache", "    sum(range(5000))\n    await cache"))

    done = ab(project.top, "--baseline", "HEAD", "--target", "bench:look_up")

    assert done.stdout.startswith(
        "critical: a critical regression; series: 1 critical (the working tree against HEAD)"
    ), done.stderr


# --- what would measure something else ----------------------------------------------------------------


def test_an_installed_package_that_hides_a_revision_is_refused(project: Project) -> None:
    project.commit("old", src__work=LIGHT)

    done = ab(project.top, "--baseline", "old", *WORK, PYTHONPATH=f"{ROOT}:{project.top}/src")

    where = project.top / "src" / "work.py"
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == f"otcache: old: work comes from {where}; is --path missing?\n"


def test_a_part_that_comes_from_the_working_tree_is_refused(project: Project) -> None:
    project.commit("old", src__shop=LIGHT, bench="from shop import work")

    done = ab(project.top, "--baseline", "old", "--target", "bench:work", PYTHONPATH=f"{ROOT}:{project.top}/src")

    assert done.returncode == 5
    assert "old: shop comes from the working tree (" in done.stderr


def test_an_environment_inside_the_working_tree_is_no_part_of_it(project: Project) -> None:
    project.commit("old", work=f"import installed\n{LIGHT}")
    venv.create(project.top / ".venv", symlinks=True)
    (site,) = (project.top / ".venv" / "lib").glob("python3*/site-packages")
    (site / "installed.py").touch()
    python = str(project.top / ".venv" / "bin" / "python")

    pythons = ("--baseline-python", python, "--current-python", python)

    done = ab(project.top, "--baseline", "old", *pythons, *WORK, *LENIENT)

    assert (done.returncode, done.stderr) == (4, "")  # measured; from five bouts nothing can be ruled out


def test_otcache_s_own_operations_are_refused_in_another_project(shop: Project) -> None:
    done = ab(shop.top, "--baseline", "light", "--target", "get")

    assert done.returncode == 5
    assert "light: otcache comes from " in done.stderr


# --- interpreters -------------------------------------------------------------------------------------


@pytest.mark.long
def test_two_interpreters_are_compared_on_the_code_here(shop: Project, tmp_path: Path) -> None:
    venv.create(tmp_path / "other", symlinks=True)

    done = ab(shop.top, "--baseline-python", str(tmp_path / "other" / "bin" / "python"), *WORK, "--format", "json")

    assert finding(done)["n_current"] == 5
    assert json.loads(done.stdout)["current"] == sys.executable


@pytest.mark.long
def test_each_interpreter_uses_what_is_installed_in_it(tmp_path: Path) -> None:
    for name, code in (("old", LIGHT), ("new", HEAVY), ("here", LIGHT)):
        venv.create(tmp_path / name, symlinks=True)
        (site,) = (tmp_path / name / "lib").glob("python3*/site-packages")
        (tmp_path / name if name == "here" else site).joinpath("work.py").write_text(code)
    pythons = ("--baseline-python", "../old/bin/python", "--current-python", "../new/bin/python")

    done = ab(tmp_path / "here", *pythons, *WORK)

    assert done.stdout.startswith("critical"), done.stderr


@pytest.mark.long
def test_a_revision_can_have_an_interpreter_of_its_own(shop: Project) -> None:
    other = other_interpreter()

    done = ab(shop.top, "--baseline", "light", "--current", "heavy", "--baseline-python", other, *WORK)

    assert done.stdout.startswith("critical"), done.stderr


# --- exit statuses and forms --------------------------------------------------------------------------

WRONG = {
    "no sides": (("--target", "work:work"), "--baseline or --baseline-python is needed"),
    "current alone": (("--current", "light"), "--current needs --baseline"),
    "no revision": (("--baseline", "nowhere"), "revision 'nowhere' can't be had: "),
    "no directory": (("--baseline", "light", "--path", "src"), "there is no directory 'src' in "),
    "no interpreter": (
        ("--baseline", "light", "--baseline-python", "no-python"),
        "there is no interpreter 'no-python'",
    ),
    "no repository": (("--baseline", "light", "--repo", "/"), "not a git repository"),
    "no operation": (("--baseline", "light", "--target", "fetch"), "'fetch' is neither module:function nor one of"),
    "no bouts": (("--baseline", "light", "--bouts", "0"), "bouts=0 is outside 1..1000"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG.keys())
def test_wrong_usage_is_exit_status_2(shop: Project, arguments: tuple[str, ...], said: str) -> None:
    done = ab(shop.top, *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_target_that_one_side_lacks_is_exit_status_5(shop: Project) -> None:
    done = ab(shop.top, "--baseline", "light", "--target", "work:other")

    said = "light: AttributeError: module 'work' has no attribute 'other'"
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == f"otcache: {said}\n"


@pytest.mark.parametrize(("passes", "status"), [((), 4), (("--on-inconclusive", "pass"), 0)])
def test_too_few_bouts_are_inconclusive(shop: Project, passes: tuple[str, ...], status: int) -> None:
    done = ab(shop.top, "--baseline", "light", "--current", "heavy", *WORK, "--bouts", "2", *passes)

    assert done.returncode == status
    assert "too little data: 2 bouts of fresh processes, 5 are needed" in done.stdout


def test_every_form_of_the_report_can_be_had_at_once(shop: Project, tmp_path: Path) -> None:
    forms = [f"--format={name}:{tmp_path / name}" for name in ("json", "markdown", "junit", "github")]

    done = ab(shop.top, "--baseline", "light", "--current", "heavy", *WORK, *forms)

    assert (done.returncode, done.stdout) == (1, "")
    assert json.loads((tmp_path / "json").read_text())["verdict"] == "critical"
    assert (tmp_path / "markdown").read_text().startswith("**critical: a critical regression; series: 1 critical")
    assert ElementTree.parse(tmp_path / "junit").find(".//failure") is not None
    assert (tmp_path / "github").read_text().startswith("::error title=otcache regress critical::")


def test_progress_is_shown_on_a_terminal_only(shop: Project) -> None:
    ours, theirs = pty.openpty()
    small = [each for each in SMALL if each != "--no-progress"]
    arguments = command(*small, "--baseline", "light", "--current", "again", *WORK, "--fail-on", "never")

    subprocess.run(arguments, cwd=shop.top, env=environment(), stdout=subprocess.DEVNULL, stderr=theirs, check=False)

    os.close(theirs)
    assert os.read(ours, 4096).decode().rstrip().endswith("work:work: 5 of 5 bouts")
    os.close(ours)


# --- interrupted --------------------------------------------------------------------------------------


def workers() -> dict[int, str]:
    """The command lines of all processes that are sides of an A/B run."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if "_ab/worker.py" in words:
            found[int(place.name)] = words
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_with_its_workers_and_directories(
    shop: Project, scratch: Path, number: signal.Signals
) -> None:
    arguments = command("--baseline", "light", "--current", "heavy", *WORK, "--bouts", "1000", "--no-progress")
    process = subprocess.Popen(
        arguments, cwd=shop.top, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: sum(str(scratch) in words for words in workers().values()) == 2, "both workers")

    process.send_signal(number)

    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (130, "", "")
    assert not any(str(scratch) in words for words in workers().values())
    assert list(scratch.iterdir()) == []


def test_a_failure_leaves_nothing_behind(shop: Project, scratch: Path) -> None:
    done = ab(shop.top, "--baseline", "light", "--current", "heavy", "--target", "work:other")

    assert done.returncode == 5
    assert not any(str(scratch) in words for words in workers().values())
    assert list(scratch.iterdir()) == []


def test_workers_end_with_a_parent_that_was_killed(shop: Project, scratch: Path) -> None:
    arguments = command("--baseline", "light", "--current", "heavy", *WORK, "--bouts", "1000", "--no-progress")
    process = subprocess.Popen(arguments, cwd=shop.top, env=environment(), stdout=subprocess.DEVNULL)
    wait_for(lambda: sum(str(scratch) in words for words in workers().values()) == 2, "both workers")

    process.kill()
    process.wait()

    wait_for(lambda: not any(str(scratch) in words for words in workers().values()), "the workers' end")
