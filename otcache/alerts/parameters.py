"""What may be different from one installation to the next: thresholds, selectors, labels, links, times."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields
from typing import Any, Final, cast

from otcache.config._nearest import did_you_mean
from otcache.exceptions import LoadTimeout, ValidationError

RUNBOOKS: Final = "docs/runbooks.md"
"""Where the headings of the alerts are: a path in this repository, until an installation names a URL."""
CALLER_ERRORS: Final = tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in (ValidationError, LoadTimeout))
"""Values of `error.type` that are the caller's own: a mistake, a loader that takes too long."""
BENCHMARKS: Final = "otcache-bench"
"""The job of `otcache bench`, which reports by OTLP and ends."""
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Threshold:
    """One number that an alert compares with.

    Attributes:
        name: Its name in `Parameters`.
        default: Its value unless told otherwise.
        unit: share, x (a factor), s, /s (per second), or a plain count.
        low: Smallest value allowed.
        high: Largest value allowed.
        meaning: One sentence.
    """

    name: str
    default: float
    unit: str
    low: float
    high: float
    meaning: str

    def check(self, value: float) -> float:
        """`value`, if it is in the range.

        Raises:
            ValidationError: It is not.
        """
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            raise ValidationError(f"{self.name}={value} is outside {self.low:g}..{self.high:g} {self.unit}".rstrip())
        return value


