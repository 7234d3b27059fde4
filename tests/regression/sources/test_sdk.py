"""What the reader beside the application's reader keeps of this process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

from otcache import InMemoryCache
from otcache.exceptions import ConfigurationError
from otcache.regression._model import CounterWindow, Exponential, GaugeWindow, HistogramWindow, SeriesKey
from otcache.regression._sources.sdk import WindowReader
from otcache.telemetry import catalog, setup
from otcache.telemetry.providers import Providers
from tests.regression.sources.histories import GET_HIT
from tests.servers import wait_for

RESULT = "otcache.result"


async def test_a_cache_is_read_window_by_window_beside_another_reader() -> None:
    reader, other = WindowReader(None), InMemoryMetricReader()
    provider = MeterProvider([other, reader], shutdown_on_exit=False)
    async with InMemoryCache(name="users", providers=Providers(meter_provider=provider)) as cache:
        await cache.set("a", 1)
        reader.collect()
        for key in ("a", "a", "b"):
            await cache.get(key)
        reader.collect()
    provider.shutdown()

    reading = reader.read()

    users = frozenset([("otcache.cache.name", "users")])
    lookups = [found for key, found in reading.series.items() if key.metric == catalog.LOOKUPS.name]
    assert [[_grown(each) for each in found if isinstance(each, CounterWindow)] for found in lookups] == [
        [{"hit/none": 2, "miss/absent": 1}]
    ]
    levels = [found for key, found in reading.series.items() if key.metric == catalog.L1_COUNT.name]
    assert [each.values for found in levels for each in found if isinstance(each, GaugeWindow)] == [(1.0,), (1.0,)]
    assert {key.attributes for key in reading.series if key.metric == catalog.LOOKUPS.name} == {users}
    assert _durations(reader, "get") == [3]


async def test_setup_takes_it_beside_the_exporter() -> None:
    reader = WindowReader(None)
    handle = setup("shop", "none", extra_readers=[reader], set_global=False, configure_logging=False)
    async with InMemoryCache(name="users", providers=Providers(meter_provider=handle.meter_provider)) as cache:
        await cache.get("a")
        reader.collect()
    handle.shutdown()

    assert _durations(reader, "get") == [1]


def _grown(window: CounterWindow) -> dict[str, float]:
    return {value: growth for value, growth in window.by.items() if growth}


def _durations(reader: WindowReader, operation: str) -> list[float]:
    """Counts per window of an operation's durations, over results."""
    counted: dict[float, float] = {}
    for key, found in reader.read().series.items():
        if key.metric == catalog.OPERATION_DURATION.name and ("otcache.operation.name", operation) in key.attributes:
            for each in found:
                assert isinstance(each, HistogramWindow)
                counted[each.start] = counted.get(each.start, 0) + each.count
    return [count for _, count in sorted(counted.items())]


@settings(max_examples=settings().max_examples // 3)
@given(st.lists(st.lists(st.floats(0.0001, 5), max_size=6), min_size=1, max_size=6), st.booleans())
def test_whatever_is_measured_each_window_holds_its_own(minutes: list[list[float]], exponential: bool) -> None:
    views = [View(instrument_name="*duration", aggregation=ExponentialBucketHistogramAggregation())]
    reader = WindowReader(None)
    provider = MeterProvider([reader], views=views if exponential else (), shutdown_on_exit=False)
    durations = provider.get_meter("otcache").create_histogram(catalog.OPERATION_DURATION.name, unit="s")

    for values in minutes:
        for value in values:
            durations.record(value, GET_HIT)
        reader.collect()
    found = [each for windows in reader.read().series.values() for each in windows]
    provider.shutdown()

    assert [each.count for each in found if isinstance(each, HistogramWindow)] == [len(v) for v in minutes if v]
    for each, values in zip(found, filter(None, minutes), strict=True):
        assert isinstance(each, HistogramWindow)
        assert each.sum == pytest.approx(sum(values))
        assert sum(each.counts.values()) == len(values)
        assert isinstance(each.layout, Exponential) is exponential


def test_windows_follow_each_other_and_the_oldest_go() -> None:
    reader = WindowReader(None, windows=3)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    hits = provider.get_meter("otcache").create_counter(catalog.LOOKUPS.name)

    for number in range(1, 6):
        hits.add(number, {RESULT: "hit"})
        reader.collect()
    provider.shutdown()

    found = reader.read().series[SeriesKey(catalog.LOOKUPS.name, frozenset(), _service(reader))]
    assert [each.by for each in found if isinstance(each, CounterWindow)] == [{"hit": 3}, {"hit": 4}, {"hit": 5}]
    assert [each.end for each in found[:-1]] == [each.start for each in found[1:]]


def _service(reader: WindowReader) -> frozenset[tuple[str, str]]:
    return next(iter(reader.read().series)).resource


def test_a_range_selects_windows_by_their_middle() -> None:
    reader = WindowReader(None)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    hits = provider.get_meter("otcache").create_counter(catalog.LOOKUPS.name)
    hits.add(1, {RESULT: "hit"})
    reader.collect()
    (first,) = (each for found in reader.read().series.values() for each in found)
    hits.add(2, {RESULT: "hit"})
    reader.collect()
    provider.shutdown()

    before, after = reader.read(end=first.end), reader.read(start=first.end)

    assert [[each.by for each in found if isinstance(each, CounterWindow)] for found in before.series.values()] == [
        [{"hit": 1}]
    ]
    assert [[each.by for each in found if isinstance(each, CounterWindow)] for found in after.series.values()] == [
        [{"hit": 2}]
    ]


def test_its_own_thread_collects_and_ends_with_the_provider() -> None:
    reader = WindowReader(1.0)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    provider.get_meter("otcache").create_counter(catalog.LOOKUPS.name).add(1, {RESULT: "hit"})

    wait_for(lambda: bool(reader.read().series), "a window")
    provider.shutdown()

    assert "otcache-windows" not in [thread.name for thread in threading.enumerate()]


def test_a_callback_that_hangs_or_raises_holds_up_neither_reading_nor_the_end(caplog: pytest.LogCaptureFixture) -> None:
    entered, hold = threading.Event(), threading.Event()

    def observe(_: CallbackOptions) -> Iterator[Observation]:
        entered.set()
        hold.wait(20)
        yield Observation(1, {RESULT: "hit"})

    reader = WindowReader(1.0)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    provider.get_meter("otcache").create_observable_counter(catalog.LOOKUPS.name, [observe])
    wait_for(entered.is_set, "a collection")

    began = time.monotonic()
    reading = reader.read()
    reader.shutdown()
    took = time.monotonic() - began
    hold.set()
    provider.shutdown()

    assert reading.series == {}
    assert took < 5


FORKED = """
import os, sys, time
from opentelemetry.sdk.metrics import MeterProvider
from otcache.regression._sources.sdk import WindowReader

reader = WindowReader(1.0)
counter = MeterProvider([reader]).get_meter("otcache").create_counter(sys.argv[1])
counter.add(1)
if child := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
ends = time.monotonic() + 30
while not reader.read().series and time.monotonic() < ends:
    time.sleep(0.05)
os._exit(0 if reader.read().series else 3)
"""


def test_a_child_after_a_fork_collects_by_itself() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED, catalog.LOOKUPS.name], timeout=60, check=False)

    assert done.returncode == 0


@pytest.mark.parametrize("arguments", [{"interval": 0.5}, {"interval": float("nan")}, {"windows": 1}])
def test_arguments_out_of_range_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        WindowReader(**arguments)  # type: ignore[arg-type]
