"""What was emitted, in one shape wherever it was caught, held against the catalogue in both directions.

Both sides become sets of *facts*: (item, what of it, value), such as (`otcache.lookups`, `otcache.result`, `hit`).
What the catalogue promises and nobody saw is a gap; what was seen and it does not know is a surplus.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from otcache.telemetry import catalog
from otcache.telemetry.catalog import Attribute, Event, Instrument, SpanType
from otcache.testing import Capture, EventRecord, Point, Span
from otcache.testing._emitted import _kind, _point

Fact = tuple[str, str, str]
_LINK: Final = "link "
"""Before the name of an attribute of a span's links."""


class Metric(NamedTuple):
    """One metric as it was caught; `kind` in the catalogue's words."""

    name: str
    kind: str
    unit: str
    scope: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Emitted:
    """Everything that was caught; of other scopes than otcache's too."""

    metrics: tuple[Metric, ...] = ()
    spans: tuple[Span, ...] = ()
    events: tuple[EventRecord, ...] = ()


def of_capture(capture: Capture) -> Emitted:
    """What an SDK in memory has received, collected now."""
    metrics = [
        Metric(metric.name, _kind(metric.data), metric.unit, scope, tuple(map(_point, metric.data.data_points)))
        for scope, metric in capture._collected()
    ]
    return Emitted(tuple(metrics), tuple(capture.spans), tuple(capture.events))


# --- what the catalogue promises --------------------------------------------------------------------


def promised() -> set[Fact]:
    """A fact for every item of the catalogue: its shape, its attributes that are not opt-in, and their closed values.

    Spans and links that are opt-in are promised too: the scenario opts in.
    """
    facts: set[Fact] = {("any event", catalog.SUPPRESSED.name, catalog.SUPPRESSED.type)}
    for row in catalog.INSTRUMENTS:
        facts |= {(row.name, "kind", row.kind), (row.name, "unit", row.unit), (row.name, "scope", row.scope)}
        facts |= set(_of_attributes(row.name, row.keys))
    for span in catalog.SPANS:
        facts |= {(span.id, "kind", span.kind), (span.id, "scope", span.scope)}
        facts |= set(_of_attributes(span.id, span.at_start + span.attributes))
        facts |= {
            (span.id, _LINK + link.name, value) for link in span.links for value in (link.type, *(link.values or ()))
        }
    for event in catalog.EVENTS:
        facts |= {(event.name, "severity", event.severity)}
        facts |= set(_of_attributes(event.name, event.attributes))
    return facts


def _of_attributes(item: str, attributes: Iterable[Attribute]) -> Iterator[Fact]:
    for attribute in attributes:
        if not attribute.opt_in:
            yield (item, attribute.name, attribute.type)
            yield from ((item, attribute.name, value) for value in attribute.values or ())


def allowed() -> set[Fact]:
    """Facts that may be seen and need not be: what is opt-in, and an event's lower severity."""
    facts: set[Fact] = set()
    for span in catalog.SPANS:
        optional = [each for each in span.at_start + span.attributes if each.opt_in]
        facts |= {(span.id, each.name, value) for each in optional for value in (each.type, *(each.values or ()))}
    for event in catalog.EVENTS:
        facts |= {(event.name, "severity", "INFO")}
        facts |= {(event.name, name, "string") for name in ("exception.type", "exception.message")}
    return facts


# --- what was seen ----------------------------------------------------------------------------------


def seen(emitted: Emitted) -> set[Fact]:
    """The same facts of what was caught; a counter's series at 0 is none."""
    facts: set[Fact] = set()
    for metric in emitted.metrics:
        if metric.scope.startswith("otcache") or metric.name.startswith("otcache."):
            facts |= set(_of_metric(metric))
    for span in emitted.spans:
        if span.scope.startswith("otcache"):
            facts |= set(_of_span(span))
    for event in emitted.events:
        facts |= set(_of_event(event))
    return facts


def _of_metric(metric: Metric) -> Iterator[Fact]:
    yield from ((metric.name, "kind", metric.kind), (metric.name, "unit", metric.unit))
    yield (metric.name, "scope", metric.scope)
    row = _INSTRUMENTS.get(metric.name)
    for point in metric.points:
        if metric.kind != "counter" or point.value:
            yield from _of_values(metric.name, point.attributes, row.keys if row else ())
        lacking = [key.name for key in (row.attributes if row else ()) if key.name not in point.attributes]
        yield from ((metric.name, name, "is absent") for name in lacking)


