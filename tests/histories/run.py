"""A run: real processes on one real Redis, what is done to them, and the history of it."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.histories.ground import Ground, initial
from tests.histories.history import DATABASE, Change, History, read_records
from tests.histories.line import State
from tests.histories.worker import LOADED, tags_of
from tests.servers import RedisServer, end, spawn, wait_for

ROOT: Final = Path(__file__).parents[2]
PROCESSES: Final = 4


@dataclass(frozen=True)
class Plan:
    """What to do.

    Attributes:
        seed: Of everything random.
        seconds: How long the processes work.
        options: Of their caches.
        trouble: Whether Redis, lines and processes are stopped meanwhile.
        bound: `max_staleness`, in s: what happens to them lasts long enough for it to pass.
    """

    seed: int
    seconds: float
    options: Mapping[str, Any] = field(default_factory=dict)
    trouble: bool = True
    bound: float = 2.0


def program(module: str, *arguments: object) -> list[str]:
    """The command that runs `main` of a module of the tests."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from {module} import main; main()"
    return [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]


def run(server: RedisServer, directory: Path, plan: Plan) -> History:
    """Play `plan` on a server that is running, and runs afterwards; the files stay in `directory`."""
    with Ground(server, directory, PROCESSES) as ground:
        workers = [_start(number, ground, directory, plan) for number in range(PROCESSES)]
        try:
            wait_for(lambda: ground.has_begun or not all(_lives(each) for each in workers), "the start", 240)
            if plan.trouble:
                _Trouble(server, ground, workers, plan).play()
            wait_for(lambda: not any(_lives(each) for each in workers), "the end", plan.seconds + 240)
        finally:
            for worker in workers:
                end(worker)
    failed = [number for number, worker in enumerate(workers) if worker.returncode]
    assert not failed, "\n".join((directory / f"{number}.log").read_text()[-5000:] for number in failed)
    return _collect(ground, directory)


def _lives(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


def _start(number: int, ground: Ground, directory: Path, plan: Plan) -> subprocess.Popen[bytes]:
    url = f"redis://127.0.0.1:{ground.lines[number].port}/0"
    seed = plan.seed * PROCESSES + number
    file, options = directory / f"{number}.jsonl", json.dumps({"max_staleness": plan.bound, **plan.options})
    command = program("tests.histories.worker", number, seed, plan.seconds, url, ground.path, file, options)
    return spawn(command, directory / f"{number}.log")


def _collect(ground: Ground, directory: Path) -> History:
    before = [Change(DATABASE, key, initial(key), 0, 0, 0, tags_of(key)) for key in LOADED]
    history = History().add(before).add(ground.records)
    for number in range(PROCESSES):
        history.add(read_records(directory / f"{number}.jsonl"))
    return history


class _Trouble:
    """What happens while they work, in order, at times that the seed moves a little."""

    def __init__(self, server: RedisServer, ground: Ground, workers: list[subprocess.Popen[bytes]], plan: Plan) -> None:
        self._server = server
        self._ground = ground
        self._workers = workers
        self._seconds = plan.seconds
        self._scale = plan.bound / 2
        self._random = random.Random(plan.seed)
        self._started = time.monotonic()

    def play(self) -> None:
        """All of it; what lasts, lasts long enough for the bound to pass: the seconds are those of a bound of two."""
        steps: tuple[tuple[float, Callable[[], None]], ...] = (
            (0.06, lambda: self._restart(0.0)),
            (0.18, lambda: self._pause(1.5)),
            (0.32, lambda: self._restart(4.0)),
            (0.48, lambda: self._cut("cut", 7.0)),
            (0.62, lambda: self._stop_worker(3.0)),
            (0.74, lambda: self._cut("deaf", 4.0)),
            (0.88, lambda: self._restart(0.5)),
        )
        for share, step in steps:
            self._wait_until((share + self._random.uniform(-0.02, 0.02)) * self._seconds)
            step()

    def _wait_until(self, since_start: float) -> None:
        time.sleep(max(0.0, self._started + since_start - time.monotonic()))

    def _restart(self, away: float) -> None:
        self._ground.note("Redis is killed")
        self._server.kill()
        time.sleep(away * self._scale)
        self._server.start()
        self._ground.note("Redis is there, and empty")

    def _pause(self, seconds: float) -> None:
        self._ground.note("Redis is paused")
        with self._server.paused():
            time.sleep(seconds * self._scale)
        self._ground.note("Redis goes on")

    def _cut(self, state: State, seconds: float) -> None:
        with self._ground.line(self._random.randrange(PROCESSES), state):
            time.sleep(seconds * self._scale)

    def _stop_worker(self, seconds: float) -> None:
        number = self._random.randrange(PROCESSES)
        self._ground.note(f"process {number} is paused")
        self._workers[number].send_signal(signal.SIGSTOP)
        time.sleep(seconds * self._scale)
        self._workers[number].send_signal(signal.SIGCONT)
        self._ground.note(f"process {number} goes on")
