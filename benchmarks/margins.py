"""`python -m benchmarks.margins RUN.json...`: how the targets' figures vary from run to run, and the gates that follow.

A gate is a quarter beyond the worst run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.results import Results
from benchmarks.targets import TARGETS, Target
from otcache.telemetry.catalog.tables import table

BEYOND: Final = 1.25


def proposed(target: Target, medians: Sequence[float]) -> float:
    """The gate that lies a quarter beyond the worst of these medians, and never short of the target."""
    if target.bound == "at most":
        return max(max(medians) * BEYOND, target.value)
    return min(min(medians) / BEYOND, target.value)


def _row(target: Target, runs: Sequence[Results]) -> tuple[str, ...]:
    medians = [found.middle for run in runs if (found := target.figure(run)) is not None]
    if not medians:
        return (target.row, target.what, "", "", "")
    gate = "" if target.gate is None else f"{target.gate:g}"
    extent = f"{min(medians):.3g}..{max(medians):.3g}"
    return (target.row, target.what, extent, f"{proposed(target, medians):.3g}", gate)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.margins", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    runs = [Results.load(path) for path in parser.parse_args().files]
    columns = ("", "what", f"medians of {len(runs)} runs", "a quarter beyond", "gate")
    print(table(columns, [_row(target, runs) for target in TARGETS]))


if __name__ == "__main__":
    main()
