"""OTLP JSON as samples: one request per line, as the collector's file exporter writes them, or one document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Final

from otcache.telemetry import catalog
from otcache.telemetry.samples import PREFIX, Sample, Spelling
from otcache.telemetry.source import LONGEST, SourceError

_OVERFLOW: Final = "otel.metric.overflow"
_INSTANCE: Final = "service.instance.id"


def samples(lines: Iterator[str]) -> Iterator[Sample]:
    """Every data point of a metric of otcache's, by its name or its scope.

    Raises:
        SourceError: It is not JSON, not OTLP, cut off, or has no metrics at all.
    """
    found = False
    for number, request in _requests(lines):
        if "resourceMetrics" not in request:
            if not request.keys() <= {"resourceSpans", "resourceLogs"}:
                raise SourceError(f"line {number} is JSON, and not OTLP")
            continue
        found = True
        try:
            yield from _of_request(request)
        except (AttributeError, KeyError, TypeError) as exc:
            raise SourceError(f"line {number} is not OTLP: its metrics have another shape") from exc
    if not found:
        raise SourceError("it is OTLP without metrics")


def _requests(lines: Iterator[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects, with the lines they begin in."""
    first = next(lines, "")
    try:
        yield 1, _object(first, 1)
    except json.JSONDecodeError:  # one document over many lines, then
        yield 1, _document(first, lines)
        return
    for number, line in enumerate(lines, 2):
        if line.strip():
            try:
                yield number, _object(line, number)
            except json.JSONDecodeError as exc:
                raise SourceError(f"line {number} is not JSON, or is cut off") from exc


def _document(first: str, lines: Iterator[str]) -> dict[str, Any]:
    parts, size = [], 0
    for line in chain([first], lines):
        parts.append(line)
        size += len(line)
        if size > LONGEST:
            raise SourceError(f"it is neither one JSON object per line nor shorter than {LONGEST} characters")
    try:
        return _object("".join(parts), 1)
    except json.JSONDecodeError as exc:
        raise SourceError(f"it is not JSON, or is cut off: line {exc.lineno}, column {exc.colno}") from exc


def _object(text: str, number: int) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except RecursionError:
        raise SourceError(f"line {number} is nested too deep") from None
    if not isinstance(found, dict):
        raise SourceError(f"line {number} is JSON, and not OTLP")
    return found


def _of_request(request: Mapping[str, Any]) -> Iterator[Sample]:
    for resource in request["resourceMetrics"]:
        process = _process(resource.get("resource", {}))
        for scoped in resource.get("scopeMetrics", ()):
            scope = scoped.get("scope", {}).get("name", "")
            for metric in scoped.get("metrics", ()):
                if metric["name"].startswith(PREFIX) or scope in _SCOPES:
                    yield from _of_metric(metric, scope, process)


def _process(resource: Mapping[str, Any]) -> str:
    named, _ = _attributes(resource.get("attributes", ()))
    return named.get(_INSTANCE) or json.dumps(named, sort_keys=True)


def _of_metric(metric: Mapping[str, Any], scope: str, process: str) -> Iterator[Sample]:
    kind, points = _points(metric)
    for point in points:
        labels, foreign = _attributes(point.get("attributes", ()))
        folded = _OVERFLOW in foreign or _OVERFLOW in labels
        yield Sample(metric["name"], labels, process, kind, metric.get("unit", ""), scope, folded, foreign)


def _points(metric: Mapping[str, Any]) -> tuple[str, Any]:
    """The kind in the catalogue's words, and the data points."""
    for field, kind in (("gauge", "gauge"), ("histogram", "histogram"), ("exponentialHistogram", "histogram"),
                        ("summary", "summary")):  # fmt: skip
        if field in metric:
            return kind, metric[field].get("dataPoints", ())
    data = metric["sum"]
    return "counter" if data.get("isMonotonic") else "updowncounter", data.get("dataPoints", ())


def _attributes(pairs: Any) -> tuple[dict[str, str], tuple[str, ...]]:
    """The attributes that are text, and the names of the others."""
    texts: dict[str, str] = {}
    others: list[str] = []
    for pair in pairs:
        text = pair.get("value", {}).get("stringValue")
        if isinstance(text, str):
            texts[pair["key"]] = text
        else:
            others.append(pair["key"])
    return texts, tuple(others)


_SCOPES: Final = frozenset(row.scope for row in catalog.INSTRUMENTS)
SPELLING: Final = Spelling(
    rows={row.name: row for row in catalog.INSTRUMENTS},
    metric=lambda row: row.name,
    attribute=lambda name: name,
    kind=lambda row: row.kind,
    carried=lambda _: False,
)
"""OTLP's way: the catalogue's own."""
