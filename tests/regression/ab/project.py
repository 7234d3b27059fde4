"""Small projects under git for an A/B run, and the command as a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.servers import require

ROOT: Final = Path(__file__).parents[3]
SMALL: Final = ("--bouts", "5", "--rounds", "4", "--round-seconds", "0.002", "--no-progress")
"""The smallest A/B run that can show a regression."""
WORK: Final = "def work():\n    return sum(range({size}))\n"
LIGHT: Final = WORK.format(size=500)
HEAVY: Final = WORK.format(size=5000)


class Project:
    """A git repository of a test's own."""

    def __init__(self, top: Path) -> None:
        self.top = top
        top.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        """What git says."""
        settings = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        nobodys = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        try:
            done = subprocess.run(
                ["git", "-C", str(self.top), *settings, *arguments],
                env=environment | nobodys,
                capture_output=True,
                text=True,
                check=True,
            )
        except FileNotFoundError:
            require("git", "apt-get install -y --no-install-recommends git")
        return done.stdout.strip()

    def write(self, **files: str) -> None:
        """Files of the working tree: `work=` is work.py, `src__work=` is src/work.py."""
        for name, text in files.items():
            file = self.top / (name.replace("__", "/") + ".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def commit(self, name: str, **files: str) -> None:
        """Commit these and whatever else is new, as a tag."""
        self.write(**files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", name)
        self.git("tag", name)


def command(*arguments: str) -> list[str]:
    """`otcache regress ab` as a process."""
    return [sys.executable, "-W", "error", "-m", "otcache", "regress", "ab", *arguments]


def environment(**more: str) -> dict[str, str]:
    """Ours, with this otcache to be found from anywhere, and bytecode written as Python does by itself."""
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return ours | {"PYTHONPATH": str(ROOT)} | more


def ab(top: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run it in a directory."""
    return subprocess.run(
        command(*SMALL, *arguments), cwd=top, env=environment(**more), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip


def finding(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The only finding of a report in JSON."""
    (found,) = json.loads(done.stdout)["findings"]
    assert isinstance(found, dict)
    return found
