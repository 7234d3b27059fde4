"""Interleaved rounds: the median of ratios taken within a round survives a machine whose speed drifts."""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

Case = Callable[[], Awaitable[None]]
"""One batch of operations, the same number of them in every case."""


@dataclass(frozen=True, slots=True)
class Timing:
    """CPU seconds per operation of one case, a figure per round."""

    seconds: list[float]

    @property
    def median_ns(self) -> float:
        """The median round, in ns per operation. Indicative only: quote ratios."""
        return statistics.median(self.seconds) * 1e9

    def ratio_to(self, other: Timing) -> tuple[float, float, float]:
        """10th percentile, median and 90th percentile of this case over `other`, round by round."""
        ratios = sorted(a / b for a, b in zip(self.seconds, other.seconds, strict=True))
        return ratios[len(ratios) // 10], statistics.median(ratios), ratios[-1 - len(ratios) // 10]


async def _time(case: Case, operations: int) -> float:
    started = time.process_time()
    await case()
    return (time.process_time() - started) / operations


async def measure(cases: Mapping[str, Case], operations: int, rounds: int, seed: int = 1) -> dict[str, Timing]:
    """Run every case once per round, in a new order each round, after one warm-up round."""
    order, figures = list(cases), {name: list[float]() for name in cases}
    draw = random.Random(seed)
    for case in cases.values():
        await case()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            draw.shuffle(order)
            for name in order:
                figures[name].append(await _time(cases[name], operations))
            await asyncio.sleep(0)
    finally:
        gc.enable()
    return {name: Timing(seconds) for name, seconds in figures.items()}


def table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A Markdown table under its title."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    head = " | ".join(cell.ljust(width) for cell, width in zip(columns, widths, strict=True))
    rule = "-|-".join("-" * width for width in widths)
    return "\n".join([f"\n{title}\n", f"| {head} |", f"|-{rule}-|", *(f"| {line} |" for line in lines)])


def spread(ratio: tuple[float, float, float]) -> str:
    """`1.23 (1.20-1.31)`: the median, and where eight of ten rounds lie."""
    low, middle, high = ratio
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"
