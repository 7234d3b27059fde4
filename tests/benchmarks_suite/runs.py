"""Small runs, real ones and made ones."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.harness import Timing
from benchmarks.results import Results
from benchmarks.workloads import hits

BASE = (100.0, 200.0, 400.0)
"""ns per operation of three rounds on a machine that becomes slower."""


def times(factor: float, base: Sequence[float] = BASE) -> Timing:
    """A case that takes `factor` times as long in every round."""
    return Timing([each * factor for each in base], [each * factor * 1.5 for each in base])


def hit_run(factor: float = 3.0) -> Results:
    """A run of the first group in which otcache's hit takes `factor` times the bare one."""
    cases = {
        hits.BARE: times(1),
        hits.UNSAMPLED_HIT: times(factor),
        hits.RECORDED_HIT: times(80),
        hits.ONE_ADD: times(36),
        hits.TUTORIAL_RECORDED: times(200),
        "cashews": times(20),
    }
    return Results({"cpu": "a processor", "python": "CPython 3.11.7"}, 3, {"hit": cases}, {"otcache": {100_000: 147.0}})
