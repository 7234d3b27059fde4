"""What is read from files of OTLP JSON."""

from __future__ import annotations

import gzip
import json
import random
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otcache.regression._model import CounterWindow, Explicit, Exponential, GaugeWindow, SeriesKey
from otcache.regression._sources import Matcher, Reading, Selection, open_source
from otcache.telemetry import catalog
from tests.regression.sources.exports import EXPONENTIAL, Process, Temporality, as_the_collector, history, lines, points
from tests.regression.sources.histories import BOUNDS, GET_HIT, STEP, Minute, counted, same, windows

Page = Callable[..., Path]
START = 1_790_000_040.0
THREE = [Minute((0.002, 0.004)), Minute((0.003,)), Minute((0.02, 0.004, 0.0005))]
BOTH: list[Temporality] = ["cumulative", "delta"]
DURATION, LOOKUPS = catalog.OPERATION_DURATION, catalog.LOOKUPS


def select(*metrics: catalog.Instrument, minutes: int = 3, **more: Any) -> Selection:
    return Selection(START, START + minutes * STEP, STEP, metrics, **more)


def read(where: str | list[str], selection: Selection | None = None) -> Reading:
    found = open_source(where, selection)
    assert isinstance(found, Reading)
    return found


def of(reading: Reading, row: catalog.Instrument) -> Sequence[Any]:
    found = [each for key, each in reading.series.items() if key.metric == row.name]
    assert len(found) <= 1, reading
    return found[0] if found else ()


@pytest.mark.parametrize("temporality", BOTH)
def test_an_export_of_the_sdk_becomes_windows(page: Page, temporality: Temporality) -> None:
    path = page(lines(history(THREE, START, temporality)))

    reading = read(str(path), select(DURATION, LOOKUPS))

    resource = frozenset([("service.name", "shop")])
    assert SeriesKey(DURATION.name, frozenset(GET_HIT.items()), resource) in reading.series
    assert same(of(reading, DURATION), windows(THREE, START))
    assert list(of(reading, LOOKUPS)) == counted(THREE, START)


@settings(max_examples=settings().max_examples // 2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.builds(Minute, st.lists(st.floats(0.0001, 1), max_size=8).map(tuple), st.booleans()), min_size=1, max_size=9
    ),
    st.sampled_from(BOTH),
    st.randoms(use_true_random=False),
)
def test_whatever_happened_and_in_whatever_order_it_was_written_the_windows_hold_what_was_measured(
    page: Page, minutes: list[Minute], temporality: Temporality, shuffle: random.Random
) -> None:
    requests = history(minutes, START, temporality)
    shuffle.shuffle(requests)

    reading = read(str(page(lines(requests))), select(DURATION, LOOKUPS, minutes=len(minutes)))

    assert same(of(reading, DURATION), windows(minutes, START))
    assert list(of(reading, LOOKUPS)) == counted(minutes, START)


@pytest.mark.parametrize("temporality", BOTH)
def test_numbers_and_enums_may_be_written_either_way(page: Page, temporality: Temporality) -> None:
    requests = history(THREE, START, temporality)
    path = page(lines(map(as_the_collector, requests)))

    assert same(of(read(str(path), select(DURATION)), DURATION), windows(THREE, START))


def test_restarts_that_are_not_told_are_seen_by_the_fall(page: Page) -> None:
    minutes = [Minute((0.002,) * 50), Minute((0.004,) * 3, restarted=True), Minute((0.0005,) * 2)]
    requests = history(minutes, START)
    for point in (point for request in requests for point in points(request)):
        del point["startTimeUnixNano"]

    assert same(of(read(str(page(lines(requests))), select(DURATION)), DURATION), windows(minutes, START))


def test_a_series_that_appears_late_counts_since_the_export_before_it(page: Page) -> None:
    requests = history([Minute((0.002,) * 3)] * 9, START)
    late = json.loads(lines(requests[-1:]).replace('"hit"', '"stale"'))
    requests[-1]["resourceMetrics"].extend(late["resourceMetrics"])  # born with its process, nine minutes before

    reading = read(str(page(lines(requests))), select(LOOKUPS, minutes=9))

    assert [each.by for each in of(reading, LOOKUPS)] == [{"hit/none": 3}] * 8 + [{"hit/none": 3, "stale/none": 28}]
    assert reading.notes == ()


