"""`otcache regress compare | series | ack`: commands that read files."""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from otcache.cli import _types as types
from otcache.cli._output import say
from otcache.cli._regress import options
from otcache.exceptions import ConfigurationError
from otcache.regression import _detector as detector
from otcache.regression._model import Finding, MetricSpec, Report, Run, SeriesKey
from otcache.regression._reporting import acknowledgements as acks
from otcache.regression._reporting import report
from otcache.regression._runs import BENCHMARK, compare_runs
from otcache.regression._sources import Benchmark, Reading, Selection, bench_json, open_source
from otcache.regression._specs import DEFAULT_SPECS
from otcache.regression._statistics import change_points as changepoint
from otcache.telemetry import catalog

GONE: Final = "not in the current file"
_LONGEST_ACK: Final = 366
_COMPARED: Final = tuple(dict.fromkeys((*(spec.metric for spec in DEFAULT_SPECS), BENCHMARK.metric)))
_STATISTICS: Final = tuple(dict.fromkeys(name for spec in (*DEFAULT_SPECS, BENCHMARK) for name in spec.statistics))


# --- compare ------------------------------------------------------------------------------------------


def declare_compare(parser: argparse.ArgumentParser) -> None:
    """Two files or directories."""
    for side in ("baseline", "current"):
        parser.add_argument(
            f"--{side}", nargs="+", required=True, metavar="FILE", help="OTLP JSON, or a saved benchmark"
        )
    parser.add_argument(
        "--step", type=types.between("1s", "1d"), default=60.0, metavar="T",
        help="length of a window of OTLP JSON (default: 60s)",
    )  # fmt: skip
    options.declare_outputs(parser)


def compare(arguments: argparse.Namespace) -> int:
    """Compare two sets of files; the exit status."""
    options.check(arguments)
    selection = Selection(step=arguments.step)
    old, new = (open_source(side, selection) for side in (arguments.baseline, arguments.current))
    if isinstance(old, Reading) and isinstance(new, Reading):
        found = detector.compare(old.series, new.series, options.specs(arguments))
        found = replace(found, notes=(*found.notes, *dict.fromkeys((*old.notes, *new.notes))))
    elif isinstance(old, Reading) or isinstance(new, Reading):
        raise ConfigurationError("one side is telemetry and the other a benchmark: they can't be compared")
    else:
        found = _of_benchmarks(old, new, arguments)
    sides = " ".join(arguments.baseline), " ".join(arguments.current)
    return options.finish(replace(found, baseline=sides[0], current=sides[1]), arguments)


def _of_benchmarks(old: Benchmark, new: Benchmark, arguments: argparse.Namespace) -> Report:
    """Every operation that both sides have."""
    spec = benchmark_spec(arguments)
    both = [name for name in old if name in new]
    findings = [compare_runs(old[name], new[name], spec, benchmark_key(name)) for name in both]
    skipped = {name: GONE for name in old if name not in new}
    skipped |= {name: "not in the baseline" for name in new if name not in old}
    return of_findings(findings, skipped)


def of_findings(findings: Sequence[Finding], skipped: Mapping[str, str]) -> Report:
    """One verdict of several benchmarks: the worst; inconclusive where one has no verdict, or is gone."""
    blind = GONE in skipped.values() or any(finding.verdict == "inconclusive" for finding in findings)
    verdict = detector.overall(findings, blind)
    return Report(tuple(findings), verdict, skipped=skipped, started=datetime.now(UTC).timestamp(), blind=blind)


def benchmark_spec(arguments: argparse.Namespace) -> MetricSpec:
    """How benchmarks are compared, with the thresholds of the command."""
    return replace(BENCHMARK, warning=arguments.warning, critical=arguments.critical)


def benchmark_key(name: str) -> SeriesKey:
    """The series that a benchmark is."""
    return SeriesKey(BENCHMARK.metric, frozenset({(catalog.BENCHMARK.name, name)}))


# --- series -------------------------------------------------------------------------------------------


