"""What the rows of the catalogue are: attributes, instruments, spans, events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

SCHEMA_VERSION: Final = "0.1.0"
NS: Final = 1_000_000_000
"""Nanoseconds per second: what durations are counted in."""
MS: Final = 1_000
"""Milliseconds per second: what ages are counted in."""

Scope = Literal["otcache", "otcache.redis", "otcache.backplane", "otcache.ai", "otcache.regression"]
OTHER: Final = "_OTHER"
"""What an attribute's value is folded to once its cap is reached (telemetry.md, 2.5)."""


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """One attribute.

    Attributes:
        name: Its full name.
        type: Its type in the OpenTelemetry data model.
        brief: What it says, one sentence.
        values: The closed set of its values, or `None`.
        cap: Distinct values per process on metrics before the rest is folded to `_OTHER`.
        opt_in: Whether it is left out by default.
    """

    name: str
    type: Literal["string", "int", "double", "boolean"]
    brief: str
    values: tuple[str, ...] | None = None
    cap: int | None = None
    opt_in: bool = False


Kind = Literal["counter", "updowncounter", "gauge", "histogram"]
Presence = Literal["always", "far", "use"]


@dataclass(frozen=True, slots=True, eq=False)
class Instrument:
    """One metric.

    Attributes:
        name: Its full name.
        kind: Its kind; histograms are bridged, all others observable.
        unit: UCUM; `{annotation}` for counts.
        brief: What it counts, one sentence.
        attributes: Present on every series, in the order of the cells' values.
        conditional: Present where they apply (absent on success: `error.type`).
        buckets: Explicit boundaries of a histogram, in its unit.
        scope: The instrumentation scope.
        present: From when on it is exported: always, with a far tier, or from its first use on.
        scale: How many of what its cells count make one of its unit: `NS` for durations.
        lean: What the profile `lean` keeps of a histogram: all of it, only these attributes, or nothing.
    """

    name: str
    kind: Kind
    unit: str
    brief: str
    attributes: tuple[Attribute, ...]
    conditional: tuple[Attribute, ...] = ()
    buckets: tuple[float, ...] = ()
    scope: Scope = "otcache"
    present: Presence = "use"
    scale: int = 1
    lean: tuple[Attribute, ...] | Literal["whole", "dropped"] = "whole"

    @property
    def keys(self) -> tuple[Attribute, ...]:
        """All its attributes: the fixed ones, then the conditional ones."""
        return self.attributes + self.conditional

    @property
    def prometheus(self) -> str:
        """Its name on a /metrics page; histograms add `_bucket`, `_sum` and `_count`."""
        unit = {"s": "_seconds", "By": "_bytes", "{operation}/s": "_per_second"}.get(self.unit, "")
        total = "_total" if self.kind == "counter" else ""
        return self.name.replace(".", "_") + unit + total


@dataclass(frozen=True, slots=True, eq=False)
class SpanType:
    """One type of span: its name's shape, kind, and what it and its links carry."""

    id: str
    name: str
    kind: Literal["INTERNAL", "CLIENT"]
    brief: str
    at_start: tuple[Attribute, ...]
    attributes: tuple[Attribute, ...]
    scope: Scope = "otcache"
    links: tuple[Attribute, ...] = ()
    opt_in: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """One event: a log record with a name."""

    name: str
    severity: Literal["INFO", "WARN"]
    brief: str
    attributes: tuple[Attribute, ...] = ()
