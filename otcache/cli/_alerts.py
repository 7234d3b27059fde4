"""`otcache alerts`: the rules for Prometheus, with an installation's own thresholds, jobs, labels and links."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from otcache.alerts import Alert, Parameters, alerts, render, thresholds
from otcache.cli._output import refuse, say
from otcache.exceptions import ValidationError

USAGE: Final = 2
UNWRITABLE: Final = 5
"""Exit statuses; 0 is success."""
DEFAULT: Final = Parameters()
FILE: Final = "otcache-rules.yml"
"""Its name in a directory."""


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the one action and its arguments."""
    brief = "Write the rules as a file for Prometheus, or list them."
    actions = parser.add_subparsers(metavar="action", required=True)
    _declare_export(actions.add_parser("export", help=brief, description=brief))


def _declare_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", nargs="?", metavar="FILE|DIR", help=f"where to: {FILE} in a directory; - is stdout")
    parser.add_argument("--list", action="store_true", help="print every alert and every threshold instead")
    parser.add_argument(
        "--threshold", action="append", default=[], metavar="NAME=VALUE", help="another value for a threshold"
    )
    parser.add_argument("--job", default="", metavar="REGEX", help="only applications with such a job")
    parser.add_argument("--cache", default="", metavar="REGEX", help="only caches with such a name")
    parser.add_argument(
        "--detector-job", default="", metavar="REGEX", help="the regression detector's job: missed even if never seen"
    )
    parser.add_argument(
        "--short-job", default=DEFAULT.short_job, metavar="REGEX",
        help=f"programs that end: never missed (default: {DEFAULT.short_job})",
    )  # fmt: skip
    parser.add_argument("--label", action="append", default=[], metavar="NAME", help="a label of targets to group by")
    parser.add_argument(
        "--runbook-url", default=DEFAULT.runbook_url, metavar="URL",
        help=f"where the runbooks are published (default: {DEFAULT.runbook_url})",
    )  # fmt: skip
    parser.add_argument(
        "--for-scale", type=float, default=1.0, metavar="X", help="factor on every `for` and window; 0.01 for a trial"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write or list.

    Returns:
        0 done, 2 used wrongly, 5 the file can't be written.
    """
    try:
        parameters = _parameters(arguments)
    except ValidationError as exc:
        return refuse(str(exc), USAGE)
    if arguments.list:
        say("\n".join(_listed(parameters)))
        return 0
    if arguments.target is None:
        return refuse("FILE or DIR is missing; - is stdout", USAGE)
    return _write(arguments.target, render(parameters))


def _parameters(arguments: argparse.Namespace) -> Parameters:
    given: dict[str, Any] = dict(thresholds.parsed(text, thresholds.ALERTS) for text in arguments.threshold)
    return Parameters(
        job=arguments.job, cache=arguments.cache, detector_job=arguments.detector_job, short_job=arguments.short_job,
        labels=tuple(arguments.label), runbook_url=arguments.runbook_url, scale=arguments.for_scale, **given,
    )  # fmt: skip


def _write(target: str, text: str) -> int:
    if target == "-":
        sys.stdout.write(text)
        return 0
    path = Path(target)
    if path.is_dir():
        path /= FILE
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as exc:
        return refuse(f"{path} can't be written: {exc.strerror}", UNWRITABLE)
    say(f"{path}: {text.count(' - alert:')} alerts, {text.count(' - record:')} recordings")
    return 0


def _listed(parameters: Parameters) -> Iterator[str]:
    yield "alerts\n"
    for alert in alerts(parameters):
        yield f"{_name(alert):<45}{alert.severity:<10}{alert.summary}"
    yield "\nthresholds (--threshold NAME=VALUE)\n"
    for each in thresholds.ALERTS.values():
        value = getattr(parameters, each.name)
        mark = " " if value == each.default else "*"
        limits = f"{each.low:g}..{each.high:g} {each.unit}".strip()
        yield f"{mark} {each.name:<22}{value:<10g}{limits:<20}{each.meaning}"


def _name(alert: Alert) -> str:
    return f"{alert.name} {'/'.join(alert.labels.values())}".strip()
