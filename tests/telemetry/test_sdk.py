"""`setup()`: a real SDK, its environment, its end."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otcache import InMemoryCache
from otcache.exceptions import ConfigurationError, ValidationError
from otcache.telemetry import catalog, setup, views
from otcache.telemetry._instrumentation.metrics import GRID
from otcache.telemetry._setup import sdk
from otcache.telemetry.providers import Providers

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: Any) -> None:
    for name in os.environ:
        if name.startswith("OTEL_") or name == "WEB_CONCURRENCY":
            monkeypatch.delenv(name)


class Receiver(HTTPServer):
    """An OTLP receiver over HTTP that keeps what arrives."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.metrics_arrived = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies[self.path] = body
        if self.path == "/v1/metrics":
            self.server.metrics_arrived.set()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`program` in a process of its own, where the global providers are nobody else's."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT, env=clean | {"PYTHONPATH": str(ROOT)} | environment, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


async def use(providers: Any) -> None:
    cache = InMemoryCache(name="users", providers=providers)
    await cache.set("k", 1)
    await cache.get("k")
    with pytest.raises(ValidationError):
        await cache.set("k", 1, ttl=-1)


def providers_of(handle: Any) -> Providers:
    return Providers(handle.tracer_provider, handle.meter_provider, handle.logger_provider)


async def test_everything_arrives_by_otlp_with_the_identity_of_the_process(receiver: Receiver) -> None:
    endpoint = f"http://127.0.0.1:{receiver.server_port}"
    options: dict[str, Any] = {"protocol": "http/protobuf", "configure_logging": False, "set_global": False}
    handle = setup("shop", endpoint=endpoint, service_version="1.2", **options)

    await use(providers_of(handle))
    sent = await asyncio.to_thread(handle.force_flush)
    await asyncio.to_thread(handle.shutdown)
    request = ExportTraceServiceRequest.FromString(receiver.bodies["/v1/traces"])
    (spans,) = request.resource_spans
    resource = {each.key: each.value.string_value for each in spans.resource.attributes}

    assert sent
    assert set(receiver.bodies) == {"/v1/traces", "/v1/metrics", "/v1/logs"}
    assert [span.name for span in spans.scope_spans[0].spans] == [
        "cache.set users", "cache.get users", "cache.set users",
    ]  # fmt: skip
    assert (resource["service.name"], resource["service.version"]) == ("shop", "1.2")
    assert len(resource["service.instance.id"]) == 36


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
async def test_with_nobody_listening_the_end_is_bounded(protocol: Any) -> None:
    options: dict[str, Any] = {"configure_logging": False, "set_global": False, "export_interval": 3600}
    handle = setup("shop", endpoint="http://127.0.0.1:1", protocol=protocol, **options)
    await use(providers_of(handle))

    started = time.monotonic()
    ended = await asyncio.to_thread(handle.shutdown, 1.0)
    took = time.monotonic() - started

    assert took < 8.0, ended  # the exporter itself would wait ten seconds
    assert handle.shutdown(1.0), "a second time there is nothing to do"


def test_a_process_ends_in_time_with_nobody_listening() -> None:
    started = time.monotonic()
    done = run(
        "from otcache.telemetry import setup; import opentelemetry.trace as t\n"
        "setup('shop', endpoint='http://127.0.0.1:1', configure_logging=False)\n"
        "t.get_tracer('x').start_span('s').end()"
    )

    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert time.monotonic() - started < 60.0


def test_what_is_left_at_exit_is_exported(receiver: Receiver) -> None:
    done = run(
        "from otcache.telemetry import setup; import opentelemetry.trace as t\n"
        "setup(configure_logging=False); t.get_tracer('x').start_span('last words').end()",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{receiver.server_port}",
        OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        OTEL_SERVICE_NAME="from-environment",
    )

    assert done.returncode == 0, done.stderr
    assert b"last words" in receiver.bodies["/v1/traces"]
    assert b"from-environment" in receiver.bodies["/v1/traces"]


def test_the_workers_are_there_before_the_end() -> None:
    before = {thread for thread in threading.enumerate() if thread.name == "otcache-telemetry"}
    handle = setup(exporter="none", configure_logging=False, set_global=False)
    made = {thread for thread in threading.enumerate() if thread.name == "otcache-telemetry"} - before

    ended = handle.shutdown()
    for thread in made:
        thread.join(5)

    assert (len(made), ended) == (3, True), "Python 3.12 starts no thread at exit"
    assert not any(thread.is_alive() for thread in made)


@pytest.mark.parametrize(("variable", "given"), [("50", None), ("3600000", 0.1)])
def test_the_standard_interval_holds_unless_one_is_given(
    receiver: Receiver, monkeypatch: Any, variable: str, given: float | None
) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", variable)
    options: dict[str, Any] = {"protocol": "http/protobuf", "configure_logging": False, "set_global": False}
    handle = setup("shop", endpoint=f"http://127.0.0.1:{receiver.server_port}", export_interval=given, **options)
    handle.meter_provider.get_meter("app").create_counter("c").add(1)

    arrived = receiver.metrics_arrived.wait(10)
    handle.shutdown()

    assert arrived, "nobody flushed: only the interval sends"


def test_a_provider_of_the_applications_own_stays() -> None:
    done = run(
        "from opentelemetry import trace; from opentelemetry.sdk.trace import TracerProvider\n"
        "mine = TracerProvider(); trace.set_tracer_provider(mine)\n"
        "from otcache.telemetry import setup\n"
        "handle = setup(exporter='none', configure_logging=False)\n"
        "print(handle.tracer_provider is mine, handle.shutdown(), mine._disabled)"
    )

    assert done.stdout.split() == ["True", "True", "False"], done.stderr
    assert "the application has set a provider for traces: it stays" in done.stderr