SHORTEST: Final = changepoint.CRITICAL[0][0]
"""Files that show a step: fewer can't."""


def declare_series(parser: argparse.ArgumentParser) -> None:
    """Files in the order of time."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="saved benchmarks, the oldest first")
    parser.add_argument("--format", choices=("text", "json"), default="text")


def series(arguments: argparse.Namespace) -> int:
    """Where a history of benchmarks changed its level.

    Returns:
        1 if the last step of one is for the worse, 4 if none is long enough to show a step.
    """
    history = [bench_json.read(file) for file in arguments.files]
    levels = {
        name: [_level(each.get(name, ())) for each in history]
        for name in dict.fromkeys(name for each in history for name in each)
    }
    long = {name: values for name, values in levels.items() if sum(map(math.isfinite, values)) >= SHORTEST}
    found = {name: changepoint.find_steps(values) for name, values in long.items()}
    steps = {name: [_step(point, arguments.files) for point in points] for name, points in found.items()}
    short = [name for name in levels if name not in long]
    say(_as_json(steps, short) if arguments.format == "json" else "\n".join(_told(steps, short)))
    if any(points and (points[-1].change or 0.0) > 0 for points in found.values()):
        return options.REGRESSION
    return options.OK if long else options.INCONCLUSIVE


def _level(runs: Iterable[Run]) -> float:
    """One value of one file: the median of its processes' medians; NaN where it has none."""
    medians = [statistics.median(run.rounds) for run in runs]
    return statistics.median(medians) if medians else math.nan


def _step(point: changepoint.ChangePoint, files: Sequence[str]) -> dict[str, Any]:
    return {"file": files[point.index], "before": point.before, "after": point.after, "change": point.change}


Steps = Mapping[str, Sequence[Mapping[str, Any]]]


def _as_json(steps: Steps, short: Sequence[str]) -> str:
    return report.dumps({"schema_version": report.SCHEMA_VERSION, "series": steps, "too_short": short})


def _told(steps: Steps, short: Sequence[str]) -> Iterator[str]:
    for name, found in steps.items():
        yield report.printable(f"{name}: {'' if found else 'no step'}".rstrip())
        for step in found:
            sides = f"{report.duration(step['before'])} to {report.duration(step['after'])}"
            yield report.printable(f"  at {step['file']}: {report.percent(step['change'])}, {sides}")
    for name in short:
        yield report.printable(
            f"{name}: inconclusive: a step shows from {SHORTEST} files on that have raw rounds of it"
        )


# --- ack ----------------------------------------------------------------------------------------------


def declare_ack(parser: argparse.ArgumentParser) -> None:
    """What is accepted, until when and why."""
    parser.add_argument("file", metavar="FILE", help="the file of acknowledgements; made if it is not there")
    parser.add_argument("--metric", required=True, choices=_COMPARED, help="which metric, or benchmark")
    parser.add_argument(
        "--attribute", action="append", default=[], metavar="NAME=VALUE", type=_attribute, help="only series with it"
    )
    parser.add_argument("--statistic", choices=_STATISTICS, help="only this one")
    parser.add_argument(
        "--days", type=types.whole(1, _LONGEST_ACK), default=30, metavar="N", help="how long it holds (default: 30)"
    )
    parser.add_argument("--most", type=types.percent, metavar="P", help="the largest change that is accepted, %%")
    parser.add_argument("--reason", required=True, help="why; it is shown with the finding")


def _attribute(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, such as cache=users")
    return name, value


def ack(arguments: argparse.Namespace) -> int:
    """Add an acknowledgement to a file; the exit status."""
    until = datetime.now(UTC).date() + timedelta(days=arguments.days)
    attributes = dict(arguments.attribute)
    added = acks.Ack(arguments.metric, until, arguments.reason, attributes, arguments.statistic, arguments.most)
    acks.save(arguments.file, (*acks.load(arguments.file), added))
    say(f"{arguments.file}: {arguments.metric} is acknowledged until {until}")
    return options.OK
