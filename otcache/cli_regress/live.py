"""`otcache regress prometheus | selftest | watch`: what a Prometheus holds."""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from otcache import telemetry
from otcache.cli_regress import common
from otcache.exceptions import ConfigurationError
from otcache.regression import detector, report
from otcache.regression.emit import Verdicts
from otcache.regression.model import Finding, Report
from otcache.regression.sources.prometheus import Prometheus
from otcache.regression.sources.prometheus_api import Access
from otcache.regression.sources.selection import Matcher, Reading, Selection
from otcache.regression.stats import wilson
from otcache.regression.watch import DAY, Look, Plan, StateFile, Watch

Read = Callable[[float, float], Reading]

_TOKEN: Final = "OTCACHE_PROMETHEUS_TOKEN"  # noqa: S105  the name of a variable
_PASSWORD: Final = "OTCACHE_PROMETHEUS_PASSWORD"  # noqa: S105
_REFERENCES: Final = {"day": ("yesterday", DAY), "week": ("a week ago", 7 * DAY)}


def declare_source(parser: argparse.ArgumentParser) -> None:
    """Where the Prometheus is, and which series are meant."""
    group = parser.add_argument_group("source")
    group.add_argument("--prometheus", required=True, metavar="URL", help="base URL, such as http://localhost:9090")
    group.add_argument("--target", required=True, metavar="JOB", help="the job that is judged")
    group.add_argument("--match", action="append", default=[], metavar="M", help="conditions: env=prod, az=~a|b")
    group.add_argument("--step", type=common.seconds, default=60.0, metavar="T", help="one window (default: 60s)")
    group.add_argument("--user", help=f"for basic authentication; its password is in {_PASSWORD}")
    group.add_argument("--tenant", help="X-Scope-OrgID")
    group.add_argument("--ca-file", metavar="FILE", help="certificates to trust instead of the system's")
    group.add_argument("--timeout", type=common.seconds, default=30.0, metavar="T", help="of one answer (default: 30s)")


def reader(arguments: argparse.Namespace) -> Read:
    """Reads windows of the target from one time to another; a token is taken from the environment."""
    access = Access(
        user=arguments.user,
        password=os.environ.get(_PASSWORD),
        token=os.environ.get(_TOKEN),
        tenant=arguments.tenant,
        ca_file=arguments.ca_file,
        timeout=arguments.timeout,
    )
    prometheus = Prometheus(arguments.prometheus, access)
    match = (Matcher("job", "=", arguments.target), *map(Matcher.parse, arguments.match))
    selection = Selection(step=arguments.step, match=match)
    return lambda start, end: prometheus.read(replace(selection, start=start, end=end))


# --- prometheus ---------------------------------------------------------------------------------------


def declare_prometheus(parser: argparse.ArgumentParser) -> None:
    """Two stretches of time."""
    declare_source(parser)
    group = parser.add_argument_group("time")
    group.add_argument("--end", type=common.moment, metavar="TIME", help="end of the current windows (default: now)")
    group.add_argument("--window", type=common.seconds, default=1800.0, metavar="T", help="current (default: 30m)")
    group.add_argument("--baseline", type=common.seconds, default=1800.0, metavar="T", help="baseline (default: 30m)")
    group.add_argument("--baseline-end", type=common.moment, metavar="TIME", help="(default: where current begins)")
    _declare_references(group)
    common.declare_outputs(parser)


def _declare_references(group: Any) -> None:
    group.add_argument(
        "--reference", action="append", choices=tuple(_REFERENCES), default=[],
        help="a change must hold against the same time of yesterday, or of a week ago, too",
    )  # fmt: skip


def compare(arguments: argparse.Namespace) -> int:
    """Compare two stretches of time; the exit status."""
    common.check(arguments)
    end = arguments.end if arguments.end is not None else time.time()
    before = arguments.baseline_end if arguments.baseline_end is not None else end - arguments.window
    read = reader(arguments)
    old, new = read(before - arguments.baseline, before), read(end - arguments.window, end)
    references = {}
    for name, back in (_REFERENCES[each] for each in arguments.reference):
        references[name] = read(end - back - arguments.window, end - back).series
    found = detector.compare(old.series, new.series, common.specs(arguments), references)
    notes = (*found.notes, *dict.fromkeys((*old.notes, *new.notes)))
    found = replace(found, notes=notes, baseline=span(arguments.baseline, before), current=span(arguments.window, end))
    return common.finish(found, arguments)


def span(length: float, end: float) -> str:
    """A stretch of time for people."""
    return f"{length / 60:g} min to {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(end))}"


# --- selftest -----------------------------------------------------------------------------------------


def declare_selftest(parser: argparse.ArgumentParser) -> None:
    """How much of the past."""
    declare_source(parser)
    parser.add_argument("--past", type=common.seconds, default=DAY, metavar="T", help="how much of it (default: 1d)")
    parser.add_argument("--end", type=common.moment, metavar="TIME", help="where it ends (default: now)")
    parser.add_argument("--window", type=common.seconds, default=1800.0, metavar="T", help="each side (default: 30m)")
    parser.add_argument("--warning", type=common.percent, default=0.10, metavar="P")
    parser.add_argument("--critical", type=common.percent, default=0.25, metavar="P")


