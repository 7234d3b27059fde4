"""Compare what a process really emits with the catalogue."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any, Final, Literal, get_args

from otcache._exports import otlp_json as otlp
from otcache._exports import prometheus_page as page
from otcache._exports import read as source
from otcache._exports.read import SourceError
from otcache._exports.samples import Sample, Spelling
from otcache.telemetry import catalog
from otcache.telemetry.catalog import Attribute, Instrument

Kind = Literal["unknown", "missing", "kind", "unit", "scope", "attribute", "value", "cap", "schema"]
Finding = tuple[Kind, str]
"""What is different and how, of one sample."""

MOST: Final = 1000
"""Differences that are listed; the rest is counted."""
_LONGEST_VALUE: Final = 80


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between what was found and the catalogue.

    Attributes:
        kind: unknown (metric), missing (metric), kind, unit, scope, attribute (wrong, or not there), value (outside
            its closed set, or no number), cap (reached), or schema (of another version).
        metric: The metric, in the words of the source.
        detail: What is different, one sentence.
        samples: How many samples show it; 0 for what is missing.
    """

    kind: Kind
    metric: str
    detail: str
    samples: int


@dataclass(frozen=True, slots=True)
class Report:
    """What a comparison came to.

    Attributes:
        samples: Samples of metrics of otcache's.
        seen: Metrics of the catalogue that were there.
        unseen: Those that were not, and need not be: they come with use.
        differences: What is different, by kind and metric.
        more: Samples that show further differences, beyond `MOST`.
    """

    samples: int
    seen: tuple[str, ...]
    unseen: tuple[str, ...]
    differences: tuple[Difference, ...]
    more: int

    @property
    def agrees(self) -> bool:
        """Whether nothing is different."""
        return not self.differences

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"agrees": self.agrees, "schema_version": catalog.SCHEMA_VERSION, **asdict(self)}


def check(where: str, *, timeout: float = 30.0, complete: bool = False, labels: Collection[str] = ()) -> Report:
    """Compare a live page, or a file, with the catalogue.

    Args:
        where: URL or path of a /metrics page (text 0.0.4 or OpenMetrics) or of OTLP JSON; `-` is standard input.
        timeout: Seconds that a URL may take.
        complete: Whether every metric must be there, also those that come with use.
        labels: Attributes beside the catalogue's that are all right: what a pipeline adds.

    Raises:
        SourceError: It can't be read, is neither of these, or is cut off.
    """
    return compare(source.lines(where, timeout), complete=complete, labels=labels)


def compare(lines: Iterable[str], *, complete: bool = False, labels: Collection[str] = ()) -> Report:
    """The same for lines that are read elsewhere, each with its line feed."""
    spelling, samples = _read(lines)
    comparison = _Comparison(spelling, frozenset(labels))
    for sample in samples:
        comparison.add(sample)
    return comparison.report(complete)


def _read(lines: Iterable[str]) -> tuple[Spelling, Iterator[Sample]]:
    """What kind of text it is, and its samples."""
    numbered = source.filled(lines)
    first = next(numbered, None)
    if first is None:
        raise SourceError("it is empty")
    start, every = first[1].lstrip()[0], chain([first], numbered)
    if start == "<":
        raise SourceError("it is HTML or XML, not a metrics page")
    if start in "{[":
        return otlp.SPELLING, otlp.samples(every)
    return page.SPELLING, page.samples(every)


