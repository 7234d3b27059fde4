"""Verdicts as telemetry: what is in force, the evidence for it, and a log record whenever an alarm comes or goes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from otcache.regression._detector import WORST_FIRST, series_verdicts
from otcache.regression._hysteresis import Transition, alarms, in_force
from otcache.regression._model import Finding, Report, SeriesKey, Verdict
from otcache.regression._reporting.report import change, interval, series, worst_first
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.events import Events
from otcache.telemetry._instrumentation.metrics import Metrics, metrics_for
from otcache.telemetry.catalog import Instrument
from otcache.telemetry.providers import Providers
from otcache.version import __version__

_INDICATORS: Final[Mapping[str, str]] = {
    catalog.OPERATION_DURATION.name: "operation_duration",
    catalog.L2_DURATION.name: "l2_duration",
    catalog.LOOKUPS.name: "hit_ratio",
    catalog.OPERATIONS.name: "error_ratio",
    catalog.PAYLOAD_SIZE.name: "payload_size",
}
"""Indicator of each metric; findings of other metrics appear in reports only."""
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
    """A compared series in the words of the catalogue, in the order of its rows' attributes."""

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
    described = " ".join(known[name] for name in _SERIES if known.get(name)) or "all"
    tier = known.get(catalog.TIER.name, "none")
    return Identity(target, indicator, described, known.get(catalog.CACHE.name, "all"), tier)


Place = tuple[Instrument, tuple[str, ...]]
"""One series of a gauge or status: its row and its attributes' values."""


class Verdicts:
    """Reports verdicts about one service.

    Args:
        target: The service that is watched, `otcache.regression.target`.
        providers: Where to report; the global providers by default.
    """

    def __init__(self, target: str, providers: Providers | None = None) -> None:
        where = providers or Providers()
        self._target = target
        self._metrics: Metrics = metrics_for(where.meter_provider, __version__)
        self._events = Events(__version__, where.logger_provider, dropped=self._metrics.log_dropped)
        self._shown: set[Place] = set()
        for indicator in catalog.INDICATOR.values or ():
            for verdict in catalog.VERDICT.values or ():
                self._metrics.cell(catalog.EVALUATIONS, target, indicator, verdict, None)

    def restored(self, state: Mapping[str, Any]) -> None:
        """Show what was in force before a restart, until there is more to say."""
        self._show(dict(self._statuses(state, {})))

    def evaluated(
        self, report: Report, state: Mapping[str, Any], transitions: Iterable[Transition], seconds: float
    ) -> None:
        """Report one pass: what it found, what is in force after it (`hysteresis.step`), what came or went."""
        self._metrics.record(catalog.EVALUATION_DURATION, round(seconds * catalog.NS), self._target)
        latest = series_verdicts(report.findings)
        for key, verdict in latest.items():
            identified = identity(self._target, key)
            if identified is not None:
                self._metrics.add(catalog.EVALUATIONS, 1, self._target, identified.indicator, verdict, None)
        evidence = (place for finding in reversed(worst_first(report.findings)) for place in self._evidence(finding))
        self._show({**dict(self._statuses(state, latest)), **dict(evidence)})
        for transition in transitions:
            self._report_transition(transition)

    def failed(self, error: str, seconds: float) -> None:
        """A pass of so many seconds that could not be made, by `error.type`; what is in force stays."""
        self._metrics.record(catalog.EVALUATION_DURATION, round(seconds * catalog.NS), self._target)
        for indicator in catalog.INDICATOR.values or ():
            self._metrics.add(catalog.EVALUATIONS, 1, self._target, indicator, "inconclusive", error)

    # --- what is shown ------------------------------------------------------------------------------

    def _show(self, numbers: Mapping[Place, float]) -> None:
        """Let gauges show these and nothing else. The last is seen where several are folded into one."""
        for row, values in self._shown - numbers.keys():
            self._metrics.drop(row, *values)
        for (row, values), number in numbers.items():
            self._metrics.set(row, number, *values)
        self._shown = set(numbers)

    def _statuses(self, state: Mapping[str, Any], latest: Mapping[SeriesKey, Verdict]) -> Iterator[tuple[Place, float]]:
        """The worst last. An alarm whose series is gone is still in force: that is not clean."""
        shown: dict[SeriesKey, Verdict] = {**alarms(state)}
        shown |= {key: _in_force(state, key, verdict) for key, verdict in latest.items()}
        worst: dict[Identity, Verdict] = {}
        for key, verdict in shown.items():
            identified = identity(self._target, key)
            if identified is not None:
                worst[identified] = _worse(worst.get(identified, verdict), verdict)
        for identified, now in sorted(worst.items(), key=lambda item: -WORST_FIRST.index(item[1])):
            for state_name in catalog.VERDICT.values or ():
                yield (catalog.REGRESSION_STATUS, (*identified, state_name)), int(state_name == now)

    def _evidence(self, finding: Finding) -> Iterator[tuple[Place, float]]:
        identified = identity(self._target, finding.key)
        if identified is None or finding.statistic not in (catalog.STATISTIC.values or ()):
            return
        unit = "ratio" if finding.statistic == "ratio" else _UNITS[finding.key.metric]
        before, now = _SIDES.get(unit, (None, None))
        for row, number in ((catalog.REGRESSION_CHANGE, finding.change), (before, finding.baseline),
                            (now, finding.current)):  # fmt: skip
            if row is not None and number is not None and math.isfinite(number):
                yield (row, (*identified, finding.statistic)), number

    # --- transitions ------------------------------------------------------------------------------

    def _report_transition(self, transition: Transition) -> None:
        identified, finding = identity(self._target, transition.key), transition.finding
        if identified is None:
            return
        over = transition.after == "ok"
        said = "is over" if over else f"is {transition.after}"
        body = (
            f"regression of {series(transition.key)} in {self._target} {said}: "
            f"{finding.statistic} {change(finding)} ({interval(finding)})"
        )
        row = catalog.REGRESSION_RESOLVED if over else catalog.REGRESSION_DETECTED
        self._events.emit(row, body, _facts(identified, transition))


def _facts(identified: Identity, transition: Transition) -> dict[str, Any]:
    names = (catalog.TARGET, catalog.INDICATOR, catalog.SERIES, catalog.CACHE, catalog.TIER)
    finding = transition.finding
    facts: dict[str, Any] = {each.name: said for each, said in zip(names, identified, strict=True)}
    facts |= {catalog.STATISTIC.name: finding.statistic, catalog.VERDICT.name: transition.after}
    bounds = {catalog.CHANGE: finding.change, catalog.CHANGE_LOW: finding.low, catalog.CHANGE_HIGH: finding.high}
    return facts | {each.name: n for each, n in bounds.items() if n is not None and math.isfinite(n)}


def _worse(one: Verdict, other: Verdict) -> Verdict:
    return one if WORST_FIRST.index(one) < WORST_FIRST.index(other) else other


def _in_force(state: Mapping[str, Any], key: SeriesKey, latest: Verdict) -> Verdict:
    """What is shown: the alarm in force, else the last verdict; an alarm that is not confirmed yet is inconclusive."""
    level = in_force(state, key)
    if level != "ok":
        return level
    return "inconclusive" if latest in ("warning", "critical") else latest
