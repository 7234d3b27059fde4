"""Whether one result is slower or larger than another: by statistics where there are raw rounds, else by thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Final, Literal

from otcache.benchmarks._run.result import BenchmarkResult
from otcache.exceptions import ValidationError
from otcache.regression._model import Finding, Run, SeriesKey, Statistic, Verdict
from otcache.regression._runs import BENCHMARK, compare_runs

MUST_AGREE: Final = ("cpu", "cpu_count", "system", "python", "server")
"""Facts of a fingerprint that two results must share; versions and commits are what one compares."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which worsening on a change is a warning, and critical: percent.

    Raises:
        ValidationError: One is no number above 0, or they are out of order.
    """

    warning: float = 10.0
    critical: float = 25.0

    def __post_init__(self) -> None:
        """Check both."""
        for name in ("warning", "critical"):
            _check_threshold(f"{name}_threshold", getattr(self, name))
        if self.warning >= self.critical:
            raise ValidationError(
                f"warning_threshold={self.warning} is not below critical_threshold={self.critical}",
                {"warning_threshold": self.warning, "critical_threshold": self.critical},
            )


def _check_threshold(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValidationError(f"{name} is {type(value).__name__}, not a number of percent above 0", {"field": name})
    if not isfinite(value) or value <= 0:
        raise ValidationError(f"{name}={value} is outside 0..inf %, both excluded", {"field": name})


@dataclass(frozen=True, slots=True)
class Metric:
    """A field of `BenchmarkResult` that is compared.

    Attributes:
        field: Its name.
        statistic: What it is of the durations.
        type: What its worsening is called.
        min_abs: Smallest difference that counts, in the field's unit.
        worse: Whether higher or lower is worse.
        raw: Where the metadata has the figure per process: `rounds`, or a name in its tails; empty where it has not.
    """

    field: str
    statistic: Statistic
    type: str
    min_abs: float = 0.0
    worse: Literal["higher", "lower"] = "higher"
    raw: str = ""


TIMING: Final = (
    Metric("avg_duration_ms", "mean", "timing_regression", raw="rounds"),
    Metric("p95_duration_ms", "p95", "timing_regression", raw="p95"),
    Metric("p99_duration_ms", "p99", "timing_regression", raw="p99"),
)
MEMORY: Final = (
    # a tenth of a MB is what Python itself allocates differently from run to run
    Metric("memory_usage_mb", "level", "memory_regression", min_abs=0.1),
    Metric("memory_peak_mb", "level", "memory_regression", min_abs=0.1),
)
HIT_RATE: Final = Metric("cache_hit_rate", "ratio", "hit_rate_regression", worse="lower")


def compare(old: BenchmarkResult, new: BenchmarkResult, metric: Metric, thresholds: Thresholds) -> Finding:
    """`new` against `old` in one metric.

    Raises:
        ValidationError: The raw rounds in the metadata are not what docs/benchmarks.md says.
    """
    key = SeriesKey(metric.field, frozenset({("operation", new.operation)}))
    before, after = getattr(old, metric.field), getattr(new, metric.field)
    empty = Finding(
        key, metric.statistic, "inconclusive", baseline=before, current=after, method="none", n_baseline=1, n_current=1
    )
    if reason := _incomparable(old, new):
        return replace(empty, reason=reason)
    sides = (_runs(old, metric.raw), _runs(new, metric.raw))
    if metric.raw and all(sides):
        found = decide(*sides, thresholds)
        return replace(found, key=key, statistic=empty.statistic, baseline=empty.baseline, current=empty.current)
    why = "the results carry no raw rounds" if metric.raw else "there is one figure a side"
    return _by_threshold(empty, metric, thresholds, why)


def _incomparable(old: BenchmarkResult, new: BenchmarkResult) -> str:
    """Why the two can't be compared; empty if they can."""
    if old.operation != new.operation:
        return f"{old.operation} and {new.operation} are different operations"
    sizes = [result.metadata.get("data_size") for result in (old, new)]
    if None not in sizes and sizes[0] != sizes[1]:
        return f"values of {sizes[0]} and of {sizes[1]} bytes are different work"
    before, after = (result.metadata.get("fingerprint") for result in (old, new))
    return _different(before, after) if isinstance(before, Mapping) and isinstance(after, Mapping) else ""


