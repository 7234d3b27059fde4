"""What the regression detector found, and whether it is at work at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from otcache.alerts.model import Alert
from otcache.alerts.parameters import Parameters
from otcache.alerts.promql import DAY, HOUR, MINUTE, Is, by, label, percent, select, summed, told
from otcache.telemetry.catalog import (
    CACHE,
    ERROR_TYPE,
    EVALUATIONS,
    INDICATOR,
    REGRESSION_CHANGE,
    REGRESSION_STATUS,
    TARGET,
    TIER,
    VERDICT,
)

_JUDGED: Final = tuple(each for each in REGRESSION_STATUS.attributes if each is not VERDICT)
"""What a verdict is about; of the change, the largest of its statistics."""
_FURTHER: Final = tuple(each for each in _JUDGED if each not in (TARGET, INDICATOR, CACHE, TIER))


def alerts(parameters: Parameters) -> Iterator[Alert]:
    """A warning, a critical one, and two for a detector that says nothing."""
    yield _verdict(parameters, "warning", "OtcacheRegressionWarning", parameters.regression_warning)
    yield _verdict(parameters, "critical", "OtcacheRegressionCritical", parameters.regression_critical)
    yield _stalled(parameters)
    yield _missing(parameters)


_RESTART: Final = 2 * MINUTE
"""What a restart of the detector may take: it must not end an alarm and begin it anew."""


def _verdict(parameters: Parameters, verdict: Literal["warning", "critical"], name: str, limit: float) -> Alert:
    """The value is the change; NaN where the detector told none, because a verdict is never lost for that."""
    held = parameters.time(_RESTART)
    status = f"max_over_time({select(parameters, REGRESSION_STATUS, {VERDICT: Is([verdict])})}[{held}])"
    holds = f"{summed(parameters, status, _JUDGED, 'max')} == 1"
    shift = f"last_over_time({select(parameters, REGRESSION_CHANGE)}[{held}])"
    change = summed(parameters, shift, _JUDGED, "max")
    further = " ".join(f"{{{{ $labels.{label(each)} }}}}" for each in _FURTHER)
    return Alert(
        name,
        verdict,
        "otcache-regressions",
        f"{change}\nand on ({by(parameters, *_JUDGED)}) ({holds})\nor NaN * ({holds})",
        5 * MINUTE + _RESTART,
        f"The regression detector's verdict is {verdict}.",
        told(
            f"{{indicator}} ({further}) of cache {{cache}}, tier {{tier}}, in {{target}} is worse by "
            f"{{{{ $value | humanizePercentage }}}}; {percent(limit)} is {verdict}.",
            indicator=INDICATOR,
            cache=CACHE,
            tier=TIER,
            target=TARGET,
        ),
    )


def _stalled(parameters: Parameters) -> Alert:
    """Evaluations that failed do not count."""
    window = parameters.time(HOUR)
    every = summed(parameters, f"increase({select(parameters, EVALUATIONS)}[{window}])", [TARGET])
    answered = select(parameters, EVALUATIONS, {ERROR_TYPE: Is([""])})
    good = summed(parameters, f"increase({answered}[{window}])", [TARGET])
    return Alert(
        "OtcacheRegressionDetectorStalled",
        "warning",
        "otcache-regressions",
        f"({good}\nor 0 * {every})\n== 0",
        30 * MINUTE,
        "The regression detector evaluates nothing.",
        told(
            f"{{{{ $labels.job }}}} has evaluated nothing of {{target}} for {window}: no verdict on it can be trusted.",
            target=TARGET,
        ),
    )


def _missing(parameters: Parameters) -> Alert:
    """With its job named, a detector that never came is missed as well; else only one that was there."""
    now = select(parameters, EVALUATIONS)
    day = parameters.time(DAY)
    before = summed(parameters, f"max_over_time({now}[{day}])", (), "group")
    gone = f"{before}\nunless on ({by(parameters)}) {summed(parameters, now, (), 'group')}"
    return Alert(
        "OtcacheRegressionDetectorMissing",
        "warning",
        "otcache-regressions",
        f"absent({now})" if parameters.detector_job else gone,
        15 * MINUTE,
        "The regression detector is gone.",
        "No metrics of a regression detector arrive{{ if $labels.job }} from {{ $labels.job }}{{ end }}: nobody "
        "watches for regressions.",
    )
