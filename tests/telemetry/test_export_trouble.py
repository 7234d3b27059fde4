"""A collector that is away, silent, refusing or another program altogether: caches work on, and the end is bounded."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, get_args

import grpc  # type: ignore[import-untyped]
import pytest

from otcache import InMemoryCache
from otcache.telemetry import TelemetryHandle, setup
from otcache.telemetry.providers import Providers
from tests.servers import wait_for
from tests.telemetry.receivers import Trouble, Troubled, running

ROOT = Path(__file__).parents[2]
PROTOCOLS: Final = ("grpc", "http/protobuf")
OPERATIONS: Final = 3000
"""More spans than wait in a queue of the SDK (2048)."""


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: Any) -> None:
    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)


def export_to(endpoint: str, protocol: Any) -> TelemetryHandle:
    options: dict[str, Any] = {"configure_logging": False, "set_global": False, "export_interval": 0.1}
    return setup("shop", endpoint=endpoint, protocol=protocol, **options)


async def hits(handle: TelemetryHandle, operations: int = OPERATIONS) -> tuple[int, float]:
    """How many of so many reads were hits, and the seconds they took."""
    providers = Providers(handle.tracer_provider, handle.meter_provider, handle.logger_provider)
    cache = InMemoryCache(name="users", providers=providers)
    await cache.set("k", 1)
    started = time.perf_counter()
    found = sum([await cache.get("k") for _ in range(operations)])
    return found, time.perf_counter() - started


class _Unavailable(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers every call with UNAVAILABLE, as an overloaded collector does."""

    def service(self, _: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(
            lambda _, context: context.abort(grpc.StatusCode.UNAVAILABLE, "overloaded")
        )


@contextmanager
def refusing_grpc() -> Iterator[str]:
    server = grpc.server(futures.ThreadPoolExecutor(4), handlers=[_Unavailable()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop(None).wait()


@contextmanager
def other_end(trouble: str, protocol: str) -> Iterator[str]:
    """The address of a collector in trouble."""
    if trouble == "away":
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    elif (trouble, protocol) == ("refusing", "grpc"):
        with refusing_grpc() as endpoint:
            yield endpoint
    else:
        with running(Troubled(trouble)) as server:  # type: ignore[arg-type]
            yield server.endpoint


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("trouble", ["away", *get_args(Trouble)])
async def test_operations_are_answered_and_the_end_is_bounded(trouble: str, protocol: str) -> None:
    with other_end(trouble, protocol) as endpoint:
        handle = export_to(endpoint, protocol)

        found, _ = await hits(handle, 100)
        started = time.monotonic()
        await asyncio.to_thread(handle.shutdown, 0.5)
        took = time.monotonic() - started

    assert found == 100
    assert took < 3.0, "three exporters would wait up to ten seconds each"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_operations_go_on_while_the_exporter_waits_for_an_answer_that_never_comes(protocol: str) -> None:
    free = setup("shop", "none", configure_logging=False, set_global=False)
    with running(Troubled("silent")) as server:
        stuck = export_to(server.endpoint, protocol)
        await hits(stuck, 1)
        await asyncio.to_thread(wait_for, server.reached.is_set, "the exporter")

        alone, beside = [], []
        for _ in range(3):
            alone.append((await hits(free))[1])
            found, took = await hits(stuck)
            beside.append(took)
        await asyncio.to_thread(stuck.shutdown, 0.5)
    free.shutdown()

    assert found == OPERATIONS
    assert min(beside) < 10 * min(alone), (alone, beside)


PROGRAM = """
import asyncio, sys
from otcache import InMemoryCache
from otcache.telemetry import setup

setup("shop", endpoint=sys.argv[1], protocol=sys.argv[2])
cache = InMemoryCache(name="users")
print(asyncio.run(cache.get("k", default="absent")))
"""


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_process_ends_within_its_five_seconds_when_nobody_answers(protocol: str) -> None:
    with running(Troubled("silent")) as server:
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM, server.endpoint, protocol],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=ROOT,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        took = time.monotonic() - started

    assert (done.returncode, done.stdout) == (0, "absent\n"), done.stderr
    assert "Traceback" not in done.stderr
    assert took < 15.0, "5 s, and what starting Python takes on a busy machine"
