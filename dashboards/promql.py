"""PromQL from the catalogue's objects: a metric, label or value that nothing emits can't be written.

ratio(
    sum_by(rate(series(LOOKUPS, one_of(RESULT, "hit", "stale")))),
    sum_by(rate(series(LOOKUPS, one_of(RESULT, "hit", "stale", "miss")))),
)
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal

from otcache.telemetry.catalog import BENCHMARK, CACHE, TARGET, Attribute, Instrument

RATE: Final = "$__rate_interval"
RANGE: Final = "$__range"
JOB: Final = "job"
INSTANCE: Final = "instance"
LE: Final = "le"
NAME: Final = "__name__"
OVERFLOW: Final = "otel_metric_overflow"
"""Labels that come from the scrape, the exporter or the SDK."""
PREFIX: Final = "otcache_"

Part = Literal["", "_bucket", "_sum", "_count"]
Label = Attribute | str
"""An attribute, or the name of a label that no instrument has."""


def label(of: Label) -> str:
    """What an attribute is called in Prometheus."""
    return of if isinstance(of, str) else of.name.replace(".", "_")


# --- matchers -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on a label."""

    of: Label
    operator: Literal["=", "!=", "=~", "!~"]
    value: str

    def __str__(self) -> str:
        return f'{label(self.of)}{self.operator}"{self.value}"'


def one_of(attribute: Attribute, *values: str) -> Matcher:
    """Series whose `attribute` has one of these values."""
    _check_values(attribute, values)
    return Matcher(attribute, "=" if len(values) == 1 else "=~", "|".join(values))


def none_of(attribute: Attribute, *values: str) -> Matcher:
    """Series whose `attribute` has none of these values."""
    _check_values(attribute, values)
    return Matcher(attribute, "!=" if len(values) == 1 else "!~", "|".join(values))


def present(attribute: Attribute) -> Matcher:
    """Series that have `attribute`."""
    return Matcher(attribute, "!=", "")


def chosen(of: Label, variable: str) -> Matcher:
    """Series that the dashboard's variable selects."""
    return Matcher(of, "=~", f"${variable}")


def _check_values(attribute: Attribute, values: tuple[str, ...]) -> None:
    for value in values:
        if attribute.values is not None and value not in attribute.values:
            raise ValueError(f"{attribute.name} is never {value!r}, but one of {', '.join(attribute.values)}")
        if re.escape(value) != value.replace("-", r"\-"):
            raise ValueError(f"{value!r} means something in a regular expression")


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
    part: Part = field(default="")


def scope(row: Instrument) -> tuple[Matcher, ...]:
    """What the dashboard's variables say about a row: verdicts are of the service that is judged, not of the judge."""
    if BENCHMARK in row.keys:
        return (chosen(BENCHMARK, "benchmark"),)
    service = (chosen(TARGET, JOB),) if TARGET in row.keys else (chosen(JOB, JOB), chosen(INSTANCE, INSTANCE))
    return (*service, chosen(CACHE, "cache")) if CACHE in row.keys else service


def series(row: Instrument, *matchers: Matcher, part: Part = "", scoped: bool = True, offset: str = "") -> Series:
    """The series of an instrument that the variables and `matchers` select.

    Args:
        part: Of a histogram.
        scoped: Whether the variables count.
        offset: How far back in time, such as `1w`.

    Raises:
        ValueError: The instrument has no such attribute, or no such part.
    """
    if (row.kind == "histogram") != bool(part):
        raise ValueError(f"{row.name} is a {row.kind}: part={part!r} does not fit")
    for matcher in matchers:
        _check_label(row, matcher.of, part)
    conditions = (*scope(row), *matchers) if scoped else matchers
    back = f" offset {offset}" if offset else ""
    text = f"{row.prometheus}{part}{{{', '.join(map(str, conditions))}}}{back}"
    return Series(text, frozenset(_labels(row, part)), row=row, part=part)


def everything(*matchers: Matcher) -> Expr:
    """Every series of otcache's, of any metric."""
    conditions = (Matcher(NAME, "=~", f"{PREFIX}.+"), chosen(JOB, JOB), chosen(INSTANCE, INSTANCE), *matchers)
    return Expr(f"{{{', '.join(map(str, conditions))}}}", frozenset((NAME, JOB, INSTANCE)))


def _labels(row: Instrument, part: Part) -> tuple[str, ...]:
    return (*map(label, row.keys), JOB, INSTANCE, *((LE,) if part == "_bucket" else ()))


def _check_label(row: Instrument, of: Label, part: Part) -> None:
    if label(of) not in _labels(row, part):
        raise ValueError(f"{row.name} has no label {label(of)}, but {', '.join(_labels(row, part))}")


def rate(of: Series, window: str = RATE) -> Expr:
    """Per second."""
    return _over("rate", of, window)


