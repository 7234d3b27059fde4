"""The catalogue as Markdown: the tables of docs/telemetry.md are these, checked for drift."""

from __future__ import annotations

from collections.abc import Iterable

from otcache.telemetry import catalog
from otcache.telemetry.catalog import Attribute, Instrument


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
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
    return _table(columns, [_instrument(row) for row in catalog.INSTRUMENTS])


def buckets() -> str:
    """The explicit boundaries of every histogram."""
    rows = [row for row in catalog.INSTRUMENTS if row.kind == "histogram"]
    return _table(
        ("histogram", "unit", "boundaries"),
        [(f"`{row.name}`", row.unit, ", ".join(f"{bound:g}" for bound in row.buckets)) for row in rows],
    )


def _values(attribute: Attribute) -> str:
    if attribute.values is not None:
        return ", ".join(attribute.values)
    return f"any; on metrics at most {attribute.cap}, then `_OTHER`" if attribute.cap is not None else "any"


def attributes() -> str:
    """Every attribute, its type and its values."""
    rows = [
        (f"`{a.name}`" + (" (opt-in)" if a.opt_in else ""), a.type, _values(a), a.brief) for a in catalog.ATTRIBUTES
    ]
    return _table(("attribute", "type", "values", "meaning"), rows)


def spans() -> str:
    """Every span, and what it carries at its start and at its end."""
    rows = [
        (f"`{s.name}`", s.kind, s.scope, ", ".join(_names(s.at_start)), ", ".join(_names(s.attributes)), s.brief)
        for s in catalog.SPANS
    ]
    return _table(("span", "kind", "scope", "at start", "at end, where it applies", "created for"), rows)


def events() -> str:
    """Every event."""
    rows = [(f"`{e.name}`", e.severity, ", ".join(_names(e.attributes)), e.brief) for e in catalog.EVENTS]
    return _table(("event", "severity", "attributes", "when"), rows)
