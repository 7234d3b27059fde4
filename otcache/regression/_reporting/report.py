"""A report for people and for machines: text, Markdown, JSON, JUnit, annotations of GitHub."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final, Literal
from xml.etree import ElementTree

from otcache.regression._detector import WORST_FIRST, series_verdicts
from otcache.regression._model import SEVERITY, Finding, Report, SeriesKey, Verdict
from otcache.regression._runs import BENCHMARK
from otcache.regression._specs import DEFAULT_SPECS, MEMORY
from otcache.telemetry import catalog

SCHEMA_VERSION: Final = 1
"""Of the JSON form; it changes when a reader of the last one would be misled."""
FailOn = Literal["critical", "warning", "never"]
_UNITS: Final = {row.name: row.unit for row in catalog.INSTRUMENTS} | {BENCHMARK.metric: "s", MEMORY.metric: "By"}
_POINTS: Final = frozenset(spec.metric for spec in DEFAULT_SPECS if spec.scale == "points")
_COMMON: Final = catalog.OPERATIONS.name.rpartition(".")[0] + "."
_SAID: Final[Mapping[Verdict, str]] = {
    "critical": "a critical regression",
    "warning": "a regression",
    "inconclusive": "a regression is neither shown nor ruled out",
    "minor": "no regression that counts; a small real change",
    "improved": "no regression; better than before",
    "ok": "no regression",
}


# --- words for people ---------------------------------------------------------------------------------


def printable(words: str) -> str:
    """Without what a terminal, or XML, would take for a command: names come from outside."""
    return "".join(each if each.isprintable() else " " for each in words)


def value(finding: Finding, number: float | None) -> str:
    """A baseline's or current value in the unit that fits."""
    if number is None or not math.isfinite(number):
        return "-"
    if finding.statistic == "ratio":
        return f"{number * 100:.2f} %"
    unit = _UNITS.get(finding.key.metric, "")
    if unit == "s":
        return duration(number)
    return size(number) if unit == "By" else f"{number:,.6g}"


def duration(seconds: float) -> str:
    """Three digits and the unit that fits."""
    for scale, unit in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms")):
        if seconds * scale < 999.5:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds:,.0f} s" if seconds >= 999.5 else f"{seconds:.3g} s"


def size(number: float) -> str:
    """Bytes in the unit that fits, decimal."""
    for scale, unit in ((1, "B"), (1e3, "kB"), (1e6, "MB")):
        if number / scale < 999.5:
            return f"{number / scale:.3g} {unit}"
    return f"{number / 1e9:,.3g} GB"


def is_in_points(finding: Finding) -> bool:
    """Whether its change is in percentage points, and not a share of the baseline."""
    return finding.key.metric in _POINTS


def percent(number: float | None, unit: str = "%") -> str:
    """A worsening with its sign; `-` where nothing is known."""
    if number is None or math.isnan(number):
        return "-"
    if math.isinf(number):
        return "any" if number > 0 else "none"
    return f"{number * 100:+.1f} {unit}"


def change(finding: Finding) -> str:
    """The estimated change of a finding, `+12.3 %` or `+1.2 points`; positive is worse."""
    return percent(finding.change, "points" if is_in_points(finding) else "%")


def interval(finding: Finding) -> str:
    """The bounds of the change; an open side has no number."""
    unit = "points" if is_in_points(finding) else "%"
    if finding.low is None or finding.high is None:
        known = [percent(each, unit) for each in (finding.low, finding.high) if each is not None]
        return "-" if not known else f"{'below' if finding.low is None else 'above'} {known[0]}"
    return f"{percent(finding.low, unit)} .. {percent(finding.high, unit)}"


def blocks(finding: Finding) -> str:
    """How many blocks, or processes, stand on either side."""
    return f"{finding.n_baseline}/{finding.n_current}"


def series(key: SeriesKey) -> str:
    """A series without the words that all of them share."""
    return printable(str(key).removeprefix(_COMMON))


def span(seconds: float, end: float) -> str:
    """A stretch of time: `30 min to 2026-11-24 20:00:00Z`."""
    length = f"{seconds:g} s" if seconds < 60 else f"{seconds / 60:g} min"
    return f"{length} to {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(end))}"


# --- what a report says -------------------------------------------------------------------------------


def headline(report: Report) -> str:
    """The verdict, how many series have which one, and what was compared, in one line."""
    counts = ", ".join(f"{number} {verdict}" for verdict, number in tally(report).items())
    summary = f"{report.verdict}: {_SAID[report.verdict]}; series: {counts or 'none was compared'}"
    if not report.baseline and not report.current:
        return summary
    return f"{summary} ({printable(f'{report.current} against {report.baseline}')})"