def increase(of: Series, window: str = RATE) -> Expr:
    """How many in a window."""
    return _over("increase", of, window)


def _over(function: str, of: Series, window: str) -> Expr:
    assert of.row is not None
    if of.row.kind not in ("counter", "histogram"):
        raise ValueError(f"{function} of {of.row.name}, a {of.row.kind}, means nothing")
    selector, offset, back = of.text.partition(" offset ")
    return Expr(f"{function}({selector}[{window}]{offset}{back})", of.labels)


def sum_by(of: Expr, *by: Label) -> Expr:
    """The sum, per value of the labels in `by`."""
    return _aggregate("sum", of, by)


def max_by(of: Expr, *by: Label) -> Expr:
    """The largest."""
    return _aggregate("max", of, by)


def count_by(of: Expr, *by: Label) -> Expr:
    """How many series."""
    return _aggregate("count", of, by)


def _aggregate(function: str, of: Expr, by: tuple[Label, ...]) -> Expr:
    names = [label(each) for each in by]
    _check_by(of, names)
    grouped = f" by ({', '.join(names)}) " if names else ""
    return Expr(f"{function}{grouped}({of.text})", frozenset(names))


def _check_by(of: Expr, names: list[str]) -> None:
    unknown = [name for name in names if name not in of.labels]
    if unknown:
        raise ValueError(f"{of.text} has no label {', '.join(unknown)}")


def top(number: int, of: Expr) -> Expr:
    """The largest `number` of series."""
    return Expr(f"topk({number}, {of.text})", of.labels)


def quantile(q: float, row: Instrument, *matchers: Matcher, by: tuple[Label, ...] = ()) -> Expr:
    """What a share `q` of the values of a histogram is not above, to the precision of its buckets; no NaN when idle."""
    if not 0 < q < 1:
        raise ValueError(f"q={q} is outside 0..1")
    buckets = sum_by(rate(series(row, *matchers, part="_bucket")), LE, *by)
    return Expr(f"histogram_quantile({q}, {buckets.text}) >= 0", buckets.labels - {LE}, atom=False)


def mean(row: Instrument, *matchers: Matcher, by: tuple[Label, ...] = (), window: str = RATE) -> Expr:
    """The mean of the values of a histogram, exact."""
    total = sum_by(rate(series(row, *matchers, part="_sum"), window), *by)
    return ratio(total, sum_by(rate(series(row, *matchers, part="_count"), window), *by))


def ratio(part: Expr, whole: Expr) -> Expr:
    """`part / whole` where there is a whole: nothing, instead of NaN, when idle."""
    if part.labels != whole.labels:
        raise ValueError(f"{part.text} and {whole.text} have different labels")
    return Expr(f"{part.operand} / ({whole.operand} > 0)", part.labels, atom=False)


def or_zero(of: Expr) -> Expr:
    """0 where there is nothing: an error that has never happened has no series."""
    if of.labels:
        raise ValueError(f"{of.text} has labels, and 0 has none")
    return Expr(f"{of.operand} or vector(0)", of.labels, atom=False)


def plus(left: Expr, right: Expr, times: int = 1) -> Expr:
    """`left + times * right`, label by label."""
    if left.labels != right.labels:
        raise ValueError(f"{left.text} and {right.text} have different labels")
    factor = f"{times} * " if times != 1 else ""
    return Expr(f"{left.operand} + {factor}{right.operand}", left.labels, atom=False)


def times(number: int, of: Expr) -> Expr:
    """`number` of them: per hour instead of per second, for example."""
    return Expr(f"{number} * {of.operand}", of.labels, atom=False)


def product(left: Expr, right: Expr) -> Expr:
    """`left * right`, label by label."""
    if left.labels != right.labels:
        raise ValueError(f"{left.text} and {right.text} have different labels")
    return Expr(f"{left.operand} * {right.operand}", left.labels, atom=False)


def rest(of: Expr) -> Expr:
    """What a share leaves of the whole."""
    return Expr(f"1 - {of.operand}", of.labels, atom=False)


def only(of: Expr, where: Expr) -> Expr:
    """Series of `of` that `where` has too."""
    if of.labels != where.labels:
        raise ValueError(f"{of.text} and {where.text} have different labels")
    return Expr(f"{of.operand} and {where.operand}", of.labels, atom=False)


def some(of: Expr) -> Expr:
    """1 where there is at least one, else 0: several caches of one process add up what states they are in."""
    return Expr(f"{of.operand} > bool 0", of.labels, atom=False)


def shown(of: Expr) -> Expr:
    """Only series that are not 0."""
    return Expr(f"{of.operand} > 0", of.labels, atom=False)


def new(of: Expr, before: Expr) -> Expr:
    """Series of `of` that `before` does not have."""
    return Expr(f"{of.operand} unless {before.operand}", of.labels, atom=False)
