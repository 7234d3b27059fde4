"""What the real SDK and the real exporters write of caches, for tests that read it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData

from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.metrics import Metrics, metrics_for

ROOT: Final = Path(__file__).parents[2]
TEXT: Final = "text/plain; version=0.0.4"
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"

APPLICATION: Final = """
import asyncio, json, sys
from opentelemetry import metrics, trace
from prometheus_client import Histogram, REGISTRY, start_http_server
from prometheus_client.exposition import choose_encoder
from otcache import InMemoryCache
from otcache.telemetry import setup
from otcache.telemetry._instrumentation.metrics import metrics_for
from tests.telemetry.real import use_every_instrument

setup("shop", "prometheus", configure_logging=False)
cache = InMemoryCache(name="users")

async def work():
    with trace.get_tracer("shop").start_as_current_span("request"):
        await cache.set("k", 1)
        await cache.get("k")
        await cache.get("absent")

asyncio.run(work())
metrics.get_meter("shop").create_counter("shop.orders", "{order}").add(1)
Histogram("shop_wait_seconds", "Of the shop's own.").observe(0.3, exemplar={"trace_id": "0af7651916cd43dd"})
"""
"""An application with one cache, a metric of its own by OpenTelemetry and one by the Prometheus client."""

_RENDER: Final = """
if sys.argv[1] == "all":
    use_every_instrument(metrics_for(None, "1"))
pages = {accept: choose_encoder(accept)[0](REGISTRY).decode() for accept in sys.argv[2:]}
print(json.dumps(pages))
"""
_SERVE: Final = """
server, _ = start_http_server(0, addr="127.0.0.1")
print(server.server_port, flush=True)
sys.stdin.read()
"""


def use_every_instrument(metrics: Metrics) -> None:
    """One series of every metric of the catalogue."""
    for row in catalog.INSTRUMENTS:
        values = [key.values[0] if key.values else "some" for key in row.keys]
        if row.kind == "histogram":
            metrics.record(row, 5, *values)
        elif row is not catalog.BUILD_INFO:
            metrics.add(row, 1, *values)


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    """`program` in a process of its own: the exporter's registry is one per process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OTCACHE_"))}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        cwd=ROOT, env=clean | {"PYTHONPATH": str(ROOT)}, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def serve() -> subprocess.Popen[str]:
    """The application with its page on a port that it prints; it ends with its standard input."""
    return start(APPLICATION + _SERVE)


@lru_cache
def _pages(what: str) -> dict[str, str]:
    output, _ = start(APPLICATION + _RENDER, what, TEXT, OPENMETRICS).communicate(timeout=60)
    pages: dict[str, str] = json.loads(output)
    return pages


def page(accept: str = TEXT) -> str:
    """The page of an application that has used one memory cache."""
    return _pages("some")[accept]


def full_page(accept: str = TEXT) -> str:
    """The same with every metric of the catalogue on it."""
    return _pages("all")[accept]


def otlp(*, numbers: bool = False) -> dict[str, Any]:
    """Every metric of the catalogue as OTLP JSON; see `as_otlp`."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    use_every_instrument(metrics_for(provider, "1"))
    data = reader.get_metrics_data()
    provider.shutdown()
    assert data is not None
    return as_otlp(data, numbers=numbers)


def as_otlp(data: MetricsData, *, numbers: bool = False) -> dict[str, Any]:
    """What a reader of the SDK has collected as OTLP JSON, by the real encoder.

    Args:
        numbers: Whether enums are numbers, not names.
    """
    document: dict[str, Any] = MessageToDict(encode_metrics(data), use_integers_for_enums=numbers)
    return document
