"""Interleaved rounds: the median of ratios taken within a round survives a machine whose speed drifts."""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Run = Callable[[], Awaitable[float | None]]
"""One batch of operations. Where another process does the work, it returns the seconds that the work took there."""


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is measured.

    Attributes:
        run: A batch.
        operations: How many operations a batch has.
        before: Done before every batch, and not timed.
    """

    run: Run
    operations: int
    before: Callable[[], Awaitable[None]] | None = None


class Spread(NamedTuple):
    """A median, and where eight of ten rounds lie."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        """10th percentile, median and 90th percentile."""
        ordered = sorted(figures)
        tenth = len(ordered) // 10
        return cls(ordered[tenth], statistics.median(ordered), ordered[-1 - tenth])

    def __str__(self) -> str:
        return f"{_digits(self.middle)} ({_digits(self.low)}-{_digits(self.high)})"


def _digits(figure: float) -> str:
    """Three figures that count, and no exponent: `0.073`, `3.41`, `118`."""
    decimals = 0 if figure >= 100 else 1 if figure >= 10 else 2 if figure >= 0.1 else 3
    return f"{figure:.{decimals}f}"


@dataclass(frozen=True, slots=True)
class Timing:
    """ns per operation of one case, a figure per round.

    Attributes:
        cpu: CPU time of this process; nothing where another process did the work.
        wall: Time that passed.
    """

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def figures(self, clock: str) -> list[float]:
        """Those of one clock, `cpu` or `wall`."""
        return self.cpu if clock == "cpu" else self.wall

    def ratio_to(self, other: Timing, clock: str = "cpu") -> Spread | None:
        """This case over `other`, round by round; `None` if a clock has nothing of one of them."""
        pairs = list(zip(self.figures(clock), other.figures(clock), strict=False))
        return Spread.of([a / b for a, b in pairs]) if pairs else None


async def _time(case: Case, timing: Timing) -> None:
    if case.before is not None:
        await case.before()
    cpu, wall = time.process_time_ns(), time.perf_counter_ns()
    elsewhere = await case.run()
    used, passed = time.process_time_ns() - cpu, time.perf_counter_ns() - wall
    if elsewhere is None:
        timing.cpu.append(used / case.operations)
        timing.wall.append(passed / case.operations)
    else:
        timing.wall.append(elsewhere * 1e9 / case.operations)


async def measure(cases: Mapping[str, Case], rounds: int, seed: int = 1) -> dict[str, Timing]:
    """Run every case once per round, in a new order each round, after one warm-up round."""
    order, figures = list(cases), {name: Timing() for name in cases}
    draw = random.Random(seed)
    for case in cases.values():
        await _time(case, Timing())
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            draw.shuffle(order)
            for name in order:
                await _time(cases[name], figures[name])
            await asyncio.sleep(0)
    finally:
        gc.enable()
    return figures


def table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table under its title, aligned for a terminal."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    head = " | ".join(cell.ljust(width) for cell, width in zip(columns, widths, strict=True))
    rule = "-|-".join("-" * width for width in widths)
    return "\n".join([f"\n{title}\n", f"| {head} |", f"|-{rule}-|", *(f"| {line} |" for line in lines)])
