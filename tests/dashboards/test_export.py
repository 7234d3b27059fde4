"""`otcache dashboards export`: one's own thresholds and first choices, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from otcache.cli import main
from tests.dashboards.model import DASHBOARDS

ROOT = Path(__file__).parents[2]


def exported(directory: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """What the command writes."""
    assert main(["dashboards", "export", str(directory), *arguments]) == 0
    return {path.stem: json.loads(path.read_text()) for path in directory.glob("*.json")}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command complains about."""
    assert main(["dashboards", "export", *arguments]) == 2
    return capsys.readouterr().err.strip()


def differences(before: Any, after: Any, where: str = "") -> dict[str, Any]:
    """What is new, by place."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        parts = [differences(before.get(key), after.get(key), f"{where}/{key}") for key in keys]
    elif isinstance(before, list) and isinstance(after, list):
        parts = [differences(*pair, f"{where}/{index}") for index, pair in enumerate(zip(before, after, strict=True))]
    else:
        return {} if before == after else {where: after}
    return {place: value for part in parts for place, value in part.items()}


def test_without_options_it_hands_out_what_is_committed(tmp_path: Path) -> None:
    assert exported(tmp_path) == DASHBOARDS


def test_a_threshold_is_set_wherever_it_counts_and_nothing_else(tmp_path: Path) -> None:
    found = differences(DASHBOARDS, exported(tmp_path, "--threshold", "hit_ratio_warning=0.95"))

    assert set(found.values()) == {0.95}
    assert {place.split("/")[1] for place in found} == {"otcache-overview", "otcache-cache", "otcache-ai"}
    assert all(place.endswith("/value") and "/steps/" in place for place in found)


def test_both_thresholds_of_a_panel_can_move_past_the_old_ones(tmp_path: Path) -> None:
    wanted = ("--threshold", "redis_latency_warning=1", "--threshold", "redis_latency_critical=2.5")

    found = differences(DASHBOARDS, exported(tmp_path, *wanted))

    assert set(found.values()) == {1.0, 2.5}


def test_a_service_and_a_cache_are_chosen_from_the_start(tmp_path: Path) -> None:
    found = exported(tmp_path, "--job", "shop", "--cache", "users")

    chosen = {
        (variable["name"], json.dumps(variable["current"]["value"]))
        for model in found.values()
        for variable in model["templating"]["list"]
        if variable["name"] in ("job", "cache")
    }
    assert chosen == {("job", '["shop"]'), ("cache", '["users"]'), ("cache", '"users"')}


def test_the_list_says_what_can_be_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", "export", "--list"]) == 0

    assert "hit_ratio_warning             0.8  share  0..1           Hit ratio below" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("hit_ratio_warnin=1", "there is no threshold 'hit_ratio_warnin'; did you mean 'hit_ratio_warning'?"),
        ("pool_warning=lots", "pool_warning=lots is not a number"),
        ("pool_warning=", "pool_warning= is not a number"),
        ("pool_warning=nan", "pool_warning=nan is outside 0..1 share"),
        ("pool_warning=80", "pool_warning=80.0 is outside 0..1 share"),
        ("latency_critical=0", "latency_critical=0.0 is outside 1e-07..3600 s"),
        ("pool_warning", "--threshold pool_warning is not NAME=VALUE"),
        ("pool_warning=0.96", "pool_warning=0.96 must be below pool_critical=0.95"),
        ("hit_ratio_warning=0.4", "hit_ratio_critical=0.5 must be below hit_ratio_warning=0.4"),
    ],
)
def test_a_wrong_threshold_is_refused(
    given: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, str(tmp_path / "new"), "--threshold", given)

    assert said == f"otcache: {complaint}"
    assert not (tmp_path / "new").exists()


def test_an_empty_choice_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, str(tmp_path), "--cache", " ") == "otcache: --cache needs a name"


def test_a_directory_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys) == "otcache: export needs a directory, or --list"


def test_a_place_that_can_not_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")

    status = main(["dashboards", "export", str(tmp_path / "file" / "inside")])

    assert status == 1
    assert capsys.readouterr().err.strip().endswith("inside can't be written: Not a directory")


# --- from a wheel -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with the built wheel in it."""
    place = tmp_path_factory.mktemp("wheel")
    _run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", place, ROOT)
    _run(sys.executable, "-m", "venv", "--without-pip", place / "venv")
    (wheel,) = place.glob("*.whl")
    packages = next((place / "venv").glob("lib/python*/site-packages"))
    _run(sys.executable, "-m", "zipfile", "-e", wheel, packages)
    # what otcache needs, without this environment's editable otcache: paths of a .pth file are taken as they are
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place / "venv" / "bin" / "python"


def _run(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_wheel_hands_out_the_same_without_the_generators_packages(installed: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from otcache.cli import main; status = main(sys.argv[1:]); "
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('grafana_foundation_sdk', 'dashboards')))"
        "; import otcache; print(otcache.__file__); sys.exit(status)"
    )

    said = _run(installed, "-c", program, "dashboards", "export", tmp_path)

    _, modules, where = said.splitlines()
    assert modules == "[]"
    assert Path(where).is_relative_to(installed.parents[1])
    assert {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")} == DASHBOARDS
