"""A /metrics page as samples: the text format 0.0.4, or OpenMetrics.

Not by the parser of `prometheus_client`: that one is strict about OpenMetrics where Prometheus itself is not (a name
announced twice, as older exporters do), reads no exemplars in the text format, and is an extra.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from otcache._exports.read import SourceError
from otcache._exports.samples import PREFIX, Sample, Spelling
from otcache.telemetry import catalog
from otcache.telemetry.catalog import Instrument

_OURS: Final = PREFIX.replace(".", "_")
_OVERFLOW: Final = "otel_metric_overflow"
_SCOPE: Final = "otel_scope_name"

_NAME: Final = re.compile(r"([a-zA-Z_:][\w:]*)[ \t]*", re.ASCII)
_LABEL: Final = re.compile(r'\s*(?:(\w+)|"((?:\\.|[^"\\])*)")\s*(?:=\s*"((?:\\.|[^"\\])*)"\s*)?(?:,\s*|(?=\}))')
_VALUE: Final = re.compile(r"\s*(\S+)(?:\s+-?[\d.eE+-]+)?(?:\s+#\s.*)?")
_ESCAPED: Final = re.compile(r"\\(.)")
_OF_OPENMETRICS: Final = re.compile(r"# (?:EOF$|UNIT |TYPE \S+ (?:unknown|info|stateset|gaugehistogram)$)")

_CARRIED: Final = re.compile(
    r"le|job|instance|(?:otel_scope|exported|service|telemetry_sdk|k8s|host|deployment|container|cloud|process)_\w+"
)
"""Labels that come from the exporter, the scrape, or the resource."""


def samples(lines: Iterable[tuple[int, str]]) -> Iterator[Sample]:
    """Every sample of a metric of otcache's; `lines` are those that are not blank, with their numbers.

    Raises:
        SourceError: A line is no such text, or the end is missing.
    """
    page = _Page()
    for number, line in lines:
        sample = page.read(line, number)
        if sample is not None:
            yield sample
    page.end()


class _Page:
    """What is known of a page on the way through it."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}
        self._openmetrics = False
        self._ended = False
        self._last = "\n"

    def read(self, line: str, number: int) -> Sample | None:
        """One line; its sample if it is one of ours."""
        if self._ended:
            raise SourceError(f"line {number} comes after # EOF")
        self._last, text = line, line.strip()
        if text.startswith("#"):
            self._note(text)
            return None
        return self._sample(text, number)

    def _note(self, text: str) -> None:
        self._ended = text == "# EOF"
        self._openmetrics = self._openmetrics or _OF_OPENMETRICS.match(text) is not None
        words = text.split()
        if len(words) == 4 and words[1] == "TYPE" and words[2] in _TYPED:
            self._kinds[words[2]] = words[3]

    def _sample(self, text: str, number: int) -> Sample | None:
        found = _NAME.match(text)
        name, at = (found[1], found.end()) if found else ("", 0)
        labels: dict[str, str] = {}
        if text[at : at + 1] == "{":
            at = _labels(text, at + 1, labels)
        value = _VALUE.fullmatch(text, at) if at > 0 else None
        name = labels.pop("", name)
        value_of = None if value is None else _number(value[1])
        if value_of is None or not name:
            raise SourceError(f"line {number} is no line of a metrics page, or is cut off")
        if not name.startswith(_OURS):
            return None
        return Sample(
            metric=name,
            labels={label: text for label, text in labels.items() if text},  # an empty label is an absent one
            number=value_of,
            process="\0".join([labels.get("job", ""), labels.get("instance", "")]),
            kind=self._kind(name),
            scope=labels.get(_SCOPE),
            folded=labels.get(_OVERFLOW) == "true",
        )

    def _kind(self, name: str) -> str | None:
        """What the TYPE line says; in OpenMetrics it names a counter without its `_total`."""
        row = SPELLING.rows.get(name)
        if row is None:
            return None
        kind = self._kinds.get(row.prometheus) or self._kinds.get(row.prometheus.removesuffix("_total"))
        return None if kind in ("untyped", "unknown") else kind

    def end(self) -> None:
        """The page is over; whether it should be."""
        if self._openmetrics and not self._ended:
            raise SourceError("it is cut off: it does not end with # EOF")
        if not self._last.endswith("\n") and not self._ended:
            raise SourceError("it is cut off: its last line has no end")


def _labels(text: str, at: int, labels: dict[str, str]) -> int:
    """Read labels into `labels`, a quoted name of the metric under ""; where they end, -1 if they don't."""
    while text[at : at + 1] != "}":
        found = _LABEL.match(text, at)
        if found is None:
            return -1
        bare, quoted, value = found.groups()
        if value is not None:
            labels[bare or _plain(quoted)] = _plain(value)
        elif bare is None:
            labels[""] = _plain(quoted)
        else:
            return -1
        at = found.end()
    return at + 1


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], text) if "\\" in text else text


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _names(row: Instrument) -> tuple[str, ...]:
    name = row.prometheus
    if row.kind == "histogram":
        return tuple(name + end for end in ("_bucket", "_sum", "_count", "_created"))
    return (name, name.removesuffix("_total") + "_created") if row.kind == "counter" else (name,)


_TYPED: Final = frozenset(
    name for row in catalog.INSTRUMENTS for name in (row.prometheus, row.prometheus.removesuffix("_total"))
)
SPELLING: Final = Spelling(
    rows={name: row for row in catalog.INSTRUMENTS for name in _names(row)},
    metric=lambda row: row.prometheus,
    attribute=lambda name: name.replace(".", "_"),
    kind=lambda row: row.kind if row.kind in ("counter", "histogram") else "gauge",
    carried=lambda name: _CARRIED.fullmatch(name) is not None,
)
"""The text formats' way."""
