"""What the detector reads, and what it says: windows of exported numbers, and findings with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Verdict = Literal["ok", "minor", "warning", "critical", "improved", "inconclusive"]
"""ok: a regression at the warning threshold is ruled out. minor: a real change below it. inconclusive: can't tell."""
SEVERITY: Final[Mapping[Verdict, int]] = {
    "improved": 0, "ok": 0, "minor": 0, "inconclusive": 0, "warning": 1, "critical": 2,
}  # fmt: skip
"""What raises an alarm, and how loud."""

Kind = Literal["histogram", "ratio", "gauge"]
Statistic = Literal["mean", "p50", "p95", "p99", "ratio", "level", "p25", "min"]
"""p25 and min are of benchmarks: the lower quartile and the minimum of a process's rounds."""
Scale = Literal["relative", "points"]


# --- what is read ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Explicit:
    """Buckets with explicit boundaries.

    Attributes:
        bounds: Inclusive upper bounds, ascending; the overflow bucket above the last has index `len(bounds)`.
    """

    bounds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Exponential:
    """Base-2 exponential buckets: index i holds (b**i, b**(i+1)] with b = 2**(2**-scale).

    Attributes:
        scale: -10..20; larger is finer.
        zero_threshold: What is not above this is in the window's `zero`.
    """

    scale: int
    zero_threshold: float = 0.0


Layout = Explicit | Exponential


@dataclass(frozen=True, slots=True)
class HistogramWindow:
    """What one histogram counted in one interval.

    Attributes:
        start: Seconds since the epoch.
        end: Seconds since the epoch, above `start`.
        count: Values; a fraction where the source extrapolates.
        sum: Their sum, in the metric's unit.
        layout: How they are bucketed.
        counts: Values per bucket index; empty buckets are left out.
        zero: Values in the zero bucket of an exponential layout.
    """

    start: float
    end: float
    count: float
    sum: float
    layout: Layout
    counts: Mapping[int, float]
    zero: float = 0.0


@dataclass(frozen=True, slots=True)
class CounterWindow:
    """How much a family of counters grew in one interval, by the attribute that the ratio is about.

    Attributes:
        by: Growth per value, the values of several attributes joined by `/`: `{"hit/none": 812, "miss/absent": 40}`.
    """

    start: float
    end: float
    by: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class GaugeWindow:
    """What a gauge showed in one interval."""

    start: float
    end: float
    values: tuple[float, ...]


Window = HistogramWindow | CounterWindow | GaugeWindow


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """Which series.

    Attributes:
        metric: The catalogue's name, dotted, whatever the source calls it.
        attributes: Name and value pairs of the catalogue, dotted.
        resource: The same for what tells the process: `service.name`, or `job`.
    """

    metric: str
    attributes: frozenset[tuple[str, str]] = frozenset()
    resource: frozenset[tuple[str, str]] = frozenset()

    def __str__(self) -> str:
        shown = ", ".join(f"{short(name)}={value}" for name, value in sorted(self.attributes))
        return f"{self.metric}{{{shown}}}" if shown else self.metric


def short(attribute: str) -> str:
    """The word of an attribute's name that says most: `operation` of `db.operation.name`."""
    return attribute.removesuffix(".name").rpartition(".")[2]


Dataset = Mapping[SeriesKey, tuple[Window, ...]]
"""What a source gives: per series its windows, in the order of time, none of them overlapping."""


@dataclass(frozen=True, slots=True)
class Run:
    """One fresh process of a benchmark.

    Attributes:
        process: Which process; runs of one process are not independent.
        rounds: Seconds per operation, round by round.
        at: When, seconds since the epoch.
        fingerprint: The machine and the versions: runs with different ones can't be compared, but for what is
            compared itself: `git_sha`, `git_dirty`, `otcache`.
        paired_with: Index of the run of the other side that took turns with this one.
    """

    process: str
    rounds: tuple[float, ...]
    at: float = 0.0
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    paired_with: int | None = None


# --- how it is compared ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """How one metric is compared.

    Attributes:
        metric: The catalogue's name.
        kind: histogram (mean and quantiles), ratio (a share of counters), or gauge (a level).
        statistics: What is compared of it.
        warning: From which worsening on it is a warning: a fraction (0.10), or percentage points / 100 (0.01).
        critical: The same for critical; above `warning`.
        scale: relative to the baseline, or points of difference.
        min_abs: Smallest absolute change that counts, in the metric's unit.
        worse: Whether a higher or a lower value is worse.
        numerator: For a ratio: the values of the attribute that are counted above the line.
        denominator: And below it; empty for all of them.
        leave_out: Values that count on neither side. `miss` stands for `miss/absent` too, here and above.
        where: Attributes that a series must have; the first specification that fits a series counts.
        but: Sets of attributes; a series that has all of one set is left out.
        per: Attributes that tell the series of the metric apart; a source sums over the others.
        by: Attributes whose values, joined by `/`, a `CounterWindow` is split by.
    """

    metric: str
    kind: Kind
    statistics: tuple[Statistic, ...]
    warning: float = 0.10
    critical: float = 0.25
    scale: Scale = "relative"
    min_abs: float = 0.0
    worse: Literal["higher", "lower"] = "higher"
    numerator: tuple[str, ...] = ()
    denominator: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    where: frozenset[tuple[str, str]] = frozenset()
    but: tuple[frozenset[tuple[str, str]], ...] = ()
    per: tuple[str, ...] = ()
    by: tuple[str, ...] = ()

    def fits(self, key: SeriesKey) -> bool:
        """Whether it is for this series."""
        known = key.attributes
        return key.metric == self.metric and self.where <= known and not any(left <= known for left in self.but)


# --- what is found --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on one statistic of one series.

    Attributes:
        key: Which series.
        statistic: Which statistic.
        verdict: The answer.
        change: Estimated worsening: a fraction of the baseline (or points / 100); positive is worse; `None` if unknown.
        low: One-sided lower bound of the change.
        high: One-sided upper bound of it.
        baseline: The baseline's value, in the metric's unit.
        current: The current value.
        method: How it was compared: `windows`, `paired`, `runs`, `threshold`.
        n_baseline: Blocks, or processes, of the baseline.
        n_current: The same of the current side.
        reason: One sentence: why it is inconclusive, what the verdict rests on.
    """

    key: SeriesKey
    statistic: Statistic
    verdict: Verdict
    change: float | None = None
    low: float | None = None
    high: float | None = None
    baseline: float | None = None
    current: float | None = None
    method: str = "windows"
    n_baseline: int = 0
    n_current: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """All findings of one comparison.

    Attributes:
        findings: One per statistic and series that was compared.
        verdict: The worst of them; inconclusive if nothing could be compared, never ok for lack of data.
        baseline: What was compared with, for people.
        current: What was compared, for people.
        skipped: Series that were on one side only, or not compared, with the reason.
        notes: What else a reader must know: warnings of a source.
        started: Seconds since the epoch.
        facts: Whatever else a source or command adds: versions, commands.
        blind: Whether so much has no verdict that the verdict is inconclusive as soon as there is no alarm.
    """

    findings: tuple[Finding, ...]
    verdict: Verdict
    baseline: str = ""
    current: str = ""
    skipped: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    started: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    blind: bool = False