def test_two_processes_have_ids_of_their_own() -> None:
    program = (
        "from otcache.telemetry import setup\n"
        "print(setup(exporter='none').tracer_provider.resource.attributes['service.instance.id'])"
    )
    first, second = run(program), run(program)
    given = run(program, OTEL_RESOURCE_ATTRIBUTES="service.instance.id=mine")

    assert len({first.stdout, second.stdout}) == 2
    assert given.stdout == "mine\n", given.stderr


def test_the_prometheus_page_shows_the_cache() -> None:
    done = run(
        "import asyncio\n"
        "from otcache import InMemoryCache; from otcache.telemetry import setup\n"
        "handle = setup('shop', 'prometheus', configure_logging=False)\n"
        "cache = InMemoryCache(name='users'); asyncio.run(cache.get('k'))\n"
        "sent = []\n"
        "async def send(message): sent.append(message)\n"
        "async def receive(): return {'type': 'http.request', 'body': b''}\n"
        "scope = {'type': 'http', 'method': 'GET', 'path': '/', 'query_string': b'', 'headers': []}\n"
        "asyncio.run(handle.metrics_app()(scope, receive, send)); print(sent[1]['body'].decode())"
    )
    (line,) = [
        line for line in done.stdout.splitlines() if line.startswith("otcache_lookups_total") and '"absent"' in line
    ]

    assert line.endswith(" 1.0"), done.stderr


@pytest.mark.parametrize(("workers", "warned"), [("4", 1), ("1", 0), ("auto", 0), (None, 0)])
def test_several_workers_behind_one_page_are_warned_of(
    monkeypatch: Any, caplog: Any, workers: str | None, warned: int
) -> None:
    if workers is not None:
        monkeypatch.setenv("WEB_CONCURRENCY", workers)
    with caplog.at_level(logging.WARNING, "otcache.telemetry"):
        sdk._check("prometheus", None, None)

    assert len([record for record in caplog.records if "several workers" in record.message]) == warned


@pytest.mark.parametrize(
    ("command", "workers"),
    [
        ("/venv/bin/uvicorn shop:app --workers 3", 3),
        ("/venv/lib/uvicorn/__main__.py shop:app --workers=2 --port 80", 2),
        ("/venv/bin/gunicorn -w 4 shop:app", 4),
        ("/venv/bin/uvicorn shop:app --workers many", 1),
        ("/venv/bin/shop --workers 3", 1),
    ],
)
def test_the_command_line_says_how_many_workers_there_are(monkeypatch: Any, command: str, workers: int) -> None:
    monkeypatch.setattr(sys, "argv", command.split())

    assert sdk._workers() == workers


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"exporter": "jaeger"}, "jaeger"),
        ({"sampler_ratio": 1.5}, "0..1"),
        ({"export_interval": 0}, "0.1..3600 s"),
        ({"histograms": "exponential", "exporter": "prometheus"}, "breaks the Prometheus page"),
        ({"histograms": "coarse"}, "coarse"),
    ],
)
def test_an_argument_that_cannot_be_is_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        setup(**arguments)


def test_a_protocol_of_the_environment_that_is_unknown_is_named(monkeypatch: Any) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")

    with pytest.raises(ConfigurationError, match=r"OTEL_EXPORTER_OTLP_PROTOCOL='http/json'.*http/protobuf"):
        setup("shop", set_global=False)


@pytest.mark.parametrize(
    ("missing", "exporter", "extra"),
    [("opentelemetry.exporter.otlp", "otlp", "otlp"), ("prometheus_client", "prometheus", "prometheus")],
)
def test_a_missing_extra_is_named_with_the_command(missing: str, exporter: str, extra: str) -> None:
    done = run(
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from otcache.telemetry import setup; from otcache.exceptions import ConfigurationError\n"
        f"try: setup('shop', {exporter!r})\n"
        "except ConfigurationError as exc: print(exc)"
    )

    assert f'pip install "otcache[{extra}]"' in done.stdout, done.stderr


async def test_fine_histograms_export_the_internal_grid() -> None:
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], views=views("fine"))
    await use(Providers(meter_provider=meters))

    (bounds,) = {
        point.explicit_bounds  # type: ignore[union-attr]
        for resource in reader.get_metrics_data().resource_metrics  # type: ignore[union-attr]
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == catalog.OPERATION_DURATION.name
        for point in metric.data.data_points
    }
    meters.shutdown()

    assert bounds == tuple(bound / 1e9 for bound in GRID)


def test_default_histograms_need_no_view() -> None:
    assert views() == ()
    durations = [row for row in catalog.INSTRUMENTS if row.kind == "histogram" and row.scale == catalog.NS]
    assert len(views("exponential")) == len(views("fine")) == len(durations)


def test_an_old_redis_py_is_named_with_the_command(monkeypatch: Any) -> None:
    for name in list(sys.modules):
        if name.startswith("redis.asyncio.observability"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "redis.asyncio.observability.recorder", None)
    monkeypatch.setattr("importlib.metadata.version", lambda _: "5.2.1")

    with pytest.raises(ConfigurationError, match=r'redis-py 7\.3 or newer, found 5\.2\.1: pip install "redis>=7\.3"'):
        setup("shop", redis_metrics=True, exporter="none", set_global=False)
