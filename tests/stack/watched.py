"""A shop with steady traffic whose network slows down at an order, and the detector that watches it: two processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from prometheus_client.parser import text_string_to_metric_families

from otcache import GenericRedisCache, Providers
from otcache._demo.network import Network
from otcache.telemetry import catalog, setup
from otcache.telemetry.catalog import Attribute
from tests.servers import RedisServer, end, free_port, spawn, wait_for
from tests.stack.web import answers, fetch

ROOT: Final = Path(__file__).parents[2]
RATE: Final = 60.0
"""Look-ups per second of either cache, on a busy machine half of it: one scrape must hold the 30 that a mean needs."""
KEYS: Final = 50
FAR: Final = 0.1
"""Seconds from the server: so much that what this machine does besides is little beside it."""
USUAL: Final = 0.9
"""Share of the keys that `pages` is asked for and knows."""
BASELINE: Final = 14
"""Seconds of the detector's baseline."""


class Shop:
    """The process, with two caches, both far from their server: `users` knows all keys. Use it as a context manager.

    Attributes:
        port: Of its page, `/metrics`.
    """

    def __init__(self) -> None:
        self.port, self._orders = free_port(), free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="otc-shop-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.stack.watched import main"
        command = [sys.executable, "-c", f"{program}; main({self.port}, {self._orders})"]
        self._process = spawn(command, self._directory / "log")
        wait_for(self._is_ready, "the shop", 60)
        return self

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"it ended: {(self._directory / 'log').read_text(errors='replace')[-3000:]}")
        return answers(f"http://127.0.0.1:{self.port}/metrics")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()  # it ends its Redis
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        end(self._process)
        shutil.rmtree(self._directory, ignore_errors=True)

    def order(self, delay: float = FAR, known: float = USUAL) -> None:
        """Change how far `users` is from its server, in seconds, and the share of its keys that `pages` knows."""
        with socket.create_connection(("127.0.0.1", self._orders), timeout=10) as connection:
            connection.sendall(json.dumps({"delay": delay, "known": known}).encode() + b"\n")
            assert connection.recv(16) == b"done\n"


def main(port: int, orders: int) -> None:
    """The program of the process."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[name]
    server = RedisServer("valkey").start()
    try:
        asyncio.run(_serve(port, orders, server))
    finally:
        server.stop()


async def _serve(port: int, orders: int, server: RedisServer) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    handle = setup("shop", "prometheus", metrics_port=port, histograms="fine", set_global=False)
    providers = Providers(handle.tracer_provider, handle.meter_provider, handle.logger_provider)
    networks, known = {name: Network(server.port, FAR) for name in ("users", "pages")}, {"users": 1.0, "pages": USUAL}

    async def obey(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        order = json.loads(await reader.readline())
        networks["users"].delay, known["pages"] = order["delay"], order["known"]
        writer.write(b"done\n")
        writer.close()

    await asyncio.start_server(obey, "127.0.0.1", orders)
    async with contextlib.AsyncExitStack() as held:
        for name, network in networks.items():
            url = f"redis://127.0.0.1:{await network.start()}/0"
            cache = GenericRedisCache(
                name=name, redis_url=url, enable_l1_cache=False, timeout=5.0, providers=providers
            )  # fmt: skip
            await held.enter_async_context(cache)
            await cache.set_many({f"known:{number}": {"number": number} for number in range(KEYS)}, ttl=3600)
            traffic = asyncio.create_task(_ask(cache, known, random.Random(name)))
            held.push_async_callback(_ended, traffic)
        await ended.wait()
    await asyncio.to_thread(handle.shutdown)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def _ask(cache: GenericRedisCache, known: Mapping[str, float], rng: random.Random) -> None:
    """`RATE` look-ups per second: an answer that is late does not delay the next question, a busy machine does."""
    loop = asyncio.get_running_loop()
    due, asked = loop.time(), set[asyncio.Task[object]]()
    while True:
        due = max(due + 1 / RATE, loop.time())
        await asyncio.sleep(max(0.0, due - loop.time()))
        kind = "known" if rng.random() < known[cache.name] else "absent"
        question = asyncio.create_task(cache.get(f"{kind}:{rng.randrange(KEYS)}"))
        asked.add(question)
        question.add_done_callback(asked.discard)


# --- who watches it -------------------------------------------------------------------------------------


class Detector:
    """`otcache regress watch` as a process, with windows of a second. A context manager.

    Args:
        prometheus: URL of what it reads.

    Attributes:
        port: Of its page, the same after a restart.
    """

    def __init__(self, prometheus: str) -> None:
        self.port = free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="otc-detector-"))
        self._command = [
            sys.executable, "-m", "otcache", "regress", "watch", "--prometheus", prometheus, "--target", "shop",
            "--step", "1s", "--window", "9s", "--baseline", f"{BASELINE}s", "--every", "2s", "--raise", "2",
            "--reference", "none", "--warning", "25", "--critical", "50", "--timeout", "2s",
            "--state", str(self._directory / "state.json"), "--metrics-port", str(self.port),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it has said so far, in all its lives."""
        return (self._directory / "log").read_text(errors="replace")

    def start(self) -> None:
        """Begin, and do not wait."""
        self._process = spawn(self._command, self._directory / "log")

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            end(self._process)
            self._process = None

    def stop(self) -> int:
        """End it as a service manager would; its exit status."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(20)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def looks(self) -> int:
        """How often it has looked since its start; 0 while it does not answer."""
        return int(sum(self.shown(f"{catalog.EVALUATION_DURATION.prometheus}_count").values()))

    def failures(self) -> int:
        """Looks at an indicator that could not be made, since its start."""
        shown = self.shown(catalog.EVALUATIONS.prometheus)
        return int(sum(value for labels, value in shown.items() if dict(labels).get(label(catalog.ERROR_TYPE))))

    def in_force(self) -> frozenset[tuple[str, str]]:
        """Indicator and cache of every alarm that its page shows."""
        shown = self.shown(catalog.REGRESSION_STATUS.prometheus)
        alarms = (dict(labels) for labels, value in shown.items() if value)
        return frozenset(
            (each[label(catalog.INDICATOR)], each[label(catalog.CACHE)])
            for each in alarms
            if each[label(catalog.VERDICT)] in ("warning", "critical")
        )

    def shown(self, metric: str) -> dict[frozenset[tuple[str, str]], float]:
        """The values of a metric on its page by their labels; empty while it does not answer."""
        try:
            page = fetch(f"http://127.0.0.1:{self.port}/metrics").decode()
        except OSError:
            return {}
        samples = (sample for family in text_string_to_metric_families(page) for sample in family.samples)
        return {frozenset(each.labels.items()): each.value for each in samples if each.name == metric}


def label(attribute: Attribute) -> str:
    """What Prometheus calls an attribute."""
    return attribute.name.replace(".", "_")
