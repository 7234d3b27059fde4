"""`otcache regress duet`: two revisions, or two interpreters, measured in turns."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from otcache.cli_regress import common, offline
from otcache.exceptions import ConfigurationError
from otcache.regression.duet import BOUTS, OPERATIONS, ROUND_SECONDS, ROUNDS, Shape, Side, checked, play, revision
from otcache.regression.model import Finding
from otcache.regression.runs import compare_runs

HERE: Final = "."
"""Instead of a revision: the working tree as it is."""


def declare(parser: argparse.ArgumentParser) -> None:
    """The two sides, what is measured, and how long."""
    sides = parser.add_argument_group("sides")
    sides.add_argument("--baseline", metavar="REV", help="a git revision; . is the working tree")
    sides.add_argument("--current", metavar="REV", default=HERE, help="a git revision (default: ., the working tree)")
    sides.add_argument("--repo", type=Path, default=Path(), metavar="DIR", help="the git checkout (default: here)")
    sides.add_argument("--path", default=".", metavar="DIR", help="where in it the packages lie, such as src")
    for side in ("baseline", "current"):
        sides.add_argument(f"--{side}-python", default=sys.executable, metavar="EXE", help="its interpreter")
    what = parser.add_argument_group("what")
    what.add_argument(
        "--target", action="append", default=[], metavar="WHAT",
        help=f"module:function without arguments, or of otcache itself {', '.join(OPERATIONS)} (default: get)",
    )  # fmt: skip
    what.add_argument("--bouts", type=int, default=BOUTS, metavar="N", help=f"fresh pairs (default: {BOUTS})")
    what.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"of each (default: {ROUNDS})")
    what.add_argument(
        "--round-seconds", type=float, default=ROUND_SECONDS, metavar="S", help=f"of one (default: {ROUND_SECONDS})"
    )
    what.add_argument("--no-progress", action="store_true", help="say nothing on the way")
    common.declare_outputs(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and judge; the exit status."""
    common.check(arguments)
    if arguments.baseline is None and arguments.baseline_python == arguments.current_python:
        raise ConfigurationError("--baseline or --baseline-python is needed: the sides would be the same")
    shape = Shape(arguments.bouts, arguments.rounds, arguments.round_seconds)
    with ExitStack() as stack:
        sides = [_side(arguments, which, stack) for which in ("baseline", "current")]
        findings = [_finding(arguments, target, sides, shape) for target in arguments.target or ["get"]]
    found = offline.of_findings(findings, {})
    return common.finish(replace(found, baseline=sides[0].name, current=sides[1].name), arguments)


def _finding(arguments: argparse.Namespace, target: str, sides: list[Side], shape: Shape) -> Finding:
    def tell(done: int) -> None:
        if not arguments.no_progress and sys.stderr.isatty():
            sys.stderr.write(f"\r{target}: {done} of {shape.bouts} bouts{'' if done < shape.bouts else chr(10)}")
            sys.stderr.flush()

    old, new = play(target, sides[0], sides[1], shape, tell)
    return compare_runs(old, new, offline.benchmark_spec(arguments), offline.benchmark_key(target))


def _side(arguments: argparse.Namespace, which: str, stack: ExitStack) -> Side:
    name, python = getattr(arguments, which), getattr(arguments, f"{which}_python")
    if name is None or (name == HERE and arguments.baseline is None):
        return Side(python, python)  # two interpreters, each with what is installed in it
    if name == HERE:
        return Side("the working tree", python, checked(arguments.repo.resolve(), arguments.path))
    return Side(name, python, stack.enter_context(revision(arguments.repo, name, arguments.path)))