def tally(report: Report) -> dict[Verdict, int]:
    """How many series have each verdict, the worst first."""
    verdicts = list(series_verdicts(report.findings).values())
    return {verdict: verdicts.count(verdict) for verdict in WORST_FIRST if verdict in verdicts}


def loud(report: Report) -> list[Finding]:
    """What is not ok; an inconclusive statistic is left out where another one decides for its series."""
    verdicts = series_verdicts(report.findings)
    unknown = {key for key, verdict in verdicts.items() if verdict == "inconclusive"}
    shown = (each for each in report.findings if each.verdict != "ok")
    return worst_first(each for each in shown if each.verdict != "inconclusive" or each.key in unknown)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Findings in the order in which one reads them."""
    return sorted(findings, key=lambda each: (WORST_FIRST.index(each.verdict), -(each.change or 0.0), str(each.key)))


def is_alarm(report: Report, least: Verdict) -> bool:
    """Whether the verdict is `least` (warning or critical) or worse."""
    return SEVERITY[report.verdict] >= SEVERITY[least] > 0


def _explained(findings: Iterable[Finding]) -> list[str]:
    """What the table does not say of them; one line for all that share a reason."""
    reasons: dict[str, list[str]] = {}
    for each in findings:
        alarm_by_its_bounds = SEVERITY[each.verdict] and "; " not in each.reason and "against" not in each.reason
        if each.verdict not in ("ok", "improved") and each.reason and not alarm_by_its_bounds:
            reasons.setdefault(each.reason, []).append(f"{series(each.key)} {each.statistic}")
    return [f"{', '.join(names)}: {printable(reason)}" for reason, names in reasons.items()]


def _left_out(report: Report) -> list[str]:
    """Notes, and what was not compared; one line for all series that share a reason."""
    reasons: dict[str, list[str]] = {}
    for name, reason in report.skipped.items():
        reasons.setdefault(reason, []).append(name.removeprefix(_COMMON))
    skipped = [f"not compared, {reason}: {', '.join(names)}" for reason, names in reasons.items()]
    return [printable(line) for line in (*(f"note: {note}" for note in report.notes), *skipped)]


_COLUMNS: Final = ("verdict", "series", "statistic", "baseline", "current", "change", "between", "n")


def _row(finding: Finding) -> tuple[str, ...]:
    return (
        finding.verdict, series(finding.key), finding.statistic, value(finding, finding.baseline),
        value(finding, finding.current), change(finding), interval(finding), blocks(finding),
    )  # fmt: skip


# --- text, Markdown -----------------------------------------------------------------------------------


def text(report: Report, *, everything: bool = False) -> str:
    """A table for a terminal: what is not ok, or everything."""
    shown = worst_first(report.findings) if everything else loud(report)
    why = [f"  {line}" for line in _explained(shown)]
    return "\n".join([headline(report), *_aligned(shown), *(["why:", *why] if why else []), *_left_out(report)])


def _aligned(findings: Sequence[Finding]) -> list[str]:
    rows = [_COLUMNS, *map(_row, findings)] if findings else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def markdown(report: Report) -> str:
    """A comment for a pull request; what is ok is folded."""
    shown = loud(report)
    rest = [each for each in worst_first(report.findings) if each not in shown]
    parts = [f"**{_escaped(headline(report))}**"]
    if shown:
        parts.append(_table(shown))
    lines = [f"- {_escaped(line)}" for line in (*_explained(shown), *_left_out(report))]
    if lines:
        parts.append("\n".join(lines))
    if rest:
        parts.append(f"<details><summary>{len(rest)} more</summary>\n\n{_table(rest)}\n\n</details>")
    return "\n\n".join(parts) + "\n"


def _table(findings: Iterable[Finding]) -> str:
    rows = ["| " + " | ".join(map(_escaped, row)) + " |" for row in (_COLUMNS, *map(_row, findings))]
    return "\n".join([rows[0], _RULE, *rows[1:]])


_RULE: Final = "|---" * len(_COLUMNS) + "|"
_MARKS: Final = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>|~#!&"} | {"@": "@\u200b"})
"""What Markdown would read as its own; an @ followed by a zero-width space mentions nobody."""


def _escaped(words: str) -> str:
    return words.translate(_MARKS)


# --- JSON ---------------------------------------------------------------------------------------------


def to_dict(report: Report) -> dict[str, Any]:
    """As plain data; infinite and unknown numbers are `None`."""
    return {
        "schema_version": SCHEMA_VERSION, "verdict": report.verdict, "baseline": report.baseline,
        "current": report.current, "started": report.started,
        "findings": [_plain(each) for each in worst_first(report.findings)], "skipped": dict(report.skipped),
        "notes": list(report.notes), "facts": dict(report.facts),
    }  # fmt: skip


def _plain(finding: Finding) -> dict[str, Any]:
    key, names = finding.key, (f.name for f in fields(finding) if f.name != "key")
    found = {name: getattr(finding, name) for name in names}
    return {"metric": key.metric, "attributes": dict(key.attributes), "resource": dict(key.resource), **found}


def as_json(report: Report) -> str:
    """The same as JSON."""
    return dumps(to_dict(report))


def dumps(data: Any) -> str:
    """Plain data as JSON, the same in every run; a number that is none is null."""
    return json.dumps(_finite(data), indent=2, sort_keys=True, allow_nan=False)


def _finite(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {name: _finite(each) for name, each in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(each) for each in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


# --- JUnit --------------------------------------------------------------------------------------------

_ALL: Final = "otcache regress"


def junit(report: Report, *, fail_on: FailOn = "critical") -> str:
    """A test suite per metric, and one of the whole: alarms fail, inconclusive is skipped, the rest is said.

    Args:
        report: What was found.
        fail_on: From which verdict on a test has failed.
    """
    suites: dict[str, list[Case]] = {metric: [] for metric in sorted({each.key.metric for each in report.findings})}
    for each in worst_first(report.findings):
        said = f"{each.verdict}: {change(each)} ({interval(each)}); {each.reason}"
        suites[each.key.metric].append((f"{series(each.key)} {each.statistic}", each.verdict, said))
    return junit_suites(_ALL, {**suites, _ALL: [("verdict", report.verdict, headline(report))]}, fail_on)


Case = tuple[str, Verdict, str]
"""A test by its name, its verdict, and what there is to say."""


def junit_suites(title: str, suites: Mapping[str, Sequence[Case]], fail_on: FailOn) -> str:
    """JUnit XML of test cases by the suite that they are in."""
    root = ElementTree.Element("testsuites", name=title)
    for name, cases in suites.items():
        _suite(root, name, cases, fail_on)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True)


def _suite(root: ElementTree.Element, name: str, cases: Sequence[Case], fail_on: FailOn) -> None:
    tags = [_tag(verdict, fail_on) for _, verdict, _ in cases]
    counts = {"tests": len(cases), "failures": tags.count("failure"), "skipped": tags.count("skipped")}
    facts = {"name": printable(name)} | {each: str(number) for each, number in counts.items()}
    suite = ElementTree.SubElement(root, "testsuite", facts)
    for (case_name, verdict, said), tag in zip(cases, tags, strict=True):
        case = ElementTree.SubElement(suite, "testcase", classname=printable(name), name=printable(case_name))
        if tag:
            ElementTree.SubElement(case, tag, message=printable(said))
        elif verdict != "ok":
            ElementTree.SubElement(case, "system-out").text = printable(said)


def _tag(verdict: Verdict, fail_on: FailOn) -> str:
    if verdict == "inconclusive":
        return "skipped"
    return "failure" if fail_on != "never" and SEVERITY[verdict] >= SEVERITY[fail_on] else ""


# --- annotations of GitHub ----------------------------------------------------------------------------

_LEVELS: Final[Mapping[Verdict, str]] = {
    "critical": "error", "warning": "warning", "inconclusive": "notice", "minor": "notice",
}  # fmt: skip


def github(report: Report) -> str:
    """Workflow commands that GitHub shows beside the change; it shows ten of each level."""
    lines = [_annotation(each) for each in loud(report) if each.verdict in _LEVELS]
    return "\n".join([*lines, f"::notice title={_ALL}::{_message(headline(report))}"])


def _annotation(finding: Finding) -> str:
    known = f" {change(finding)} ({interval(finding)})" if finding.change is not None else ""
    reason = f": {finding.reason}" if finding.reason else ""
    said = f"{series(finding.key)} {finding.statistic}{known}{reason}"
    return f"::{_LEVELS[finding.verdict]} title={_ALL} {finding.verdict}::{_message(said)}"


def _message(words: str) -> str:
    """Escaped as GitHub unescapes it; without a line's end, no name can begin a command of its own."""
    return printable(words).replace("%", "%25")


FORMATS: Final[Mapping[str, Callable[[Report], str]]] = {
    "text": text, "json": as_json, "markdown": markdown, "junit": junit, "github": github,
}  # fmt: skip
"""What `--format` takes."""
