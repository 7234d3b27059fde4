"""`otcache regress prometheus | selftest | watch`: what a Prometheus holds."""

from __future__ import annotations

import argparse
import math
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from otcache import telemetry
from otcache.cli import _types as types
from otcache.cli._output import say
from otcache.cli._regress import options
from otcache.exceptions import ConfigurationError
from otcache.regression import _detector as detector
from otcache.regression._model import Finding, Report
from otcache.regression._reporting import report
from otcache.regression._reporting.metrics import Verdicts
from otcache.regression._sources.prometheus import Prometheus
from otcache.regression._sources.prometheus_api import Access
from otcache.regression._sources.selection import Matcher, Reading, Selection
from otcache.regression._specs import ERROR_RATIO
from otcache.regression._statistics.shift import wilson
from otcache.regression._watch import DAY, Evaluation, Plan, StateFile, Watch

Read = Callable[[float, float], Reading]

_TOKEN: Final = "OTCACHE_PROMETHEUS_TOKEN"  # noqa: S105  the name of a variable
_PASSWORD: Final = "OTCACHE_PROMETHEUS_PASSWORD"  # noqa: S105
_REFERENCES: Final = {"day": ("yesterday", DAY), "week": ("a week ago", 7 * DAY)}


def declare_source(parser: argparse.ArgumentParser) -> None:
    """Where the Prometheus is, and which series are meant."""
    group = parser.add_argument_group("source")
    group.add_argument("--prometheus", required=True, metavar="URL", help="base URL, such as http://localhost:9090")
    group.add_argument("--target", required=True, metavar="JOB", help="the job to compare")
    group.add_argument("--match", action="append", default=[], metavar="M", help="conditions: env=prod, az=~a|b")
    group.add_argument(
        "--step", type=types.between("1s", "1d"), default=60.0, metavar="T", help="one window (default: 60s)"
    )
    group.add_argument("--user", help=f"for basic authentication; its password is in {_PASSWORD}")
    group.add_argument("--tenant", help="X-Scope-OrgID")
    group.add_argument("--ca-file", metavar="FILE", help="certificates to trust instead of the system's")
    group.add_argument(
        "--timeout", type=types.between("0.1s", "1h"), default=30.0, metavar="T", help="of one answer (default: 30s)"
    )


def reader(arguments: argparse.Namespace) -> Read:
    """Reads windows of the target from one time to another; a token is taken from the environment."""
    access = Access(
        user=arguments.user, password=os.environ.get(_PASSWORD), token=os.environ.get(_TOKEN),
        tenant=arguments.tenant, ca_file=arguments.ca_file, timeout=arguments.timeout,
    )  # fmt: skip
    prometheus = Prometheus(arguments.prometheus, access)
    match = (Matcher("job", "=", arguments.target), *map(Matcher.parse, arguments.match))
    selection = Selection(step=arguments.step, match=match)
    return lambda start, end: prometheus.read(replace(selection, start=start, end=end))


# --- prometheus ---------------------------------------------------------------------------------------


def declare_prometheus(parser: argparse.ArgumentParser) -> None:
    """Two stretches of time."""
    declare_source(parser)
    group = parser.add_argument_group("time")
    group.add_argument("--end", type=types.moment, metavar="TIME", help="end of the current windows (default: now)")
    group.add_argument("--window", type=types.seconds, default=1800.0, metavar="T", help="current (default: 30m)")
    group.add_argument("--baseline", type=types.seconds, default=1800.0, metavar="T", help="baseline (default: 30m)")
    _declare_references(group)
    options.declare_outputs(parser)


def _declare_references(group: Any) -> None:
    group.add_argument(
        "--reference", action="append", choices=tuple(_REFERENCES), default=[],
        help="a change must hold against the same time of yesterday, or of a week ago, too",
    )  # fmt: skip