def test_other_bounds_are_a_restart(page: Page) -> None:
    requests = history(THREE[:2], START)
    last = next(point for point in points(requests[-1]) if "explicitBounds" in point)
    last["explicitBounds"], last["bucketCounts"] = [0.003], ["3", "1"]

    found = of(read(str(page(lines(requests))), select(DURATION, minutes=2)), DURATION)

    assert [(each.count, each.layout) for each in found] == [(2, Explicit(BOUNDS)), (4, Explicit((0.003,)))]


def test_a_scale_that_falls_is_no_restart(page: Page) -> None:
    rng = random.Random(3)
    minutes = [
        Minute(tuple(rng.uniform(0.001, 0.0012) for _ in range(50))),
        Minute((5.0, 9.0)),
        Minute((0.001,) * 4),
    ]
    requests = history(minutes, START, aggregation=EXPONENTIAL)

    found = of(read(str(page(lines(requests))), select(DURATION)), DURATION)

    scales = [each.layout.scale for each in found if isinstance(each.layout, Exponential)]
    assert [each.count for each in found] == [50, 2, 4]
    assert [sum(each.counts.values()) for each in found] == [50, 2, 4]
    assert scales[0] > scales[1] == scales[2]


def test_exponential_buckets_hold_the_values_between_their_bounds(page: Page) -> None:
    requests = history([Minute((0.001, 0.002, 0.0))], START, "delta", aggregation=EXPONENTIAL)

    (found,) = of(read(str(page(lines(requests))), select(DURATION, minutes=1)), DURATION)

    base = 2.0 ** (2.0**-found.layout.scale)
    assert found.zero == 1
    for value, index in zip((0.001, 0.002), sorted(found.counts), strict=True):
        assert base**index < value <= base ** (index + 1) * (1 + 1e-9)


def test_several_processes_are_summed_and_their_versions_told_apart_on_request(page: Page) -> None:
    one, other = history(THREE, START, name="a"), history(THREE, START, name="b")
    for request in other:
        attributes = request["resourceMetrics"][0]["resource"]["attributes"]
        attributes.append({"key": "service.version", "value": {"stringValue": "2"}})
    path = str(page(lines([*one, *other])))

    together = of(read(path, select(DURATION)), DURATION)
    apart = read(path, select(DURATION, resource=("service.version",)))

    assert [each.count for each in together] == [4, 2, 6]
    assert sorted([each.count for each in found] for found in cast("Any", apart.series).values()) == [
        [2, 1, 3],
        [2, 1, 3],
    ]


def test_a_matcher_looks_at_resource_and_point(page: Page) -> None:
    path = str(page(lines([*history(THREE, START, name="a"), *history(THREE, START, name="b")])))
    match = (Matcher.parse("service.instance.id=~a|c"), Matcher.parse('otcache_result="hit"'))

    assert same(of(read(path, select(DURATION, match=match)), DURATION), windows(THREE, START))
    assert read(path, select(DURATION, match=(Matcher.parse("otcache.tier!=l2"),))) == Reading({})


def test_rotated_and_compressed_files_are_one_history(page: Page, tmp_path: Path) -> None:
    requests = history(THREE, START)
    page(gzip.compress(lines(requests[:2]).encode()), "out/metrics-2026-09-21T11-00-00.000.json.gz")
    page(lines(requests[2:]), "out/metrics.json")
    page("not ours", "out/README.txt")

    by_directory = read(str(tmp_path / "out"), select(DURATION))
    by_name = read([str(path) for path in sorted((tmp_path / "out").glob("*.json*"))], select(DURATION))

    assert same(of(by_directory, DURATION), windows(THREE, START))
    assert by_name == by_directory


def test_a_file_without_a_range_is_read_as_a_whole(page: Page) -> None:
    requests = history(THREE, START + 17.3, "delta")

    found = of(read(str(page(lines(requests)))), DURATION)

    assert [each.count for each in found] == [1, 2, 1, 3]
    assert all(each.end - each.start == STEP for each in found)