def _of_span(span: Span) -> Iterator[Fact]:
    row = type_of(span)
    if row is None:
        yield (f"span {span.name}", "scope", span.scope)
        return
    yield from ((row.id, "kind", span.kind), (row.id, "scope", span.scope))
    yield from _of_values(row.id, span.attributes, row.at_start + row.attributes)
    for link in span.link_attributes:
        yield from ((item, _LINK + name, value) for item, name, value in _of_values(row.id, link, row.links))
    lacking = [key.name for key in row.at_start if key.name not in span.attributes]
    yield from ((row.id, name, "is absent") for name in lacking)


def type_of(span: Span) -> SpanType | None:
    """The catalogue's type of a span: that of its scope whose name, filled with its attributes, is the span's."""
    rows = (row for row in catalog.SPANS if row.scope == span.scope)
    return next((row for row in rows if _filled(row.name, span.attributes) == span.name), None)


def _filled(name: str, attributes: Mapping[str, Any]) -> str:
    return re.sub(r"\{([\w.]+)\}", lambda found: str(attributes.get(found[1])), name)


def _of_event(event: EventRecord) -> Iterator[Fact]:
    row = _EVENTS.get(event.name)
    yield (event.name, "severity", event.severity)
    facts = dict(event.attributes)
    if catalog.SUPPRESSED.name in facts:
        yield ("any event", catalog.SUPPRESSED.name, _type(facts.pop(catalog.SUPPRESSED.name)))
    yield from _of_values(event.name, facts, row.attributes if row else ())


def _of_values(item: str, found: Mapping[str, Any], known: Iterable[Attribute]) -> Iterator[Fact]:
    closed = {attribute.name for attribute in known if attribute.values is not None}
    for name, value in found.items():
        yield (item, name, _type(value))
        if name in closed:
            yield (item, name, str(value))


def _type(value: Any) -> str:
    return {str: "string", int: "int", float: "double", bool: "boolean"}.get(type(value), type(value).__name__)


_INSTRUMENTS: Final[Mapping[str, Instrument]] = {row.name: row for row in catalog.INSTRUMENTS}
_EVENTS: Final[Mapping[str, Event]] = {row.name: row for row in catalog.EVENTS}

# --- what no scenario can reach ---------------------------------------------------------------------


def _never(item: Instrument | SpanType | Event, attribute: Attribute, values: str, why: str) -> dict[Fact, str]:
    name = item.id if isinstance(item, SpanType) else item.name
    return {(name, attribute.name, value): why for value in values.split()}


def _of_durations(row: Instrument) -> dict[Fact, str]:
    others = _never(row, catalog.INDICATOR, "hit_ratio error_ratio payload_size", "it is no duration")
    return others | _never(row, catalog.STATISTIC, "ratio", "of a share")


def _of_shares(row: Instrument) -> dict[Fact, str]:
    others = _never(row, catalog.INDICATOR, "operation_duration l2_duration payload_size", "it is no share")
    others |= _never(row, catalog.STATISTIC, "mean p50 p95 p99", "of a duration or size")
    return others | _never(row, catalog.TIER, "l1 l2", "a share is of all tiers together")


_OF_ALARMS: Final = "warning critical"
_NO_STALE: Final = "only `get_or_set` gives stale values"
_ENDS: Final = "partial ok noop dropped error cancelled"
_OF_OPERATIONS: Final = "how an operation ends, not what a key's lookup gave"

_JUDGED: Final = (
    catalog.REGRESSION_STATUS, catalog.REGRESSION_CHANGE, catalog.CURRENT_DURATION, catalog.BASELINE_DURATION,
    catalog.CURRENT_RATIO, catalog.BASELINE_RATIO, catalog.REGRESSION_DETECTED, catalog.REGRESSION_RESOLVED,
)  # fmt: skip