def selftest(arguments: argparse.Namespace) -> int:
    """Compare the past with itself: how often it would have been an alarm, and what it could have found."""
    if arguments.warning >= arguments.critical:
        raise ConfigurationError("--warning is not below --critical")
    reports = list(_past(arguments))
    judged = [each for each in reports if each.verdict != "inconclusive"]
    if not judged:
        common.say(f"inconclusive: none of {len(reports)} comparisons had data enough")
        return common.INCONCLUSIVE
    alarms = sum(each.verdict in ("warning", "critical") for each in judged)
    low, high = wilson(alarms, len(judged))
    minutes = f"{arguments.window / 60:g} min"
    common.say(f"{len(reports)} comparisons of {minutes} with the {minutes} before")
    common.say(f"{alarms} of {len(judged)} would have been alarms ({low:.1%} to {high:.1%}); each real change counts")
    common.say(f"{len(reports) - len(judged)} were inconclusive")
    for line in _sensitivity(judged, arguments.warning):
        common.say(line)
    return common.OK


def _past(arguments: argparse.Namespace) -> Iterator[Report]:
    read, window = reader(arguments), arguments.window
    end = arguments.end if arguments.end is not None else time.time()
    at, judged_by = end - arguments.past + 2 * window, common.specs(arguments)
    while at <= end:
        sides = read(at - 2 * window, at - window), read(at - window, at)
        yield detector.compare(sides[0].series, sides[1].series, judged_by)
        at += window


def _sensitivity(reports: list[Report], warning: float) -> Iterator[str]:
    """Per series and statistic the change that half of the comparisons would have called a warning."""
    found: dict[tuple[str, str], list[float]] = {}
    for finding in (finding for each in reports for finding in each.findings):
        if finding.change is not None and finding.low is not None:
            found.setdefault((report.series(finding.key), finding.statistic), []).append(_smallest(finding, warning))
    for (name, statistic), sizes in sorted(found.items()):
        yield f"  {name} {statistic}: from {statistics.median(sizes):+.1%} on"


def _smallest(finding: Finding, warning: float) -> float:
    """The estimate at which the lower bound would have cleared half of the threshold."""
    width = (finding.change or 0.0) - (finding.low or 0.0)
    return max(warning / 2 + width, warning / 2)


# --- watch --------------------------------------------------------------------------------------------


def declare_watch(parser: argparse.ArgumentParser) -> None:
    """What is compared how often, and where the verdicts go."""
    declare_source(parser)
    plan, group = Plan(), parser.add_argument_group("watch")
    group.add_argument("--window", type=common.seconds, default=plan.window, metavar="T", help="current (default: 15m)")
    group.add_argument("--baseline", type=common.seconds, default=plan.baseline, metavar="T", help="(default: 1h)")
    group.add_argument("--every", type=common.seconds, default=plan.step, metavar="T", help="a look (default: 5m)")
    group.add_argument(
        "--raise", dest="confirm", type=int, default=plan.confirm, metavar="N", help="looks that raise or clear (3)"
    )
    group.add_argument(
        "--repin", type=common.seconds, default=plan.repin, metavar="T", help="a new baseline after (1d)"
    )
    group.add_argument(
        "--reference", action="append", choices=(*_REFERENCES, "none"), default=[],
        help="further baselines: day, week (default: both), none",
    )  # fmt: skip
    group.add_argument("--state", type=Path, metavar="FILE", help="what is kept over restarts")
    group.add_argument("--looks", type=int, metavar="N", help="end after N looks")
    group.add_argument("--warning", type=common.percent, default=0.10, metavar="P", help="%% (default: 10)")
    group.add_argument("--critical", type=common.percent, default=0.25, metavar="P", help="%% (default: 25)")
    group.add_argument("--exporter", choices=("prometheus", "otlp", "none"), default="prometheus", help="of verdicts")
    group.add_argument("--metrics-port", type=int, default=9464, metavar="P", help="of the page (default: 9464)")


def watch(arguments: argparse.Namespace) -> int:
    """Look until a signal ends it; the exit status."""
    if arguments.warning >= arguments.critical:
        raise ConfigurationError("--warning is not below --critical")
    if arguments.looks is not None and arguments.looks < 1:
        raise ConfigurationError(f"--looks {arguments.looks} is below 1")
    port = arguments.metrics_port if arguments.exporter == "prometheus" else None
    handle = telemetry.setup("otcache-regression", arguments.exporter, metrics_port=port)
    try:
        watching = Watch(reader(arguments), Verdicts(arguments.target), _plan(arguments), StateFile(arguments.state))
        _run(watching, arguments.looks)
    finally:
        handle.shutdown()
    return common.OK


def _plan(arguments: argparse.Namespace) -> Plan:
    names = [each for each in arguments.reference or _REFERENCES if each != "none"]
    return Plan(
        window=arguments.window,
        baseline=arguments.baseline,
        step=arguments.every,
        confirm=arguments.confirm,
        repin=arguments.repin,
        references=dict(_REFERENCES[name] for name in names),
        specs=common.specs(arguments),
    )


def _run(watching: Watch, looks: int | None) -> None:
    over, left = threading.Event(), looks
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())

    def wait(seconds: float) -> bool:
        nonlocal left
        left = None if left is None else left - 1
        return left != 0 and not over.wait(seconds)

    watching.run(wait, _tell)


def _tell(look: Look) -> None:
    now = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
    if look.report is None:
        common.say(f"{now}  not read: {look.error}")
        return
    common.say(f"{now}  {report.headline(look.report)}")
    for each in look.transitions:
        said = f"{each.before} -> {each.after}, {each.finding.statistic} {report.change(each.finding.change)}"
        common.say(f"{now}  {report.series(each.key)}: {said} ({report.interval(each.finding)})")