def compare(arguments: argparse.Namespace) -> int:
    """Compare two stretches of time; the exit status."""
    options.check(arguments)
    end = arguments.end if arguments.end is not None else time.time()
    before = end - arguments.window
    read = reader(arguments)
    old, new = read(before - arguments.baseline, before), read(end - arguments.window, end)
    references = {
        name: read(end - back - arguments.window, end - back).series
        for name, back in (_REFERENCES[each] for each in arguments.reference)
    }
    found = detector.compare(old.series, new.series, options.specs(arguments), references)
    sides = report.span(arguments.baseline, before), report.span(arguments.window, end)
    notes = (*found.notes, *dict.fromkeys((*old.notes, *new.notes)))
    return options.finish(replace(found, notes=notes, baseline=sides[0], current=sides[1]), arguments)


# --- selftest -----------------------------------------------------------------------------------------


def declare_selftest(parser: argparse.ArgumentParser) -> None:
    """How much of the past."""
    declare_source(parser)
    parser.add_argument("--past", type=types.seconds, default=DAY, metavar="T", help="how much of it (default: 1d)")
    parser.add_argument("--end", type=types.moment, metavar="TIME", help="where it ends (default: now)")
    parser.add_argument("--window", type=types.seconds, default=1800.0, metavar="T", help="each side (default: 30m)")
    options.declare_thresholds(parser)


def selftest(arguments: argparse.Namespace) -> int:
    """Compare the past with itself: how often it would have been an alarm, and what it could have found."""
    options.check_thresholds(arguments)
    if arguments.past < 2 * arguments.window:
        raise ConfigurationError(f"--past {arguments.past:g} s is shorter than two windows of {arguments.window:g} s")
    reports = list(_past(arguments))
    conclusive = [each for each in reports if each.verdict != "inconclusive"]
    minutes = f"{arguments.window / 60:g} min"
    say(f"{len(reports)} comparisons of {minutes} with the {minutes} before")
    if not conclusive:
        say("inconclusive: none of them had data enough")
        return options.INCONCLUSIVE
    for line in _rates(conclusive, len(reports), arguments.warning):
        say(line)
    return options.OK


def _rates(conclusive: list[Report], compared: int, warning: float) -> Iterator[str]:
    alarms = sum(each.verdict in ("warning", "critical") for each in conclusive)
    low, high = wilson(alarms, len(conclusive))
    yield f"{alarms} of {len(conclusive)} would have been alarms ({low:.1%} to {high:.1%}); each real change counts"
    yield f"{compared - len(conclusive)} were inconclusive"
    yield from _sensitivity(conclusive, warning)


def _past(arguments: argparse.Namespace) -> Iterator[Report]:
    read, window, specs = reader(arguments), arguments.window, options.specs(arguments)
    end = arguments.end if arguments.end is not None else time.time()
    count = int(arguments.past / window)
    sides = (read(end - (left + 1) * window, end - left * window).series for left in reversed(range(count)))
    for old, new in pairwise(sides):
        yield detector.compare(old, new, specs)


