"""A report for people and for machines: text, Markdown, JSON, JUnit, annotations of GitHub."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final
from xml.etree import ElementTree

from otcache.regression.model import SEVERITY, Finding, Report, SeriesKey, Verdict
from otcache.telemetry import catalog

SCHEMA_VERSION: Final = 1
"""Of the JSON form; it changes when a reader of the last one would be misled."""
ORDER: Final[Sequence[Verdict]] = ("critical", "warning", "inconclusive", "minor", "improved", "ok")
_UNITS: Final = {row.name: row.unit for row in catalog.INSTRUMENTS}
_SAID: Final[Mapping[Verdict, str]] = {
    "critical": "a critical regression",
    "warning": "a regression",
    "inconclusive": "inconclusive: a regression is neither shown nor ruled out",
    "minor": "no regression that counts; a small real change",
    "improved": "no regression; better than before",
    "ok": "no regression",
}


# --- values for people --------------------------------------------------------------------------------


def value(finding: Finding, number: float | None) -> str:
    """A baseline's or current value in the unit that fits."""
    if number is None or not math.isfinite(number):
        return "-"
    if finding.statistic == "ratio":
        return f"{number * 100:.2f} %"
    unit = _UNITS.get(finding.key.metric, "s")
    return duration(number) if unit == "s" else f"{number:,.0f}{' B' if unit == 'By' else ''}"


def duration(seconds: float) -> str:
    """Three digits and the unit that fits."""
    for scale, unit in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms")):
        if seconds * scale < 999.5:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds:.3g} s"


def change(number: float | None) -> str:
    """A worsening with its sign; `-` where nothing is known."""
    if number is None or math.isnan(number):
        return "-"
    if math.isinf(number):
        return "any" if number > 0 else "none"
    return f"{number * 100:+.1f} %"


def interval(finding: Finding) -> str:
    """The bounds of the change."""
    if finding.low is None and finding.high is None:
        return "-"
    return f"{change(finding.low)} .. {change(finding.high)}"


def blocks(finding: Finding) -> str:
    """How many blocks, or processes, stand on either side."""
    return f"{finding.n_baseline}/{finding.n_current}"


def headline(report: Report) -> str:
    """The answer in one line."""
    sides = f" ({report.current} against {report.baseline})" if report.baseline or report.current else ""
    counts = ", ".join(f"{number} {verdict}" for verdict, number in tally(report).items())
    return f"{report.verdict}: {_SAID[report.verdict]}{sides}; {counts or 'nothing was judged'}"


def tally(report: Report) -> dict[Verdict, int]:
    """How many findings have each verdict, the worst first."""
    counts = {verdict: sum(each.verdict == verdict for each in report.findings) for verdict in ORDER}
    return {verdict: number for verdict, number in counts.items() if number}


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Findings in the order in which one reads them."""
    return sorted(findings, key=lambda each: (ORDER.index(each.verdict), -(each.change or 0.0), str(each.key)))


def series(key: SeriesKey) -> str:
    """A series without the words that all of them share."""
    return str(key).removeprefix(_COMMON)


_COMMON: Final = catalog.OPERATIONS.name.rpartition(".")[0] + "."


# --- forms --------------------------------------------------------------------------------------------

_COLUMNS: Final = ("verdict", "series", "statistic", "baseline", "current", "change", "between", "n")


def _row(finding: Finding) -> tuple[str, ...]:
    return (
        finding.verdict, series(finding.key), finding.statistic, value(finding, finding.baseline),
        value(finding, finding.current), change(finding.change), interval(finding), blocks(finding),
    )  # fmt: skip


def text(report: Report, *, everything: bool = False) -> str:
    """A table for a terminal: what is not ok, or everything."""
    shown = [each for each in worst_first(report.findings) if everything or each.verdict != "ok"]
    rows = [_COLUMNS, *map(_row, shown)] if shown else []
    widths = [max(len(row[i]) for row in rows) for i in range(len(_COLUMNS))] if rows else []
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    reasons = [f"  {series(each.key)} {each.statistic}: {each.reason}" for each in _explained(shown)]
    return "\n".join([headline(report), *table, *(["why:", *reasons] if reasons else []), *_left_out(report)])


def _explained(findings: Iterable[Finding]) -> list[Finding]:
    return [each for each in findings if each.verdict in ("critical", "warning", "inconclusive") and each.reason]


def _left_out(report: Report) -> list[str]:
    notes = [f"note: {note}" for note in report.notes]
    return notes + [f"not compared: {name}: {reason}" for name, reason in report.skipped.items()]


def markdown(report: Report) -> str:
    """A comment for a pull request; what is ok is folded."""
    loud = [each for each in worst_first(report.findings) if each.verdict != "ok"]
    quiet = [each for each in worst_first(report.findings) if each.verdict == "ok"]
    parts = [f"**{_escaped(headline(report))}**"]
    if loud:
        parts.append(_table(loud))
    if quiet:
        parts.append(f"<details><summary>{len(quiet)} ok</summary>\n\n{_table(quiet)}\n\n</details>")
    parts.extend(f"- {_escaped(line)}" for line in _left_out(report))
    return "\n\n".join(parts) + "\n"


def _table(findings: Iterable[Finding]) -> str:
    rows = [_COLUMNS, tuple("---" for _ in _COLUMNS), *map(_row, findings)]
    return "\n".join("| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in rows)


def _escaped(words: str) -> str:
    """What stands between a program and its Markdown: names come from outside."""
    return words.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def to_dict(report: Report) -> dict[str, Any]:
    """As plain data; infinite and unknown numbers are `None`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": report.verdict,
        "baseline": report.baseline,
        "current": report.current,
        "started": report.started,
        "findings": [_plain(each) for each in worst_first(report.findings)],
        "skipped": dict(report.skipped),
        "notes": list(report.notes),
        "facts": dict(report.facts),
    }