def _threshold(default: float, unit: str, low: float, high: float, meaning: str) -> Any:
    """A field that is a `Threshold`."""
    return field(default=default, metadata={"unit": unit, "low": low, "high": high, "meaning": meaning})


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameters:
    """The parameters of all rules; every threshold is listed by `otcache alerts export --list`.

    Attributes:
        job: Regular expression for the `job` of applications; empty takes every job.
        cache: Regular expression for the names of caches; empty takes every cache.
        detector_job: Regular expression for the `job` of the regression detector. Given, its absence is an alert even
            if it was never there; empty, only one that was there within a day is missed.
        short_job: Regular expression for the `job` of programs that end by themselves: they are never missed.
        labels: Further labels of targets to group by: `cluster`, `namespace`.
        runbook_url: What an alert's anchor is added to.
        caller_errors: Values of `error.type` that are the caller's own and never raise an alarm.
        scale: Factor on every `for`, window and interval; below 1 only for tests and demonstrations.

    Raises:
        ValidationError: A value is outside its range, or is no expression, label or number.
    """

    job: str = ""
    cache: str = ""
    detector_job: str = ""
    short_job: str = BENCHMARKS
    labels: tuple[str, ...] = ()
    runbook_url: str = RUNBOOKS
    caller_errors: tuple[str, ...] = CALLER_ERRORS
    scale: float = 1.0

    # --- what callers feel --------------------------------------------------------------------------
    slo: float = _threshold(
        0.999,
        "share",
        0.5,
        0.99999,
        "Calls of a cache that must not raise to their caller; the error budget is the rest.",
    )
    slo_calls: float = _threshold(
        100.0, "", 0, 1e9, "Fewer calls than this within the longer window say nothing about the error budget."
    )
    degraded_share: float = _threshold(
        0.05, "share", 0, 1, "Operations without a tier that they should have used, above which it is told."
    )
    dropped_share: float = _threshold(0.05, "share", 0, 1, "Writes that no tier kept, above which it is told.")
    operation_floor: float = _threshold(
        0.1, "/s", 0, 1e6, "Less traffic than this is not judged by shares of operations, writes or round trips."
    )

    # --- hit ratio, latency, memory -----------------------------------------------------------------
    hit_ratio_drop: float = _threshold(
        0.2,
        "share",
        0.01,
        0.99,
        "Relative fall of the hit ratio below its own past, from which it is told.",
    )
    latency_factor: float = _threshold(
        1.5, "x", 1.01, 100, "Mean latency of a tier against its own past, above which it is told."
    )
    latency_floor_l1: float = _threshold(0.00002, "s", 0, 60, "A mean latency of L1 up to this is never told of.")
    latency_floor_l2: float = _threshold(0.0005, "s", 0, 60, "A mean latency of L2 up to this is never told of.")
    lookup_floor: float = _threshold(
        1.0, "/s", 0, 1e6, "Fewer lookups than this are not judged by hit ratio or latency."
    )
    eviction_share: float = _threshold(
        0.5, "share", 0, 1, "L1 writes that push out a live entry, above which it is told."
    )
    write_floor: float = _threshold(1.0, "/s", 0, 1e6, "Fewer L1 writes than this are not judged by their evictions.")

    # --- Redis --------------------------------------------------------------------------------------
    redis_down_share: float = _threshold(
        0.5, "share", 0.01, 1, "Far tiers that can't reach Redis, from which it is down and not only degraded."
    )
    circuit_recoveries: float = _threshold(
        3.0, "", 1, 1e6, "Times that a breaker closes again within 15 minutes, above which it flaps."
    )
    redis_error_share: float = _threshold(
        0.05, "share", 0, 1, "Round trips to Redis that fail, above which it is told."
    )
    redis_p99: float = _threshold(
        0.1,
        "s",
        0.0001,
        60,
        "99th percentile of round trips, above which they come near the deadline of a call (0.25 s).",
    )

    # --- loads and coherence ------------------------------------------------------------------------
    load_floor: float = _threshold(
        0.05, "/s", 0, 1e6, "Fewer loads, or callers who wait for one, than this are not judged by shares or times."
    )
    stampede_callers: float = _threshold(
        10.0, "", 0.1, 1e6, "Callers that wait for another's load, per load, above which it is told."
    )
    coalesce_timeout_share: float = _threshold(
        0.05, "share", 0, 1, "Waiting callers whose patience ends before the load does, above which it is told."
    )
    load_error_share: float = _threshold(0.05, "share", 0, 1, "Loads that fail, above which it is told.")
    load_factor: float = _threshold(
        2.0, "x", 1.01, 100, "Mean duration of a load against its own past, above which it is told."
    )
    load_duration_floor: float = _threshold(0.05, "s", 0, 3600, "A mean duration of loads up to this is never told of.")
    stale_share: float = _threshold(
        0.05, "share", 0, 1, "Lookups answered stale because loads fail or are slow, above which it is told."
    )
    backplane_losses: float = _threshold(
        3.0, "", 1, 1e6, "Times that L1 is emptied for others' news within 15 minutes, above which it is told."
    )
    backplane_lag: float = _threshold(
        0.5, "s", 0.001, 30, "99th percentile of the time until a write is seen elsewhere, above which it is told."
    )

    # --- callbacks, AI, regressions -----------------------------------------------------------------
    callback_share: float = _threshold(0.05, "share", 0, 1, "Runs of one callback that raise, above which it is told.")
    callback_floor: float = _threshold(0.02, "/s", 0, 1e6, "Fewer runs of a callback than this are not judged.")
    ai_savings_drop: float = _threshold(
        0.5, "share", 0.01, 0.99, "Relative fall of the share of tokens saved below yesterday's, from which it is told."
    )
    ai_token_floor: float = _threshold(1.0, "/s", 0, 1e9, "Fewer tokens than this, saved and spent, are not judged.")
    regression_warning: float = _threshold(
        0.10,
        "share",
        0,
        10,
        "The detector's threshold of a warning; only shown, it is set where the detector is started.",
    )
    regression_critical: float = _threshold(
        0.25, "share", 0, 10, "The detector's threshold of critical; only shown as well."
    )

    def __post_init__(self) -> None:
        for threshold in thresholds():
            threshold.check(getattr(self, threshold.name))
        if isinstance(self.scale, bool) or not (isinstance(self.scale, int | float) and 0.0001 <= self.scale <= 100):
            raise ValidationError(f"scale={self.scale} is outside 0.0001..100")
        for name in ("job", "cache", "detector_job", "short_job"):
            _check_expression(name, getattr(self, name))
        wrong = [label for label in self.labels if not _LABEL.fullmatch(label)]
        if wrong:
            raise ValidationError(f"label {wrong[0]!r} is not letters, digits and _, the first of them no digit")
        if not self.runbook_url or any(letter.isspace() for letter in self.runbook_url):
            raise ValidationError(f"runbook_url={self.runbook_url!r} is empty or holds a space")

    def time(self, seconds: float) -> str:
        """A duration of Prometheus: `5m`, scaled; whole milliseconds, at least one."""
        left = max(1, round(seconds * self.scale * 1000))
        for unit, size in (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
            if left % size == 0:
                return f"{left // size}{unit}"
        return f"{left}ms"


def _check_expression(name: str, pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as exc:
        raise ValidationError(f"{name}={pattern!r} is no regular expression: {exc}") from None


def thresholds() -> tuple[Threshold, ...]:
    """Every threshold, in the order of `Parameters`."""
    found = (each for each in fields(Parameters) if each.metadata)
    return tuple(Threshold(each.name, float(cast("float", each.default)), **each.metadata) for each in found)


def threshold_named(name: str) -> Threshold:
    """The threshold of that name.

    Raises:
        ValidationError: There is none; the message names the nearest one.
    """
    known = {threshold.name: threshold for threshold in thresholds()}
    if name in known:
        return known[name]
    hint = did_you_mean(name, known, otherwise=f"; there are: {', '.join(known)}", cutoff=0.4)
    raise ValidationError(f"there is no threshold {name!r}{hint}")


def threshold_value(name: str, text: str) -> float:
    """The number in `text`, in the range of the threshold `name`.

    Raises:
        ValidationError: There is no such threshold, or the text is no number, or it is outside the range.
    """
    threshold = threshold_named(name)
    try:
        value = float(text)
    except ValueError:
        raise ValidationError(f"{name}={text} is not a number") from None
    if not math.isfinite(value):
        raise ValidationError(f"{name}={text} is not a finite number")
    return threshold.check(value)
