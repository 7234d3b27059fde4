"""The recipes of CONTRIBUTING.md: read from the page, and followed on a copy of the tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.shape.source import ROOT

PAGE: Final = ROOT / "CONTRIBUTING.md"
_STEP: Final = re.compile(
    r"^\d+\. (?:In|Make) `(?P<path>[^`]+)`(?:, (?P<side>before|after) the line `(?P<line>[^`]+)`)?[^\n]*:\n\n"
    r"(?P<fence>`{3,})\w*\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
_RUN: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMANDS: Final = {
    "make docs-tables": [["docs/tables.py"]],
    "make dashboards": [["-m", "dashboards"], ["-m", "otcache", "alerts", "export", "dashboards/prometheus"]],
}
"""What a make target of a recipe runs: in the test there is an environment already."""


@dataclass(frozen=True)
class Step:
    """One place that is touched by hand."""

    path: str
    side: str | None
    line: str | None
    text: str

    def follow(self, tree: Path) -> None:
        """Do it."""
        file = tree / self.path
        if self.line is None:
            assert not file.exists(), f"{self.path} is there already"
            file.write_text(self.text)
            return
        lines = file.read_text().splitlines(keepends=True)
        places = [at for at, line in enumerate(lines) if line.strip().startswith(self.line)]
        assert places, f"{self.path} has no line {self.line!r}"
        lines.insert(places[0] + (self.side == "after"), self.text)
        file.write_text("".join(lines))


@dataclass(frozen=True)
class Recipe:
    """What a section of the page says."""

    title: str
    steps: tuple[Step, ...]
    commands: tuple[str, ...]

    def follow(self, tree: Path) -> None:
        """Take every step, then run every command, in `tree`."""
        for step in self.steps:
            step.follow(tree)
        for command in self.commands:
            for arguments in _COMMANDS.get(command) or [_pytest(command)]:
                _run(tree, arguments)


def _pytest(command: str) -> list[str]:
    found = re.fullmatch(r'make test ARGS="(.*)"', command)
    assert found, f"{command!r} is no command that the test knows"
    return ["-m", "pytest", "-q", "-p", "no:cacheprovider", *found[1].split()]


def _run(tree: Path, arguments: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, *arguments], cwd=tree, env=_environment(tree), capture_output=True, text=True, timeout=600
    )
    assert ended.returncode == 0, f"{arguments}: {(ended.stdout + ended.stderr)[-4000:]}"


def _environment(tree: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "OTCACHE_"))}
    return inherited | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}


def read_recipes() -> dict[str, Recipe]:
    """Every recipe of the page, by its title."""
    sections = re.split(r"^## (?=Add )", PAGE.read_text(), flags=re.MULTILINE)[1:]  # a recipe may write a heading
    found = {}
    for section in sections:
        title, _, body = section.partition("\n")
        steps = tuple(Step(m["path"], m["side"], m["line"], m["text"]) for m in _STEP.finditer(body))
        if steps:
            commands = tuple(line for block in _RUN.findall(body) for line in block.splitlines() if line)
            found[title] = Recipe(title, steps, commands)
    return found


def copy_tree(to: Path) -> Path:
    """A copy of what git knows of, and of what is new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    # a commit: telemetry reports the revision that the program runs from
    identity = ["-c", "user.name=recipe", "-c", "user.email=recipe@localhost"]
    for arguments in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "a copy"]):
        subprocess.run(["git", *arguments], cwd=to, check=True)
    return to
