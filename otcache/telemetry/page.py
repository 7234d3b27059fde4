"""A /metrics page as samples: the text format 0.0.4, or OpenMetrics.

Not by the parser of `prometheus_client`: that one is strict about OpenMetrics where Prometheus itself is not (a name
announced twice, as older exporters do), reads no exemplars in the text format, and is an extra.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from otcache.telemetry import catalog
from otcache.telemetry.catalog import Instrument
from otcache.telemetry.samples import PREFIX, Sample, Spelling
from otcache.telemetry.source import SourceError

_OURS: Final = PREFIX.replace(".", "_")
_OVERFLOW: Final = "otel_metric_overflow"

_NAME: Final = re.compile(r"([a-zA-Z_:][\w:]*)[ \t]*", re.ASCII)
_LABEL: Final = re.compile(r'\s*(?:([\w.:]+)|"((?:\\.|[^"\\])*)")\s*(?:=\s*"((?:\\.|[^"\\])*)"\s*)?(,|(?=\}))')
_VALUE: Final = re.compile(r"\s*(\S+)(?:\s+-?[\d.eE+-]+)?(?:\s+#\s.*)?\s*")
_ESCAPED: Final = re.compile(r"\\(.)")
_OF_OPENMETRICS: Final = re.compile(r"# (?:UNIT |TYPE \S+ (?:unknown|info|stateset|gaugehistogram)$)")

_CARRIED: Final = re.compile(
    r"le|job|instance|(?:otel_scope|exported|service|telemetry_sdk|k8s|host|deployment|container|cloud|process)_\w+"
)
"""Labels that come from the exporter, the scrape, or the resource."""


def samples(lines: Iterator[str]) -> Iterator[Sample]:
    """Every sample of a metric of otcache's.

    Raises:
        SourceError: A line is no such text, or the end is missing.
    """
    page = _Page()
    for number, line in enumerate(lines, 1):
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
        if self._ended and line.strip():
            raise SourceError(f"line {number} comes after # EOF")
        self._last, text = line, line.rstrip("\r\n")
        if text.startswith("#"):
            self._note(text)
            return None
        if not text.strip():
            return None
        return self._sample(text, number)

    def _note(self, text: str) -> None:
        self._ended = text.rstrip() == "# EOF"
        self._openmetrics = self._openmetrics or self._ended or _OF_OPENMETRICS.match(text) is not None
        words = text.split()
        if len(words) == 4 and words[1] == "TYPE" and words[2].startswith(_OURS):
            self._kinds[words[2]] = words[3]

    def _sample(self, text: str, number: int) -> Sample | None:
        found = _NAME.match(text)
        name, at = (found[1], found.end()) if found else ("", 0)
        labels: dict[str, str] = {}
        if text[at : at + 1] == "{":
            at = _labels(text, at + 1, labels)
        value = _VALUE.fullmatch(text, at) if at > 0 else None
        name = labels.pop("", name)
        if value is None or not name or not _is_number(value[1]):
            raise SourceError(f"line {number} is no line of a metrics page, or is cut off")
        if not name.startswith(_OURS):
            return None
        folded = labels.get(_OVERFLOW) == "true"
        process = "\0".join([labels.get("job", ""), labels.get("instance", "")])
        return Sample(name, {k: v for k, v in labels.items() if v}, process, self._kind(name), folded=folded)

    def _kind(self, name: str) -> str | None:
        """What the TYPE line says; in OpenMetrics it names a counter without its `_total`."""
        row = SPELLING.rows.get(name)
        family = name if row is None else row.prometheus
        kind = self._kinds.get(family) or self._kinds.get(family.removesuffix("_total"))
        return None if kind in ("untyped", "unknown") else kind

    def end(self) -> None:
        """The page is over; whether it should be."""
        if self._openmetrics and not self._ended:
            raise SourceError("the page is cut off: it does not end with # EOF")
        if not self._last.endswith("\n") and not self._ended:
            raise SourceError("the page is cut off: its last line has no end")


def _labels(text: str, at: int, labels: dict[str, str]) -> int:
    """Read labels into `labels`, a quoted name of the metric under ""; where they end, -1 if they don't."""
    while text[at : at + 1] != "}":
        found = _LABEL.match(text, at)
        if found is None:
            return -1
        bare, quoted, value, _ = found.groups()
        name = bare if bare is not None else _plain(quoted)
        if value is None:
            labels[""] = name
        else:
            labels[name] = _plain(value)
        at = found.end()
        while text[at : at + 1] == " ":
            at += 1
    return at + 1


def _plain(text: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] == "n" else found[1], text) if "\\" in text else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _names(row: Instrument) -> tuple[str, ...]:
    name = row.prometheus
    if row.kind == "histogram":
        return tuple(name + end for end in ("_bucket", "_sum", "_count", "_created"))
    return (name, name.removesuffix("_total") + "_created") if row.kind == "counter" else (name,)


SPELLING: Final = Spelling(
    rows={name: row for row in catalog.INSTRUMENTS for name in _names(row)},
    metric=lambda row: row.prometheus,
    attribute=lambda name: name.replace(".", "_"),
    kind=lambda row: row.kind if row.kind in ("counter", "histogram") else "gauge",
    carried=lambda name: _CARRIED.fullmatch(name) is not None,
)
"""The text formats' way."""
