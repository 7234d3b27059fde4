"""The files of a git revision, in a directory of their own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otcache.exceptions import ConfigurationError

_OTHERS: Final = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY")
"""What git sets for a hook, and would take for an answer to which repository is meant."""
_LONGEST: Final = 500


@dataclass(frozen=True, slots=True)
class Repository:
    """A git checkout, or a directory in one: `top` is the working tree, `git` its git directory."""

    directory: Path
    top: Path
    git: Path

    @classmethod
    def at(cls, directory: Path) -> Repository:
        """The one that `directory` is in. Raises ConfigurationError: there is none, or no git."""
        said = _git(["-C", str(directory), "rev-parse", "--show-toplevel", "--absolute-git-dir"])
        top, git = said.splitlines()
        return cls(directory.resolve(), Path(top), Path(git))

    @contextmanager
    def files(self, revision: str) -> Iterator[Path]:
        """Everything of a revision as a checkout would have it, links and `export-ignore`d files included.

        Submodules stay empty. The repository, its index and its list of worktrees are left alone.

        Args:
            revision: A commit, branch or tag.

        Returns:
            The directory that corresponds to ours. It is gone afterwards.

        Raises:
            ConfigurationError: There is no such revision, or it can't be checked out.
        """
        tree = _git(
            [f"--git-dir={self.git}", "rev-parse", "--verify", "--end-of-options", f"{revision}^{{tree}}"], revision
        )
        with tempfile.TemporaryDirectory(prefix="otcache-ab-") as made:
            top, index = Path(made) / "files", {"GIT_INDEX_FILE": str(Path(made) / "index")}
            top.mkdir()
            here = ["-C", str(top), f"--git-dir={self.git}", f"--work-tree={top}"]
            _git([*here, "read-tree", tree.strip()], revision, index)
            _git([*here, "checkout-index", "--all", "--quiet"], revision, index)
            yield directory(top, str(self.directory.relative_to(self.top.resolve())))


def directory(root: Path, inside: str) -> Path:
    """A directory below `root`. Raises ConfigurationError: it is not there."""
    found = root / inside
    if not found.is_dir():
        raise ConfigurationError(f"there is no directory {inside!r} in {root}")
    return found


def _git(arguments: Sequence[str], revision: str | None = None, more: dict[str, str] | None = None) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in _OTHERS}
    try:
        done = subprocess.run(  # noqa: S603  git, with the revision that the caller names
            ["git", *arguments],  # noqa: S607
            env=kept | {"LC_ALL": "C"} | (more or {}), stdin=subprocess.DEVNULL, capture_output=True,
            check=False, text=True, errors="replace",
        )  # fmt: skip
    except OSError as exc:
        raise ConfigurationError(f"git can't be started: {exc.strerror}") from exc
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ["git failed"]
        said = next((line for line in lines if line.startswith("fatal: ")), lines[-1]).removeprefix("fatal: ")
        what = f"revision {revision!r} can't be had: " if revision is not None else ""
        raise ConfigurationError(f"{what}{said[:_LONGEST]}")
    return done.stdout