@pytest.mark.parametrize("temporality", BOTH)
@pytest.mark.parametrize("ranged", [True, False])
def test_exports_whose_times_waver_fall_into_one_window_each(
    page: Page, temporality: Temporality, ranged: bool
) -> None:
    rng = random.Random(5)
    minutes = [Minute((0.002,) * rng.randint(1, 9)) for _ in range(30)]
    requests = history(minutes, START, temporality)
    for request in requests:
        late = rng.randint(-2_000_000_000, 2_000_000_000) if request is not requests[0] else 0
        for point in points(request):
            point["timeUnixNano"] = str(int(point["timeUnixNano"]) + late)

    reading = read(str(page(lines(requests))), select(LOOKUPS, minutes=30) if ranged else Selection())

    assert list(of(reading, LOOKUPS))[-30:] == counted(minutes, START)


def test_levels_are_read_and_points_without_a_value_are_not(page: Page) -> None:
    name, at = catalog.L1_COUNT.name, round(START * 1e9)
    values: list[dict[str, Any]] = [
        {"asInt": "5"},
        {"asDouble": 7.5},
        {"asInt": 99, "flags": 1},
        {"flags": "DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK"},
    ]
    found = [{"timeUnixNano": at + (number + 1) * 10**10, **value} for number, value in enumerate(values)]
    metric = {"name": name, "unit": "{entry}", "sum": {"aggregationTemporality": 2, "dataPoints": found}}
    path = page(lines([{"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}]))

    reading = read(str(path), select(catalog.L1_COUNT))

    assert reading.series == {SeriesKey(name): (GaugeWindow(START, START + 60, (5.0, 7.5)),)}


def test_other_metrics_signals_and_empty_parts_are_passed_over(page: Page) -> None:
    requests = history(THREE, START)
    strangers: list[dict[str, Any]] = [
        {"resourceSpans": []},
        {"resourceMetrics": None},
        {"resourceMetrics": [{"resource": None, "scopeMetrics": [{"metrics": [{"name": "http.server.duration"}]}]}]},
        {},
    ]

    reading = read(str(page(lines([*strangers, *requests]))), select(DURATION))

    assert same(of(reading, DURATION), windows(THREE, START))


def test_a_point_that_is_sent_twice_counts_once(page: Page) -> None:
    requests = history(THREE, START, "delta")

    found = of(read(str(page(lines([*requests, requests[-1]]))), select(DURATION)), DURATION)

    assert same(found, windows(THREE, START))


def test_a_metric_in_another_unit_is_left_out_and_said(page: Page) -> None:
    requests = history(THREE, START)
    requests = json.loads(json.dumps(requests).replace('"unit": "s"', '"unit": "ms"'))

    reading = read(str(page(lines(requests))), select(DURATION))

    assert reading == Reading({}, ("otcache.operation.duration is left out: it is in 'ms', not in 's'",))


def test_memory_does_not_grow_with_the_file(page: Page) -> None:
    process, requests = Process(born=START - STEP), []
    for number in range(200):
        process.measure([0.002] * 3)
        requests.append(process.export(START + number * 0.01))
    process.end()
    once = lines(request for request in requests if request)
    small, large = page(once, "small.jsonl"), page(once * 20, "large.jsonl")

    peaks = []
    for path in (small, large):
        tracemalloc.start()
        read(str(path), select(DURATION))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert large.stat().st_size > 4_000_000
    assert peaks[1] < peaks[0] * 1.5 < 3_000_000


def test_ratios_are_summed_over_what_splits_their_sides(page: Page) -> None:
    request = history([], START, "delta")[0]
    (lookups,) = [
        metric
        for metric in request["resourceMetrics"][0]["scopeMetrics"][0]["metrics"]
        if metric["name"] == LOOKUPS.name
    ]
    point = lookups["sum"]["dataPoints"][0]
    missed = json.loads(
        json.dumps(point).replace('"hit"', '"miss"').replace('"none"', '"absent"').replace('"l2"', '"none"')
    )
    lookups["sum"]["dataPoints"].append(missed)

    reading = read(str(page(lines([request]))), Selection(START - STEP, START, STEP, (LOOKUPS,)))

    assert list(of(reading, LOOKUPS)) == [CounterWindow(START - STEP, START, {"hit/none": 1, "miss/absent": 1})]
