"""`otcache regress`: whether a cache has become slower, misses more or fails more, and how sure that is."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from otcache._exports.read import SourceError
from otcache.cli._output import refuse
from otcache.cli._regress import ab, files, live, options
from otcache.exceptions import CacheError


@dataclass(frozen=True, slots=True)
class _Subcommand:
    name: str
    brief: str
    declare: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


SUBCOMMANDS: Final = (
    _Subcommand("compare", "Compare files: OTLP JSON, or saved benchmarks.", files.declare_compare, files.compare),
    _Subcommand("bench", "Another name of compare.", files.declare_compare, files.compare),
    _Subcommand("prometheus", "Compare two time ranges.", live.declare_prometheus, live.compare),
    _Subcommand("ab", "Measure two revisions, or interpreters, in turns.", ab.declare, ab.run),
    _Subcommand("watch", "Evaluate again and again; verdicts as metrics.", live.declare_watch, live.watch),
    _Subcommand("selftest", "Compare the past with itself: false alarms.", live.declare_selftest, live.selftest),
    _Subcommand("series", "Find steps in a history of benchmarks.", files.declare_series, files.series),
    _Subcommand("ack", "Accept a known regression until a date.", files.declare_ack, files.ack),
)


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    subparsers = parser.add_subparsers(metavar="what", required=True)
    for each in SUBCOMMANDS:
        subparser = subparsers.add_parser(each.name, help=each.brief, description=each.brief)
        subparser.set_defaults(subcommand=each)
        each.declare(subparser)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand.

    Returns:
        0 nothing that counts, 1 a regression, 2 used wrongly, 3 a warning with `--exit-code detailed`, 4 inconclusive,
        5 a source that can't be read.
    """
    subcommand: _Subcommand = arguments.subcommand
    try:
        return subcommand.run(arguments)
    except SourceError as exc:
        return refuse(exc, options.UNREADABLE)
    except CacheError as exc:
        return refuse(exc, options.USAGE)
