"""The command as a process, and files that it reads."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from otcache.cli import main
from tests.benchmarks.examples import processes
from tests.regression.sources.exports import EXPONENTIAL, history, lines
from tests.regression.sources.histories import Minute

START: Final = 1_790_000_040.0
COMMAND: Final = (sys.executable, "-W", "error", "-m", "otcache", "regress")


@dataclass(frozen=True)
class Answer:
    """What a process said before it ended."""

    status: int
    said: str
    complained: str


Regress = Callable[..., Answer]


def in_a_process(*arguments: str | Path, stdin: str | None = None) -> Answer:
    """Run `otcache regress` in a process of its own."""
    command = [*COMMAND, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, input=stdin, timeout=120, check=False)
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def regress(monkeypatch: pytest.MonkeyPatch) -> Regress:
    """Run `otcache regress` here, which saves a second of imports; `watch`, which takes signals, in a process."""

    def run(*arguments: str | Path, stdin: str | None = None) -> Answer:
        if arguments[0] == "watch":
            return in_a_process(*arguments, stdin=stdin)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((stdin or "").encode())))
        with redirect_stdout(io.StringIO()) as said, redirect_stderr(io.StringIO()) as complained:
            try:
                status = main(["regress", *map(str, arguments)])
            except SystemExit as exc:  # argparse ends what it does not understand
                status = int(exc.code or 0)
        return Answer(status, said.getvalue(), complained.getvalue())

    return run


def minutes(seconds: float, seed: int, number: int = 15) -> list[Minute]:
    """Sixty requests a minute of about so many seconds."""
    draw = random.Random(seed)
    return [Minute(tuple(seconds * draw.lognormvariate(0, 0.2) for _ in range(60))) for _ in range(number)]


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """OTLP JSON of a quarter of an hour each, by the real SDK."""
    directory, found = tmp_path_factory.mktemp("otlp"), {}
    sides = {"before": (0.002, 1, 15), "same": (0.002, 2, 15), "slower": (0.0023, 3, 15), "slow": (0.004, 4, 15),
             "short": (0.002, 5, 3)}  # fmt: skip
    for name, (seconds, seed, number) in sides.items():
        found[name] = directory / f"{name}.jsonl"
        requests = history(minutes(seconds, seed, number), START, aggregation=EXPONENTIAL)
        found[name].write_text(lines(requests))
    return found


def benchmark(path: Path, operations: dict[str, float], *, seed: int = 1, count: int = 10, **facts: str) -> Path:
    """A saved benchmark: seconds per operation."""
    results = [
        {"operation": name, "metadata": processes(seconds, count, seed=seed)} for name, seconds in operations.items()
    ]
    document: dict[str, Any] = {"schema_version": 1, "kind": "otcache.benchmark", "fingerprint": facts}
    path.write_text(json.dumps(document | {"results": results}))
    return path
