"""Benchmark runs compared: fresh processes on each side, or two processes that took turns round by round."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from otcache.regression._model import SEVERITY, Finding, MetricSpec, Run, SeriesKey, Statistic, Verdict
from otcache.regression._statistics.shift import (
    Interval,
    quantile,
    shift,
    sign_interval,
    signed_rank_interval,
    undisturbed,
)
from otcache.regression._statistics.verdict import decide, explain, growth

FEWEST_PROCESSES: Final = 6
FEWEST_BOUTS: Final = 5
SUBJECT: Final = frozenset({"git_sha", "git_dirty", "otcache"})
"""What differs between two fingerprints because it is what is compared."""
BENCHMARK: Final = MetricSpec("benchmark", "histogram", ("p50", "p25", "min"))
"""10 % is a warning, 25 % critical; no absolute floor (decision 30)."""
_RANK: Final[Sequence[Verdict]] = ("critical", "warning", "improved", "minor", "ok", "inconclusive")


ESTIMATORS: Final[Mapping[Statistic, Callable[[Sequence[float]], float]]] = {
    "p50": statistics.median,
    "p25": lambda rounds: quantile(sorted(rounds), 0.25),
    "min": min,
}
"""What one process says by its rounds. The lower ones bear a noisy neighbour; the median sees a slow path."""


@dataclass(frozen=True, slots=True)
class _Opinion:
    """What one estimator says: the change in logarithms, and how many processes it rests on."""

    statistic: Statistic
    verdict: Verdict
    moved: Interval
    sides: tuple[float, float]
    sizes: tuple[int, int]


def compare_runs(
    baseline: Sequence[Run], current: Sequence[Run], spec: MetricSpec = BENCHMARK, key: SeriesKey | None = None
) -> Finding:
    """Compare the processes of one operation with those of its baseline.

    Args:
        baseline: Fresh processes before, 6 or more; 10 see +10 %.
        current: Fresh processes now. If every one names its partner in `paired_with`, the two took turns and are
            compared round by round: the recommended way.
        spec: Thresholds and absolute floor.
        key: Which series the finding is about; the specification's metric otherwise.

    Returns:
        The finding of the estimator that decides: p50, p25 or min of the rounds of a process.
    """
    key = key or SeriesKey(spec.metric)
    if current and all(run.paired_with is not None for run in current):
        return _paired(_bouts(baseline, current), spec, key)
    return _unpaired(baseline, current, spec, key)


def compare_values(
    baseline: Sequence[float], current: Sequence[float], spec: MetricSpec, key: SeriesKey, statistic: Statistic
) -> Finding:
    """Compare one positive value per independent process or day: a mean, a p95, a peak of memory.

    Args:
        baseline: Values before, 6 or more.
        current: Values now, 6 or more.
        spec: Thresholds and absolute floor.
        key: Which series it is.
        statistic: Which statistic of it the values are.
    """
    old, new = _logarithms(baseline), _logarithms(current)
    if min(len(old), len(new)) < FEWEST_PROCESSES:
        reason = f"too little data: {len(old)} and {len(new)} usable values, {FEWEST_PROCESSES} are needed"
        return Finding(key, statistic, "inconclusive", method="runs", reason=reason)
    return _finding(key, _opinion(statistic, old, new, spec), spec, "runs")


# --- fresh processes, one side after the other or in turn ---------------------------------------------


def _unpaired(baseline: Sequence[Run], current: Sequence[Run], spec: MetricSpec, key: SeriesKey) -> Finding:
    old, new = _processes(baseline), _processes(current)
    refusal = _strangers((*baseline, *current)) or _too_few(len(old), len(new))
    if refusal:
        return Finding(
            key, "p50", "inconclusive", method="runs", reason=refusal, n_baseline=len(old), n_current=len(new)
        )
    opinions = [
        _opinion(name, [math.log(of(rounds)) for rounds in old], [math.log(of(rounds)) for rounds in new], spec)
        for name, of in ESTIMATORS.items()
    ]
    # the minimum alone rules nothing out: it never saw a path that only some operations take
    typical = [opinion.verdict for opinion in opinions if opinion.statistic != "min"]
    deciding = _loudest(opinions) if _is_settled(typical) else _loudest_alarm(opinions)
    return _finding(key, deciding, spec, "runs")


def _processes(runs: Iterable[Run]) -> list[list[float]]:
    """The usable rounds of each process: runs of one process are not independent."""
    found: dict[str, list[float]] = {}
    for run in runs:
        found.setdefault(run.process, []).extend(seconds for seconds in run.rounds if _is_usable(seconds))
    return [rounds for rounds in found.values() if rounds]


def _is_usable(seconds: float) -> bool:
    return math.isfinite(seconds) and seconds > 0


def _logarithms(values: Iterable[float]) -> list[float]:
    return [math.log(value) for value in values if _is_usable(value)]


def _too_few(old: int, new: int) -> str:
    if min(old, new) >= FEWEST_PROCESSES:
        return ""
    return f"too little data: {old} and {new} fresh processes, {FEWEST_PROCESSES} are needed on each side"


def _strangers(runs: Iterable[Run]) -> str:
    """Why these runs can't be compared; empty if they can."""
    prints = [{name: value for name, value in run.fingerprint.items() if name not in SUBJECT} for run in runs]
    names = sorted({name for one in prints for name in one})
    differing = [name for name in names if len({one.get(name) for one in prints}) > 1]
    return f"another machine or other versions: {', '.join(differing)} differ" if differing else ""


