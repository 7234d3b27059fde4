"""The version is the same wherever it stands, and the oldest versions that we claim are the ones that CI tests."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import otcache

ROOT = Path(__file__).parents[2]
OURS = ("dev", "bench")
"""The extras that users need not have."""


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_version_is_the_newest_of_the_changelog() -> None:
    project_version = re.search(
        r'__version__ = "(.+)"', (ROOT / project()["tool"]["hatch"]["version"]["path"]).read_text()
    )
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+[\w.]*)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert project_version
    assert newest
    assert otcache.__version__ == project_version[1] == newest[1]


def test_ci_tests_with_the_oldest_packages_that_we_claim_to_support() -> None:
    done = subprocess.run([sys.executable, ROOT / ".ci" / "oldest.py"], capture_output=True, text=True, check=True)

    shipped = {name: extra for name, extra in project()["project"]["optional-dependencies"].items() if name not in OURS}
    lines = [*project()["project"]["dependencies"], *(line for extra in shipped.values() for line in extra)]
    packages = {re.split(r"[\[>]", line)[0] for line in lines} - {"otcache"}
    assert packages <= {line.partition("==")[0] for line in done.stdout.splitlines()}
    assert "redis==5.2.1" in done.stdout.splitlines()
