"""The committed files are what the generator makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dashboards import render
from otcache.alerts.thresholds import ALERTS, PANELS


def test_the_committed_files_are_what_the_generator_makes() -> None:
    assert [path.name for path in render.drift()] == [], "make dashboards"


def test_it_makes_the_same_every_time() -> None:
    assert render.files() == render.files()


def test_what_differs_is_written_and_what_is_no_more_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "FOLDER", tmp_path / "grafana")
    monkeypatch.setattr(render, "SIDECAR", tmp_path / "parameters.json")
    render.write()
    overview, old = tmp_path / "grafana" / "otcache-overview.json", tmp_path / "grafana" / "otcache-old.json"
    overview.write_text("{}")
    old.write_text("{}")

    touched = render.write()

    assert touched == [old, overview]
    assert render.drift() == []
    assert json.loads(overview.read_text())["uid"] == "otcache-overview"


def test_every_threshold_of_panels_is_on_one() -> None:
    said = json.loads(render.SIDECAR.read_text())["thresholds"]

    assert {name for name, each in PANELS.items() if each.panel or each not in ALERTS.values()} - said.keys() == set()