def _opinion(statistic: Statistic, old: Sequence[float], new: Sequence[float], spec: MetricSpec) -> _Opinion:
    """By all processes; where those are too noisy, the alarm that a few slow ones hid, if there is one."""
    found = _by_all(statistic, old, new, spec)
    before, after = undisturbed(old), undisturbed(new)
    if found.verdict != "inconclusive" or before is None or after is None:
        return found
    if min(len(before), len(after)) < FEWEST_PROCESSES:
        return found
    again = _by_all(statistic, before, after, spec)
    return again if SEVERITY[again.verdict] else found


def _by_all(statistic: Statistic, old: Sequence[float], new: Sequence[float], spec: MetricSpec) -> _Opinion:
    moved = shift(old, new)
    sides = math.exp(statistics.median(old)), math.exp(statistics.median(new))
    return _Opinion(statistic, _verdict(moved, spec, sides[0]), moved, sides, (len(old), len(new)))


def _verdict(moved: Interval, spec: MetricSpec, unit: float) -> Verdict:
    return decide(moved.map(growth), moved.mirrored().map(growth), spec, unit)


# --- two processes that took turns --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Bout:
    """Two processes that took turns: their rounds, pair by pair."""

    old: tuple[float, ...]
    new: tuple[float, ...]

    @property
    def changes(self) -> list[float]:
        """The log ratio of each pair."""
        return [math.log(new / old) for old, new in zip(self.old, self.new, strict=True)]


def _bouts(baseline: Sequence[Run], current: Sequence[Run]) -> list[_Bout]:
    found = []
    for run in current:
        place = run.paired_with
        if place is None or not 0 <= place < len(baseline):
            raise ValueError(f"paired_with={place} is not one of {len(baseline)} runs of the baseline")
        pairs = zip(baseline[place].rounds, run.rounds, strict=False)  # a bout that was cut short has a round too many
        usable = [pair for pair in pairs if _is_usable(pair[0]) and _is_usable(pair[1])]
        if usable:
            old, new = zip(*usable, strict=True)
            found.append(_Bout(old, new))
    return found


def _paired(bouts: Sequence[_Bout], spec: MetricSpec, key: SeriesKey) -> Finding:
    """By the pairs, or by the minima of each bout: an alarm if either says so."""
    size = len(bouts)
    if size < FEWEST_BOUTS:
        reason = f"too little data: {size} bouts of fresh processes, {FEWEST_BOUTS} are needed"
        return Finding(key, "p50", "inconclusive", method="paired", reason=reason, n_baseline=size, n_current=size)
    lowest = [math.log(min(bout.new) / min(bout.old)) for bout in bouts]
    opinions = [
        _by_turns("p50", _paired_change(bouts), bouts, spec, statistics.median),
        _by_turns("min", signed_rank_interval(lowest), bouts, spec, min),
    ]
    deciding = _loudest(opinions) if _is_settled([opinions[0].verdict]) else _loudest_alarm(opinions)
    return _finding(key, deciding, spec, "paired")


def _paired_change(bouts: Sequence[_Bout]) -> Interval:
    """The median pair. The pairs of a bout share its luck, so its medians have a say in what is ruled out."""
    pairs = sign_interval([change for bout in bouts for change in bout.changes])
    medians = signed_rank_interval([statistics.median(bout.changes) for bout in bouts])
    return pairs._replace(high=max(pairs.high, medians.high))


def _by_turns(
    statistic: Statistic,
    moved: Interval,
    bouts: Sequence[_Bout],
    spec: MetricSpec,
    of: Callable[[Sequence[float]], float],
) -> _Opinion:
    sides = statistics.median(of(bout.old) for bout in bouts), statistics.median(of(bout.new) for bout in bouts)
    return _Opinion(statistic, _verdict(moved, spec, sides[0]), moved, sides, (len(bouts), len(bouts)))


# --- which estimator decides --------------------------------------------------------------------------


def _is_settled(verdicts: Iterable[Verdict]) -> bool:
    return any(verdict != "inconclusive" for verdict in verdicts)


def _loudest(opinions: Sequence[_Opinion]) -> _Opinion:
    return min(opinions, key=lambda opinion: _RANK.index(opinion.verdict))


def _loudest_alarm(opinions: Sequence[_Opinion]) -> _Opinion:
    """The alarm of an estimator that may raise one but not rule one out; without any, the first opinion."""
    loudest = _loudest(opinions)
    return loudest if loudest.verdict in ("critical", "warning", "improved") else opinions[0]


def _finding(key: SeriesKey, opinion: _Opinion, spec: MetricSpec, method: str) -> Finding:
    worse = opinion.moved.map(growth)
    return Finding(
        key, opinion.statistic, opinion.verdict, change=worse.estimate, low=worse.known_low, high=worse.known_high,
        baseline=opinion.sides[0], current=opinion.sides[1], method=method, n_baseline=opinion.sizes[0],
        n_current=opinion.sizes[1], reason=explain(opinion.verdict, worse, spec),
    )  # fmt: skip
