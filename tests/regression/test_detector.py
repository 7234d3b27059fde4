"""Two sets of windows compared: what each verdict needs, and what is never called ok."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest

from benchmarks.regression_cases import (
    EXPONENTIAL,
    FINE,
    MINUTE,
    NONE,
    OPERATION_SERIES,
    PROFILES,
    WIDE,
    Effect,
    counted,
    data,
    errors,
    hits,
    memory,
    service,
)
from otcache.regression._detector import compare, series_verdicts
from otcache.regression._model import (
    CounterWindow,
    Dataset,
    Explicit,
    Finding,
    GaugeWindow,
    HistogramWindow,
    Layout,
    Report,
    SeriesKey,
    Verdict,
)
from otcache.regression._specs import ERROR_RATIO, HIT_RATIO, MEMORY, OPERATION_TIME
from otcache.telemetry.catalog import OPERATION, RESULT, TIER

CLEAN = PROFILES["clean"]


def minutes(effect: Effect = NONE, number: int = 30, seed: int = 1, layout: Layout = FINE, rate: float = 600,
            scale: float = 1.0) -> tuple[HistogramWindow, ...]:  # fmt: skip
    return service(Random(seed), CLEAN, number, effect, rate, layout, scale)


def times(factor: float = 1.0, seed: int = 1, layout: Layout = FINE) -> Dataset:
    return data(OPERATION_TIME, minutes(Effect(factor), seed=seed, layout=layout))


def by_statistic(report: Report) -> dict[str, Finding]:
    return {finding.statistic: finding for finding in report.findings}


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(0.75, "improved"), (1.0, "ok"), (1.03, "ok"), (1.075, "minor"), (1.12, "warning"), (1.3, "critical")],
)
def test_a_change_has_the_verdict_of_its_size(factor: float, verdict: Verdict) -> None:
    report = compare(times(), times(factor, seed=2))

    assert report.verdict == verdict
    assert by_statistic(report)["mean"].change == pytest.approx(factor - 1, abs=0.02)


def test_a_finding_says_what_it_rests_on() -> None:
    found = by_statistic(compare(times(), times(1.3, seed=2)))["p50"]

    assert (found.n_baseline, found.n_current, found.method) == (30, 30, "windows")
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.3 < found.high
    assert found.current == pytest.approx(1.3 * (found.baseline or 0), rel=0.02)
    assert found.reason.startswith("worse: the change lies between +2")


def test_the_same_data_have_the_same_answer_and_no_change() -> None:
    first, second = (compare(times(), times()).findings for _ in range(2))

    assert first == second
    assert {finding.change for finding in first} == {0.0}


def test_exchanging_the_sides_turns_worse_into_improved() -> None:
    there, back = compare(times(), times(1.3, seed=2)), compare(times(1.3, seed=2), times())

    assert (there.verdict, back.verdict) == ("critical", "improved")


@pytest.mark.parametrize("layout", [EXPONENTIAL, FINE], ids=["exponential", "explicit"])
def test_either_layout_will_do(layout: Layout) -> None:
    report = compare(times(layout=layout), times(1.3, 2, layout))

    assert {finding.verdict for finding in report.findings} == {"critical"}


def test_where_buckets_are_too_coarse_the_mean_decides_and_the_report_says_what_to_export() -> None:
    report = compare(times(layout=WIDE), times(1.3, 2, WIDE))

    assert report.verdict == "critical"
    assert {name: found.verdict for name, found in by_statistic(report).items() if name != "mean"} == dict.fromkeys(
        ("p50", "p95", "p99"), "inconclusive"
    )
    assert "export setup(histograms='fine')" in report.notes[0]


def test_layouts_that_differ_are_compared_on_their_common_boundaries() -> None:
    other = Explicit(tuple(bound for place, bound in enumerate(FINE.bounds) if place % 7))

    report = compare(times(), times(1.0, 2, other))

    assert {finding.verdict for finding in report.findings} == {"ok"}


def test_layouts_with_nothing_in_common_leave_the_mean() -> None:
    report = compare(times(), times(1.3, 2, EXPONENTIAL))

    assert by_statistic(report)["mean"].verdict == "critical"
    assert by_statistic(report)["p95"].verdict == "inconclusive"


@pytest.mark.parametrize(("number", "rate"), [(3, 600), (5, 600), (30, 2)])
def test_too_little_data_is_inconclusive_and_says_how_much_is_needed(number: int, rate: float) -> None:
    side = data(OPERATION_TIME, minutes(number=number, rate=rate))

    report = compare(side, side)

    assert report.verdict == "inconclusive"
    assert "6 are needed" in report.findings[0].reason


@pytest.mark.parametrize("sides", [({}, {}), (times(), {}), ({}, times())], ids=["nothing", "no current", "no base"])
def test_no_data_is_never_ok(sides: tuple[Dataset, Dataset]) -> None:
    assert compare(*sides).verdict == "inconclusive"


def test_a_side_that_is_zero_or_not_a_number_is_inconclusive() -> None:
    zero = {OPERATION_SERIES: tuple(replace(window, sum=0.0) for window in minutes())}
    broken = {OPERATION_SERIES: tuple(replace(window, sum=math.nan) for window in minutes())}

    found = [by_statistic(compare(side, times()))["mean"] for side in (zero, broken)]

    assert [(finding.verdict, finding.change) for finding in found] == [("inconclusive", None)] * 2


def test_noise_that_hides_ten_percent_is_inconclusive_not_ok() -> None:
    draw = Random(4)
    before, after = (
        data(OPERATION_TIME, [counted([5e-4 * level] * 600, MINUTE * i) for i, level in enumerate(levels)])
        for levels in ([draw.lognormvariate(0, 0.3) for _ in range(10)] for _ in range(2))
    )

    assert compare(before, after).verdict == "inconclusive"


def test_p99_alone_need_not_be_ruled_out() -> None:
    key = OPERATION_SERIES
    findings = [Finding(key, "mean", "ok"), Finding(key, "p99", "inconclusive")]

    assert series_verdicts(findings) == {key: "ok"}
    assert series_verdicts(findings[1:]) == {key: "inconclusive"}
    assert series_verdicts([*findings, Finding(key, "p95", "warning")]) == {key: "warning"}


# --- absolute floors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("tier", "verdict"), [("l1", "critical"), ("l2", "minor")])
def test_ten_microseconds_count_in_the_near_tier_only(tier: str, verdict: Verdict) -> None:
    key = SeriesKey(OPERATION_TIME.metric, frozenset({(TIER.name, tier)}))
    before, after = minutes(scale=0.06), minutes(Effect(1.3), seed=2, scale=0.06)

    assert compare({key: before}, {key: after}).verdict == verdict


def test_a_change_that_stays_below_the_floor_is_ok() -> None:
    key = SeriesKey(OPERATION_TIME.metric, frozenset({(TIER.name, "l2")}))
    before, after = minutes(scale=0.01), minutes(Effect(1.07), seed=2, scale=0.01)

    assert compare({key: before}, {key: after}).verdict == "ok"


# --- ratios and levels --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "verdict"), [(0.9, "ok"), (0.82, "warning"), (0.75, "warning"), (0.6, "critical"), (0.99, "improved")]
)
def test_a_hit_ratio_is_judged_by_its_relative_fall(after: float, verdict: Verdict) -> None:
    report = compare(*hits(Random(1), 0.9, after))

    assert report.verdict == verdict
    assert report.findings[0].change == pytest.approx(1 - after / 0.9, abs=0.02)


@pytest.mark.parametrize(("after", "verdict"), [(0.002, "ok"), (0.02, "warning"), (0.08, "critical")])
def test_an_error_ratio_is_judged_in_points(after: float, verdict: Verdict) -> None:
    report = compare(*errors(Random(1), 0.0, after))

    assert report.verdict == verdict


def test_errors_in_a_few_bursts_are_not_ok() -> None:
    calm = [CounterWindow(MINUTE * i, MINUTE * (i + 1), {"ok": 600.0}) for i in range(30)]
    burst = [replace(window, by={"ok": 300.0, "error": 300.0}) if i < 3 else window for i, window in enumerate(calm)]

    report = compare(data(ERROR_RATIO, calm), data(ERROR_RATIO, burst))

    assert report.verdict == "inconclusive"
    assert "bursts" in report.findings[0].reason


def test_an_outage_of_redis_is_not_a_worse_hit_ratio() -> None:
    before = [CounterWindow(MINUTE * i, MINUTE * (i + 1), {"hit/none": 540.0, "miss/absent": 60.0}) for i in range(30)]
    away = [replace(window, by={**window.by, "miss/backend_unavailable": 3000.0}) for window in before]

    assert compare(data(HIT_RATIO, before), data(HIT_RATIO, away)).verdict == "ok"


def test_a_hit_ratio_of_zero_has_no_relative_fall() -> None:
    cold = [CounterWindow(MINUTE * i, MINUTE * (i + 1), {"miss/absent": 600.0}) for i in range(30)]

    report = compare(data(HIT_RATIO, cold), data(HIT_RATIO, cold))

    assert (report.verdict, report.findings[0].reason) == (
        "inconclusive",
        "the baseline is zero: no relative change exists",
    )


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "ok"), (1.4, "critical"), (0.7, "improved")])
def test_memory_is_judged_by_its_level(factor: float, verdict: Verdict) -> None:
    assert compare(*memory(Random(1), factor)).verdict == verdict


def test_memory_below_five_megabytes_of_change_does_not_count() -> None:
    shown = [
        [0.01 * level for level in sawtooth] for sawtooth in ((200e6, 240e6, 220e6) * 10, (300e6, 360e6, 330e6) * 10)
    ]
    small, grown = ([GaugeWindow(0, 60, (level,)) for level in side] for side in shown)

    assert compare(data(MEMORY, small), data(MEMORY, grown)).verdict == "minor"


# --- several series, several references ---------------------------------------------------------------


def series(number: int, seed: int = 0) -> Dataset:
    keys = [SeriesKey(OPERATION_TIME.metric, frozenset({(OPERATION.name, str(place))})) for place in range(number)]
    return {key: minutes(number=10, seed=seed + place) for place, key in enumerate(keys)}


def test_more_series_widen_the_bounds() -> None:
    alone, among = (compare(series(size), series(size, 100)).findings[0] for size in (1, 20))

    assert alone.change == among.change
    assert (among.low or 0) < (alone.low or 0)
    assert (among.high or 0) > (alone.high or 0)


def test_a_series_on_one_side_only_is_skipped_with_the_reason() -> None:
    old, new, odd = (SeriesKey(OPERATION_TIME.metric, frozenset({(RESULT.name, name)})) for name in ("ok", "hit", "x"))
    unknown = SeriesKey("somebody.else")

    report = compare({old: minutes(), odd: minutes(), unknown: ()}, {new: minutes(), odd: minutes(), unknown: ()})

    assert report.skipped == {
        str(old): "not in the current windows",
        str(new): "not in the baseline",
        str(unknown): "no specification fits it",
    }


@pytest.mark.parametrize(("rate", "verdict"), [(5, "ok"), (300, "inconclusive")])
def test_a_rare_series_may_stay_unjudged_or_vanish_and_a_busy_one_not(rate: float, verdict: Verdict) -> None:
    rare = SeriesKey(OPERATION_TIME.metric, frozenset({(RESULT.name, "noop")}))
    before = {OPERATION_SERIES: minutes(), rare: minutes(rate=rate, seed=3)}
    after = {OPERATION_SERIES: minutes(seed=2), rare: minutes(number=3, rate=rate * 10, seed=4)}

    assert compare(before, times(seed=2)).verdict == verdict
    assert compare(before, after).verdict == verdict


def test_a_series_of_another_version_is_matched_by_its_attributes() -> None:
    old, new = (replace(OPERATION_SERIES, resource=frozenset({("service.version", v)})) for v in ("1", "2"))

    report = compare({old: minutes()}, {new: minutes(Effect(1.3), seed=2)})

    assert (report.verdict, report.findings[0].key) == ("critical", new)


def test_the_first_specification_that_fits_judges() -> None:
    lenient = replace(OPERATION_TIME, warning=1.0, critical=2.0)

    assert compare(times(), times(1.3, seed=2), [lenient, OPERATION_TIME]).verdict == "ok"


def test_a_change_must_hold_against_every_reference() -> None:
    report = compare(times(), times(1.3, seed=2), references={"yesterday": times(1.3, seed=3)})

    assert report.verdict == "ok"
    assert report.findings[0].reason.startswith("against yesterday: ")
    assert compare(times(), times(1.3, seed=2), references={"yesterday": times(seed=3)}).verdict == "critical"


def test_better_than_one_reference_only_is_no_improvement() -> None:
    report = compare(times(), times(0.7, seed=2), references={"yesterday": times(0.5, seed=3)})

    assert report.verdict == "ok"


def test_a_reference_without_data_says_nothing_and_one_with_data_speaks_for_it() -> None:
    few = data(OPERATION_TIME, minutes(number=3))

    report = compare(times(), times(1.3, seed=2), references={"a week ago": few, "yesterday": {}})

    assert report.verdict == "critical"
    assert compare(few, times(1.3, seed=2), references={"yesterday": times(seed=3)}).verdict == "critical"


def test_minutes_under_a_noisy_neighbour_are_left_out_where_they_hide_a_change() -> None:
    calm, disturbed, slower = (minutes(Effect(factor), 11, seed) for factor, seed in ((1, 1), (1.5, 2), (1.12, 3)))
    before = data(OPERATION_TIME, disturbed + calm + calm[:8])

    found = by_statistic(compare(before, data(OPERATION_TIME, slower + slower)))

    assert found["p50"].verdict == "warning"
    assert found["p50"].reason.endswith("; 11 disturbed blocks left out")
    assert found["mean"].verdict == "inconclusive"


def test_requests_that_all_take_the_same_do_not_jump_with_their_bucket() -> None:
    edge = FINE.bounds[40]
    before, after = (
        data(OPERATION_TIME, [counted([edge * factor] * 600, MINUTE * minute) for minute in range(30)])
        for factor in (0.99, 1.01)
    )

    report = compare(before, after)

    assert (report.verdict, by_statistic(report)["p50"].verdict) == ("ok", "inconclusive")
