"""`otcache regress ab`: two revisions, or two interpreters, measured in turns."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from otcache.benchmarks._run.progress import bar
from otcache.cli._bench import ended_by_signals
from otcache.cli._regress import files, options
from otcache.exceptions import ConfigurationError
from otcache.regression._ab.git import Repository, directory
from otcache.regression._ab.process import Side
from otcache.regression._ab.run import BOUTS, OPERATIONS, PATIENCE, ROUND_SECONDS, ROUNDS, Shape, measure
from otcache.regression._model import Finding
from otcache.regression._runs import compare_runs

HERE: Final = "."
"""Instead of a revision: the working tree as it is."""


def declare(parser: argparse.ArgumentParser) -> None:
    """The two sides, what is measured, and how long."""
    sides = parser.add_argument_group("sides")
    sides.add_argument("--baseline", metavar="REV", help="a git revision; without one, what its interpreter has")
    sides.add_argument("--current", metavar="REV", default=HERE, help="a git revision (default: ., the working tree)")
    sides.add_argument("--repo", type=Path, default=Path(), metavar="DIR", help="the git checkout (default: here)")
    sides.add_argument(
        "--path", action="append", default=[], metavar="DIR",
        help="where in it modules lie, such as src; several, the first wins (default: .)",
    )  # fmt: skip
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
    what.add_argument(
        "--timeout", type=float, default=PATIENCE, metavar="S", help=f"for one answer (default: {PATIENCE:g})"
    )
    what.add_argument("--no-progress", action="store_true", help="no progress line on a terminal")
    options.declare_outputs(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure and compare; the exit status."""
    options.check(arguments)
    shape = Shape(arguments.bouts, arguments.rounds, arguments.round_seconds, arguments.timeout)
    with ended_by_signals(), ExitStack() as stack:
        baseline, current = _sides(arguments, stack)
        findings = [_finding(arguments, each, baseline, current, shape) for each in arguments.target or ["get"]]
    found = files.of_findings(findings, {})
    return options.finish(replace(found, baseline=baseline.name, current=current.name), arguments)


def _finding(arguments: argparse.Namespace, target: str, baseline: Side, current: Side, shape: Shape) -> Finding:
    with bar(target, shape.bouts, "bouts", wanted=not arguments.no_progress) as step:
        old, new = measure(target, baseline, current, shape, step)
    return compare_runs(old, new, files.benchmark_spec(arguments), files.benchmark_key(target))


def _sides(arguments: argparse.Namespace, stack: ExitStack) -> tuple[Side, Side]:
    pythons = [_interpreter(arguments.baseline_python), _interpreter(arguments.current_python)]
    if arguments.baseline is None:
        return _interpreters(arguments, pythons)
    repository = Repository.at(arguments.repo)
    names = (arguments.baseline, arguments.current)
    old, new = (
        _side(name, python, repository, arguments.path, stack) for name, python in zip(names, pythons, strict=True)
    )
    return old, new


def _interpreters(arguments: argparse.Namespace, pythons: list[str]) -> tuple[Side, Side]:
    """Each with what is installed in it; the target itself may lie in the checkout."""
    if arguments.current != HERE:
        raise ConfigurationError("--current needs --baseline")
    if pythons[0] == pythons[1]:
        raise ConfigurationError("--baseline or --baseline-python is needed: the sides would be the same")
    last = _within(arguments.repo.resolve(), arguments.path)
    old, new = (Side(python, python, last=last) for python in pythons)
    return old, new


def _side(name: str, python: str, repository: Repository, paths: list[str], stack: ExitStack) -> Side:
    if name == HERE:
        return Side("the working tree", python, repository.directory, _within(repository.directory, paths))
    root = stack.enter_context(repository.files(name))
    return Side(name, python, root, _within(root, paths), never=repository.top)


def _within(root: Path, paths: list[str]) -> tuple[Path, ...]:
    return tuple(directory(root, path) for path in paths or ["."])


def _interpreter(name: str) -> str:
    """Where it is: the processes run in other directories than we do. A link stays one: a venv is known by it."""
    found = shutil.which(name)
    if found is None:
        raise ConfigurationError(f"there is no interpreter {name!r}")
    return os.path.abspath(found)
