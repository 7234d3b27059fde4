"""The PromQL builder: what it writes, and what it refuses to write."""

from __future__ import annotations

import pytest

from dashboards.promql import (
    RANGE,
    chosen,
    everything,
    increase,
    mean,
    none_of,
    one_of,
    only,
    or_zero,
    present,
    product,
    quantile,
    rate,
    ratio,
    rest,
    series,
    sum_by,
)
from otcache.telemetry.catalog import (
    BENCHMARK_THROUGHPUT,
    CACHE,
    CIRCUIT_STATE,
    ERROR_TYPE,
    EVALUATIONS,
    KEY_HASH,
    L1_COUNT,
    LOOKUPS,
    OPERATION_DURATION,
    RESULT,
    TIER,
)
from tests.rows import every

MINE = 'job=~"$job", instance=~"$instance", otcache_cache_name=~"$cache"'


def test_a_selector_has_what_the_variables_say() -> None:
    assert series(L1_COUNT).text == f"otcache_l1_entry_count{{{MINE}}}"


def test_verdicts_are_selected_by_the_service_that_is_judged() -> None:
    assert series(EVALUATIONS).text == 'otcache_regression_evaluations_total{otcache_regression_target=~"$job"}'


def test_benchmarks_have_a_variable_of_their_own() -> None:
    assert series(BENCHMARK_THROUGHPUT).text.endswith('{otcache_benchmark_name=~"$benchmark"}')


def test_a_ratio_has_nothing_to_show_when_idle() -> None:
    found = sum_by(rate(series(LOOKUPS, one_of(RESULT, "hit", "stale"))))

    text = ratio(found, sum_by(rate(series(LOOKUPS)))).text

    assert text == (
        f'sum(rate(otcache_lookups_total{{{MINE}, otcache_result=~"hit|stale"}}[$__rate_interval])) / '
        f"(sum(rate(otcache_lookups_total{{{MINE}}}[$__rate_interval])) > 0)"
    )


def test_a_quantile_keeps_what_it_is_told_apart_by() -> None:
    found = quantile(0.99, OPERATION_DURATION, by=(TIER,))

    assert found.labels == {"otcache_tier"}
    assert found.text == (
        "histogram_quantile(0.99, sum by (le, otcache_tier) "
        f"(rate(otcache_operation_duration_seconds_bucket{{{MINE}}}[$__rate_interval]))) >= 0"
    )


def test_a_mean_is_a_sum_by_a_count() -> None:
    text = mean(OPERATION_DURATION).text

    assert text.count("_sum{") == text.count("_count{") == 1


def test_a_mean_of_the_whole_time_range_has_no_gaps() -> None:
    assert mean(OPERATION_DURATION, window=RANGE).text.count("[$__range]") == 2


def test_a_share_has_a_rest_and_numbers_are_multiplied_label_by_label() -> None:
    per_tier = sum_by(rate(series(LOOKUPS)), TIER)
    total = sum_by(rate(series(LOOKUPS)))

    assert rest(ratio(total, total)).text == f"1 - ({total.text} / ({total.text} > 0))"
    assert product(per_tier, per_tier).text == f"{per_tier.text} * {per_tier.text}"
    assert only(per_tier, per_tier).text == f"{per_tier.text} and {per_tier.text}"
    assert product(per_tier, per_tier).labels == only(per_tier, per_tier).labels == {"otcache_tier"}


def test_an_offset_stands_behind_the_window() -> None:
    assert rate(series(LOOKUPS, offset="1w")).text.endswith("[$__rate_interval] offset 1w)")


def test_the_whole_time_range_is_a_window() -> None:
    assert increase(series(LOOKUPS), RANGE).text.endswith("[$__range])")


def test_one_value_is_compared_and_several_are_matched() -> None:
    found = [str(each) for each in (one_of(RESULT, "hit"), none_of(RESULT, "hit", "miss"), present(ERROR_TYPE))]

    assert found == ['otcache_result="hit"', 'otcache_result!~"hit|miss"', 'error_type!=""']


def test_what_means_something_in_a_regular_expression_is_escaped() -> None:
    assert str(none_of(CACHE, "a.b", "c")) == r'otcache_cache_name!~"a\\.b|c"'


def test_zero_stands_in_for_what_has_never_happened() -> None:
    assert or_zero(sum_by(rate(series(LOOKUPS)))).text.endswith(" or vector(0)")


def test_everything_of_ours_is_found_by_its_name() -> None:
    assert everything().text == '{__name__=~"otcache_.+", job=~"$job", instance=~"$instance"}'


@every(
    ("make", "complaint"),
    [
        (lambda: series(LOOKUPS, one_of(CIRCUIT_STATE, "open")), "has no label otcache_circuit_state"),
        (lambda: series(LOOKUPS, chosen(KEY_HASH, "key")), "has no label otcache_key_hash"),
        (lambda: one_of(RESULT, "hits"), "is never 'hits', but one of hit, "),
        (lambda: sum_by(rate(series(LOOKUPS)), CIRCUIT_STATE), "has no label otcache_circuit_state"),
        (lambda: rate(series(L1_COUNT)), "rate of otcache.l1.entry.count, a updowncounter, means nothing"),
        (lambda: series(OPERATION_DURATION), "part='' does not fit"),
        (lambda: series(LOOKUPS, part="_sum"), "part='_sum' does not fit"),
        (lambda: quantile(99, OPERATION_DURATION), "q=99 is outside 0..1"),
        (lambda: ratio(sum_by(rate(series(LOOKUPS)), TIER), sum_by(rate(series(LOOKUPS)))), "different labels"),
        (lambda: product(sum_by(rate(series(LOOKUPS)), TIER), sum_by(rate(series(LOOKUPS)))), "different labels"),
        (lambda: only(sum_by(rate(series(LOOKUPS)), TIER), sum_by(rate(series(LOOKUPS)))), "different labels"),
        (lambda: or_zero(rate(series(LOOKUPS))), "has labels, and 0 has none"),
    ],
)
def test_what_nothing_emits_can_not_be_written(make, complaint: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=complaint.replace("(", r"\(")):
        make()
