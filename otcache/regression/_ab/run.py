"""Two versions of a program measured in turns: what disturbs one disturbs the other, and cancels out."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final

from otcache.exceptions import ConfigurationError
from otcache.regression._ab.process import Side, Task, Worker, worker
from otcache.regression._model import Run

OPERATIONS: Final = ("get", "get_miss", "set", "delete")
"""What can be measured of otcache itself; anything else is `module:function`."""
BOUTS: Final = 10
ROUNDS: Final = 200
ROUND_SECONDS: Final = 0.002
"""Shorter than a scheduler's time slice: on a busy machine most rounds are then not interrupted (docs/ab.md)."""
FEWEST_ROUNDS: Final = 20
"""Of an operation that takes longer than a round should."""
PATIENCE: Final = 120.0
MOST_LONGER: Final = 4
"""A round of the slower side lasts at most so many times `round_seconds`."""
_TARGET: Final = re.compile(r"[\w.]+:[\w.]+")


@dataclass(frozen=True, slots=True)
class Shape:
    """The length of an A/B run.

    Attributes:
        bouts: Fresh pairs of processes. From 5 on a regression can be shown, from 8 on ruled out.
        rounds: Rounds of each process, in the order ABBA; even, so that each side is first as often. Down to
            `FEWEST_ROUNDS` where one operation takes longer than `round_seconds`.
        round_seconds: About how long one round is.
        patience: Seconds that one answer of a process may take: the import of the target, or a round.
    """

    bouts: int = BOUTS
    rounds: int = ROUNDS
    round_seconds: float = ROUND_SECONDS
    patience: float = PATIENCE

    def __post_init__(self) -> None:
        limits = (("bouts", 1, 1000), ("rounds", 2, 10_000), ("round_seconds", 0.001, 60), ("patience", 0.1, 3600))
        for name, low, high in limits:
            number = getattr(self, name)
            if not low <= number <= high:
                raise ConfigurationError(f"{name}={number:g} is outside {low}..{high:g}")
        if self.rounds % 2:
            raise ConfigurationError(f"rounds={self.rounds} is not even")


def measure(
    target: str, baseline: Side, current: Side, shape: Shape, step: Callable[[], None] = lambda: None
) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """Measure `target` on both sides.

    Args:
        target: One of `OPERATIONS`, or `module:function` without arguments, `async` or not.
        baseline: The version to compare with.
        current: The version to compare.
        shape: How long.
        step: Called after each bout.

    Returns:
        The runs of the baseline, and those of the current side, paired.

    Raises:
        ConfigurationError: There is no such operation, or this is not a POSIX system.
        SourceError: A side can't be started, fails, or does not answer.
    """
    if os.name != "posix":
        raise ConfigurationError("an A/B run needs a POSIX system: Linux, macOS")
    if target not in OPERATIONS and not _TARGET.fullmatch(target):
        raise ConfigurationError(f"{target!r} is neither module:function nor one of {', '.join(OPERATIONS)}")
    old: list[Run] = []
    new: list[Run] = []
    # bytecode has a place of its own: both sides compile alike, once, and no __pycache__ appears in a working tree
    with tempfile.TemporaryDirectory(prefix="otcache-ab-", ignore_cleanup_errors=True) as bytecode:
        task = Task(target, bytecode, _environment(target), shape.patience)
        for bout in range(shape.bouts):
            began = time.time()
            first, second = _bout(task, (baseline, current), shape, bout)
            old.append(Run(f"baseline {bout}", first, began, paired_with=bout))
            new.append(Run(f"current {bout}", second, began, paired_with=bout))
            step()
    return tuple(old), tuple(new)


def _environment(target: str) -> dict[str, str]:
    """Ours, without what would make otcache's own operations export or change."""
    apart = () if ":" in target else ("OTCACHE_", "OTEL_")
    return {name: value for name, value in os.environ.items() if not name.startswith(apart)}


def _bout(
    task: Task, sides: tuple[Side, Side], shape: Shape, number: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The seconds per operation of one fresh pair; every other bout the other side is the first to start."""
    # the same seed for both: how dictionaries lie is the luck of a bout, not of a side
    seeded = replace(task, environment={"PYTHONHASHSEED": str(number)} | task.environment)
    order = (0, 1) if number % 2 == 0 else (1, 0)
    with ExitStack() as stack:
        pair = {index: stack.enter_context(worker(sides[index], seeded)) for index in order}
        speeds = [_Speed(**pair[index].ask(f"calibrate {shape.round_seconds}")) for index in order]
        taken = _rounds(pair, order, *_plan(speeds, shape))
    return tuple(taken[0]), tuple(taken[1])


@dataclass(frozen=True, slots=True)
class _Speed:
    """How many operations fit into a round, and the seconds that one takes."""

    count: int
    seconds: float


def _plan(speeds: Sequence[_Speed], shape: Shape) -> tuple[int, int]:
    """Operations per round, the same for both sides, as many as suit the faster one within reason; and the rounds."""
    counts = [speed.count for speed in speeds]
    count = min(max(counts), MOST_LONGER * min(counts))
    longest = count * max(speed.seconds for speed in speeds)
    fitting = int(shape.rounds * shape.round_seconds * MOST_LONGER / longest)
    return count, max(min(FEWEST_ROUNDS, shape.rounds), min(fitting // 2 * 2, shape.rounds))


def _rounds(pair: Mapping[int, Worker], order: tuple[int, int], count: int, rounds: int) -> dict[int, list[float]]:
    """Rounds in turn, ABBA; those of the warm-up, a tenth more, are left out."""
    taken: dict[int, list[float]] = {index: [] for index in order}
    for number in range(-(rounds // 10) - 1, rounds):
        for index in order if number % 2 else reversed(order):
            took = float(pair[index].ask(f"round {count}")["seconds"])
            if number >= 0:
                taken[index].append(took)
    return taken
