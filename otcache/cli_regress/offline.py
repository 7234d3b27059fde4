"""`otcache regress compare | bench | series | ack`: what files hold."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from otcache.cli_regress import common
from otcache.exceptions import ConfigurationError
from otcache.regression import acks, changepoint, detector, report
from otcache.regression.model import Finding, MetricSpec, Report, Run, SeriesKey, Verdict
from otcache.regression.runs import BENCHMARK, compare_runs
from otcache.regression.sources import Benchmark, Reading, Selection, bench_json, open_source
from otcache.telemetry import catalog

_LONGEST_ACK: Final = 366


# --- compare, bench -----------------------------------------------------------------------------------


def declare_compare(parser: argparse.ArgumentParser) -> None:
    """Two files or directories."""
    for side in ("baseline", "current"):
        parser.add_argument(
            f"--{side}", nargs="+", required=True, metavar="FILE", help="OTLP JSON, or a saved benchmark"
        )
    parser.add_argument(
        "--step", type=common.seconds, default=60.0, metavar="T", help="length of a window of OTLP JSON (default: 60s)"
    )
    common.declare_outputs(parser)


def compare(arguments: argparse.Namespace) -> int:
    """Compare two sets of files; the exit status."""
    common.check(arguments)
    selection = Selection(step=arguments.step)
    old, new = (open_source(side, selection) for side in (arguments.baseline, arguments.current))
    if isinstance(old, Reading) and isinstance(new, Reading):
        found = detector.compare(old.series, new.series, common.specs(arguments))
        found = replace(found, notes=(*found.notes, *dict.fromkeys((*old.notes, *new.notes))))
    elif isinstance(old, Reading) or isinstance(new, Reading):
        raise ConfigurationError("one side is telemetry and the other a benchmark: they can't be compared")
    else:
        found = of_benchmarks(old, new, arguments)
    return common.finish(_named(found, arguments), arguments)


def declare_bench(parser: argparse.ArgumentParser) -> None:
    """Two saved benchmarks."""
    for side in ("baseline", "current"):
        parser.add_argument(f"--{side}", required=True, metavar="FILE", help="what `otcache bench --save` wrote")
    common.declare_outputs(parser)


def bench(arguments: argparse.Namespace) -> int:
    """Compare two saved benchmarks; the exit status."""
    common.check(arguments)
    old, new = bench_json.read(arguments.baseline), bench_json.read(arguments.current)
    return common.finish(_named(of_benchmarks(old, new, arguments), arguments), arguments)


def of_benchmarks(old: Benchmark, new: Benchmark, arguments: argparse.Namespace) -> Report:
    """Every operation that both sides have."""
    spec = benchmark_spec(arguments)
    both = [name for name in old if name in new]
    findings = [compare_runs(old[name], new[name], spec, benchmark_key(name)) for name in both]
    skipped = {name: "not in the current file" for name in old if name not in new}
    skipped |= {name: "not in the baseline" for name in new if name not in old}
    return of_findings(findings, skipped)


def of_findings(findings: Sequence[Finding], skipped: Mapping[str, str]) -> Report:
    """One verdict of several benchmarks: the worst; inconclusive where nothing was judged."""
    verdicts = {finding.verdict for finding in findings}
    verdict: Verdict = next((each for each in detector.WORST if each in verdicts), "inconclusive")
    return Report(tuple(findings), verdict, skipped=skipped, started=datetime.now(UTC).timestamp())


def benchmark_spec(arguments: argparse.Namespace) -> MetricSpec:
    """How benchmarks are judged, with the thresholds of the command."""
    return replace(BENCHMARK, warning=arguments.warning, critical=arguments.critical)


def benchmark_key(name: str) -> SeriesKey:
    """The series that a benchmark is."""
    return SeriesKey(BENCHMARK.metric, frozenset({(catalog.BENCHMARK.name, name)}))


def _named(found: Report, arguments: argparse.Namespace) -> Report:
    sides = (arguments.baseline, arguments.current)
    names = [" ".join(side) if isinstance(side, list) else side for side in sides]
    return replace(found, baseline=names[0], current=names[1])


# --- series -------------------------------------------------------------------------------------------


def declare_series(parser: argparse.ArgumentParser) -> None:
    """Files in the order of time."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="saved benchmarks, the oldest first")
    parser.add_argument(
        "--smallest", type=common.percent, default=changepoint.SMALLEST, metavar="P", help="smallest step, %% (5)"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")


def series(arguments: argparse.Namespace) -> int:
    """Where a history of benchmarks changed its level: 1 if the last step of one is for the worse."""
    history = [bench_json.read(file) for file in arguments.files]
    found = {
        name: changepoint.find([_level(each.get(name, ())) for each in history], arguments.smallest)
        for name in dict.fromkeys(name for each in history for name in each)
    }
    steps = {name: [_step(point, arguments.files) for point in points] for name, points in found.items()}
    common.say(_as_json(steps) if arguments.format == "json" else "\n".join(_told(steps, len(history))))
    worse = any(points and (points[-1].change or 0.0) > 0 for points in found.values())
    return common.REGRESSION if worse else common.OK


def _level(runs: Iterable[Run]) -> float:
    """One value of one file: the median of its processes' medians; NaN where it has none."""
    medians = [statistics.median(run.rounds) for run in runs]
    return statistics.median(medians) if medians else float("nan")


def _step(point: changepoint.ChangePoint, files: Sequence[str]) -> dict[str, Any]:
    return {"file": files[point.index], "before": point.before, "after": point.after, "change": point.change}


def _as_json(steps: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    return report.dumps({"schema_version": report.SCHEMA_VERSION, "series": steps})


def _told(steps: Mapping[str, Sequence[Mapping[str, Any]]], length: int) -> Iterator[str]:
    if length < changepoint.CRITICAL[0][0]:
        yield f"{length} files are too few: a step shows from {changepoint.CRITICAL[0][0]} on"
    for name, found in steps.items():
        yield f"{name}: {'no step' if not found else ''}".rstrip()
        for step in found:
            sides = f"{report.duration(step['before'])} to {report.duration(step['after'])}"
            yield f"  at {step['file']}: {report.change(step['change'])}, {sides}"


# --- ack ----------------------------------------------------------------------------------------------


def declare_ack(parser: argparse.ArgumentParser) -> None:
    """What is accepted, until when and why."""
    parser.add_argument("file", metavar="FILE", help="the file of acknowledgements; made if it is not there")
    parser.add_argument("--metric", required=True, help="the metric's name in the catalogue, or benchmark")
    parser.add_argument("--attribute", action="append", default=[], metavar="NAME=VALUE", help="only series with it")
    parser.add_argument("--statistic", help="only this one: mean, p95, ...")
    parser.add_argument("--days", type=int, default=30, metavar="N", help="how long it holds (default: 30)")
    parser.add_argument("--most", type=common.percent, metavar="P", help="the largest change that is accepted, %%")
    parser.add_argument("--reason", required=True, help="why; it is shown with the finding")


def ack(arguments: argparse.Namespace) -> int:
    """Add an acknowledgement to a file; the exit status."""
    if not 1 <= arguments.days <= _LONGEST_ACK:
        raise ConfigurationError(f"--days {arguments.days} is outside 1..{_LONGEST_ACK}")
    pairs = [each.partition("=") for each in arguments.attribute]
    if not all(name and equals for name, equals, _ in pairs):
        raise ConfigurationError("--attribute is not NAME=VALUE")
    attributes = {name: value for name, _, value in pairs}
    until = _today() + timedelta(days=arguments.days)
    added = acks.Ack(arguments.metric, until, arguments.reason, attributes, arguments.statistic, arguments.most)
    acks.save(arguments.file, (*acks.load(arguments.file), added))
    common.say(f"{arguments.file}: {arguments.metric} is acknowledged until {until}")
    return common.OK


def _today() -> date:
    return datetime.now(UTC).date()
