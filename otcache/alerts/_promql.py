"""PromQL out of catalogue objects: a metric, a label or a value that nothing emits can't be written.

Two add what they select by: the rules an installation's jobs (`otcache.alerts._query`), the panels Grafana's variables
(`dashboards.promql`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from otcache.telemetry.catalog import Attribute, Instrument

JOB: Final = "job"
INSTANCE: Final = "instance"
LE: Final = "le"
"""Labels that come from the scrape or the exporter."""

Part = Literal["", "_bucket", "_sum", "_count"]
Label = Attribute | str
"""An attribute, or the name of a label that no instrument has."""


def label(of: Label) -> str:
    """What an attribute is called in Prometheus."""
    return of if isinstance(of, str) else of.name.replace(".", "_")


def number(value: float) -> str:
    """A number as people write it: no 0.014400000000000001."""
    return f"{value:.10g}"


# --- matchers -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label."""

    of: Label
    operator: Literal["=", "!=", "=~", "!~"]
    value: str

    def __str__(self) -> str:
        return f"{label(self.of)}{self.operator}{json.dumps(self.value)}"


def one_of(attribute: Attribute, *values: str) -> Matcher:
    """Series whose `attribute` has one of these values; "" is a series without it."""
    _check_values(attribute, values)
    return Matcher(attribute, "=", *values) if len(values) == 1 else Matcher(attribute, "=~", _either(values))


def none_of(attribute: Attribute, *values: str) -> Matcher:
    """Series whose `attribute` has none of these values."""
    _check_values(attribute, values)
    return Matcher(attribute, "!=", *values) if len(values) == 1 else Matcher(attribute, "!~", _either(values))


def present(attribute: Attribute) -> Matcher:
    """Series that have `attribute`."""
    return none_of(attribute, "")


def absent(attribute: Attribute) -> Matcher:
    """Series that don't have `attribute`."""
    return one_of(attribute, "")


def _either(values: Iterable[str]) -> str:
    return "|".join(map(re.escape, values))


def _check_values(attribute: Attribute, values: Iterable[str]) -> None:
    for value in values:
        if attribute.values is not None and value not in (*attribute.values, ""):
            raise ValueError(f"{attribute.name} is never {value!r}, but one of {', '.join(attribute.values)}")


# --- expressions --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Expr:
    """An instant vector.

    Attributes:
        text: As PromQL.
        labels: What its series can be told apart by.
        atom: Whether it can stand beside an operator without parentheses.
    """

    text: str
    labels: frozenset[str]
    atom: bool = True

    def __str__(self) -> str:
        return self.text

    @property
    def operand(self) -> str:
        """For use beside an operator."""
        return self.text if self.atom else f"({self.text})"


@dataclass(frozen=True, slots=True)
class Series(Expr):
    """The series of one instrument, before anything is done to them."""

    row: Instrument | None = None


def series(
    row: Instrument, *matchers: Matcher, part: Part = "", targets: Iterable[str] = (JOB, INSTANCE), offset: str = ""
) -> Series:
    """The series of an instrument that `matchers` select.

    Args:
        part: Of a histogram.
        targets: Labels that a scrape adds.
        offset: How far back in time, such as `1w`.

    Raises:
        ValueError: The instrument has no such attribute, or no such part.
    """
    if (row.kind == "histogram") != bool(part):
        raise ValueError(f"{row.name} is a {row.kind}: part={part!r} does not fit")
    labels = (*map(label, row.keys), *targets, *((LE,) if part == "_bucket" else ()))
    for matcher in matchers:
        if label(matcher.of) not in labels:
            raise ValueError(f"{row.name} has no label {label(matcher.of)}, but {', '.join(labels)}")
    conditions = f"{{{', '.join(map(str, matchers))}}}" if matchers else ""
    back = f" offset {offset}" if offset else ""
    return Series(f"{row.prometheus}{part}{conditions}{back}", frozenset(labels), row=row)


def rate(of: Series, window: str) -> Expr:
    """Per second."""
    return _growth("rate", of, window)


def increase(of: Series, window: str) -> Expr:
    """How many in a window."""
    return _growth("increase", of, window)


def _growth(function: str, of: Series, window: str) -> Expr:
    assert of.row is not None
    if of.row.kind not in ("counter", "histogram"):
        raise ValueError(f"{function} of {of.row.name}, a {of.row.kind}, means nothing")
    return over(function, of, window)


def over(function: str, of: Series, window: str) -> Expr:
    """A function of what each series was within a window: `max_over_time`."""
    selector, offset, back = of.text.partition(" offset ")
    return Expr(f"{function}({selector}[{window}]{offset}{back})", of.labels)


def aggregate(function: str, of: Expr, by: Iterable[Label]) -> Expr:
    """The sum, or another aggregation, per value of the labels in `by`.

    Raises:
        ValueError: `of` has no such label.
    """
    names = [label(each) for each in by]
    unknown = [name for name in names if name not in of.labels]
    if unknown:
        raise ValueError(f"{of.text} has no label {', '.join(unknown)}")
    grouped = f" by ({', '.join(names)}) " if names else ""
    return Expr(f"{function}{grouped}({of.text})", frozenset(names))


def quantile(q: float, buckets: Expr) -> Expr:
    """What a share `q` of a histogram's values is not above, to the precision of its buckets; NaN when idle."""
    if not 0 < q < 1:
        raise ValueError(f"q={q} is outside 0..1")
    return Expr(f"histogram_quantile({q}, {buckets.text})", buckets.labels - {LE})


def ratio(part: Expr, whole: Expr, floor: float = 0, line: str = " ") -> Expr:
    """`part / whole` where the whole is more than `floor`: nothing, instead of NaN, when idle.

    Args:
        line: What stands before the division: a space, or a new line.

    Raises:
        ValueError: They have different labels: nothing would match.
    """
    check_same(part, whole)
    return Expr(f"{part.operand}{line}/ ({whole.operand} > {number(floor)})", part.labels, atom=False)


def check_same(left: Expr, right: Expr) -> None:
    """Refuse two expressions whose series can't be told to belong together."""
    if left.labels != right.labels:
        raise ValueError(f"{left.text} and {right.text} have different labels")
