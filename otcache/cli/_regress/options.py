"""What the subcommands of `otcache regress` share: thresholds, outputs, exit statuses."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from otcache.cli._output import say
from otcache.cli._types import percent
from otcache.exceptions import ConfigurationError
from otcache.regression._model import MetricSpec, Report
from otcache.regression._reporting import acknowledgements as acks
from otcache.regression._reporting import report
from otcache.regression._specs import DEFAULT_SPECS

OK: Final = 0
REGRESSION: Final = 1
USAGE: Final = 2
WARNING: Final = 3
INCONCLUSIVE: Final = 4
UNREADABLE: Final = 5
"""Exit statuses: of a regression that counts (1), of a warning with `--exit-code detailed` (3), of too little, too
coarse, too noisy or not comparable data (4), of a source that can't be read (5)."""


def declare_outputs(parser: argparse.ArgumentParser) -> None:
    """Add what every comparison takes."""
    group = parser.add_argument_group("verdict")
    declare_thresholds(group)
    group.add_argument("--fail-on", choices=("critical", "warning", "never"), default="critical")
    group.add_argument("--on-inconclusive", choices=("fail", "pass"), default="fail")
    group.add_argument("--exit-code", choices=("plain", "detailed"), default="plain", help="detailed: 3 for a warning")
    group.add_argument("--acks", metavar="FILE", help="acknowledged regressions (otcache regress ack)")
    shown = parser.add_argument_group("output")
    shown.add_argument(
        "--format", action="append", default=[], metavar="FORM[:FILE]", type=form,
        help=f"{', '.join(report.FORMATS)}; several, each to its file (default: text)",
    )  # fmt: skip
    shown.add_argument("--all", action="store_true", help="text: findings that are ok, too")


def declare_thresholds(parser: Any) -> None:
    """Add the two thresholds, to a parser or a group of one."""
    parser.add_argument(
        "--warning", type=percent, default=0.10, metavar="P", help="a warning from P %% worse on (default: 10)"
    )
    parser.add_argument(
        "--critical", type=percent, default=0.25, metavar="P", help="critical from P %% worse on (default: 25)"
    )


def form(text: str) -> tuple[str, str | None]:
    """A form of the report, and the file that it goes to."""
    name, _, file = text.partition(":")
    if name not in report.FORMATS:
        raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(report.FORMATS)}")
    return name, file or None


def check(arguments: argparse.Namespace) -> None:
    """Refuse, before anything is measured, arguments that contradict each other and files that can't be used.

    Raises:
        ConfigurationError: There are such.
    """
    check_thresholds(arguments)
    files = [file for _, file in arguments.format]
    if files.count(None) > 1:
        raise ConfigurationError("--format: one form can go to standard output; give the others a file (json:FILE)")
    for file in files:
        if file is not None and (files.count(file) > 1 or not Path(file).parent.is_dir()):
            why = "is named twice" if files.count(file) > 1 else "can't be written: its directory is not there"
            raise ConfigurationError(f"{file} {why}")
    if arguments.acks:
        _acks(arguments.acks)


def check_thresholds(arguments: argparse.Namespace) -> None:
    """Refuse thresholds that are out of order. Raises ConfigurationError: they are."""
    if arguments.warning >= arguments.critical:
        raise ConfigurationError(
            f"--warning {arguments.warning * 100:g} is not below --critical {arguments.critical * 100:g}"
        )


def _acks(file: str) -> tuple[acks.Ack, ...]:
    """A file that is not there would silently acknowledge nothing."""
    if not Path(file).exists():
        raise ConfigurationError(f"--acks {file} is not there; otcache regress ack makes it")
    return acks.load(file)


def specs(arguments: argparse.Namespace) -> Sequence[MetricSpec]:
    """How metrics are compared, with the thresholds of the command; those in points stay."""
    own = {"warning": arguments.warning, "critical": arguments.critical}
    return [replace(spec, **own) if spec.scale == "relative" else spec for spec in DEFAULT_SPECS]


def finish(found: Report, arguments: argparse.Namespace) -> int:
    """Apply the acknowledgements, write the report, and give the exit status.

    Raises:
        ConfigurationError: A file can't be read or written.
    """
    if arguments.acks:
        found = acks.apply(found, _acks(arguments.acks), datetime.now(UTC).date())
    for name, file in arguments.format or [("text", None)]:
        write(_rendered(name, found, arguments), file)
    return status(found, arguments)


def _rendered(name: str, found: Report, arguments: argparse.Namespace) -> str:
    if name == "text":
        return report.text(found, everything=arguments.all)
    if name == "junit":
        return report.junit(found, fail_on=arguments.fail_on)
    return report.FORMATS[name](found)


def status(found: Report, arguments: argparse.Namespace) -> int:
    """The exit status of a verdict."""
    if found.verdict == "inconclusive":
        return OK if arguments.on_inconclusive == "pass" else INCONCLUSIVE
    if arguments.fail_on == "never":
        return OK
    if found.verdict == "warning" and arguments.exit_code == "detailed":
        return WARNING
    return REGRESSION if report.is_alarm(found, arguments.fail_on) else OK


def write(text: str, file: str | None) -> None:
    """To a file, or to standard output. Raises ConfigurationError: the file can't be written."""
    if file is None:
        say(text.rstrip("\n"))
        return
    try:
        Path(file).write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8", errors="replace")
    except OSError as exc:
        raise ConfigurationError(f"{file} can't be written: {exc.strerror}") from exc