class _Comparison:
    """What has been found so far; it grows with the processes in the source, not with its length."""

    def __init__(self, spelling: Spelling, allowed: frozenset[str]) -> None:
        self._spelling = spelling
        self._allowed = allowed
        self._samples = 0
        self._seen: set[Instrument] = set()
        self._found: Counter[tuple[Kind, str, str]] = Counter()
        self._more = 0
        self._values: dict[tuple[Instrument, Attribute, str], set[str]] = {}
        self._attributes = {row: {spelling.attribute(key.name): key for key in row.keys} for row in catalog.INSTRUMENTS}

    def add(self, sample: Sample) -> None:
        """Compare one sample."""
        self._samples += 1
        row = self._spelling.rows.get(sample.metric)
        if row is None:
            self._note("unknown", _shown(sample.metric), "not in the catalogue")
            return
        self._seen.add(row)
        findings = self._shape(row, sample)
        if not sample.folded:  # such a sample has no attributes left
            findings = chain(findings, self._labels(row, sample))
        for kind, detail in findings:
            self._note(kind, self._spelling.metric(row), detail)

    def _shape(self, row: Instrument, sample: Sample) -> Iterator[Finding]:
        facts: tuple[tuple[Kind, str | None, str], ...] = (
            ("kind", sample.kind, self._spelling.kind(row)),
            ("unit", sample.unit, row.unit),
            ("scope", sample.scope, row.scope),
        )
        for kind, found, expected in facts:
            if found is not None and found != expected:
                yield kind, f"its {kind} is {_shown(found)}, not {_shown(expected)}"
        if not math.isfinite(sample.number):
            yield "value", f"its value is {sample.number}"
        if sample.folded:
            yield "cap", "the SDK has folded series of it into one (otel.metric.overflow)"

    def _labels(self, row: Instrument, sample: Sample) -> Iterator[Finding]:
        keys = self._attributes[row]
        for name, key in keys.items():
            if key in row.attributes and name not in sample.labels:
                yield "attribute", f"lacks {name}"
        for name, value in sample.labels.items():
            if name in keys:
                yield from self._value(row, name, value, sample.process)
            elif name not in self._allowed and not self._spelling.carried(name):
                yield "attribute", f"has {_shown(name)}, which the catalogue does not give it"

    def _value(self, row: Instrument, name: str, value: str | None, process: str) -> Iterator[Finding]:
        key = self._attributes[row][name]
        if value is None:
            yield "value", f"the value of {name} is no text"
        elif key.values is not None and value not in key.values:
            yield "value", f"{name}={_shown(value)} is not one of {', '.join(key.values)}"
        elif key is catalog.SCHEMA and value != catalog.SCHEMA_VERSION:
            yield "schema", f"it is of schema {_shown(value)}, this catalogue of {catalog.SCHEMA_VERSION}"
        elif key.cap is not None and value == catalog.OTHER:
            yield "cap", f"{name} has reached its cap of {key.cap}: further values are {catalog.OTHER}"
        elif key.cap is not None and self._is_beyond(key.cap, (row, key, process), value):
            yield "cap", f"{name} has more than {key.cap} values in one process"

    def _is_beyond(self, cap: int, series: tuple[Instrument, Attribute, str], value: str) -> bool:
        values = self._values.setdefault(series, set())
        if len(values) < cap:
            values.add(value)
        return value not in values

    def _note(self, kind: Kind, metric: str, detail: str) -> None:
        difference = (kind, metric, detail)
        if difference in self._found or len(self._found) < MOST:
            self._found[difference] += 1
        else:
            self._more += 1

    def report(self, complete: bool) -> Report:
        """What it came to."""
        metric = self._spelling.metric
        absent = [row for row in catalog.INSTRUMENTS if row not in self._seen]
        due = {"always", "far"} if any(row.present == "far" for row in self._seen) else {"always"}
        missing = [row for row in absent if complete or row.present in due]
        found = [Difference(*what, samples) for what, samples in self._found.items()]
        found += [Difference("missing", metric(row), _PRESENT[row.present], 0) for row in missing]
        return Report(
            samples=self._samples,
            seen=tuple(metric(row) for row in catalog.INSTRUMENTS if row in self._seen),
            unseen=tuple(metric(row) for row in absent if row not in missing),
            differences=tuple(sorted(found, key=lambda each: (get_args(Kind).index(each.kind), each.metric))),
            more=self._more,
        )


_PRESENT: Final = {
    "always": "a process has it as long as it has a cache",
    "far": "a process has it as long as it has a cache on Redis",
    "use": "it comes with its first use, and --complete asks for it",
}


def _shown(text: str) -> str:
    """Text from outside: bounded, without what would move a terminal's cursor."""
    cut = text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."
    return cut if cut.isprintable() and cut and " " not in cut else ascii(cut)
