"""The documented detector: what is slower, or holds more memory, than it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otcache.benchmarks._run.result import BenchmarkResult
from otcache.benchmarks._run.verdict import MEMORY, TIMING, Metric, Thresholds, compare, entry
from otcache.exceptions import ValidationError


class PerformanceRegressionDetector:
    """Compares two results of one operation.

    Args:
        warning_threshold: From which worsening on it is a warning: percent, above 0.
        critical_threshold: The same for critical, above `warning_threshold`.

    Raises:
        ValidationError: A threshold is no number above 0, or they are out of order.
    """

    def __init__(self, warning_threshold: float = 10.0, critical_threshold: float = 25.0) -> None:
        self._thresholds = Thresholds(warning_threshold, critical_threshold)

    @property
    def warning_threshold(self) -> float:
        """Percent."""
        return self._thresholds.warning

    @property
    def critical_threshold(self) -> float:
        """Percent."""
        return self._thresholds.critical

    def detect_timing_regressions(
        self, old_result: BenchmarkResult, new_result: BenchmarkResult
    ) -> list[dict[str, Any]]:
        """What takes longer than before, of the mean, the 95th and the 99th percentile.

        Results with raw rounds are compared by statistics and need six processes a side; others by thresholds alone.

        Returns:
            A dictionary per metric that is worse (`severity` warning or critical) or that has no verdict
            (inconclusive, with the reason in `message`); see docs/benchmarks.md. Empty: nothing is worse.

        Raises:
            ValidationError: An argument is no `BenchmarkResult`, or its raw rounds are malformed.
        """
        return self._worse(old_result, new_result, TIMING)

    def detect_memory_regressions(
        self, old_result: BenchmarkResult, new_result: BenchmarkResult
    ) -> list[dict[str, Any]]:
        """What holds more memory than before, at the end and at the peak; less than 0.1 MB does not count.

        Returns:
            As `detect_timing_regressions`, always by the thresholds.

        Raises:
            ValidationError: An argument is no `BenchmarkResult`.
        """
        return self._worse(old_result, new_result, MEMORY)

    def _worse(self, old: BenchmarkResult, new: BenchmarkResult, metrics: Sequence[Metric]) -> list[dict[str, Any]]:
        _check("old_result", old)
        _check("new_result", new)
        findings = [(compare(old, new, metric, self._thresholds), metric) for metric in metrics]
        return [
            entry(finding, metric, self._thresholds)
            for finding, metric in findings
            if finding.verdict in ("warning", "critical", "inconclusive")
        ]


def _check(name: str, value: Any) -> None:
    if not isinstance(value, BenchmarkResult):
        raise ValidationError(f"{name} is {type(value).__name__}, not a BenchmarkResult", {"field": name})
