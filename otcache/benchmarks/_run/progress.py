"""A line on stderr that counts the steps of a benchmark, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count


@contextmanager
def bar(title: str, steps: int, unit: str = "rounds", *, wanted: bool) -> Iterator[Callable[[], None]]:
    """A function to call after each of `steps`."""
    numbers = count(1)
    shown = wanted and sys.stderr.isatty()

    def show(done: int) -> None:
        if shown:
            sys.stderr.write(f"\r{title}: {done} of {steps} {unit}")
            sys.stderr.flush()

    show(0)
    try:
        yield lambda: show(next(numbers))
    finally:
        if shown:
            sys.stderr.write("\n")
