"""What is measured: groups of cases, each group interleaved by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benchmarks.harness import Case
from benchmarks.setting import Setting


@dataclass(frozen=True, slots=True)
class Group:
    """Cases that are compared with each other.

    Attributes:
        name: In the file and on the command line.
        title: Over its table.
        base: The case that the others are shown as multiples of.
        build: Makes the cases; what they need is closed with the setting's stack.
        quick: Whether it is part of `make bench`.
        clock: `cpu`, or `wall` where the work is shared with another process.
        needs_redis: Whether it is left out without one.
    """

    name: str
    title: str
    base: str
    build: Callable[[Setting], Awaitable[dict[str, Case]]]
    quick: bool = True
    clock: str = "cpu"
    needs_redis: bool = False
