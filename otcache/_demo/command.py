"""`otcache demo`: everything is started, played, summed up and put away."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import httpx

from otcache._demo.backends import PRICES
from otcache._demo.play import Play, Process
from otcache._demo.screen import tell
from otcache._demo.servers import AppServer, DemoError, Link, start_redis
from otcache._demo.slowdown import LONGEST, SHORTEST, SLOWEST_RATE, USUAL, USUAL_LENGTH, Script, SlowDown

USAGE: Final = 2
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; 0 unless a client saw an error or the demo itself failed, 2 for numbers that it can't show."""
    if arguments.regression:
        arguments.seconds = arguments.seconds or USUAL_LENGTH
        if not (SHORTEST <= arguments.seconds <= LONGEST and arguments.rate >= SLOWEST_RATE):
            sys.stderr.write(f"otcache demo: --regression takes --seconds {SHORTEST:g}..{LONGEST:g} ")
            sys.stderr.write(f"and --rate {SLOWEST_RATE:g} or more: the detector needs so much to see\n")
            return USAGE
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without Unicode has no micro sign
    errors = 1
    try:
        errors = asyncio.run(_run(arguments))
    except* DemoError as group:  # a group, if a task found it
        sys.stderr.write(f"otcache demo: {group.exceptions[0]}\n")
    except* BrokenPipeError:  # the reader has closed the pipe, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        errors = 0
    return 1 if errors else 0


async def _run(options: argparse.Namespace) -> int:
    """How many requests failed."""
    stop = asyncio.Event()
    for number in _ENDING:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    tell("otcache demo: starting a Redis server, the application twice, and its clients")
    with tempfile.TemporaryDirectory(prefix="otcache-demo-") as directory:
        async with _stage(options, Path(directory)) as play:
            await play.run(stop)
    tell(f"\notcache demo, {'ended by a signal' if stop.is_set() else 'the time is over'}")
    tell(*(f"{name:<16}  {fact}" for name, fact in play.summary().items()))
    return play.errors


@asynccontextmanager
async def _stage(options: argparse.Namespace, directory: Path) -> AsyncIterator[Play]:
    """Redis, the processes of the application and their clients; all gone afterwards."""
    async with AsyncExitStack() as held:
        redis, l2 = await start_redis(directory)
        link, url = Link(), redis.url if redis is not None else None
        if redis is not None:
            held.push_async_callback(redis.kill)
        if options.regression:
            if redis is None:
                raise DemoError(f"--regression slows down the way to Redis, and there is none: {l2}")
            held.push_async_callback(link.stop)
            url = await link.start(redis.port, USUAL)
        environment = {**_environment(url, options), "DEMO_DATABASE": str(directory / "database")}
        alone = redis is None or options.regression  # without a Redis they could not hear each other
        ports = [options.port] + ([] if alone else [0])
        logs = [directory / f"app-{number}.log" for number in range(len(ports))]
        watched = ["--watched"] if options.regression else []
        starting = [_start(held, log, environment, port, *watched) for log, port in zip(logs, ports, strict=True)]
        processes = await asyncio.gather(*starting)
        slow_down = SlowDown(Script.of(options.seconds), link, processes[0].http) if options.regression else None
        yield Play(options.seconds, (redis, l2), processes, options.rate, slow_down)


async def _start(held: AsyncExitStack, log: Path, environment: Mapping[str, str], port: int, *more: str) -> Process:
    app = AppServer(log)
    held.push_async_callback(app.stop)
    urls = await app.start(environment, port, *more)
    http = httpx.AsyncClient(base_url=urls.pop("base"), timeout=10, trust_env=False)
    return Process(app, urls, await held.enter_async_context(http))


def _environment(redis_url: str | None, options: argparse.Namespace) -> dict[str, str]:
    """How an application is configured: by its environment. Memory is small, so that Redis has something to do."""
    where = {"OTCACHE_REDIS_URL": redis_url} if redis_url is not None else {}
    where["OTCACHE_MAX_STALENESS"] = "1"  # shorter than the outage, so that its end is seen
    # the detector needs more L2 reads; a long timeout keeps a busy machine from looking like an outage
    more = {"OTCACHE_MEMORY_CACHE_SIZE": "20", "OTCACHE_TIMEOUT": "2"} if options.regression else {}
    return {"OTCACHE_MEMORY_CACHE_SIZE": "40", "OTCACHE_AI__TOKEN_PRICES": json.dumps(PRICES), **where, **more}
