"""Two versions of a program measured in turns: what disturbs one disturbs the other, and cancels out."""

from __future__ import annotations

import io
import json
import os
import selectors
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from otcache.exceptions import ConfigurationError
from otcache.regression.model import Run
from otcache.telemetry.source import SourceError

OPERATIONS: Final = ("get", "get_miss", "set", "delete")
"""What can be measured of otcache itself; anything else is `module:function`."""
BOUTS: Final = 10
ROUNDS: Final = 20
ROUND_SECONDS: Final = 0.02
ANSWER_WITHIN: Final = 120.0
"""Seconds that one answer of a worker may take."""
_WORKER: Final = Path(__file__).with_name("duet_worker.py")
_WARM_UP: Final = 3
_LAST: Final = 500


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two versions.

    Attributes:
        name: For people: a revision, a path.
        python: The interpreter.
        path: What is put first into its search path; `None` leaves what is installed there.
    """

    name: str
    python: str = sys.executable
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """How long a duet is.

    Attributes:
        bouts: Fresh pairs of processes.
        rounds: Rounds of each process, in the order ABBA.
        round_seconds: About how long one round is.
    """

    bouts: int = BOUTS
    rounds: int = ROUNDS
    round_seconds: float = ROUND_SECONDS

    def __post_init__(self) -> None:
        for name, low, high in (("bouts", 1, 1000), ("rounds", 2, 10_000), ("round_seconds", 0.001, 60)):
            number = getattr(self, name)
            if not low <= number <= high:
                raise ConfigurationError(f"{name}={number:g} is outside {low}..{high:g}")


def play(
    target: str, baseline: Side, current: Side, shape: Shape, tell: Callable[[int], None] = lambda _: None
) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """Measure `target` on both sides.

    Args:
        target: One of `OPERATIONS`, or `module:function` without arguments, `async` or not.
        baseline: The version to compare with.
        current: The version that is judged.
        shape: How long.
        tell: Told after each bout how many there have been.

    Returns:
        The runs of the baseline, and those of the current side, paired.

    Raises:
        ConfigurationError: There is no such operation.
        SourceError: A side can't be started, fails, or does not answer.
    """
    if ":" not in target and target not in OPERATIONS:
        raise ConfigurationError(f"{target!r} is neither module:function nor one of {', '.join(OPERATIONS)}")
    old: list[Run] = []
    new: list[Run] = []
    for bout in range(shape.bouts):
        began = time.time()
        first, second = _bout(target, baseline, current, shape)
        old.append(Run(f"baseline {bout}", first, began, paired_with=bout))
        new.append(Run(f"current {bout}", second, began, paired_with=bout))
        tell(bout + 1)
    return tuple(old), tuple(new)


def _bout(target: str, baseline: Side, current: Side, shape: Shape) -> tuple[tuple[float, ...], tuple[float, ...]]:
    with ExitStack() as stack:
        pair = [stack.enter_context(_worker(side, target)) for side in (baseline, current)]
        count = max(int(each.ask(f"calibrate {shape.round_seconds}")["count"]) for each in pair)
        seconds: tuple[list[float], list[float]] = ([], [])
        for number in range(-_WARM_UP, shape.rounds):
            for index in (0, 1) if number % 2 else (1, 0):
                took = float(pair[index].ask(f"round {count}")["seconds"])
                if number >= 0:
                    seconds[index].append(took)
    return tuple(seconds[0]), tuple(seconds[1])


class _Worker:
    """A process that answers line by line."""

    def __init__(self, side: Side, process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
        self._side = side
        self._process = process
        self._errors = errors
        self._selector = selectors.DefaultSelector()
        self._selector.register(_pipe(process.stdout), selectors.EVENT_READ)

    def ask(self, command: str) -> dict[str, Any]:
        """Its answer to a command."""
        try:
            _pipe(self._process.stdin).write(command.encode() + b"\n")
            _pipe(self._process.stdin).flush()
        except OSError:
            raise self._failed() from None
        return self.hear()

    def hear(self) -> dict[str, Any]:
        """What it says next."""
        if not self._selector.select(ANSWER_WITHIN):
            raise SourceError(f"{self._side.name} does not answer within {ANSWER_WITHIN:g} s")
        line = _pipe(self._process.stdout).readline()
        try:
            said: dict[str, Any] = json.loads(line)
        except ValueError:
            raise self._failed() from None
        return said

    def _failed(self) -> SourceError:
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        return SourceError(f"{self._side.name} has failed: {said[-1][:_LAST] if said else 'it ended without a word'}")

    def close(self) -> None:
        """End it."""
        self._selector.close()
        self._process.kill()
        self._process.communicate()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # every one was asked for
    return pipe


@contextmanager
def _worker(side: Side, target: str) -> Iterator[_Worker]:
    paths = [] if side.path is None else [str(side.path)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTCACHE_", "OTEL_"))}
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(  # noqa: S603  the interpreter and the code that the caller names
                [side.python, str(_WORKER), target, *paths], cwd=side.path,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=kept,
            )  # fmt: skip
        except OSError as exc:
            raise SourceError(f"{side.python} can't be started: {exc.strerror}") from exc
        worker = _Worker(side, process, errors)
        try:
            worker.hear()
            yield worker
        finally:
            worker.close()


# --- revisions ----------------------------------------------------------------------------------------


@contextmanager
def revision(repository: Path, name: str, inside: str = ".") -> Iterator[Path]:
    """The files of a git revision, in a directory that is gone afterwards.

    Args:
        repository: A git checkout.
        name: The revision.
        inside: Where in it the packages lie, such as `src`.

    Raises:
        ConfigurationError: There is no such revision, or no such directory in it.
    """
    done = subprocess.run(  # noqa: S603  git, with the revision that the caller names
        ["git", "-C", str(repository), "archive", "--format=tar", "--end-of-options", name],  # noqa: S607
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ConfigurationError(f"revision {name!r} can't be had: {said[-1][:_LAST] if said else 'git failed'}")
    with tempfile.TemporaryDirectory(prefix="otcache-duet-") as directory:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(directory, filter="data")
        yield checked(Path(directory), inside)


def checked(root: Path, inside: str) -> Path:
    """A directory below `root`.

    Raises:
        ConfigurationError: It is not there.
    """
    found = root / inside
    if not found.is_dir():
        raise ConfigurationError(f"there is no directory {inside!r} in it")
    return found
