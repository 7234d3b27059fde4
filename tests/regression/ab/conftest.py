"""Fixtures of the A/B tests."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.regression.ab.project import HEAVY, LIGHT, Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty repository."""
    return Project(tmp_path / "project")


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Tags `light`, `again` (the same code) and `heavy`; no test changes it."""
    made = Project(tmp_path_factory.mktemp("ab") / "shop")
    made.commit("light", work=LIGHT)
    made.commit("again")
    made.commit("heavy", work=HEAVY)
    return made


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary directories go; nothing else is in it."""
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return place
