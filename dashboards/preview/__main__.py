"""`python -m dashboards.preview`: the dashboards as pictures, fed by the demo, drawn by Grafana's own panels."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from dashboards.preview.invented import TARGET, last_week, report
from dashboards.render import FOLDER
from otcache._demo.servers import AppServer, RedisServer, start_redis
from otcache._demo.traffic import Traffic
from otcache.regression._reporting.metrics import Verdicts
from otcache.telemetry import setup
from otcache.telemetry.providers import Providers
from tests.servers import free_port
from tests.stack.prometheus import Prometheus

HERE: Final = Path(__file__).parent
CHROMIUM: Final = ("chromium", "chromium-browser", "google-chrome")
DOWN, BACK = 0.55, 0.63
"""When Redis dies and when it is back, as shares of the whole time."""
OUTAGE: Final = "otcache-outage"
"""The picture of the overview in between."""
ENVIRONMENT: Final = {"OTCACHE_MEMORY_CACHE_SIZE": "40", "OTCACHE_AI__TOKEN_PRICES": '{"input": 2.5, "output": 10.0}'}
"""Of the application: a small memory, so that Redis has something to do, and what tokens cost."""


def main() -> int:
    """0 when every dashboard is a picture."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.preview", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0, help="of traffic that the pictures show (default: 180)")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="where the pictures go")
    options = parser.parse_args()
    _build(options.out)
    targets = {"otcache-demo": [free_port()], "otcache-regress": [free_port()]}
    history = last_week("otcache-demo", targets["otcache-demo"][0], "default", options.seconds)
    with Prometheus(targets, interval="1s", history=history) as prometheus, _served(HERE / "dist") as base:
        until = asyncio.run(_feed(options.seconds, targets["otcache-demo"][0], targets["otcache-regress"][0]))
        return _shoot(base, prometheus.url, until - options.seconds, until, options.out)


def _say(text: str) -> None:
    sys.stderr.write(f"preview: {text}\n")


# --- the page -----------------------------------------------------------------------------------------


def _build(out: Path) -> None:
    """Grafana's packages, once; the page; and the dashboards beside it."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            sys.exit(f"preview: {program} is missing: apt-get install -y --no-install-recommends nodejs npm")
    if not (HERE / "node_modules" / "vite").is_dir():
        _say("getting Grafana's packages, 500 MB (a minute or two, once)")
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=HERE, check=True)
    subprocess.run(["npx", "vite", "build"], cwd=HERE, check=True)
    shutil.copytree(FOLDER, HERE / "dist" / "grafana", dirs_exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


def _shoot(base: str, prometheus: str, start: float, until: float, out: Path) -> int:
    browser = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit("preview: chromium is missing: apt-get install -y --no-install-recommends chromium")
    times = {"from": int(start), "to": int(until), "step": 2, "rate": "10s"}
    query = urlencode({"prometheus": prometheus, "cache": "default", **times})
    command = ["node", "shoot.mjs", base, str(out.resolve()), browser, query]
    names = [path.stem for path in sorted(FOLDER.glob("*.json"))]
    outage = int(start + (until - start) * (DOWN + BACK) / 2)
    status = subprocess.run([*command, *names, f"{OUTAGE}=otcache-overview&to={outage}"], cwd=HERE).returncode
    if status == 0 and shutil.which("pngquant") is not None:  # a third of the size
        pictures = [out.resolve() / f"{name}.png" for name in (*names, OUTAGE)]
        subprocess.run(["pngquant", "--force", "--ext", ".png", "--strip", "64", *pictures], check=True)
    return status


# --- what they show -----------------------------------------------------------------------------------


async def _feed(seconds: float, port: int, judging: int) -> float:
    """The demo's application and clients; Redis dies in the middle; the time up to which all of it ran."""
    _say(f"{seconds:.0f} s of traffic")
    judge = setup("otcache-regress", "prometheus", metrics_port=judging, set_global=False, configure_logging=False)
    async with _demo(port) as (traffic, redis), asyncio.TaskGroup() as tasks:
        tasks.create_task(traffic.run())
        tasks.create_task(_break(redis, seconds))
        providers, chance = (
            Providers(judge.tracer_provider, judge.meter_provider, judge.logger_provider),
            random.Random(1),
        )
        verdicts = Verdicts(TARGET, providers)
        acts = 20
        for act in range(acts):
            report(verdicts, providers, act, chance)
            await asyncio.sleep(seconds / acts)
        until = time.time() - 1  # scraped by now
        traffic.stop()
    return until


@contextlib.asynccontextmanager
async def _demo(port: int) -> AsyncIterator[tuple[Traffic, RedisServer]]:
    with tempfile.TemporaryDirectory(prefix="otcache-preview-") as directory:
        app = AppServer(Path(directory) / "app.log")
        redis, says = await start_redis(Path(directory))
        if redis is None:
            sys.exit(f"preview: no Redis: {says}")
        try:
            urls = await app.start({**ENVIRONMENT, "OTCACHE_REDIS_URL": redis.url}, port)
            async with httpx.AsyncClient(base_url=urls["base"], timeout=10, trust_env=False) as http:
                yield Traffic(http, 120.0), redis
        finally:
            await app.stop()
            await redis.kill()


async def _break(redis: RedisServer, seconds: float) -> None:
    await asyncio.sleep(seconds * DOWN)
    await redis.kill()
    await asyncio.sleep(seconds * (BACK - DOWN))
    await redis.start()


if __name__ == "__main__":
    sys.exit(main())
