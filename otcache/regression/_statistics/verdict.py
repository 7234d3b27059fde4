"""The rule: an interval on the scale of a specification becomes a verdict."""

from __future__ import annotations

import math
from typing import Final

from otcache.regression._model import MetricSpec, Verdict
from otcache.regression._statistics.shift import Interval

ROUNDING: Final = 1e-9
"""A change at the threshold counts, whatever the last binary digit says (decision 28)."""

MOST_LOGARITHM: Final = 700
"""Beyond it the exponential does not fit a float."""


def decide(worse: Interval, better: Interval, spec: MetricSpec, unit: float) -> Verdict:
    """The verdict on a change.

    A severity holds if the lower bound clears its half-way floor and the upper bound does not exclude its
    threshold: half-way between nothing and the warning, and half-way between warning and critical.

    Args:
        worse: The worsening on the specification's scale, 0.1 is 10 %.
        better: The same seen from the other side: how much worse the baseline is.
        spec: The thresholds.
        unit: The absolute change that 1.0 stands for, in the metric's unit.
    """
    severity = _severity(worse, spec)
    if severity is not None:
        return severity if _counts(worse.estimate, spec, unit) else "minor"
    if _holds(better, spec.warning / 2, spec.warning) and _counts(better.estimate, spec, unit):
        return "improved"
    if worse.high < spec.warning - ROUNDING or worse.high * unit < spec.min_abs:
        is_real = worse.low > spec.warning / 2 and _counts(worse.estimate, spec, unit)
        return "minor" if is_real else "ok"
    return "inconclusive"


def _severity(worse: Interval, spec: MetricSpec) -> Verdict | None:
    if _holds(worse, (spec.warning + spec.critical) / 2, spec.critical):
        return "critical"
    return "warning" if _holds(worse, spec.warning / 2, spec.warning) else None


def _holds(change: Interval, floor: float, threshold: float) -> bool:
    return change.low > floor and change.high >= threshold - ROUNDING


def _counts(change: float, spec: MetricSpec, unit: float) -> bool:
    return abs(change) * unit >= spec.min_abs


def explain(verdict: Verdict, worse: Interval, spec: MetricSpec) -> str:
    """What a verdict rests on, in one sentence."""
    bounds = f"between {show(worse.low, spec)} and {show(worse.high, spec)}"
    threshold = show(spec.critical if verdict == "critical" else spec.warning, spec)
    if verdict == "inconclusive":
        return f"too noisy: the change lies {bounds}, so {threshold} is neither shown nor ruled out"
    if verdict == "minor":
        floor = f" and {spec.min_abs:g} or more" if spec.min_abs else ""
        return f"a real change {bounds}, too small to count (warning at {threshold}{floor})"
    if verdict == "ok":
        return f"the change lies {bounds}: {threshold} is ruled out"
    if verdict == "improved":
        return f"better: the change lies {bounds}"
    return f"worse: the change lies {bounds} ({verdict} at {threshold})"


def show(change: float, spec: MetricSpec) -> str:
    """A change for people: `+12.3 %`, or `+1.2 points`."""
    if math.isinf(change):
        return "any worsening" if change > 0 else "any improvement"
    return f"{change * 100:+.1f} {'points' if spec.scale == 'points' else '%'}"


def growth(logarithm: float) -> float:
    """A difference of logarithms as a fraction: log(1.1) is 0.1."""
    if math.isinf(logarithm):
        return logarithm
    return math.inf if logarithm > MOST_LOGARITHM else math.expm1(logarithm)
