"""Two sets of windows compared: a verdict per series and statistic, and one for all."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from otcache.regression._model import (
    SEVERITY,
    CounterWindow,
    Dataset,
    Finding,
    HistogramWindow,
    MetricSpec,
    Report,
    SeriesKey,
    Statistic,
    Verdict,
    Window,
)
from otcache.regression._specs import DEFAULT_SPECS
from otcache.regression._statistics.blocks import FEWEST, Sample, Samples, sample
from otcache.regression._statistics.histograms import common_layout
from otcache.regression._statistics.shift import LEVELS, Levels, shift
from otcache.regression._statistics.verdict import decide, explain, growth

ANCHORS: Final[frozenset[Statistic]] = frozenset({"mean", "p50", "p95"})
"""One of these must rule the regression out before a histogram is ok: p99 alone is too noisy to ask for."""
BLIND_SHARE: Final = 0.1
"""A metric may leave so much of its traffic in series too rare for a verdict, and still be ok."""
MILDEST: Final[Sequence[Verdict]] = ("ok", "improved", "minor", "inconclusive", "warning", "critical")
WORST_FIRST: Final[Sequence[Verdict]] = ("critical", "warning", "inconclusive", "minor", "improved", "ok")
COARSE: Final = "too coarse: its buckets can't show 10 %, only the mean decides"
FINER: Final = (
    "{}: buckets too coarse for quantiles of these values; export setup(histograms='fine'), or a View with boundaries "
    "that grow by at most 1.25, or exponential buckets"
)
NO_REFERENCES: Final[Mapping[str, Dataset]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _Pair:
    """A series that both sides have, in blocks."""

    key: SeriesKey
    spec: MetricSpec
    baseline: Samples
    current: Samples

    @property
    def is_testable(self) -> bool:
        """Whether any statistic has blocks enough: only these share the levels."""
        return any(self.baseline[name].is_enough and self.current[name].is_enough for name in self.baseline)


def compare(
    baseline: Dataset,
    current: Dataset,
    specs: Sequence[MetricSpec] = DEFAULT_SPECS,
    references: Mapping[str, Dataset] = NO_REFERENCES,
) -> Report:
    """Compare `current` with `baseline`.

    Args:
        baseline: What was before, per series, in windows of about a minute.
        current: What is now, in windows of the same kind.
        specs: How metrics are compared: the first that fits a series counts. Series that none fits are skipped.
        references: Further baselines by name (`yesterday`, `a week ago`): a change must hold against each that
            has enough data, so that the mildest verdict counts.

    Returns:
        A finding per series and statistic, and a verdict that is never ok for lack of data.
    """
    started = time.time()
    found, skipped = _against(baseline, current, specs)
    for name, reference in references.items():
        others, _ = _against(reference, current, specs)
        found = {place: _mildest(finding, others.get(place), name) for place, finding in found.items()}
    findings = tuple(found.values())
    blind = _can_not_see(findings, baseline, current, specs)
    verdict = overall(findings, blind)
    return Report(findings, verdict, skipped=skipped, notes=_notes(findings), started=started, blind=blind)


Place = tuple[SeriesKey, Statistic]


def _against(
    baseline: Dataset, current: Dataset, specs: Sequence[MetricSpec]
) -> tuple[dict[Place, Finding], dict[str, str]]:
    """The findings against one baseline, and the series that were left out with the reason."""
    partners = _partners(baseline, current)
    skipped = {str(key): "not in the baseline" for key in current if key not in partners}
    skipped |= {str(key): "not in the current windows" for key in baseline if key not in set(partners.values())}
    pairs = []
    for key, old in sorted(partners.items(), key=lambda item: _order(item[0])):
        spec = next((spec for spec in specs if spec.fits(key)), None)
        if spec is None:
            skipped[str(key)] = "no specification fits it"
        else:
            pairs.append(_pair(key, spec, baseline[old], current[key]))
    levels = LEVELS.shared(sum(pair.is_testable for pair in pairs))
    findings = (finding for pair in pairs for finding in _findings(pair, levels))
    return {(finding.key, finding.statistic): finding for finding in findings}, skipped


def _order(key: SeriesKey) -> tuple[str, list[tuple[str, str]], list[tuple[str, str]]]:
    return key.metric, sorted(key.attributes), sorted(key.resource)


def _partners(baseline: Dataset, current: Dataset) -> dict[SeriesKey, SeriesKey]:
    """Which series of the baseline belongs to one of the current side.

    The same key; or, where the resource differs (another job, another version), the only one of its name and
    attributes on either side.
    """
    found = {key: key for key in current if key in baseline}
    old, new = (_bare(key for key in side if key not in found) for side in (baseline, current))
    for bare, keys in new.items():
        if len(keys) == len(old.get(bare, ())) == 1:
            found[keys[0]] = old[bare][0]
    return found


def _bare(keys: Iterable[SeriesKey]) -> dict[SeriesKey, list[SeriesKey]]:
    found: dict[SeriesKey, list[SeriesKey]] = {}
    for key in keys:
        found.setdefault(_without_resource(key), []).append(key)
    return found


def _without_resource(key: SeriesKey) -> SeriesKey:
    return replace(key, resource=frozenset())


def _pair(key: SeriesKey, spec: MetricSpec, old: Sequence[Window], new: Sequence[Window]) -> _Pair:
    layout = common_layout(window.layout for window in (*old, *new) if isinstance(window, HistogramWindow))
    return _Pair(key, spec, sample(old, spec, layout), sample(new, spec, layout))


# --- one series ---------------------------------------------------------------------------------------


def _findings(pair: _Pair, levels: Levels) -> Iterator[Finding]:
    for statistic, old in pair.baseline.items():
        new = pair.current[statistic]
        finding = Finding(
            pair.key, statistic, "inconclusive", baseline=old.middle, current=new.middle,
            n_baseline=len(old.values), n_current=len(new.values),
        )  # fmt: skip
        reason = _refusal(old, new, pair.spec)
        if reason:
            yield replace(finding, reason=reason)
        else:
            compared = _compared(finding, old, new, pair.spec, levels)
            yield _undisturbed(compared, old, new, pair.spec, levels) or compared


def _refusal(old: Sample, new: Sample, spec: MetricSpec) -> str:
    """Why nothing can be said; empty if something can."""
    if old.coarse or new.coarse:
        return COARSE
    for side, found in (("baseline", old), ("current", new)):
        if not found.is_enough:
            blocks = f"{len(found.values)} usable blocks of at least {found.need:g} {_counted(spec)}"
            return f"too little data: {blocks} in the {side} windows, {FEWEST} are needed"
    if spec.scale == "relative" and spec.kind != "histogram" and not _scale_of(old) > 0:
        return "the baseline is zero: no relative change exists"
    return ""


def _counted(spec: MetricSpec) -> str:
    return "windows" if spec.kind == "gauge" else "requests"


def _scale_of(old: Sample) -> float:
    return abs(old.middle or 0.0)


def _compared(finding: Finding, old: Sample, new: Sample, spec: MetricSpec, levels: Levels) -> Finding:
    moved = shift(old.values, new.values, levels)
    if spec.worse == "lower":
        moved = moved.mirrored()
    back, unit = moved.mirrored(), 1.0
    if spec.kind == "histogram":
        worse, better, unit = moved.map(growth), back.map(growth), _scale_of(old)
    else:
        unit = _scale_of(old) if spec.scale == "relative" else 1.0
        worse, better = (side.map(lambda value: value / unit) for side in (moved, back))
    verdict, reason = decide(worse, better, spec, unit), ""
    if verdict in ("ok", "minor") and _total_change(old, new, spec, unit) >= spec.warning:
        verdict = "inconclusive"
        reason = "most windows agree, but a few bursts make all of them together worse by more than the warning"
    return replace(
        finding, verdict=verdict, change=worse.estimate, low=worse.known_low, high=worse.known_high,
        reason=reason or explain(verdict, worse, spec),
    )  # fmt: skip


def _undisturbed(finding: Finding, old: Sample, new: Sample, spec: MetricSpec, levels: Levels) -> Finding | None:
    """The alarm that minutes under a noisy neighbour hid: a median that is too noisy is compared without them.

    Only the median: a pause of the collector moves the mean and the tail of single minutes too, and is no neighbour.
    """
    if finding.verdict != "inconclusive" or finding.statistic != "p50":
        return None
    before, after = old.undisturbed(), new.undisturbed()
    if before is None or after is None:
        return None
    sizes = len(before.values), len(after.values)
    found = _compared(replace(finding, n_baseline=sizes[0], n_current=sizes[1]), before, after, spec, levels)
    left_out = len(old.values) + len(new.values) - sum(sizes)
    is_alarm = left_out and SEVERITY[found.verdict]
    return replace(found, reason=f"{found.reason}; {left_out} disturbed blocks left out") if is_alarm else None


def _total_change(old: Sample, new: Sample, spec: MetricSpec, unit: float) -> float:
    """The worsening of all windows together: errors that come in bursts move no median."""
    if old.total is None or new.total is None:
        return 0.0
    return (new.total - old.total) / unit * (-1 if spec.worse == "lower" else 1)


# --- several references, all series -------------------------------------------------------------------


def _mildest(finding: Finding, other: Finding | None, name: str) -> Finding:
    """The milder of two findings; a reference without data of its own says nothing."""
    if other is None or other.change is None:
        return finding
    other = replace(other, reason=f"against {name}: {other.reason}")
    if finding.change is None:
        return other
    first, second = sorted((finding, other), key=lambda found: MILDEST.index(found.verdict))
    if first.verdict == "improved" != second.verdict:
        return replace(first, verdict="ok", reason=f"better than one reference, not than all; {first.reason}")
    return first


def overall(findings: Iterable[Finding], blind: bool) -> Verdict:
    """The worst verdict; inconclusive where there is none, and where too much has no verdict."""
    found = set(series_verdicts(findings).values()) - {"inconclusive"}
    if blind:
        found.add("inconclusive")
    return next((verdict for verdict in WORST_FIRST if verdict in found), "inconclusive")


def _can_not_see(findings: Sequence[Finding], baseline: Dataset, current: Dataset, specs: Sequence[MetricSpec]) -> bool:
    """Whether more than a rare series of a metric has no verdict, or is gone."""
    bare = {_without_resource(key): verdict for key, verdict in series_verdicts(findings).items()}
    gone: dict[SeriesKey, Verdict] = {_without_resource(key): "inconclusive" for key in baseline}
    return _is_blind(baseline, gone | bare, specs) or _is_blind(current, bare, specs)


def series_verdicts(findings: Iterable[Finding]) -> dict[SeriesKey, Verdict]:
    """One verdict per series: its worst alarm; ok only if mean, p50 or p95 rule a regression out."""
    grouped: dict[SeriesKey, list[Finding]] = {}
    for finding in findings:
        grouped.setdefault(finding.key, []).append(finding)
    return {key: _of_series(found) for key, found in grouped.items()}


def _of_series(findings: Sequence[Finding]) -> Verdict:
    anchors = [finding for finding in findings if finding.statistic in ANCHORS] or findings
    verdicts = {finding.verdict for finding in findings}
    if any(finding.verdict != "inconclusive" for finding in anchors):
        verdicts.discard("inconclusive")
    return next(verdict for verdict in WORST_FIRST if verdict in verdicts)


def _is_blind(side: Dataset, verdicts: Mapping[SeriesKey, Verdict], specs: Sequence[MetricSpec]) -> bool:
    """Whether too much of a metric's traffic on this side is in series without a verdict."""
    total: dict[str, float] = {}
    blind: dict[str, float] = {}
    for key, windows in side.items():
        if any(spec.fits(key) for spec in specs):
            weight = sum(_weight(window) for window in windows)
            total[key.metric] = total.get(key.metric, 0.0) + weight
            if verdicts.get(_without_resource(key), "ok") == "inconclusive":
                blind[key.metric] = blind.get(key.metric, 0.0) + weight
    return any(weight > BLIND_SHARE * total[metric] for metric, weight in blind.items())


def _weight(window: Window) -> float:
    if isinstance(window, HistogramWindow):
        return window.count
    return sum(window.by.values()) if isinstance(window, CounterWindow) else 1.0


def _notes(findings: Iterable[Finding]) -> tuple[str, ...]:
    coarse = {finding.key.metric for finding in findings if finding.reason == COARSE}
    return tuple(FINER.format(metric) for metric in sorted(coarse))
