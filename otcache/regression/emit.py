"""Verdicts as telemetry: what is in force, the evidence for it, and a log record whenever an alarm comes or goes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from otcache.regression.detector import series_verdicts
from otcache.regression.hysteresis import Transition, alarms, in_force
from otcache.regression.model import Finding, Report, SeriesKey, Verdict
from otcache.regression.report import change, interval, series
from otcache.telemetry import catalog
from otcache.telemetry.catalog import Instrument
from otcache.telemetry.events import Events
from otcache.telemetry.metrics import Metrics, metrics_for
from otcache.telemetry.providers import Providers
from otcache.version import __version__

_INDICATORS: Final[Mapping[str, str]] = {
    catalog.OPERATION_DURATION.name: "operation_duration",
    catalog.L2_DURATION.name: "l2_duration",
    catalog.LOOKUPS.name: "hit_ratio",
    catalog.OPERATIONS.name: "error_ratio",
    catalog.PAYLOAD_SIZE.name: "payload_size",
}
"""What a metric is judged for; findings of other metrics are reported, and are no telemetry."""
_SERIES: Final = tuple(
    attribute.name
    for attribute in (catalog.OPERATION, catalog.RESULT, catalog.DB_OPERATION, catalog.IO_DIRECTION, catalog.ERROR_TYPE)
)
"""Attributes that tell series of one indicator apart, beside cache and tier."""
_SIDES: Final[Mapping[str, tuple[Instrument, Instrument]]] = {
    "s": (catalog.BASELINE_DURATION, catalog.CURRENT_DURATION),
    "ratio": (catalog.BASELINE_RATIO, catalog.CURRENT_RATIO),
}
_UNITS: Final = {row.name: row.unit for row in catalog.INSTRUMENTS}


class Identity(NamedTuple):
    """A judged series in the words of the catalogue, in the order of its rows' attributes."""

    target: str
    indicator: str
    series: str
    cache: str
    tier: str


def identity(target: str, key: SeriesKey) -> Identity | None:
    """The identity of a series; `None` for one that is no telemetry."""
    indicator = _INDICATORS.get(key.metric)
    if indicator is None:
        return None
    known = dict(key.attributes)
    told = " ".join(known[name] for name in _SERIES if known.get(name)) or "all"
    tier = known.get(catalog.TIER.name, "none")
    return Identity(target, indicator, told, known.get(catalog.CACHE.name, "all"), tier)


class Verdicts:
    """Reports verdicts about one service.

    Args:
        target: The service that is judged, `otcache.regression.target`.
        providers: Where to report; the global providers by default.
    """

    def __init__(self, target: str, providers: Providers | None = None) -> None:
        where = providers or Providers()
        self._target = target
        self._metrics: Metrics = metrics_for(where.meter_provider, __version__)
        self._events = Events(__version__, where.logger_provider, dropped=lambda: None)
        self._shown: set[tuple[Instrument, tuple[str, ...]]] = set()
        for indicator in catalog.INDICATOR.values or ():
            for verdict in catalog.VERDICT.values or ():
                self._metrics.cell(catalog.EVALUATIONS, target, indicator, verdict, None)

    def restored(self, state: Mapping[str, Any]) -> None:
        """Show what was in force when the last process ended: the first look may take a while, or fail."""
        for key, level in alarms(state).items():
            judged = identity(self._target, key)
            self._shown.update(self._status(judged, level) if judged is not None else ())

    def evaluated(
        self, report: Report, state: Mapping[str, Any], transitions: Iterable[Transition], seconds: float
    ) -> None:
        """Report one pass.

        Args:
            report: What it found.
            state: What is in force after it (`hysteresis.step`).
            transitions: What came into force or went.
            seconds: How long it took.
        """
        self._metrics.record(catalog.EVALUATION_DURATION, round(seconds * catalog.NS), self._target)
        shown: set[tuple[Instrument, tuple[str, ...]]] = set()
        for key, level in alarms(state).items():  # also of series that are not there any more: that is not clean
            judged = identity(self._target, key)
            shown.update(self._status(judged, level) if judged is not None else ())
        for key, verdict in series_verdicts(report.findings).items():
            judged = identity(self._target, key)
            if judged is not None:
                self._metrics.add(catalog.EVALUATIONS, 1, self._target, judged.indicator, verdict, None)
                shown.update(self._status(judged, _in_force(state, key, verdict)))
        for finding in report.findings:
            shown.update(self._evidence(finding))
        for row, values in self._shown - shown:
            self._metrics.drop(row, *values)
        self._shown = shown
        for transition in transitions:
            self._tell(transition)

    def failed(self, error: str, seconds: float) -> None:
        """A pass that could not be made; what is in force stays.

        Args:
            error: `error.type` of what went wrong.
            seconds: How long it took.
        """
        self._metrics.record(catalog.EVALUATION_DURATION, round(seconds * catalog.NS), self._target)
        for indicator in catalog.INDICATOR.values or ():
            self._metrics.add(catalog.EVALUATIONS, 1, self._target, indicator, "inconclusive", error)

    def _status(self, judged: Identity, now: Verdict) -> Iterator[tuple[Instrument, tuple[str, ...]]]:
        for verdict in catalog.VERDICT.values or ():
            self._metrics.set(catalog.REGRESSION_STATUS, int(verdict == now), *judged, verdict)
            yield catalog.REGRESSION_STATUS, (*judged, verdict)

    def _evidence(self, finding: Finding) -> Iterator[tuple[Instrument, tuple[str, ...]]]:
        judged = identity(self._target, finding.key)
        if judged is None or finding.statistic not in (catalog.STATISTIC.values or ()):
            return
        unit = "ratio" if finding.statistic == "ratio" else _UNITS[finding.key.metric]
        before, now = _SIDES.get(unit, (None, None))
        for row, number in ((catalog.REGRESSION_CHANGE, finding.change), (before, finding.baseline),
                            (now, finding.current)):  # fmt: skip
            if row is not None and number is not None:
                self._metrics.set(row, number, *judged, finding.statistic)
                yield row, (*judged, finding.statistic)

    def _tell(self, transition: Transition) -> None:
        judged, finding = identity(self._target, transition.key), transition.finding
        if judged is None:
            return
        over = transition.after == "ok"
        row = catalog.REGRESSION_RESOLVED if over else catalog.REGRESSION_DETECTED
        names = (catalog.TARGET, catalog.INDICATOR, catalog.SERIES, catalog.CACHE, catalog.TIER)
        facts: dict[str, Any] = {each.name: said for each, said in zip(names, judged, strict=True)}
        facts |= {catalog.STATISTIC.name: finding.statistic, catalog.VERDICT.name: transition.after}
        bounds = {catalog.CHANGE: finding.change, catalog.CHANGE_LOW: finding.low, catalog.CHANGE_HIGH: finding.high}
        facts |= {each.name: number for each, number in bounds.items() if number is not None}
        said = "is over" if over else f"is {transition.after}"
        body = (
            f"regression of {series(transition.key)} in {self._target} {said}: "
            f"{finding.statistic} {change(finding.change)} ({interval(finding)})"
        )
        self._events.emit(row, body, facts)


def _in_force(state: Mapping[str, Any], key: SeriesKey, latest: Verdict) -> Verdict:
    """What is shown: the alarm in force, else the last verdict; an alarm not yet confirmed can't be told."""
    level = in_force(state, key)
    if level != "ok":
        return level
    return "inconclusive" if latest in ("warning", "critical") else latest
