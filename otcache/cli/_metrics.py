"""`otcache metrics`: the catalogue of everything that is emitted, and whether a process keeps to it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from typing import Final

from otcache._exports.check import Report, check
from otcache._exports.read import SourceError, is_url
from otcache.cli._output import refuse, say
from otcache.cli._types import positive
from otcache.config.url import mask_url
from otcache.telemetry import catalog
from otcache.telemetry.catalog import Instrument, tables

DIFFERENT: Final = 1
USAGE: Final = 2
UNREADABLE: Final = 5
"""Exit statuses; 0 is agreement."""
FORMATS: Final = ("text", "markdown", "json")


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--format", choices=FORMATS, default="text", help="how it is printed (default: text)")
    parser.add_argument(
        "--check", metavar="URL|FILE", help="compare a /metrics page, or OTLP JSON, with the catalogue; - is stdin"
    )
    parser.add_argument("--complete", action="store_true", help="with --check: what comes only with use must be there")
    parser.add_argument(
        "--label", action="append", default=[], metavar="NAME", help="with --check: a label that a pipeline adds"
    )
    parser.add_argument(
        "--timeout", type=positive(3600, "s"), default=30.0, metavar="S", help="with --check: for a URL (default: 30)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print or compare.

    Returns:
        0 printed or in agreement, 1 different, 2 used wrongly, 5 nothing that can be compared.
    """
    if arguments.check is not None:
        return _check(arguments)
    if arguments.complete or arguments.label:
        return refuse("--complete and --label go with --check", USAGE)
    _SHOW[arguments.format]()
    return 0


def _text() -> Iterator[str]:
    """Three lines per metric, one per attribute of metrics."""
    yield f"otcache telemetry, schema {catalog.SCHEMA_VERSION}\n"
    for row in catalog.INSTRUMENTS:
        yield f"{row.name}  {row.kind}  {row.unit or '-'}\n    {row.brief}\n    {row.prometheus}{{{_labels(row)}}}"
    yield "\nattributes of metrics (? above: only where they apply)\n"
    for attribute in _on_metrics():
        yield f"{attribute.name:<32}  {tables.values(attribute)}"


def _labels(row: Instrument) -> str:
    always = [each.name.replace(".", "_") for each in row.attributes]
    return ", ".join(always + [each.name.replace(".", "_") + "?" for each in row.conditional])


def _on_metrics() -> list[catalog.Attribute]:
    used = {key for row in catalog.INSTRUMENTS for key in row.keys}
    return [attribute for attribute in catalog.ATTRIBUTES if attribute in used]


_SHOW: Final[dict[str, Callable[[], None]]] = {
    "json": lambda: say(json.dumps(tables.registry(), indent=2)),
    "markdown": lambda: say(tables.page()),
    "text": lambda: say("\n".join(_text())),
}


def _check(arguments: argparse.Namespace) -> int:
    where, shown = arguments.check, mask_url(arguments.check)
    if "://" in where and not is_url(where):
        return refuse(f"{shown} is neither a URL of http or https nor a path", USAGE)
    try:
        report = check(where, timeout=arguments.timeout, complete=arguments.complete, labels=arguments.label)
    except SourceError as exc:
        return refuse(f"{shown}: {exc}", UNREADABLE)
    _REPORT[arguments.format]("standard input" if where == "-" else shown, report)
    return 0 if report.agrees else DIFFERENT


def _as_text(where: str, report: Report) -> None:
    say(_summary(where, report))
    for kind, metric, detail, samples in _rows(report):
        say(f"{kind:<10}{metric}: {detail}" + (f" (samples: {samples})" if samples != "-" else ""))
    for note in _notes(report):
        say(note)


def _as_markdown(where: str, report: Report) -> None:
    rows = ((kind, f"`{metric}`", detail, samples) for kind, metric, detail, samples in _rows(report))
    found = [tables.table(_COLUMNS, rows)] if report.differences else []
    say("\n\n".join([_summary(where, report), *found, *_notes(report)]))


_COLUMNS: Final = ("difference", "metric", "detail", "samples")
_REPORT: Final[dict[str, Callable[[str, Report], None]]] = {
    "json": lambda where, report: say(json.dumps({"source": where, **report.to_dict()}, indent=2)),
    "markdown": _as_markdown,
    "text": _as_text,
}


def _rows(report: Report) -> Iterator[tuple[str, str, str, str]]:
    for each in report.differences:
        yield each.kind, each.metric, each.detail, str(each.samples) if each.samples else "-"


def _summary(where: str, report: Report) -> str:
    number = len(report.differences)
    differ = f"{'more than ' if report.more else ''}{number} difference{'' if number == 1 else 's'} from"
    size = f"{report.samples} samples of {len(report.seen)} of its metrics"
    return f"{where}: {'agrees with' if report.agrees else differ} schema {catalog.SCHEMA_VERSION} ({size})"


def _notes(report: Report) -> Iterator[str]:
    if not report.samples:
        yield "Nothing of otcache's is there: has this process built a cache, and does it export its metrics here?"
    if report.more:
        yield f"{report.more} samples show further differences."
    if report.unseen:
        yield f"Absent until their first use: {', '.join(report.unseen)}."
