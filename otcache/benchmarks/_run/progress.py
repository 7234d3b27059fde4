"""A bar on stderr while a benchmark runs: on a terminal, with the extra `cli`, and without a thread of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(title: str, steps: int, *, wanted: bool) -> Iterator[Callable[[], None]]:
    """A function to call after each of `steps`; it draws only where somebody can see it."""
    if not wanted or not sys.stderr.isatty():
        yield _nothing
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        yield _nothing
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # a thread that redraws would take the GIL from what is being timed
    with Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as progress:
        task = progress.add_task(title, total=steps)

        def step() -> None:
            progress.advance(task)
            progress.refresh()

        yield step


def _nothing() -> None:
    """Nobody looks."""
