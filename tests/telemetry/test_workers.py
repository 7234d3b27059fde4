"""Several workers of one application: each its own identity, and numbers that add up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from otcache.telemetry import catalog
from tests.servers import end, free_port, spawn, wait_for
from tests.telemetry.receivers import Receiver, running

ROOT = Path(__file__).parents[2]
LOOKUPS = catalog.LOOKUPS

APPLICATION = """
import asyncio, os
from contextlib import asynccontextmanager
from fastapi import FastAPI
from otcache import InMemoryCache
from otcache.telemetry import setup

@asynccontextmanager
async def lifespan(app):
    handle = setup("shop", protocol="http/protobuf", export_interval=0.2, configure_logging=False)
    app.state.cache = InMemoryCache(name="users")
    yield
    await asyncio.to_thread(handle.shutdown)

app = FastAPI(lifespan=lifespan)

@app.get("/")
async def read():
    await app.state.cache.get("absent")
    await asyncio.sleep(0.01)
    return os.getpid()
"""

FORKED = """
import asyncio, os
from otcache import InMemoryCache
from otcache.telemetry import setup

cache = InMemoryCache(name="users")  # before the fork and before the SDK
children = []
for lookups in (3, 4):
    child = os.fork()
    if not child:
        handle = setup("shop", protocol="http/protobuf", configure_logging=False)
        for _ in range(lookups):
            asyncio.run(cache.get("absent"))
        os._exit(0 if handle.shutdown() else 1)
    children.append(child)
print([os.waitpid(child, 0)[1] for child in children])
"""

PAGE = """
import asyncio, sys
from otcache import InMemoryCache
from otcache.telemetry import setup

handle = setup("shop", "prometheus", metrics_port=int(sys.argv[1]), configure_logging=False)
cache = InMemoryCache(name="users")
for _ in range(int(sys.argv[2])):
    asyncio.run(cache.get("absent"))
print(handle.metrics_port, flush=True)
sys.stdin.read()
handle.shutdown()
"""

FORKED_LATE = """
import os, urllib.request, warnings
from otcache.telemetry import setup

handle = setup("shop", "prometheus", metrics_port=0, configure_logging=False)
warnings.simplefilter("ignore")  # from Python 3.12 on a fork beside threads is warned of
child = os.fork()
if not child:
    os._exit(0 if handle.shutdown() else 1)
ended = os.waitpid(child, 0)[1]
print(ended, urllib.request.urlopen(f"http://127.0.0.1:{handle.metrics_port}").status, handle.shutdown())
"""


def environment(**more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OTCACHE_"))}
    return clean | {"PYTHONPATH": str(ROOT)} | more


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running(Receiver()) as server:
        yield server


def get(port: int) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
        return int(answer.read())


def ask_until_both_answer(port: int) -> Counter[int]:
    """How many requests each worker has answered."""
    answered: Counter[int] = Counter()
    ends = time.monotonic() + 60
    with ThreadPoolExecutor(8) as pool:
        while len(answered) < 2 and time.monotonic() < ends:
            answered.update(pool.map(get, [port] * 16))
    return answered


def test_two_workers_of_uvicorn_arrive_as_two_and_add_up(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(APPLICATION)
    port, log = free_port(), tmp_path / "log"
    variables = [f"PYTHONPATH={ROOT}", f"OTEL_EXPORTER_OTLP_ENDPOINT={receiver.endpoint}"]
    uvicorn = [sys.executable, "-m", "uvicorn", "shop:app", "--app-dir", str(tmp_path), "--workers", "2"]
    server = spawn(["env", *variables, *uvicorn, "--port", str(port)], log)
    wait_for(lambda: log.read_text().count("Application startup complete") == 2, "two workers", 60)

    answered = ask_until_both_answer(port)
    server.send_signal(signal.SIGTERM)
    server.wait(30)
    end(server)
    found = receiver.totals(LOOKUPS.name, otcache_miss_reason="absent")

    assert sorted(found.values()) == sorted(answered.values()), log.read_text()
    assert len(found) == 2


def run(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment(**variables), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_workers_forked_after_the_import_arrive_as_two_and_add_up(receiver: Receiver) -> None:
    done = run(FORKED, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint)

    found = receiver.totals(LOOKUPS.name, otcache_miss_reason="absent")

    assert done.stdout == "[0, 0]\n", done.stderr
    assert sorted(found.values()) == [3, 4]


def test_a_child_forked_after_it_ends_and_leaves_the_page_to_its_parent() -> None:
    done = run(FORKED_LATE)

    assert done.stdout == "0 200 True\n", done.stderr


def start_worker(port: int, lookups: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PAGE, str(port), str(lookups)],
        env=environment(), cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def absent(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return re.findall(rf'^{LOOKUPS.prometheus}\{{.*reason="absent".*\}} (\S+)$', text, re.MULTILINE)


def test_each_worker_shows_its_own_numbers_on_its_own_port() -> None:
    workers = [start_worker(0, lookups) for lookups in (3, 5)]
    ports = [int(worker.stdout.readline()) for worker in workers if worker.stdout]

    found = [absent(port) for port in ports]
    ended = [worker.communicate(timeout=30)[1] for worker in workers]

    assert found == [["3.0"], ["5.0"]]
    assert [worker.returncode for worker in workers] == [0, 0], ended


def test_a_second_worker_on_the_same_port_says_so() -> None:
    first = start_worker(0, 1)
    assert first.stdout is not None
    port = int(first.stdout.readline())

    second = start_worker(port, 1)
    _, errors = second.communicate(timeout=60)
    first.communicate(timeout=30)

    assert (first.returncode, second.returncode) == (0, 1)
    assert f"ConfigurationError: metrics_port={port} can't be opened on 127.0.0.1: Address already in use" in errors