def _different(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    differing = [name for name in MUST_AGREE if old.get(name) != new.get(name)]
    shown = ", ".join(f"{name} {old.get(name, 'none')} and {new.get(name, 'none')}" for name in differing)
    return f"they ran on different machines or versions: {shown}" if differing else ""


# --- raw rounds -----------------------------------------------------------------------------------------


def _runs(result: BenchmarkResult, raw: str) -> tuple[Run, ...]:
    """One run per process: its rounds, or its quantile as the only round."""
    if not raw:
        return ()
    try:
        if raw == "rounds":
            return tuple(_run(each, each["rounds"]) for each in result.metadata.get("runs", ()))
        return tuple(_run(each, [each[raw]]) for each in result.metadata.get("tails", ()))
    except (TypeError, KeyError, ValueError) as exc:
        raise ValidationError(f"metadata of {result.operation}: its runs or tails are malformed") from exc


def _run(facts: Mapping[str, Any], rounds: Sequence[float]) -> Run:
    figures = tuple(float(each) for each in rounds)
    if not figures or not all(isfinite(each) and each > 0 for each in figures):
        raise ValueError("a round is not a number above 0")
    return Run(str(facts["process"]), figures, float(facts.get("at", 0.0)))


def decide(old_runs: Sequence[Run], new_runs: Sequence[Run], thresholds: Thresholds) -> Finding:
    """Whether the processes of `new_runs` took longer than those of `old_runs` (docs/regression.md says by which rule).

    Returns:
        A finding without a name: `change`, `low` and `high` as fractions of the baseline.
    """
    spec = replace(BENCHMARK, warning=thresholds.warning / 100, critical=thresholds.critical / 100)
    return replace(compare_runs(old_runs, new_runs, spec), method="statistical")


# --- bare figures ---------------------------------------------------------------------------------------


def _by_threshold(empty: Finding, metric: Metric, thresholds: Thresholds, why: str) -> Finding:
    finding = replace(empty, method="threshold", reason=f"no statistics were possible: {why}")
    old, new = finding.baseline, finding.current
    if old is None or new is None or not isfinite(old) or not isfinite(new):
        return replace(finding, reason=f"{old} and {new} can't be compared: one is no number")
    difference = new - old if metric.worse == "higher" else old - new
    if difference == 0 or abs(difference) < metric.min_abs:
        return replace(finding, verdict="ok", change=difference / old if old > 0 else None)
    if old <= 0:
        return replace(finding, reason=f"a change from {old} has no percentage")
    percent = round(difference / old * 100, 9)
    return replace(finding, change=percent / 100, verdict=_past(percent, thresholds))


def _past(percent: float, thresholds: Thresholds) -> Verdict:
    """The documented rule: at or above a threshold."""
    if percent >= thresholds.critical:
        return "critical"
    if percent >= thresholds.warning:
        return "warning"
    return "improved" if percent <= -thresholds.warning else "ok"


# --- as dictionaries ------------------------------------------------------------------------------------


def entry(finding: Finding, metric: Metric, thresholds: Thresholds) -> dict[str, Any]:
    """What the documented methods give for a finding."""
    operation = dict(finding.key.attributes)["operation"]
    severity = finding.verdict
    return {
        "type": metric.type,
        "metric": metric.field,
        "operation": operation,
        "severity": severity,
        "old_value": finding.baseline,
        "new_value": finding.current,
        "change_percent": _percent(finding.change),
        "threshold": thresholds.critical if severity == "critical" else thresholds.warning,
        "method": finding.method,
        "ci_low_percent": _percent(finding.low),
        "ci_high_percent": _percent(finding.high),
        "samples": {"old": finding.n_baseline, "new": finding.n_current},
        "message": f"{operation}: {_message(finding, metric, thresholds)}",
    }


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else round(fraction * 100, 9)


def _message(finding: Finding, metric: Metric, thresholds: Thresholds) -> str:
    if finding.change is None:
        return f"{metric.field} has no verdict: {finding.reason}"
    limit = thresholds.critical if finding.verdict == "critical" else thresholds.warning
    went = f"{metric.field} went from {finding.baseline:g} to {finding.current:g}"
    how = f"{'better' if finding.change < 0 else 'worse'} by {abs(finding.change) * 100:.1f} %{_bounds(finding)}"
    return f"{went} ({how}; threshold {limit:g} %)" + (f"; {finding.reason}" if finding.reason else "")


def _bounds(finding: Finding) -> str:
    if finding.low is None or finding.high is None:
        return ""
    return f", between {finding.low * 100:+.1f} and {finding.high * 100:+.1f} %"