UNREACHABLE: Final[dict[Fact, str]] = {
    **_never(catalog.AI_LOOKUPS, catalog.RESULT, "stale", _NO_STALE),
    **_never(catalog.LOOKUPS, catalog.RESULT, _ENDS, _OF_OPERATIONS),
    **_never(catalog.AI_LOOKUPS, catalog.RESULT, _ENDS, _OF_OPERATIONS),
    **_never(catalog.ENTRY_AGE, catalog.RESULT, "stale", _NO_STALE),
    **_never(catalog.HTTP_RESPONSES, catalog.RESULT, _ENDS, "how an operation ends, not what a response came from"),
    **_never(
        catalog.ENTRY_AGE,
        catalog.RESULT,
        "partial miss bypass ok noop dropped error cancelled",
        "only a hit has an age",
    ),
    **_never(catalog.AI_TIME, catalog.AI_ESTIMATE, "estimated", "seconds are measured, or not known"),
    (catalog.OPERATION_SPAN.id, _LINK + catalog.LINK_TYPE.name, "callback_trigger"): "what a callback's span links by",
    (catalog.OPERATION_SPAN.id, _LINK + catalog.LINK_TYPE.name, "refresh_trigger"): "what a refresh's span links by",
    **{
        (span.id, _LINK + catalog.LINK_TYPE.name, link): "what other spans link by"
        for span, links in (
            (catalog.CALLBACK_SPAN, ("writer", "refresh_trigger", "coalesced_leader", "batch")),
            (catalog.REFRESH_SPAN, ("writer", "callback_trigger", "coalesced_leader", "batch")),
        )
        for link in links
    },
    **_never(catalog.REFRESH_SPAN, catalog.TRIGGER, "miss forced", "somebody waits for those"),
    **_never(catalog.STAMPEDE, catalog.TRIGGER, "revalidate eager", "there is a value to be given meanwhile"),
    **_never(catalog.STALE_SERVED, catalog.STALE_REASON, "revalidating", "that is how it is meant to be"),
    **_never(
        catalog.LOADER_EXCEPTION, catalog.STALE_REASON, "revalidating backend_unavailable", "not what a loader did"
    ),
    **_never(catalog.LOOKUPS, catalog.TIER, "loader", "what had to be loaded is a miss"),
    **_never(catalog.EVICTIONS, catalog.TIER, "loader", "it keeps nothing"),
    **{fact: "it is the application's own" for row in _JUDGED for fact in _never(row, catalog.TIER, "loader", "")},
    **_never(catalog.WRITES, catalog.TIER, "loader", "it keeps nothing"),
    **_never(catalog.EVICTIONS, catalog.TIER, "l2 none", "what Redis evicts it does not tell"),
    **_never(catalog.OPERATION_SPAN, catalog.MISS_REASON, "none", "a span has the attribute only where it missed"),
    **_never(
        catalog.OPERATION_EXCEPTION, catalog.OPERATION, "clear purge ping", "they take nothing that could be refused"
    ),
    **_never(catalog.OPERATION_EXCEPTION, catalog.OPERATION, "invalidate", "a bad pattern is refused before it begins"),
    **_never(catalog.INVALIDATED, catalog.INVALIDATION_TARGET, "key", "a key is counted, and not worth a line"),
    **_never(catalog.CIRCUIT_STATUS, catalog.COMPONENT, "backplane", "it has no breaker"),
    **_never(catalog.CIRCUIT_TRANSITIONS, catalog.COMPONENT, "backplane", "it has no breaker"),
    **_never(catalog.CIRCUIT_CHANGED, catalog.CIRCUIT_STATE, "half_open", "a probe of an outage that was told"),
    **_never(catalog.CIRCUIT_CHANGED, catalog.CIRCUIT_PREVIOUS, "open", "an open breaker is only left by a probe"),
    **_never(
        catalog.COMPONENT_CHANGED, catalog.COMPONENT_STATE, "degraded", "the tier is still asked; a gauge says so"
    ),
    **_never(catalog.COMPONENT_CHANGED, catalog.DEGRADED_REASON, "circuit_open", "the effect, not the cause"),
    **_never(catalog.COMPONENT_CHANGED, catalog.DEGRADED_REASON, "codec", "it is about one entry, not the tier"),
    **_never(catalog.REGRESSION_DETECTED, catalog.VERDICT, "ok minor improved inconclusive", "no alarm"),
    **_never(catalog.REGRESSION_RESOLVED, catalog.VERDICT, f"{_OF_ALARMS} minor improved inconclusive", "it is over"),
    **_of_durations(catalog.CURRENT_DURATION),
    **_of_durations(catalog.BASELINE_DURATION),
    **_of_shares(catalog.CURRENT_RATIO),
    **_of_shares(catalog.BASELINE_RATIO),
}
"""What the catalogue lists and nothing emits -> why, one by one."""
