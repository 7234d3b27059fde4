"""An application for the dashboards: it plays the scenario over and over, until it is ended.

Beside otcache's own metrics its page has redis-py's and the SDK's, which are opt-in, and verdicts and benchmarks with
invented values, reported as the detector reports them.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from dashboards.preview.invented import TARGET, TURN, report
from otcache.config import AICacheConfig
from otcache.regression._reporting.metrics import Verdicts
from otcache.telemetry import setup
from otcache.telemetry.providers import Providers
from tests.servers import RedisServer, end, free_port, spawn
from tests.telemetry.scenario import STEPS, Stage, play, stage

ROOT: Final = Path(__file__).parents[2]


class Application:
    """The process. Use it as a context manager.

    Attributes:
        port: Of its page, `/metrics`.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="otc-dashboards-"))

    @property
    def log(self) -> str:
        """What it has said."""
        return (self._directory / "log").read_text(errors="replace")

    def __enter__(self) -> Self:
        program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.dashboards.application import main"
        command = [sys.executable, "-c", f"{program}; main({self.port})"]
        self._process = spawn(command, self._directory / "log")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()  # it ends its Redis
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            end(self._process)
        shutil.rmtree(self._directory, ignore_errors=True)


def main(port: int) -> None:
    """The program of the process."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[name]
    os.environ["OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"] = "true"
    os.environ["OTEL_BSP_SCHEDULE_DELAY"] = "200"
    server = RedisServer("valkey").start()
    try:
        asyncio.run(_serve(port, server))
    finally:
        server.stop()


async def _serve(port: int, server: RedisServer) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    nobody = f"http://127.0.0.1:{free_port()}"  # spans can't be exported: that is a panel, too
    handle = setup("shop", "prometheus", endpoint=nobody, metrics_port=port, configure_logging=False)
    _measure_redis_too()
    playing = asyncio.create_task(_play(Providers(handle.tracer_provider, handle.meter_provider), server))
    stop = asyncio.create_task(ended.wait())
    await asyncio.wait([playing, stop], return_when=asyncio.FIRST_COMPLETED)
    if playing.done():
        await playing
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)
    await asyncio.to_thread(handle.shutdown, 1.0)


def _measure_redis_too() -> None:
    from redis.observability.config import MetricGroup, OTelConfig
    from redis.observability.providers import get_observability_instance

    groups = MetricGroup.COMMAND | MetricGroup.CONNECTION_BASIC | MetricGroup.CONNECTION_ADVANCED
    get_observability_instance().init(OTelConfig(metric_groups=[groups, MetricGroup.RESILIENCY]))


async def _play(providers: Providers, server: RedisServer) -> None:
    """Act after act, each with caches of its own, so that counters grow and gauges do not pile up."""
    chance, verdicts = random.Random(1), Verdicts(TARGET, providers)
    for act in itertools.count():
        report(verdicts, providers, TURN + act, chance)
        async with stage(providers, server, f"act-{act}:") as playing:
            await play(playing, (*STEPS, responses_with_a_price))
            await asyncio.sleep(1.5)  # the last act's gauges are seen by a scrape


async def responses_with_a_price(stage: Stage) -> None:
    """What is saved and spent, in dollars too."""
    cache = stage.ai("answers", ai_config=AICacheConfig(token_prices={"input": 3.0, "output": 15.0}))
    usage = {"input": 812, "output": 96}
    await cache.cache_response("a text", "summarize", None, "short", usage=usage, generation_seconds=1.5)
    await cache.get_cached_response("a text", "summarize")
