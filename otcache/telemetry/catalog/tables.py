"""The catalogue for people and programs: as the tables of docs/telemetry.md, checked for drift, and as data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from otcache.telemetry import catalog
from otcache.telemetry.catalog import Attribute, Event, Instrument, SpanType

STABILITY: Final = "development"
"""Of every name: what is `stable` changes only with a new major version of the schema."""


def table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    cells = [columns, tuple("---" for _ in columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in cells)


def _names(attributes: Iterable[Attribute], mark: str = "") -> list[str]:
    return [f"`{attribute.name}`{mark}" for attribute in attributes]


def _instrument(row: Instrument) -> tuple[str, ...]:
    attributes = ", ".join(_names(row.attributes) + _names(row.conditional, "?"))
    suffix = "`, `_sum`, `_count" if row.kind == "histogram" else ""
    prometheus = f"`{row.prometheus}_bucket{suffix}`" if row.kind == "histogram" else f"`{row.prometheus}`"
    return f"`{row.name}`", row.kind, row.unit or "-", attributes, prometheus, row.brief


def instruments() -> str:
    """Every metric; `?` marks an attribute that is absent where it does not apply."""
    columns = ("metric", "kind", "unit", "attributes", "Prometheus", "meaning")
    return table(columns, [_instrument(row) for row in catalog.INSTRUMENTS])


def buckets() -> str:
    """The explicit boundaries of every histogram."""
    rows = [row for row in catalog.INSTRUMENTS if row.kind == "histogram"]
    return table(
        ("histogram", "unit", "boundaries"),
        [(f"`{row.name}`", row.unit, ", ".join(f"{bound:.10g}" for bound in row.buckets)) for row in rows],
    )


def values(attribute: Attribute) -> str:
    """The values of an attribute, for people."""
    if attribute.values is not None:
        return ", ".join(attribute.values)
    return f"any; on metrics at most {attribute.cap}, then `_OTHER`" if attribute.cap is not None else "any"


def attributes() -> str:
    """Every attribute, its type and its values."""
    rows = [(f"`{a.name}`" + (" (opt-in)" if a.opt_in else ""), a.type, values(a), a.brief) for a in catalog.ATTRIBUTES]
    return table(("attribute", "type", "values", "meaning"), rows)


def spans() -> str:
    """Every span, and what it carries at its start and at its end."""
    rows = [
        (f"`{s.name}`", s.kind, s.scope, ", ".join(_names(s.at_start)), ", ".join(_names(s.attributes)), s.brief)
        for s in catalog.SPANS
    ]
    return table(("span", "kind", "scope", "at start", "at end, where it applies", "created for"), rows)


def events() -> str:
    """Every event."""
    rows = [(f"`{e.name}`", e.severity, ", ".join(_names(e.attributes)), e.brief) for e in catalog.EVENTS]
    return table(("event", "severity", "attributes", "when"), rows)


def page() -> str:
    """All of it, as one page."""
    parts = (("Metrics", instruments), ("Buckets", buckets), ("Attributes", attributes), ("Spans", spans),
             ("Events", events))  # fmt: skip
    return "\n\n".join(f"## {title}\n\n{table()}" for title, table in parts)


def registry() -> dict[str, Any]:
    """All of it as plain data, for JSON: what dashboards, linters and other languages read."""
    return {
        "schema_version": catalog.SCHEMA_VERSION,
        "stability": STABILITY,
        "attributes": [_attribute_data(each) for each in catalog.ATTRIBUTES],
        "metrics": [_instrument_data(each) for each in catalog.INSTRUMENTS],
        "spans": [_span_data(each) for each in catalog.SPANS],
        "events": [_event_data(each) for each in catalog.EVENTS],
    }


def _plain(attributes: Iterable[Attribute]) -> list[str]:
    return [attribute.name for attribute in attributes]


def _attribute_data(each: Attribute) -> dict[str, Any]:
    return {
        "name": each.name, "type": each.type, "brief": each.brief,
        "values": None if each.values is None else list(each.values), "cap": each.cap, "opt_in": each.opt_in,
        "prometheus": each.name.replace(".", "_"),
    }  # fmt: skip


def _instrument_data(each: Instrument) -> dict[str, Any]:
    return {
        "name": each.name, "kind": each.kind, "unit": each.unit, "brief": each.brief, "scope": each.scope,
        "attributes": _plain(each.attributes), "conditional_attributes": _plain(each.conditional),
        "buckets": list(each.buckets), "present": each.present, "prometheus": each.prometheus,
    }  # fmt: skip


def _span_data(each: SpanType) -> dict[str, Any]:
    return {
        "id": each.id, "name": each.name, "kind": each.kind, "brief": each.brief, "scope": each.scope,
        "attributes_at_start": _plain(each.at_start), "attributes": _plain(each.attributes),
        "link_attributes": _plain(each.links),
    }  # fmt: skip


def _event_data(each: Event) -> dict[str, Any]:
    return {"name": each.name, "severity": each.severity, "brief": each.brief, "attributes": _plain(each.attributes)}
