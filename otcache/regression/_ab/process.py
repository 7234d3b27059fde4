"""The process of one side of an A/B run: one line per command and answer. It and its children are gone afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from otcache._exports.read import SourceError

_WORKER: Final = Path(__file__).with_name("worker.py")
_GRACE: Final = 3.0
"""Seconds that a process has to end by itself."""
_LONGEST: Final = 500


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two versions.

    Attributes:
        name: For people: a revision, an interpreter.
        python: The interpreter, 3.9 or newer.
        root: The directory that it runs in, and that the target has to come from; `None` is this process's own, and
            the target comes from wherever the interpreter finds it.
        first: What its search path begins with.
        last: What its search path ends with.
        never: A directory that no module may come from but those of the interpreter itself and of `root`.
    """

    name: str
    python: str = sys.executable
    root: Path | None = None
    first: tuple[Path, ...] = ()
    last: tuple[Path, ...] = ()
    never: Path | None = None

    def order(self) -> dict[str, Any]:
        """What the worker gets as its argument."""
        root, never = (None if path is None else str(path) for path in (self.root, self.never))
        first, last = ([str(path) for path in paths] for paths in (self.first, self.last))
        return {"root": root, "never": never, "first": first, "last": last}


class Worker:
    """A process that answers."""

    def __init__(self, side: Side, process: subprocess.Popen[bytes], errors: IO[bytes], patience: float) -> None:
        self._side = side
        self._process = process
        self._errors = errors
        self._patience = patience
        self._input, self._output = _pipe(process.stdin), _pipe(process.stdout)

    def ask(self, command: str) -> dict[str, Any]:
        """Its answer to a command. Raises SourceError: it has failed, or does not answer in time."""
        try:
            self._input.write(command.encode() + b"\n")
            self._input.flush()
        except OSError:
            raise self._ended() from None
        return self.hear()

    def hear(self) -> dict[str, Any]:
        """What it says next. Raises SourceError: it has failed, or says nothing in time."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            if not selector.select(self._patience):
                raise SourceError(f"{self._side.name} does not answer within {self._patience:g} s")
        line = self._output.readline()
        if not line:
            raise self._ended()
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise SourceError(f"{self._side.name}: {said['error'][:_LONGEST]}")
        return said

    def _ended(self) -> SourceError:
        """Why it says no more: what it wrote last, and how it ended."""
        try:
            status = self._process.wait(_GRACE)
            end = f"ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        except subprocess.TimeoutExpired:
            end = "said no more"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return SourceError(f"{self._side.name}: its process {end}{f': {lines[-1][:_LONGEST]}' if lines else ''}")

    def close(self) -> None:
        """Let it end by itself, so that the target can clean up; then end what is left of it and its children."""
        with contextlib.suppress(OSError):
            self._input.close()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._output.close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # Popen was called with all three pipes
    return pipe


@dataclass(frozen=True, slots=True)
class Task:
    """What both sides measure, where their bytecode goes, and the seconds that one answer may take."""

    target: str
    bytecode: str
    environment: dict[str, str]
    patience: float


@contextmanager
def worker(side: Side, task: Task) -> Iterator[Worker]:
    """A process that has imported the target. Raises SourceError: it can't be started, or the target can't be had."""
    order = side.order() | {"target": task.target, "bytecode": task.bytecode}
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(  # noqa: S603  the interpreter and the code that the caller names
                [side.python, str(_WORKER), json.dumps(order)], cwd=side.root, env=task.environment,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                start_new_session=True,  # Ctrl-C is ours to handle, and its children are ended with it
            )  # fmt: skip
        except OSError as exc:
            raise SourceError(f"{side.python} can't be started: {exc.strerror}") from exc
        started = Worker(side, process, errors, task.patience)
        try:
            started.hear()
            yield started
        finally:
            started.close()
