"""What is read from a source: which metrics, when, of whom; and what comes back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, cast

from otcache.exceptions import ConfigurationError
from otcache.regression._model import Dataset, SeriesKey
from otcache.regression._specs import DEFAULT_SPECS
from otcache.telemetry import catalog
from otcache.telemetry.catalog import Instrument

COMPARED: Final = tuple(
    row
    for row in catalog.INSTRUMENTS
    if row.kind == "histogram" or (row.kind == "counter" and catalog.RESULT in row.keys) or row is catalog.L1_COUNT
)
"""Metrics that are read by default: durations and sizes, ratios of results, entries in L1."""

_ABOUT: Final = (
    catalog.RESULT, catalog.COMPRESSION_STAGE, catalog.DEGRADED_REASON, catalog.EVICTION_REASON, catalog.WRITE_REASON,
    catalog.IO_DIRECTION, catalog.CIRCUIT_STATE, catalog.DROP_REASON, catalog.ERROR_TYPE,
)  # fmt: skip
"""What the ratio of a counter without a specification is about: the first of these that it has."""
_DETAILS: Final = frozenset((catalog.TIER, catalog.MISS_REASON, catalog.ERROR_TYPE, catalog.AI_TEXT_TIER))
"""Attributes of a counter that split a ratio's two sides; they are summed."""

Operator = Literal["=", "!=", "=~", "!~"]
_MATCHER: Final = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.ASCII | re.DOTALL)
_QUOTED: Final = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_LONGEST_VALUE: Final = 1000


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition that a series must meet.

    Attributes:
        name: A label or attribute, dotted or with underscores.
        operator: `=`, `!=`, or with a regular expression `=~`, `!~`.
        value: Compared with the whole value; an absent label is an empty text.
    """

    name: str
    operator: Operator
    value: str

    @classmethod
    def parse(cls, text: str) -> Matcher:
        """From `name=value`, `name!=value`, `name=~regex`, `name!~regex`; the value may be in double quotes.

        Raises:
            ConfigurationError: It is none of these, names the metric, or its regular expression is none.
        """
        found = _MATCHER.fullmatch(text)
        if found is None or found[1] == "__name__":
            raise ConfigurationError(f"{text[:80]!r} is not a matcher such as job=shop or env=~prod|stage")
        value = found[3]
        if quoted := _QUOTED.fullmatch(value):
            value = re.sub(r"\\(.)", r"\1", quoted[1])
        return cls(found[1], cast("Operator", found[2]), value)

    def __post_init__(self) -> None:
        if len(self.value) > _LONGEST_VALUE or "\0" in self.value:
            raise ConfigurationError(f"the value of matcher {self.name} is longer than {_LONGEST_VALUE}, or holds NUL")
        if self.operator in ("=~", "!~"):
            try:
                re.compile(self.value)
            except re.error as exc:
                raise ConfigurationError(f"matcher {self.name}: {exc}") from exc

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet it; their names may be dotted too."""
        value = labels.get(self.name, labels.get(self.name.replace("_", "."), ""))
        same = value == self.value if self.operator in ("=", "!=") else bool(re.fullmatch(self.value, value))
        return same is not self.operator.startswith("!")


@dataclass(frozen=True, slots=True)
class Selection:
    """What is read.

    Attributes:
        start: Seconds since the epoch; `None` is the beginning of a file.
        end: Seconds since the epoch, above `start`; `None` is the end of a file.
        step: Seconds of one window, 1..86400.
        metrics: Rows of the catalogue.
        match: What series must meet.
        resource: What beside the metric's own attributes tells series apart; whatever else differs is summed.
    """

    start: float | None = None
    end: float | None = None
    step: float = 60.0
    metrics: tuple[Instrument, ...] = COMPARED
    match: tuple[Matcher, ...] = ()
    resource: tuple[str, ...] = ("service.name", "job")

    def __post_init__(self) -> None:
        if not 1 <= self.step <= 86_400:
            raise ConfigurationError(f"step={self.step} is outside 1..86400 s")
        if not self.low < self.high:
            raise ConfigurationError(f"start={self.start} is not before end={self.end}")

    @property
    def low(self) -> float:
        """`start`, or minus infinity."""
        return float("-inf") if self.start is None else self.start

    @property
    def high(self) -> float:
        """`end`, or infinity."""
        return float("inf") if self.end is None else self.end

    @property
    def gap(self) -> float:
        """Seconds over which a rise is too long to be put into one window: five steps, at least 300."""
        return max(300.0, 5 * self.step)

    def series(self, row: Instrument, attributes: Mapping[str, str], resource: Mapping[str, str]) -> Series:
        """Where a point belongs; names are dotted. An empty value is an absent one."""
        kept = _kept(row)
        about = (attributes[name] for name in about_of(row) if attributes.get(name)) if row.kind == "counter" else ()
        return Series(
            SeriesKey(
                row.name,
                frozenset((name, attributes[name]) for name in kept if attributes.get(name)),
                frozenset((name, resource[name]) for name in self.resource if resource.get(name)),
            ),
            "/".join(about),
        )


@dataclass(frozen=True, slots=True)
class Series:
    """Where a point belongs; `about` is the values that a counter's ratio is about, joined by `/`."""

    key: SeriesKey
    about: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source gave.

    Attributes:
        series: The windows. A series or window of which nothing is known is left out.
        notes: What a reader must know: warnings of the source, what was left out.
    """

    series: Dataset
    notes: tuple[str, ...] = ()


@cache
def about_of(row: Instrument) -> tuple[str, ...]:
    """The attributes that a counter's ratio is about: what its specification says, else the first of ours."""
    by = next((spec.by for spec in DEFAULT_SPECS if spec.metric == row.name and spec.by), None)
    return by or tuple([each.name for each in _ABOUT if each in row.keys][:1])


@cache
def _kept(row: Instrument) -> list[str]:
    """The attributes that tell series of a metric apart: what its specification says, else all but the details."""
    per = next((spec.per for spec in DEFAULT_SPECS if spec.metric == row.name and spec.per), None)
    if per is not None:
        return list(per)
    if row.kind != "counter":
        return [attribute.name for attribute in row.keys]
    return [each.name for each in row.keys if each.name not in about_of(row) and each not in _DETAILS]
