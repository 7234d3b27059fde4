"""`otcache demo`: everything is started, played, summed up and put away."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console

from otcache.demo.backends import PRICES
from otcache.demo.play import Options, Play
from otcache.demo.servers import AppServer, DemoError, RedisServer, start_redis
from otcache.demo.summary import Summary, table

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; 0 unless a client saw an error or the demo itself failed."""
    outage = not arguments.no_outage
    options = Options(arguments.seconds, arguments.rate, arguments.port, outage, arguments.plain)
    errors = 1
    try:
        errors = asyncio.run(_run(options, _Terminal(highlight=False))).errors
    except* DemoError as group:  # a group, if a task found it
        sys.stderr.write(f"otcache demo: {group.exceptions[0]}\n")
    except* BrokenPipeError:  # nobody reads any more, `| head` for example
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        errors = 0
    return 1 if errors else 0


class _Terminal(Console):
    """Where the demo is shown."""

    def on_broken_pipe(self) -> None:
        """Raise what can be handled; rich would end the process in the middle of a task."""
        raise BrokenPipeError


async def _run(options: Options, console: Console) -> Summary:
    stop = asyncio.Event()
    for number in _ENDING:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # no spinner: its thread would be one too many when the children are forked
    console.print("otcache demo: starting a Redis server, the application and its clients", style="dim")
    with tempfile.TemporaryDirectory(prefix="otcache-demo-") as directory:
        async with _stage(options, Path(directory)) as play:
            await play.run(stop, console)
            summary = play.summary()
    console.print(f"\notcache demo, {'ended by a signal' if stop.is_set() else 'the time is over'}", style="bold")
    console.print(table(summary))
    return summary


@asynccontextmanager
async def _stage(options: Options, directory: Path) -> AsyncIterator[Play]:
    """Redis, the application and a client; all gone afterwards."""
    app = AppServer(directory / "app.log")
    redis: RedisServer | None = None
    try:
        redis, far_tier = await start_redis(directory)
        urls = await app.start(_environment(redis), options.port)
        async with httpx.AsyncClient(base_url=urls.pop("base"), timeout=10, trust_env=False) as http:
            yield Play(options, redis, far_tier, app, urls, http)
    finally:
        await app.stop()
        if redis is not None:
            await redis.kill()


def _environment(redis: RedisServer | None) -> dict[str, str]:
    """How an application is configured: by its environment. Memory is small, so that Redis has something to do."""
    where = {"OTCACHE_REDIS_URL": redis.url} if redis is not None else {}
    return {"OTCACHE_MEMORY_CACHE_SIZE": "40", "OTCACHE_AI__TOKEN_PRICES": json.dumps(PRICES), **where}
