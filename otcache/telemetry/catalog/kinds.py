"""What the rows of the catalogue are: attributes, instruments, spans, events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
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
EACH: Final = "*"
"""In a row's `zero`: every value of the attribute's closed set."""
Combination = tuple[str | tuple[str, ...], ...]
"""Values of the closed attributes of a row, in their order; a tuple stands for each of its values."""


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
        present: From when on it is exported: always, with an L2, or from its first use on.
        zero: Series that exist at 0 from then on, so that a rate has a value to rise from: `(("l1", EACH),)`. Open
            attributes (cache, backend, route) are left out; a conditional one may be left out at the end.
        zero_l2: Further ones of a cache that has an L2.
        scale: How many of what its cells count make one of its unit: `NS` for durations.
        lean: What the profile `lean` keeps of a histogram: all of it, only these attributes, or nothing.
        unshown: Why no dashboard shows it; empty if one does.
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
    zero: tuple[Combination, ...] = ()
    zero_l2: tuple[Combination, ...] = ()
    scale: int = 1
    lean: tuple[Attribute, ...] | Literal["whole", "dropped"] = "whole"
    unshown: str = ""

    @property
    def keys(self) -> tuple[Attribute, ...]:
        """All its attributes: the fixed ones, then the conditional ones."""
        return self.attributes + self.conditional

    def series(
        self, combinations: tuple[Combination, ...], known: Mapping[Attribute, str | None]
    ) -> Iterator[tuple[str | None, ...]]:
        """The values of every series that the combinations stand for; those of open attributes come from `known`."""
        closed = [key for key in self.keys if key.values is not None]
        for combination in combinations:
            choices = [_choices(key, choice) for key, choice in zip(closed, combination, strict=False)]
            for values in product(*choices):
                found = {**known, **dict(zip(closed, values, strict=False))}
                yield tuple(found.get(key) for key in self.keys)

    @property
    def prometheus(self) -> str:
        """Its name on a /metrics page; histograms add `_bucket`, `_sum` and `_count`."""
        unit = {"s": "_seconds", "By": "_bytes", "{operation}/s": "_per_second"}.get(self.unit, "")
        total = "_total" if self.kind == "counter" else ""
        return self.name.replace(".", "_") + unit + total


def _choices(key: Attribute, choice: str | tuple[str, ...]) -> tuple[str, ...]:
    if choice == EACH:
        return key.values or ()
    return (choice,) if isinstance(choice, str) else choice


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
