"""OTLP JSON as samples: one request per line, as the collector's file exporter writes them, or one document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Final

from otcache._exports.read import LONGEST, SourceError
from otcache._exports.samples import PREFIX, Sample, Spelling
from otcache.telemetry import catalog

_OVERFLOW: Final = "otel.metric.overflow"
_OTHER_SIGNALS: Final = frozenset(("resourceSpans", "resourceLogs", "resourceProfiles"))
_KINDS: Final = {
    "gauge": "gauge",
    "sum": "updowncounter",
    "histogram": "histogram",
    "exponentialHistogram": "histogram",
    "summary": "summary",
}
"""The field of a metric that holds its data points, and the catalogue's word for it."""


def samples(lines: Iterator[tuple[int, str]]) -> Iterator[Sample]:
    """Every data point of a metric of otcache's.

    Args:
        lines: The lines that are not blank, and their numbers.

    Raises:
        SourceError: It is not JSON, not OTLP, cut off, or has no metrics at all.
    """
    found = False
    for number, request in _requests(lines):
        if "resourceMetrics" not in request:
            if not request.keys() <= _OTHER_SIGNALS:
                raise SourceError(f"line {number} is JSON, and not OTLP")
            continue
        found = True
        try:
            yield from _of_request(request)
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise SourceError(f"line {number} is not OTLP: its metrics have another shape") from exc
    if not found:
        raise SourceError("it is OTLP without metrics")


def _requests(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects, with the lines they begin in."""
    start, first = next(lines, (1, ""))
    try:
        yield start, _object(first, start)
    except ValueError:  # one document over many lines, then
        yield start, _document(start, chain([first], (line for _, line in lines)))
        return
    for number, line in lines:
        try:
            yield number, _object(line, number)
        except ValueError as exc:
            raise SourceError(f"line {number} is not JSON, or is cut off") from exc


def _document(start: int, lines: Iterator[str]) -> dict[str, Any]:
    parts, size = [], 0
    for line in lines:
        parts.append(line)
        size += len(line)
        if size > LONGEST:
            raise SourceError(f"it is neither one JSON object per line nor shorter than {LONGEST} characters")
    try:
        return _object("".join(parts), start)
    except ValueError as exc:
        raise SourceError("it is not JSON, or is cut off") from exc


def _object(text: str, number: int) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except RecursionError:
        raise SourceError(f"line {number} is nested too deep") from None
    if not isinstance(found, dict):
        raise SourceError(f"line {number} is JSON, and not OTLP")
    return found


def _of_request(request: Mapping[str, Any]) -> Iterator[Sample]:
    for resource in _list(request, "resourceMetrics"):
        process = json.dumps(_attributes(resource.get("resource") or {}), sort_keys=True)
        for scoped in _list(resource, "scopeMetrics"):
            scope = (scoped.get("scope") or {}).get("name") or ""
            for metric in _list(scoped, "metrics"):
                if (metric.get("name") or "").startswith(PREFIX):
                    yield from _of_metric(metric, scope, process)


def _of_metric(metric: Mapping[str, Any], scope: str, process: str) -> Iterator[Sample]:
    for field in _KINDS.keys() & metric.keys():
        data = metric[field] or {}
        kind = "counter" if data.get("isMonotonic") else _KINDS[field]
        for point in _list(data, "dataPoints"):
            labels = _attributes(point)
            folded = _OVERFLOW in labels
            yield Sample(metric["name"], labels, _number(point), process, kind, metric.get("unit") or "", scope, folded)


def _list(data: Mapping[str, Any], field: str) -> Any:
    """Objects of a repeated field: what is empty may be missing, or null."""
    return data.get(field) or ()


def _attributes(data: Mapping[str, Any]) -> dict[str, str | None]:
    pairs = {pair["key"]: (pair.get("value") or {}).get("stringValue") for pair in _list(data, "attributes")}
    return {name: value if isinstance(value, str) else None for name, value in pairs.items()}


def _number(point: Mapping[str, Any]) -> float:
    """Whole numbers come as text or numbers, NaN and infinities as text; 0 is left out."""
    return float(next((point[field] for field in ("asInt", "asDouble", "sum") if field in point), 0))


SPELLING: Final = Spelling(
    rows={row.name: row for row in catalog.INSTRUMENTS},
    metric=lambda row: row.name,
    attribute=lambda name: name,
    kind=lambda row: row.kind,
    carried=lambda _: False,
)
"""OTLP's way: the catalogue's own."""
