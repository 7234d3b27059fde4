"""An application in a process of its own: it plays the scenario, and serves its /metrics page until it is ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from otcache.telemetry import catalog, setup
from otcache.telemetry._instrumentation.metrics import Metrics, metrics_for
from otcache.telemetry.providers import Providers
from otcache.version import __version__
from tests.servers import RedisServer, end, free_port, spawn, wait_for
from tests.telemetry.scenario import play, stage

ROOT: Final = Path(__file__).parents[2]


class Application:
    """The process. Use it as a context manager; inside, the scenario has been played.

    Attributes:
        port: Of its page, `/metrics`.
        counted: What it had counted by then, by Prometheus' names of counters and of histograms' `_count`.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.counted: Mapping[str, float] = {}
        self._directory = Path(tempfile.mkdtemp(prefix="otc-application-"))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Begin, and do not wait."""
        program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.stack.application import main"
        arguments = f"main({self.port}, {str(self._directory / 'counted')!r})"
        self._process = spawn([sys.executable, "-c", f"{program}; {arguments}"], self._directory / "log")
        return self

    def __enter__(self) -> Self:
        if self._process is None:
            self.start()
        wait_for(self._is_ready, "the application", 60)
        self.counted = json.loads((self._directory / "counted").read_text())
        return self

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"it ended: {(self._directory / 'log').read_text(errors='replace')[-3000:]}")
        return (self._directory / "counted").exists()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()  # it ends its Redis
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        end(self._process)
        shutil.rmtree(self._directory, ignore_errors=True)


def main(port: int, path: str) -> None:
    """The program of the process."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        del os.environ[name]
    server = RedisServer("valkey").start()
    try:
        asyncio.run(_serve(port, Path(path), server))
    finally:
        server.stop()


async def _serve(port: int, path: Path, server: RedisServer) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    handle = setup("shop", "prometheus", metrics_port=port, set_global=False, configure_logging=False)
    providers = Providers(handle.tracer_provider, handle.meter_provider, handle.logger_provider)
    async with stage(providers, server, "application:") as playing:
        await play(playing)
        whole = path.with_suffix(".part")
        whole.write_text(json.dumps(_counted(metrics_for(handle.meter_provider, __version__))))
        whole.rename(path)  # whoever waits for it finds it complete
        await ended.wait()
    await asyncio.to_thread(handle.shutdown)


def _counted(metrics: Metrics) -> dict[str, float]:
    counters = (row for row in catalog.INSTRUMENTS if row.kind == "counter")
    histograms = (row for row in catalog.INSTRUMENTS if row.kind == "histogram")
    found = {row.prometheus: sum(metrics.totals(row).values()) / row.scale for row in counters}
    counts = {row: (sum(cell[:-1]) for cell in metrics.histogram(row).values()) for row in histograms}
    return found | {f"{row.prometheus}_count": sum(cells) for row, cells in counts.items()}
