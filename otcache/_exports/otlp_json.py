"""OTLP JSON: requests, the metrics in them, and what the fields of a point may look like."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from otcache._exports.json_objects import objects
from otcache._exports.read import SourceError
from otcache._exports.samples import PREFIX, Sample, Spelling
from otcache.telemetry import catalog

OVERFLOW: Final = "otel.metric.overflow"
"""Attribute of the one series into which the SDK folds those beyond its limit."""
_METRICS: Final = "resourceMetrics"
_SIGNALS: Final = frozenset((_METRICS, "resourceSpans", "resourceLogs", "resourceProfiles"))


# --- any OTLP JSON --------------------------------------------------------------------------------------


class Metric(NamedTuple):
    """The JSON of one metric, its scope (empty where there is none), and the attributes of its process."""

    data: Mapping[str, Any]
    scope: str
    resource: Mapping[str, Mapping[str, Any]]


def requests(found: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The requests with metrics, and the lines they begin in; those of other signals are passed over.

    Raises:
        SourceError: One is no OTLP, or there are no metrics at all.
    """
    has_metrics = False
    for number, request in found:
        if not request.keys() <= _SIGNALS:
            raise SourceError(f"line {number} is JSON, and not OTLP")
        if _METRICS in request:
            has_metrics = True
            yield number, request
    if not has_metrics:
        raise SourceError("it is OTLP without metrics")


@contextmanager
def line(number: int) -> Iterator[None]:
    """Turn what goes wrong with the metrics of a line into a `SourceError` that names the line."""
    try:
        yield
    except ValueError as exc:
        raise SourceError(f"line {number}: {exc}") from exc
    except (AttributeError, KeyError, TypeError) as exc:
        raise SourceError(f"line {number} is not OTLP: its metrics have another shape") from exc


def metrics(request: Mapping[str, Any]) -> Iterator[Metric]:
    """Every metric of a request."""
    for resource in repeated(request, _METRICS):
        process = attributes(resource.get("resource") or {})
        for scoped in repeated(resource, "scopeMetrics"):
            scope = (scoped.get("scope") or {}).get("name") or ""
            for metric in repeated(scoped, "metrics"):
                yield Metric(metric, scope, process)


def repeated(data: Mapping[str, Any], field: str) -> Sequence[Any]:
    """A repeated field: what is empty may be missing, or null."""
    values = data.get(field) or ()
    if not isinstance(values, (list, tuple)):
        raise TypeError
    return values


def attributes(data: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Attributes as OTLP has them: a value is an object with one field, which names its type."""
    return {pair["key"]: pair.get("value") or {} for pair in repeated(data, "attributes")}


# --- as samples, to be checked ---------------------------------------------------------------------------

_KINDS: Final = {
    "gauge": "gauge",
    "sum": "updowncounter",
    "histogram": "histogram",
    "exponentialHistogram": "histogram",
    "summary": "summary",
}
"""The field of a metric that holds its data points, and the catalogue's word for it."""


def samples(lines: Iterator[tuple[int, str]]) -> Iterator[Sample]:
    """Every data point of a metric of otcache's; `lines` are those that are not blank, with their numbers.

    Raises:
        SourceError: It is not JSON, not OTLP, cut off, or has no metrics at all.
    """
    for number, request in requests(objects(lines)):
        with line(number):
            yield from _of_request(request)


def _of_request(request: Mapping[str, Any]) -> Iterator[Sample]:
    for metric in metrics(request):
        if (metric.data.get("name") or "").startswith(PREFIX):
            yield from _of_metric(metric.data, metric.scope, json.dumps(_texts(metric.resource), sort_keys=True))


def _of_metric(metric: Mapping[str, Any], scope: str, process: str) -> Iterator[Sample]:
    for field in _KINDS.keys() & metric.keys():
        data = metric[field] or {}
        kind = "counter" if data.get("isMonotonic") else _KINDS[field]
        for point in repeated(data, "dataPoints"):
            labels = _texts(attributes(point))
            folded = OVERFLOW in labels
            yield Sample(metric["name"], labels, _number(point), process, kind, metric.get("unit") or "", scope, folded)


def _texts(found: Mapping[str, Mapping[str, Any]]) -> dict[str, str | None]:
    """Values that are texts; `None` for any other."""
    texts = ((name, value.get("stringValue")) for name, value in found.items())
    return {name: text if isinstance(text, str) else None for name, text in texts}


def _number(point: Mapping[str, Any]) -> float:
    """Whole numbers come as text or numbers, NaN and infinities as text; 0 is left out."""
    found = next((point[field] for field in ("asInt", "asDouble", "sum") if field in point), 0)
    try:
        return float(found)
    except ValueError:
        raise TypeError from None


SPELLING: Final = Spelling(
    rows={row.name: row for row in catalog.INSTRUMENTS},
    metric=lambda row: row.name,
    attribute=lambda name: name,
    kind=lambda row: row.kind,
    carried=lambda _: False,
)
"""OTLP's way: the catalogue's own."""
