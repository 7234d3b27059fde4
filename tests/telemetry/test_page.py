"""The Prometheus page: exemplars in OpenMetrics, and nothing on it that makes a scrape fail."""

from __future__ import annotations

import asyncio
import gzip
import logging
import re
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import opentelemetry.exporter.prometheus as exporter
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from prometheus_client.parser import text_string_to_metric_families

from otcache import InMemoryCache
from otcache._exports import prometheus_page as page
from otcache.exceptions import ConfigurationError
from otcache.telemetry import TelemetryHandle, catalog, setup
from otcache.telemetry.providers import Providers
from tests.servers import wait_for

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
BUCKET = re.compile(r'^(\w+)_bucket\{.*?le="([^"]+)".*?\} (\S+)(?: # \{(.*)\} (\S+) (\S+))?$', re.MULTILINE)
DURATION = catalog.OPERATION_DURATION.prometheus


@pytest.fixture
def handle() -> Iterator[TelemetryHandle]:
    handle = serve()
    yield handle
    handle.shutdown()


def serve(**options: Any) -> TelemetryHandle:
    return setup("shop", "prometheus", metrics_port=0, configure_logging=False, set_global=False, **options)


def scrape(handle: TelemetryHandle, accept: str = OPENMETRICS) -> str:
    request = urllib.request.Request(f"http://127.0.0.1:{handle.metrics_port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


async def ask(handle: TelemetryHandle, query: str = "", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """The application's status, headers and body."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await handle.metrics_app()({"type": "http", "query_string": query.encode(), "headers": given}, receive, send)
    return sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}, sent[1]["body"]


def exemplars(text: str, name: str) -> list[tuple[str, dict[str, str], float]]:
    """The bucket's bound, the labels and the value of each exemplar."""
    found = [match.groups() for match in BUCKET.finditer(text) if match[1] == name and match[4]]
    return [(le, dict(re.findall(r'(\w+)="(\w+)"', labels)), float(value)) for _, le, _, labels, value, _ in found]


async def read_twice(handle: TelemetryHandle) -> trace.SpanContext:
    """A hit under a sampled span, and that span."""
    cache = InMemoryCache(name="users", providers=Providers(handle.tracer_provider, handle.meter_provider))
    await cache.set("k", 1)
    with handle.tracer_provider.get_tracer("app").start_as_current_span("request") as span:
        await cache.get("k")
        context: trace.SpanContext = span.get_span_context()
    return context


def record(handle: TelemetryHandle, *values: float, name: str = "app.size", **view: Any) -> list[int]:
    """Values in a histogram of the application's own, each under a span of its own; the spans' ids."""
    histogram = handle.meter_provider.get_meter("app").create_histogram(
        name, explicit_bucket_boundaries_advisory=[1.0, 10.0]
    )
    spans = []
    for value in values:
        with handle.tracer_provider.get_tracer("app").start_as_current_span("s") as span:
            histogram.record(value)
        spans.append(span.get_span_context().span_id)
    return spans


async def test_a_sampled_hit_is_an_exemplar_on_its_bucket(handle: TelemetryHandle) -> None:
    span = await read_twice(handle)

    text = await asyncio.to_thread(scrape, handle)
    found = {labels["trace_id"]: (le, labels["span_id"], value) for le, labels, value in exemplars(text, DURATION)}
    le, span_id, value = found[f"{span.trace_id:032x}"]

    assert le == str(min(bound for bound in catalog.B_OP if bound >= value))
    assert len(span_id) == 16
    assert text.endswith("# EOF\n")


async def test_the_text_format_has_no_exemplars_and_parses(handle: TelemetryHandle) -> None:
    await read_twice(handle)

    text = await asyncio.to_thread(scrape, handle, "text/plain; version=0.0.4")
    names = {family.name for family in text_string_to_metric_families(text)}

    assert " # {" not in text
    assert {DURATION, "otcache_build_info"} <= names


async def test_our_own_reader_takes_the_page(handle: TelemetryHandle) -> None:
    await read_twice(handle)

    text = await asyncio.to_thread(scrape, handle)
    found = {sample.metric for sample in page.samples(enumerate(text.splitlines(keepends=True), 1))}

    assert {f"{DURATION}_bucket", "otcache_lookups_total"} <= found


def test_each_bucket_shows_its_own_exemplar_and_the_sums_stay(handle: TelemetryHandle) -> None:
    spans = record(handle, 0.5, 5.0, 500.0)

    text = scrape(handle)
    counts = {match[2]: match[3] for match in BUCKET.finditer(text) if match[1] == "app_size"}
    found = {le: (int(labels["span_id"], 16), value) for le, labels, value in exemplars(text, "app_size")}

    assert found == {"1.0": (spans[0], 0.5), "10.0": (spans[1], 5.0), "+Inf": (spans[2], 500.0)}
    assert counts == {"1.0": "1.0", "10.0": "2.0", "+Inf": "3.0"}
    assert re.search(r"^app_size_count\S* 3\.0$", text, re.MULTILINE), "no exemplar on the count"


def test_an_exemplar_stays_until_its_bucket_has_a_new_one(handle: TelemetryHandle) -> None:
    record(handle, 0.5, 5.0)
    first = scrape(handle)
    record(handle, 0.6)

    second, third = scrape(handle), scrape(handle)

    assert [value for _, _, value in exemplars(first, "app_size")] == [0.5, 5.0]
    assert [value for _, _, value in exemplars(second, "app_size")] == [0.6, 5.0]
    assert exemplars(third, "app_size") == exemplars(second, "app_size")


def test_an_exponential_histogram_is_left_out_and_said_once(caplog: Any) -> None:
    exponential = View(instrument_name="app.exponential", aggregation=ExponentialBucketHistogramAggregation())
    handle = serve(extra_views=[exponential])
    record(handle, 1.0, name="app.exponential")
    record(handle, 1.0)

    with caplog.at_level(logging.WARNING, "otcache.telemetry"):
        text = [scrape(handle) for _ in range(2)][-1]
    handle.shutdown()

    assert "app_size_bucket" in text
    assert "app_exponential" not in text
    assert [record.getMessage() for record in caplog.records if "app.exponential" in record.getMessage()] == [
        "the Prometheus page leaves out what it can't show of app.exponential (ExponentialHistogram)"
    ]


def test_the_stock_page_fails_on_an_exponential_histogram() -> None:
    reader = exporter.PrometheusMetricReader()
    view = View(instrument_name="app.x", aggregation=ExponentialBucketHistogramAggregation())
    meters = _meters(reader, view)
    meters.get_meter("app").create_histogram("app.x").record(1.0)

    with pytest.raises(AttributeError, match="value"):
        list(reader._collector.collect())

    meters.shutdown()


def _meters(reader: Any, view: View) -> Any:
    from opentelemetry.sdk.metrics import MeterProvider

    return MeterProvider([reader], views=[view], shutdown_on_exit=False)


@pytest.mark.parametrize(
    "observation",
    [metrics.Observation(None), metrics.Observation(1, {"path": "caf\udce9"})],  # type: ignore[arg-type]
    ids=["not a number", "half a surrogate pair"],
)
def test_a_point_that_cannot_be_written_is_left_out(handle: TelemetryHandle, observation: Any) -> None:
    good = metrics.Observation(2, {"path": "caf\u00e9"})
    meter = handle.meter_provider.get_meter("app")
    meter.create_observable_gauge("app.level", [lambda _: [observation], lambda _: [good]])

    text = scrape(handle)

    assert re.findall(r'^app_level\{.*path="(.*?)".*\} (.*)$', text, re.MULTILINE) == [("caf\u00e9", "2.0")]


class Renamed(exporter.PrometheusMetricReader):
    """The exporter as it may become: its collector is somewhere else."""

    def __init__(self) -> None:
        super().__init__()
        self._elsewhere: Any = self._collector
        del self._collector

    def _receive_metrics(self, metrics_data: Any, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        self._elsewhere.add_metrics_data(metrics_data)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._collector = self._elsewhere
        super().shutdown(timeout_millis)


def test_an_unknown_exporter_gives_the_plain_page_and_says_so(monkeypatch: Any, caplog: Any) -> None:
    monkeypatch.setattr(exporter, "PrometheusMetricReader", Renamed)
    with caplog.at_level(logging.WARNING, "otcache.telemetry"):
        handle = serve()
    record(handle, 0.5)

    text = scrape(handle)
    handle.shutdown()

    assert re.search(r'^app_size_bucket\{.*le="1\.0".*\} 1\.0$', text, re.MULTILINE)
    assert "the page has no exemplars" in caplog.text


def test_a_data_model_that_is_not_known_is_passed_on(handle: TelemetryHandle, monkeypatch: Any) -> None:
    monkeypatch.setattr("otcache.telemetry._setup.prometheus.replace", _refuse)
    record(handle, 0.5)

    text = scrape(handle)

    assert re.search(r'^app_size_bucket\{.*le="1\.0".*\} 1\.0$', text, re.MULTILINE)


def _refuse(*_: Any, **__: Any) -> None:
    raise TypeError("no dataclass")


def test_scrapes_at_the_same_time_each_get_the_whole_page(handle: TelemetryHandle, monkeypatch: Any) -> None:
    """Each lets the other one collect before it goes on, if that can get so far."""
    add = exporter._CustomCollector.add_metrics_data

    def add_and_wait(collector: Any, data: Any) -> None:
        add(collector, data)
        with suppress(TimeoutError):
            wait_for(lambda: len(collector._metrics_datas) != 1, "the other scrape", 0.5)

    monkeypatch.setattr(exporter._CustomCollector, "add_metrics_data", add_and_wait)
    record(handle, 0.5)

    with ThreadPoolExecutor(2) as pool:
        found = [text.count("app_size_count") for text in pool.map(scrape, [handle] * 2)]

    assert found == [1, 1]


async def test_the_application_answers_in_the_format_that_is_asked_for(handle: TelemetryHandle) -> None:
    record(handle, 0.5)

    plain, rich = await ask(handle), await ask(handle, accept=OPENMETRICS)

    assert (plain[0], rich[0]) == (200, 200)
    assert plain[1]["content-type"].startswith("text/plain; version=0.0.4")
    assert rich[1]["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert (b" # {" in plain[2], b" # {" in rich[2]) == (False, True)


async def test_the_application_answers_for_the_names_that_are_asked_for(handle: TelemetryHandle) -> None:
    record(handle, 0.5)

    _, headers, body = await ask(handle, "name[]=python_info", accept_encoding="gzip")
    text = gzip.decompress(body).decode()

    assert headers["content-encoding"] == "gzip"
    assert "python_info{" in text
    assert "app_size" not in text


async def test_a_scrape_is_collected_outside_of_the_event_loop(handle: TelemetryHandle) -> None:
    seen: list[threading.Thread] = []
    meter = handle.meter_provider.get_meter("app")
    meter.create_observable_gauge("g", [lambda _: seen.append(threading.current_thread()) or []])  # type: ignore[func-returns-value]

    await ask(handle)

    assert len(seen) == 1
    assert seen[0] is not threading.current_thread()


# --- the port ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_out_of_range_is_named(port: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"metrics_port={port} is outside 0\.\.65535"):
        setup("shop", "prometheus", metrics_port=port, set_global=False)


def test_a_port_without_a_page_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="metrics_port=0 needs exporter='prometheus', not 'otlp'"):
        setup("shop", "otlp", metrics_port=0, set_global=False)


def test_a_taken_port_is_named_and_leaves_nothing_behind() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"metrics_port={port} can't be opened on 127\.0\.0\.1: .*in use"):
            setup("shop", "prometheus", metrics_port=port, configure_logging=False, set_global=False)

    handle = serve()
    record(handle, 0.5)
    text = scrape(handle)
    handle.shutdown()

    assert len(re.findall("^target_info", text, re.MULTILINE)) == 1, "the first one has no reader"


def test_the_end_frees_the_port(handle: TelemetryHandle) -> None:
    port = handle.metrics_port

    ended = handle.shutdown()

    assert (ended, handle.force_flush()) == (True, True)
    with pytest.raises(urllib.error.URLError):
        scrape(handle)
    again = setup("shop", "prometheus", metrics_port=port, configure_logging=False, set_global=False)
    assert (again.metrics_port, again.shutdown()) == (port, True)
