"""What the regression detector found, and whether it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from otcache.alerts._model import Alert, Rules
from otcache.alerts._promql import JOB, absent, one_of, over
from otcache.alerts._query import DAY, HOUR, MINUTE, SHARE, Query, its, percent
from otcache.telemetry import catalog
from otcache.telemetry.catalog import CACHE, INDICATOR, TARGET, TIER

ALERTS: Final = Rules()
_JUDGED: Final = tuple(each for each in catalog.REGRESSION_STATUS.attributes if each is not catalog.VERDICT)
"""What a verdict is about; of the change, the largest of its statistics."""
_FURTHER: Final = tuple(each for each in _JUDGED if each not in (TARGET, INDICATOR, CACHE, TIER))
_RESTART: Final = 2 * MINUTE
"""What a restart of the detector may take: it must not end an alarm and begin a second one."""


@ALERTS.add
def _warning(q: Query) -> Iterator[Alert]:
    yield _verdict(q, "warning", "OtcacheRegressionWarning", q.parameters.regression_warning)


@ALERTS.add
def _critical(q: Query) -> Iterator[Alert]:
    yield _verdict(q, "critical", "OtcacheRegressionCritical", q.parameters.regression_critical)


def _verdict(q: Query, verdict: Literal["warning", "critical"], name: str, limit: float) -> Alert:
    """The value is the change; NaN where the detector exported none, so that no verdict is lost."""
    held = q.time(_RESTART)
    status = over("max_over_time", q.series(catalog.REGRESSION_STATUS, one_of(catalog.VERDICT, verdict)), held)
    change = over("last_over_time", q.series(catalog.REGRESSION_CHANGE), held)
    holds = f"{q.total(status, *_JUDGED, how='max')} == 1"
    return Alert(
        name,
        verdict,
        "otcache-regressions",
        f"{q.total(change, *_JUDGED, how='max')}\nand {q.on(*_JUDGED)} ({holds})\nor NaN * ({holds})",
        5 * MINUTE + _RESTART,
        f"The regression detector's verdict is {verdict}.",
        f"{its(INDICATOR)} ({' '.join(map(its, _FURTHER))}) of cache {its(CACHE)}, tier {its(TIER)}, in {its(TARGET)} "
        f"is worse by {SHARE}; {percent(limit)} is {verdict}. Find the release at which the change began.",
    )


@ALERTS.add
def _stalled(q: Query) -> Iterator[Alert]:
    every = q.increase(catalog.EVALUATIONS, HOUR, by=(TARGET,))
    good = q.increase(catalog.EVALUATIONS, HOUR, absent(catalog.ERROR_TYPE), by=(TARGET,))
    yield Alert(
        "OtcacheRegressionDetectorStalled",
        "warning",
        "otcache-regressions",
        f"({good}\nor 0 * {every})\n== 0",
        30 * MINUTE,
        "No evaluation of the regression detector succeeds.",
        f"{its(JOB)} has evaluated nothing of {its(TARGET)} for {q.time(HOUR)}: its verdicts are out of date. Look at "
        "the evaluations by error.",
    )


@ALERTS.add
def _missing(q: Query) -> Iterator[Alert]:
    """With its job named, a detector that never reported is missed as well; else only one that reported before."""
    now = q.series(catalog.EVALUATIONS)
    before = q.total(over("max_over_time", now, q.time(DAY)), how="group")
    gone = f"{before}\nunless {q.on()} {q.total(now, how='group')}"
    yield Alert(
        "OtcacheRegressionDetectorMissing",
        "warning",
        "otcache-regressions",
        f"absent({now})" if q.parameters.detector_job else gone,
        15 * MINUTE,
        "The regression detector exports nothing.",
        f"No metrics of a regression detector arrive{{{{ if $labels.job }}}} from {its(JOB)}{{{{ end }}}}: no "
        "regression will be found. Check that the process runs and is scraped.",
    )
