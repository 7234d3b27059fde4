"""What differs from one installation to the next: thresholds, selectors, labels, links, times."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from otcache.alerts.thresholds import ALERTS, AlertThresholds
from otcache.exceptions import LoadTimeout, ValidationError

RUNBOOKS: Final = "docs/runbooks.md"
"""Where the headings of the alerts are: a path in this repository, until an installation names a URL."""
CALLER_ERRORS: Final = tuple(f"{kind.__module__}.{kind.__qualname__}" for kind in (ValidationError, LoadTimeout))
"""Values of `error.type` that are the caller's own: a mistake, a loader that takes too long."""
BENCHMARKS: Final = "otcache-bench"
"""The job of `otcache bench`, which reports by OTLP and ends."""
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameters(AlertThresholds):
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

    def __post_init__(self) -> None:
        for threshold in ALERTS.values():
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
