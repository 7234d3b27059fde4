"""What is read from a real Prometheus."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import prometheus_client
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider

from otcache import InMemoryCache
from otcache.regression._model import CounterWindow, Explicit, Exponential, GaugeWindow, HistogramWindow, SeriesKey
from otcache.regression._sources import Matcher, Reading, Selection
from otcache.regression._sources.prometheus import Prometheus
from otcache.regression._sources.prometheus_api import Access
from otcache.telemetry import catalog
from otcache.telemetry.catalog import Instrument
from otcache.telemetry.providers import Providers
from tests.regression.sources.histories import (
    BOUNDS,
    GET_HIT,
    LOOKUP,
    STEP,
    Minute,
    Total,
    counted,
    same,
    totals,
    window,
    windows,
)
from tests.regression.sources.prometheus_server import Native, PrometheusServer, Samples
from tests.servers import free_port, wait_for

Job = Callable[[], str]
DURATION = catalog.OPERATION_DURATION.prometheus
THREE = [Minute((0.002, 0.004)), Minute((0.003,)), Minute((0.02, 0.004, 0.0005))]


def labels(name: str, attributes: dict[str, str], job: str, instance: str = "a", **more: str) -> dict[str, str]:
    spelled = {key.replace(".", "_"): value for key, value in attributes.items()}
    return {"__name__": name, "job": job, "instance": instance, **spelled, **more}


def classic(found: Sequence[Total], job: str, instance: str = "a") -> Iterator[Samples]:
    """The series of a duration as a scrape stores them."""
    for at, bound in enumerate(BOUNDS):
        points = [(total.at, float(total.below[at])) for total in found]
        yield Samples(labels(f"{DURATION}_bucket", GET_HIT, job, instance, le=str(bound)), points)
    counts = [(total.at, float(total.count)) for total in found]
    yield Samples(labels(f"{DURATION}_bucket", GET_HIT, job, instance, le="+Inf"), counts)
    yield Samples(labels(f"{DURATION}_count", GET_HIT, job, instance), counts)
    sums = [(total.at, total.sum) for total in found]
    yield Samples(labels(f"{DURATION}_sum", GET_HIT, job, instance), sums)


def hits(found: Sequence[Total], job: str, instance: str = "a") -> Samples:
    points = [(total.at, float(total.count)) for total in found]
    return Samples(labels("otcache_lookups_total", LOOKUP | {"otcache.result": "hit"}, job, instance), points)


def read(
    server: PrometheusServer, row: Instrument, job: str, start: float, minutes: float, raw_up_to: float = 7200.0
) -> Reading:
    selection = Selection(start, start + minutes * STEP, STEP, (row,), (Matcher("job", "=", job),))
    return Prometheus(server.url, raw_up_to=raw_up_to).read(selection)


def only(reading: Reading) -> Sequence[object]:
    assert len(reading.series) == 1, reading
    return next(iter(reading.series.values()))


@pytest.mark.parametrize("raw_up_to", [7200.0, 0.0], ids=["raw", "range"])
def test_classic_histograms_become_windows(
    prometheus: PrometheusServer, job: Job, half_an_hour_ago: float, raw_up_to: float
) -> None:
    start, name = half_an_hour_ago, job()
    prometheus.write(classic(totals(THREE, start), name))

    reading = read(prometheus, catalog.OPERATION_DURATION, name, start, 3, raw_up_to=raw_up_to)

    assert same(only(reading), windows(THREE, start))
    key = SeriesKey("otcache.operation.duration", frozenset(GET_HIT.items()), frozenset([("job", name)]))
    assert list(reading.series) == [key]


def test_a_fall_is_a_restart_and_what_it_fell_to_was_counted_since(
    prometheus: PrometheusServer, job: Job, half_an_hour_ago: float
) -> None:
    start, name = half_an_hour_ago, job()
    minutes = [Minute((0.002,) * 50), Minute((0.004,) * 3, restarted=True), Minute((0.0005,) * 2)]
    prometheus.write(classic(totals(minutes, start), name))

    found = only(read(prometheus, catalog.OPERATION_DURATION, name, start, 3))

    assert same(found, windows(minutes, start))


@settings(max_examples=settings().max_examples // 3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.builds(Minute, st.lists(st.floats(0.0001, 1), max_size=8).map(tuple), st.booleans()), min_size=1, max_size=12
    )
)
def test_whatever_happened_the_windows_hold_what_was_measured(
    prometheus: PrometheusServer, job: Job, half_an_hour_ago: float, minutes: list[Minute]
) -> None:
    start, name = half_an_hour_ago, job()
    minutes = visible(minutes)
    prometheus.write([*classic(totals(minutes, start), name), hits(totals(minutes, start), name)])

    durations = read(prometheus, catalog.OPERATION_DURATION, name, start, len(minutes))
    lookups = read(prometheus, catalog.LOOKUPS, name, start, len(minutes))

    assert same([each for found in durations.series.values() for each in found], windows(minutes, start))
    assert [each for found in lookups.series.values() for each in found] == counted(minutes, start)


def visible(minutes: Sequence[Minute]) -> list[Minute]:
    """Without the restarts that no scrape can show: a new process that has already counted as much as the old one."""
    kept: list[Minute] = []
    before = 1
    for minute in minutes:
        restarted = minute.restarted and len(minute.values) < before
        before = len(minute.values) + (0 if restarted else before)
        kept.append(Minute(minute.values, restarted))
    return kept


def test_several_processes_are_summed_after_their_own_restarts(
    prometheus: PrometheusServer, job: Job, half_an_hour_ago: float
) -> None:
    start, name = half_an_hour_ago, job()
    steady, restarted = [Minute((0.002,) * 9)] * 2, [Minute((0.004,) * 5), Minute((0.004,), restarted=True)]
    prometheus.write([*classic(totals(steady, start), name), *classic(totals(restarted, start), name, "b")])

    found = only(read(prometheus, catalog.OPERATION_DURATION, name, start, 2))

    values = [one.values + other.values for one, other in zip(steady, restarted, strict=True)]
    assert same(found, [window(at, each, start) for at, each in enumerate(values)])


def test_processes_with_other_buckets_are_summed_in_those_that_they_share(
    prometheus: PrometheusServer, job: Job, half_an_hour_ago: float
) -> None:
    start, name = half_an_hour_ago, job()
    fewer = [
        each for each in classic(totals(THREE, start), name, "b") if each.labels.get("le") not in ("0.001", "0.005")
    ]
    prometheus.write([*classic(totals(THREE, start), name), *fewer])

    found = only(read(prometheus, catalog.OPERATION_DURATION, name, start, 1))

    (first,) = found
    assert isinstance(first, HistogramWindow)
    assert (first.layout, first.count, first.counts) == (Explicit((0.0025, 0.01)), 4, {0: 2, 1: 2})


def test_a_series_that_appears_counts_from_0_if_its_process_was_scraped_before(
    prometheus: PrometheusServer, job: Job, half_an_hour_ago: float
) -> None:
    start, name = half_an_hour_ago, job()
    missed = LOOKUP | {"otcache.result": "miss", "otcache.miss.reason": "absent"}
    misses = labels("otcache_lookups_total", missed, name)
    prometheus.write([hits(totals(THREE, start), name), Samples(misses, [(start + 120, 7.0), (start + 180, 9.0)])])

    found = only(read(prometheus, catalog.LOOKUPS, name, start, 3))

    assert [each.by for each in found if isinstance(each, CounterWindow)] == [
        {"hit/none": 2},
        {"hit/none": 1, "miss/absent": 7},
        {"hit/none": 3, "miss/absent": 2},
    ]


def test_a_process_that_appears_is_counted_from_its_second_scrape_on(
    prometheus: PrometheusServer, job: Job, half_an_hour_ago: float
) -> None:
    start, name = half_an_hour_ago, job()
    prometheus.write([hits(totals(THREE, start)[1:], name)])

    found = only(read(prometheus, catalog.LOOKUPS, name, start, 3))

    assert list(found) == counted(THREE, start)[1:]


def test_a_series_that_vanishes_leaves_its_windows(
    prometheus: PrometheusServer, job: Job, half_an_hour_ago: float
) -> None:
    start, name = half_an_hour_ago, job()
    prometheus.write(classic(totals(THREE, start)[:3], name))

    found = only(read(prometheus, catalog.OPERATION_DURATION, name, start, 20))

    assert same(found, windows(THREE[:2], start))


def test_nan_is_a_gap_and_said(prometheus: PrometheusServer, job: Job, half_an_hour_ago: float) -> None:
    start, name = half_an_hour_ago, job()
    series = hits(totals(THREE, start), name)
    points = [(at, math.nan if at == start + 60 else value) for at, value in series.points]
    prometheus.write([Samples(series.labels, points)])

    reading = read(prometheus, catalog.LOOKUPS, name, start, 3)

    assert sum(each.by["hit/none"] for each in only(reading) if isinstance(each, CounterWindow)) == 6
    assert reading.notes == ("1 samples of otcache_lookups_total were NaN or incomplete and are left out",)


def test_a_rise_over_a_long_gap_is_left_out_and_said(
    prometheus: PrometheusServer, job: Job, half_an_hour_ago: float
) -> None:
    start, name = half_an_hour_ago, job()
    points = [(start, 5.0), (start + 60, 7.0), (start + 900, 900.0), (start + 960, 903.0)]
    prometheus.write([Samples(hits([], name).labels, points)])

    reading = read(prometheus, catalog.LOOKUPS, name, start, 16)

    assert [each.by["hit/none"] for each in only(reading) if isinstance(each, CounterWindow)] == [2, 3]
    assert reading.notes == ("1 rises over gaps of more than 300 s are left out",)


def test_gauges_become_levels_and_processes_are_summed(
    prometheus: PrometheusServer, job: Job, half_an_hour_ago: float
) -> None:
    start, name = half_an_hour_ago, job()
    attributes = {"otcache.cache.name": "users"}
    one = Samples(labels("otcache_l1_entry_count", attributes, name), [(start + 30, 10.0), (start + 60, 20.0)])
    other = Samples(labels("otcache_l1_entry_count", attributes, name, "b"), [(start + 120, 7.0)])
    prometheus.write([one, Samples(one.labels, [(start + 120, 5.0)]), other])

    found = only(read(prometheus, catalog.L1_COUNT, name, start, 2))

    assert found == (
        GaugeWindow(start, start + 60, (10.0, 20.0)),
        GaugeWindow(start + 60, start + 120, (12.0,)),
    )


@pytest.mark.parametrize("raw_up_to", [7200.0, 0.0], ids=["raw", "range"])
def test_native_histograms_become_exponential_windows(
    prometheus: PrometheusServer, job: Job, half_an_hour_ago: float, raw_up_to: float
) -> None:
    start, name = half_an_hour_ago, job()
    # index of Prometheus: bucket i ends at 2**(i * 2**-schema); the one of OpenTelemetry is lower by 1
    points = [
        (start, Native(4, 0.01, 3, -69, (1, 0, 3))),
        (start + 60, Native(10, 0.03, 3, -69, (2, 0, 7), zero=1)),
        (start + 120, Native(13, 0.04, 2, -34, (3, 9), zero=1)),  # too many buckets: the scale has fallen
        (start + 180, Native(2, 0.005, 3, -68, (2,))),  # a restart: finer again, and fewer
    ]
    prometheus.write([Samples(labels(DURATION, GET_HIT, name), points)])

    found = only(read(prometheus, catalog.OPERATION_DURATION, name, start, 3, raw_up_to=raw_up_to))

    shown = [(w.layout, w.count, dict(w.counts), w.zero) for w in found if isinstance(w, HistogramWindow)]
    assert shown == [
        (Exponential(3, 1e-9), 6, {-70: 1, -68: 4}, 1),
        (Exponential(2, 1e-9), 3, {-35: 1, -34: 2}, 0),
        (Exponential(3), 2, {-69: 2}, 0),  # how wide an empty zero bucket is, is not said
    ]


def test_a_metric_that_is_not_there_is_no_data_and_no_error(
    prometheus: PrometheusServer, job: Job, half_an_hour_ago: float
) -> None:
    assert read(prometheus, catalog.LOOKUPS, job(), half_an_hour_ago, 3) == Reading({})


@pytest.mark.parametrize("value", ['quo"te', "back\\slash", "new\nline", '"} or up{job="x', "ümlaut", "{{}}", "$1"])
def test_a_matchers_value_reaches_prometheus_as_it_is(
    prometheus: PrometheusServer, job: Job, half_an_hour_ago: float, value: str
) -> None:
    start, name = half_an_hour_ago, job()
    series = hits(totals(THREE, start), name)
    prometheus.write([Samples({**series.labels, "zone": value}, series.points), hits(totals(THREE, start), name, "b")])
    match = (Matcher("job", "=", name), Matcher("zone", "=", value))

    reading = Prometheus(prometheus.url).read(Selection(start, start + 180, STEP, (catalog.LOOKUPS,), match))

    assert only(reading) == tuple(counted(THREE, start))


def test_a_regular_expression_that_prometheus_refuses_is_said(
    prometheus: PrometheusServer, half_an_hour_ago: float
) -> None:
    match = (Matcher("job", "=~", "(?=look)ahead"),)  # Python has it, Go has not
    selection = Selection(half_an_hour_ago, half_an_hour_ago + 60, STEP, (catalog.LOOKUPS,), match)

    with pytest.raises(Exception, match=r"Prometheus at http://127.0.0.1:\d+ answers 400, bad_data: .*invalid"):
        Prometheus(prometheus.url).read(selection)


def test_two_days_are_read_in_pieces(tmp_path: Path, half_an_hour_ago: float) -> None:
    server, rng = PrometheusServer(tmp_path), random.Random(7)
    start = half_an_hour_ago - 48 * 3600
    minutes = [Minute((0.002,) * rng.randint(1, 5)) for _ in range(48 * 60)]
    page = "".join(f"{_spelled(hits([], 'old').labels)} {t.count} {t.at}\n" for t in _counts(minutes, start))
    server.fill(f"# TYPE otcache_lookups counter\n{page}# EOF\n")
    server.start()

    try:
        found = only(read(server, catalog.LOOKUPS, "old", start, len(minutes)))
    finally:
        server.stop()

    assert found == tuple(counted(minutes, start))


def _spelled(found: dict[str, str] | object) -> str:
    assert isinstance(found, dict)
    pairs = ",".join(f'{name}="{value}"' for name, value in found.items() if name != "__name__")
    return f"{found['__name__']}{{{pairs}}}"


def _counts(minutes: Sequence[Minute], start: float) -> Iterator[Total]:
    count = 1
    yield Total(start, start, count, 0.0, ())
    for number, minute in enumerate(minutes, 1):
        count += len(minute.values)
        yield Total(start + number * STEP, start, count, 0.0, ())


def test_credentials_and_tenant_are_accepted_by_a_prometheus_without_any(
    prometheus: PrometheusServer, job: Job, half_an_hour_ago: float
) -> None:
    start, name = half_an_hour_ago, job()
    prometheus.write([hits(totals(THREE, start), name)])
    selection = Selection(start, start + 180, STEP, (catalog.LOOKUPS,), (Matcher("job", "=", name),))

    reading = Prometheus(f"{prometheus.url}/", Access(token="t", tenant="one")).read(selection)

    assert only(reading) == tuple(counted(THREE, start))


@pytest.fixture
def scraped(tmp_path: Path) -> Iterator[tuple[MeterProvider, PrometheusServer]]:
    """An SDK with a /metrics page, and a Prometheus that scrapes it every second."""
    port, provider = free_port(), MeterProvider([PrometheusMetricReader()], shutdown_on_exit=False)
    page, thread = prometheus_client.start_http_server(port, "127.0.0.1")
    server = PrometheusServer(tmp_path, scrape=[port]).start()
    yield provider, server
    server.stop()
    page.shutdown()
    page.server_close()
    thread.join()
    provider.shutdown()


async def test_a_cache_that_is_scraped_is_read(scraped: tuple[MeterProvider, PrometheusServer]) -> None:
    provider, server = scraped
    start = time.time()
    async with InMemoryCache(name="scraped", providers=Providers(meter_provider=provider)) as cache:
        await cache.set("a", 1)
        wait_for(lambda: bool(live(server, catalog.L1_COUNT, start).series), "the first scrape", 60)
        for _ in range(40):
            await cache.get("a")
        wait_for(lambda: gets(live(server, catalog.OPERATION_DURATION, start)) >= 40, "the gets", 60)
        await cache.get("b")
        wait_for(lambda: gets(live(server, catalog.OPERATION_DURATION, start)) >= 41, "one more", 60)

    assert gets(live(server, catalog.OPERATION_DURATION, start)) == 41


def live(server: PrometheusServer, row: Instrument, start: float) -> Reading:
    selection = Selection(start, time.time() + 1, 1.0, (row,), (Matcher("job", "=", "live"),))
    return Prometheus(server.url).read(selection)


def gets(reading: Reading) -> float:
    found = [each for key, each in reading.series.items() if ("otcache.operation.name", "get") in key.attributes]
    return sum(each.count for windows in found for each in windows if isinstance(each, HistogramWindow))
