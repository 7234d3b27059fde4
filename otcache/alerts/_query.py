"""PromQL and texts of the rules, for one installation: its jobs, its labels, its scale of time."""

from __future__ import annotations

from typing import Final

from otcache.alerts import _promql as promql
from otcache.alerts._parameters import Parameters
from otcache.alerts._promql import JOB, Expr, Label, Matcher, Part, Series, label, number
from otcache.telemetry import catalog
from otcache.telemetry.catalog import Instrument

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86_400
WEEK: Final = 604_800

SHARE: Final = "{{ $value | humanizePercentage }}"
TIME: Final = "{{ $value | humanizeDuration }}"
AMOUNT: Final = "{{ $value | humanize }}"
TIMES: Final = '{{ $value | printf "%.0f" }}'
"""The value of an alert in its description, in Prometheus' templates."""


def its(of: Label) -> str:
    """A label of an alert in its description."""
    return f"{{{{ $labels.{label(of)} }}}}"


def percent(value: float) -> str:
    """A share in words of a description: `5%`."""
    return f"{number(value * 100)}%"


class Query:
    """What rules ask of an installation; sums are by `job`, the installation's own labels, and what is named.

    Attributes:
        parameters: The installation's.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters

    def time(self, seconds: float) -> str:
        """A duration, scaled."""
        return self.parameters.time(seconds)

    def series(self, row: Instrument, *matchers: Matcher, part: Part = "", lasting: bool = False) -> Series:
        """The series of a metric; `lasting` leaves out programs that end by themselves."""
        given, detector = self.parameters, row.scope == "otcache.regression"
        job = given.detector_job if detector else given.job
        mine = [Matcher(JOB, "=~", job)] if job else []
        if given.cache and catalog.CACHE in row.keys and not detector:
            mine.append(Matcher(catalog.CACHE, "=~", given.cache))
        if lasting and given.short_job:
            mine.append(Matcher(JOB, "!~", given.short_job))
        return promql.series(row, *mine, *matchers, part=part, targets=(JOB, promql.INSTANCE, *given.labels))

    def by(self, *labels: Label) -> tuple[Label, ...]:
        """The labels of an aggregation."""
        return (JOB, *self.parameters.labels, *labels)

    def on(self, *labels: Label) -> str:
        """The labels that two sides of an operator share."""
        return f"on ({', '.join(map(label, self.by(*labels)))})"

    def total(self, of: Expr, *labels: Label, how: str = "sum") -> Expr:
        """An aggregation."""
        return promql.aggregate(how, of, self.by(*labels))

    def rate(
        self, row: Instrument, seconds: float, *matchers: Matcher, by: tuple[Label, ...] = (), part: Part = ""
    ) -> Expr:
        """Growth per second within the last `seconds`, summed."""
        return self.total(promql.rate(self.series(row, *matchers, part=part), self.time(seconds)), *by)

    def increase(self, row: Instrument, seconds: float, *matchers: Matcher, by: tuple[Label, ...] = ()) -> Expr:
        """Growth within the last `seconds`, summed."""
        return self.total(promql.increase(self.series(row, *matchers), self.time(seconds)), *by)

    def p99(self, row: Instrument, seconds: float, *matchers: Matcher, by: tuple[Label, ...] = ()) -> Expr:
        """The 99th percentile of a histogram within the last `seconds`."""
        return promql.quantile(0.99, self.rate(row, seconds, *matchers, by=(*by, promql.LE), part="_bucket"))

    def yesterday(self, recorded: str, without: float = HOUR) -> str:
        """The mean of a recording over the last day, without the last hour."""
        return f"avg_over_time({recorded}[{self.time(DAY)}] offset {self.time(without)})"

    def last_week(self, recorded: str) -> str:
        """The mean of a recording at this hour a week ago."""
        return f"avg_over_time({recorded}[{self.time(HOUR)}] offset {self.time(WEEK)})"


def share(part: Expr, whole: Expr, floor: float) -> Expr:
    """`part` of `whole`, where the whole is more than `floor` per second."""
    return promql.ratio(part, whole, floor, line="\n")


def part_of(part: Expr, whole: Expr) -> Expr:
    """The share of `part` in `whole`; 0 where there never was a part, nothing where there is no whole now."""
    return promql.ratio(Expr(f"{part}\nor 0 * {whole}", part.labels, atom=False), whole, line="\n")


def base(row: Instrument) -> str:
    """A metric's name inside the name of a recording."""
    return row.prometheus.removesuffix("_total")