def _sensitivity(reports: list[Report], warning: float) -> Iterator[str]:
    """Per series and statistic the change that half of the comparisons would have called a warning."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for finding in (finding for each in reports for finding in each.findings):
        if finding.change is not None and finding.low is not None:
            unit = "points" if report.is_in_points(finding) else "%"
            smallest = _smallest(finding, ERROR_RATIO.warning if unit == "points" else warning)
            found.setdefault((report.series(finding.key), finding.statistic, unit), []).append(smallest)
    for (name, statistic, unit), sizes in sorted(found.items()):
        yield f"  {name} {statistic}: from {report.percent(statistics.median(sizes), unit)} on"


def _smallest(finding: Finding, warning: float) -> float:
    """The estimate that would have been a warning: its lower bound above half the threshold, its upper at it."""
    change, low, high = finding.change or 0.0, finding.low or 0.0, finding.high
    reach = math.inf if high is None else high - change
    return max(warning / 2 + change - low, warning - reach)


# --- watch --------------------------------------------------------------------------------------------


def declare_watch(parser: argparse.ArgumentParser) -> None:
    """What is compared how often, and where the verdicts go."""
    declare_source(parser)
    _declare_plan(parser.add_argument_group("watch"))
    group = parser.add_argument_group("verdicts")
    group.add_argument("--state", type=Path, metavar="FILE", help="what is kept over restarts")
    group.add_argument("--exporter", choices=("prometheus", "otlp", "none"), default="prometheus", help="of verdicts")
    group.add_argument(
        "--metrics-port", type=types.whole(0, 65_535), default=9464, metavar="P",
        help="of the page; 0 is any (default: 9464)",
    )  # fmt: skip


def _declare_plan(group: Any) -> None:
    plan = Plan()
    for name, value, low, high, said in (
        ("--window", plan.window, "6s", "7d", "current (default: 15m)"),
        ("--baseline", plan.baseline, "6s", "7d", "baseline (default: 1h)"),
        ("--every", plan.step, "1s", "1d", "from evaluation to evaluation (default: 5m)"),
        ("--repin", plan.repin, "1s", "366d", "from baseline to baseline (default: 1d)"),
    ):
        group.add_argument(name, type=types.between(low, high), default=value, metavar="T", help=said)
    group.add_argument(
        "--raise", dest="confirm", type=types.whole(1, 100), default=plan.confirm, metavar="N",
        help="evaluations in a row that raise an alarm, or clear it (default: 3)",
    )  # fmt: skip
    group.add_argument(
        "--reference", action="append", choices=(*_REFERENCES, "none"), default=[],
        help="further baselines: day, week (default: both), none",
    )  # fmt: skip
    group.add_argument("--looks", type=types.whole(1, 10**9), metavar="N", help="end after N evaluations")
    options.declare_thresholds(group)


def watch(arguments: argparse.Namespace) -> int:
    """Evaluate until a signal, or `--looks`, ends it.

    Returns:
        0, whatever is in force: verdicts are metrics; 5 if the last evaluation could not be made.
    """
    options.check_thresholds(arguments)
    state, plan, read = StateFile(arguments.state, arguments.target), _plan(arguments), reader(arguments)
    state.load()  # what is wrong with it is said before anything is started
    port = arguments.metrics_port if arguments.exporter == "prometheus" else None
    handle = telemetry.setup("otcache-regression", arguments.exporter, metrics_port=port)
    try:
        if handle.metrics_port is not None:
            say(f"verdicts are on port {handle.metrics_port}, /metrics")
        return _run(Watch(read, Verdicts(arguments.target), plan, state), arguments.looks)
    finally:
        handle.shutdown()


def _plan(arguments: argparse.Namespace) -> Plan:
    names = [each for each in arguments.reference or _REFERENCES if each != "none"]
    return Plan(
        window=arguments.window, baseline=arguments.baseline, step=arguments.every, confirm=arguments.confirm,
        repin=arguments.repin, references=dict(_REFERENCES[name] for name in names), specs=options.specs(arguments),
    )  # fmt: skip


def _run(watching: Watch, looks: int | None) -> int:
    over, left, was_read = threading.Event(), looks, True
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())

    def wait(seconds: float) -> bool:
        nonlocal left
        left = None if left is None else left - 1
        return left != 0 and not over.wait(seconds)

    def tell(evaluation: Evaluation) -> None:
        nonlocal was_read
        was_read = evaluation.report is not None
        _tell(evaluation)

    watching.run(wait, tell)
    return options.OK if was_read or looks is None else options.UNREADABLE


def _tell(evaluation: Evaluation) -> None:
    now = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
    if evaluation.report is None:
        say(f"{now}  not read: {evaluation.error}")
        return
    say(f"{now}  {report.headline(evaluation.report)}")
    for each in evaluation.transitions:
        said = f"{each.before} -> {each.after}, {each.finding.statistic} {report.change(each.finding)}"
        say(f"{now}  {report.series(each.key)}: {said} ({report.interval(each.finding)})")
