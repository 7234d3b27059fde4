"""`otcache metrics`: the catalogue of everything that is emitted, and whether a process keeps to it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any, Final

from otcache.config.url import mask_url
from otcache.telemetry import catalog, tables
from otcache.telemetry.catalog import Instrument
from otcache.telemetry.check import Report, check
from otcache.telemetry.source import SourceError

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
        "--timeout", type=_seconds, default=30.0, metavar="S", help="with --check: time for a URL (default: 30)"
    )


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is outside 0..3600 s, 0 excluded")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Print or compare.

    Returns:
        0 printed or in agreement, 1 different, 2 used wrongly, 5 nothing that can be compared.
    """
    if arguments.check is not None:
        return _check(arguments)
    if arguments.complete or arguments.label:
        _complain("--complete and --label go with --check")
        return USAGE
    _show(arguments.format)
    return 0


def _say(text: str) -> None:
    print(text)  # noqa: T201  a command's answer


def _complain(text: str) -> None:
    print(f"otcache: {text}", file=sys.stderr)  # noqa: T201  a command speaks to its user


# --- the catalogue ------------------------------------------------------------------------------------


def _show(form: str) -> None:
    if form == "json":
        _say(json.dumps(tables.registry(), indent=2))
    elif form == "markdown":
        _say(tables.page())
    elif not sys.stdout.isatty() or not _show_table():
        _say("\n".join(_text()))


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


def _show_table() -> bool:
    """The same for a terminal; `False` without the package that draws it."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        return False
    metrics = Table("metric", "kind", "unit", "attributes", "meaning", title="Metrics", title_justify="left")
    for row in catalog.INSTRUMENTS:
        metrics.add_row(row.name, row.kind, row.unit or "-", _wrapped(row), row.brief)
    attributes = Table("attribute", "values", "meaning", title="Their attributes", title_justify="left")
    for attribute in _on_metrics():
        attributes.add_row(attribute.name, tables.values(attribute), attribute.brief)
    Console(markup=False).print(metrics, attributes, sep="\n")
    return True


def _wrapped(row: Instrument) -> str:
    return "\n".join([each.name for each in row.attributes] + [f"{each.name}?" for each in row.conditional])


# --- the comparison -----------------------------------------------------------------------------------


def _check(arguments: argparse.Namespace) -> int:
    where: str = arguments.check
    if "://" in where and not where.lower().startswith(("http://", "https://")):
        _complain(f"{mask_url(where)} is neither a URL of http or https nor a path")
        return USAGE
    try:
        report = check(where, timeout=arguments.timeout, complete=arguments.complete, labels=arguments.label)
    except SourceError as exc:
        _complain(str(exc))
        return UNREADABLE
    _say(_PRINTED[arguments.format](mask_url(where), report))
    return 0 if report.agrees else DIFFERENT


def _json(where: str, report: Report) -> str:
    return json.dumps({"source": where, **report.to_dict()}, indent=2)


def _markdown(where: str, report: Report) -> str:
    rows = [(each.kind, f"`{each.metric}`", each.detail, _count(each.samples)) for each in report.differences]
    table = tables.table(("difference", "metric", "detail", "samples"), rows) if rows else ""
    return "\n\n".join(filter(None, (_summary(where, report), table, _notes(report))))


def _lines(where: str, report: Report) -> str:
    found = [
        f"{each.kind:<10}{each.metric}: {each.detail}" + (f" ({each.samples} samples)" if each.samples else "")
        for each in report.differences
    ]
    return "\n".join(filter(None, (_summary(where, report), *found, _notes(report))))


_PRINTED: Final[dict[str, Any]] = {"json": _json, "markdown": _markdown, "text": _lines}


def _count(samples: int) -> str:
    return str(samples) if samples else "-"


def _summary(where: str, report: Report) -> str:
    verdict = f"{len(report.differences) + report.more} differences from" if not report.agrees else "agrees with"
    size = f"{report.samples} samples of {len(report.seen)} metrics"
    return f"{where}: {verdict} schema {catalog.SCHEMA_VERSION} ({size})"


def _notes(report: Report) -> str:
    more = f"{report.more} samples show further differences. " if report.more else ""
    unseen = f"Not there, and only so from their first use on: {', '.join(report.unseen)}." if report.unseen else ""
    return more + unseen