def _plain(finding: Finding) -> dict[str, Any]:
    key, names = finding.key, (f.name for f in fields(finding) if f.name != "key")
    found = {name: _finite(getattr(finding, name)) for name in names}
    return {"metric": key.metric, "attributes": dict(key.attributes), "resource": dict(key.resource), **found}


def _finite(number: Any) -> Any:
    return None if isinstance(number, float) and not math.isfinite(number) else number


def as_json(report: Report) -> str:
    """The same as JSON."""
    return dumps(to_dict(report))


def dumps(data: Any) -> str:
    """Plain data as JSON, the same in every run."""
    return json.dumps(data, indent=2, sort_keys=True, allow_nan=False)


def junit(report: Report) -> str:
    """A test suite per metric: critical fails, inconclusive is skipped, a warning is said."""
    root = ElementTree.Element("testsuites", name="otcache regress")
    for metric in sorted({each.key.metric for each in report.findings}):
        found = [each for each in worst_first(report.findings) if each.key.metric == metric]
        critical, unknown = (sum(each.verdict == kind for each in found) for kind in ("critical", "inconclusive"))
        counts = {"name": metric, "tests": str(len(found)), "failures": str(critical), "skipped": str(unknown)}
        suite = ElementTree.SubElement(root, "testsuite", counts)
        for each in found:
            _case(suite, each)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _case(suite: ElementTree.Element, finding: Finding) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", classname=_xml(finding.key.metric), name=_xml(f"{series(finding.key)} {finding.statistic}")
    )
    said = _xml(f"{finding.verdict}: {change(finding.change)} ({interval(finding)}); {finding.reason}")
    if finding.verdict in ("critical", "inconclusive"):
        tag = "failure" if finding.verdict == "critical" else "skipped"
        ElementTree.SubElement(case, tag, message=said)
    elif finding.verdict != "ok":
        ElementTree.SubElement(case, "system-out").text = said


def _xml(words: str) -> str:
    """Without the control characters that XML can't hold."""
    return "".join(each if each.isprintable() else " " for each in words)


def github(report: Report) -> str:
    """Workflow commands that GitHub shows beside the change."""
    levels = {"critical": "error", "warning": "warning", "inconclusive": "notice", "minor": "notice"}
    lines = []
    for each in worst_first(report.findings):
        if each.verdict in levels:
            said = f"{series(each.key)} {each.statistic} {change(each.change)} ({interval(each)}): {each.reason}"
            lines.append(
                f"::{levels[each.verdict]} title={_command(f'otcache regress {each.verdict}')}::{_command(said)}"
            )
    return "\n".join([*lines, f"::notice title=otcache regress::{_command(headline(report))}"])


def _command(words: str) -> str:
    """Escaped, so that no name can begin a command of its own."""
    for plain, escaped in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A"), (":", "%3A"), (",", "%2C")):
        words = words.replace(plain, escaped)
    return words


FORMATS: Final[Mapping[str, Callable[[Report], str]]] = {
    "text": text, "json": as_json, "markdown": markdown, "junit": junit, "github": github,
}  # fmt: skip
"""What `--format` takes."""


def is_alarm(report: Report, least: Verdict) -> bool:
    """Whether the verdict is `least` (warning or critical) or worse."""
    return SEVERITY[report.verdict] >= SEVERITY[least] > 0
