"""The demo's services of the container stack, run as that runs them: with a real Redis and an OTLP receiver."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from otcache._demo.compose import SERVICE, main
from otcache.telemetry import catalog
from tests.servers import RedisServer, end, free_port, spawn, wait_for
from tests.stack.otlp import Sink
from tests.stack.web import answers

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sink]:
    """What arrives while the application is asked by its traffic."""
    log, port = tmp_path_factory.mktemp("compose") / "log", free_port()
    service = [sys.executable, "-m", "otcache._demo.compose"]
    with ExitStack() as held, pytest.MonkeyPatch.context() as patch:
        redis, received = RedisServer("valkey").start(), held.enter_context(Sink())
        held.callback(redis.stop)
        for name in [name for name in os.environ if name.startswith(("OTEL_", "OTCACHE_"))]:
            patch.delenv(name)
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{received.grpc_port}")
        patch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "500")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        patch.setenv("OTCACHE_REDIS_URL", redis.url)
        patch.setenv("OTCACHE_MEMORY_CACHE_SIZE", "40")
        app = spawn([*service, "app", "--port", str(port)], log)
        held.callback(end, app)
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/health"), f"the app: {log.read_text()}", 60)
        traffic = spawn([*service, "traffic", "--rate", "100", f"http://127.0.0.1:{port}"], log)
        held.callback(end, traffic)
        yield received


def test_metrics_traces_and_logs_arrive_under_the_demo_s_name(sink: Sink) -> None:
    sink.wait_for(lambda: any(span.name.startswith("cache.") for span in sink.spans(SERVICE)), "spans", 60)
    sink.wait_for(lambda: bool(sink.events(SERVICE)), "log records", 60)

    names = {metric.name for metric in sink.metrics(SERVICE)}
    assert {catalog.BUILD_INFO.name, catalog.LOOKUPS.name, catalog.OPERATION_DURATION.name} <= names


def test_the_caches_use_redis(sink: Sink) -> None:
    def trips() -> float:
        found = [metric for metric in sink.metrics(SERVICE) if metric.name == catalog.L2_OPERATIONS.name]
        return sum(point.value for metric in found for point in metric.points)

    sink.wait_for(lambda: trips() > 0, "round trips", 60)


def test_ready_ends_as_soon_as_all_answer(sink: Sink, capsys: pytest.CaptureFixture[str]) -> None:
    away = f"http://127.0.0.1:{free_port()}/"

    assert main(["ready", "--seconds", "0.5", away]) == 1
    assert f"not ready within 0.5 s: {away}" in capsys.readouterr().err


def test_an_unknown_service_is_refused() -> None:
    done = subprocess.run([sys.executable, "-m", "otcache._demo.compose", "nothing"], capture_output=True, check=False)

    assert done.returncode == 2
