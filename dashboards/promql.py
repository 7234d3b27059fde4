"""PromQL of panels: `otcache.alerts._promql`, with Grafana's variables in every selector and its intervals as windows.

ratio(
    sum_by(rate(series(LOOKUPS, one_of(RESULT, "hit", "stale")))),
    sum_by(rate(series(LOOKUPS, one_of(RESULT, "hit", "stale", "miss")))),
)
"""

from __future__ import annotations

from typing import Final

from otcache.alerts import _promql as promql
from otcache.alerts._promql import (
    INSTANCE,
    JOB,
    LE,
    Expr,
    Label,
    Matcher,
    Part,
    Series,
    aggregate,
    check_same,
    label,
    none_of,
    one_of,
    present,
    ratio,
)
from otcache.telemetry.catalog import BENCHMARK, CACHE, TARGET, Instrument

__all__ = ["INSTANCE", "JOB", "LE", "Expr", "Label", "Matcher", "label", "none_of", "one_of", "present", "ratio"]

RATE: Final = "$__rate_interval"
RANGE: Final = "$__range"
NAME: Final = "__name__"
OVERFLOW: Final = "otel_metric_overflow"
"""A label that the SDK adds."""
PREFIX: Final = "otcache_"


def chosen(of: Label, variable: str) -> Matcher:
    """Series that the dashboard's variable selects."""
    return Matcher(of, "=~", f"${variable}")


def scope(row: Instrument) -> tuple[Matcher, ...]:
    """What the dashboard's variables say about a row: verdicts are of the service that is judged, not of the judge."""
    if BENCHMARK in row.keys:
        return (chosen(BENCHMARK, "benchmark"),)
    service = (chosen(TARGET, JOB),) if TARGET in row.keys else (chosen(JOB, JOB), chosen(INSTANCE, INSTANCE))
    return (*service, chosen(CACHE, "cache")) if CACHE in row.keys else service


def series(row: Instrument, *matchers: Matcher, part: Part = "", scoped: bool = True, offset: str = "") -> Series:
    """The series of an instrument that `matchers` and, unless `scoped` is false, the variables select.

    Raises:
        ValueError: The instrument has no such attribute, or no such part.
    """
    return promql.series(row, *(scope(row) if scoped else ()), *matchers, part=part, offset=offset)


def everything(*matchers: Matcher) -> Expr:
    """Every series of otcache's, of any metric."""
    conditions = (Matcher(NAME, "=~", f"{PREFIX}.+"), chosen(JOB, JOB), chosen(INSTANCE, INSTANCE), *matchers)
    return Expr(f"{{{', '.join(map(str, conditions))}}}", frozenset((NAME, JOB, INSTANCE)))


def rate(of: Series, window: str = RATE) -> Expr:
    """Per second."""
    return promql.rate(of, window)


def increase(of: Series, window: str = RATE) -> Expr:
    """How many in a window."""
    return promql.increase(of, window)


def sum_by(of: Expr, *by: Label) -> Expr:
    """The sum, per value of the labels in `by`."""
    return aggregate("sum", of, by)


def max_by(of: Expr, *by: Label) -> Expr:
    """The largest."""
    return aggregate("max", of, by)


def count_by(of: Expr, *by: Label) -> Expr:
    """How many series."""
    return aggregate("count", of, by)


def top(number: int, of: Expr) -> Expr:
    """The largest `number` of series."""
    return Expr(f"topk({number}, {of.text})", of.labels)


def quantile(q: float, row: Instrument, *matchers: Matcher, by: tuple[Label, ...] = ()) -> Expr:
    """What a share `q` of the values of a histogram is not above, to the precision of its buckets; no NaN when idle."""
    buckets = sum_by(rate(series(row, *matchers, part="_bucket")), LE, *by)
    found = promql.quantile(q, buckets)
    return Expr(f"{found} >= 0", found.labels, atom=False)


def mean(row: Instrument, *matchers: Matcher, by: tuple[Label, ...] = (), window: str = RATE) -> Expr:
    """The mean of the values of a histogram, exact."""
    total = sum_by(rate(series(row, *matchers, part="_sum"), window), *by)
    return ratio(total, sum_by(rate(series(row, *matchers, part="_count"), window), *by))


def or_zero(of: Expr) -> Expr:
    """0 where there is nothing: an error that has never happened has no series."""
    if of.labels:
        raise ValueError(f"{of.text} has labels, and 0 has none")
    return Expr(f"{of.operand} or vector(0)", of.labels, atom=False)


def plus(left: Expr, right: Expr, times: int = 1) -> Expr:
    """`left + times * right`, label by label."""
    check_same(left, right)
    factor = f"{times} * " if times != 1 else ""
    return Expr(f"{left.operand} + {factor}{right.operand}", left.labels, atom=False)


def times(number: int, of: Expr) -> Expr:
    """`number` of them: per hour instead of per second, for example."""
    return Expr(f"{number} * {of.operand}", of.labels, atom=False)


def product(left: Expr, right: Expr) -> Expr:
    """`left * right`, label by label."""
    check_same(left, right)
    return Expr(f"{left.operand} * {right.operand}", left.labels, atom=False)


def rest(of: Expr) -> Expr:
    """What a share leaves of the whole."""
    return Expr(f"1 - {of.operand}", of.labels, atom=False)


def only(of: Expr, where: Expr) -> Expr:
    """Series of `of` that `where` has too."""
    check_same(of, where)
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
