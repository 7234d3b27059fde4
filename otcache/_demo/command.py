"""`otcache demo`: everything is started, played, summed up and put away."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console

from otcache._demo.backends import PRICES
from otcache._demo.play import Options, Play, Process
from otcache._demo.servers import AppServer, DemoError, Link, RedisServer, start_redis
from otcache._demo.slowdown import LONGEST, SHORTEST, SLOWEST_RATE, USUAL, USUAL_LENGTH, Script, Slowing
from otcache._demo.summary import Summary, table

USAGE: Final = 2
PROCESSES: Final = 2
"""Of the application, where they can share a Redis."""
STALENESS: Final = 1.0
"""`max_staleness` of their caches, in seconds: shorter than the outage, so that its end is seen."""
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; 0 unless a client saw an error or the demo itself failed, 2 for numbers that it can't show."""
    options = Options(arguments.seconds, arguments.rate, arguments.port, plain=arguments.plain)
    if arguments.regression:
        options = replace(options, seconds=options.seconds or USUAL_LENGTH, regression=True)
        if not (SHORTEST <= (options.seconds or 0.0) <= LONGEST and options.rate >= SLOWEST_RATE):
            sys.stderr.write(f"otcache demo: --regression takes --seconds {SHORTEST:g}..{LONGEST:g} ")
            sys.stderr.write(f"and --rate {SLOWEST_RATE:g} or more: the detector needs so much to see\n")
            return USAGE
    errors = 1
    try:
        errors = asyncio.run(_run(options, _Terminal(highlight=False))).errors
    except* DemoError as group:  # a group, if a task found it
        sys.stderr.write(f"otcache demo: {group.exceptions[0]}\n")
    except* BrokenPipeError:  # the reader has closed the pipe, as `| head` does
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
    console.print("otcache demo: starting a Redis server, the application twice, and its clients", style="dim")
    with tempfile.TemporaryDirectory(prefix="otcache-demo-") as directory:
        async with _stage(options, Path(directory)) as play:
            await play.run(stop, console)
            summary = play.summary()
    console.print(f"\notcache demo, {'ended by a signal' if stop.is_set() else 'the time is over'}", style="bold")
    console.print(table(summary))
    return summary


@asynccontextmanager
async def _stage(options: Options, directory: Path) -> AsyncIterator[Play]:
    """Redis, the processes of the application and their clients; all gone afterwards."""
    apps: list[AppServer] = []
    link = Link()
    redis: RedisServer | None = None
    try:
        redis, l2 = await start_redis(directory)
        url = redis.url if redis is not None else None
        if options.regression:
            if redis is None:
                raise DemoError(f"--regression slows down the way to Redis, and there is none: {l2}")
            url = await link.start(redis.port, USUAL)
        alone = redis is None or options.regression  # without a Redis they could not hear each other
        apps += [AppServer(directory / f"app-{number}.log") for number in range(1 if alone else PROCESSES)]
        environment = {**_environment(url, options), "DEMO_DATABASE": str(directory / "database")}
        async with AsyncExitStack() as held:
            processes = await _start(apps, environment, options, held)
            http = processes[0].http
            slowing = Slowing(Script.of(options.seconds or 0.0), link, http) if options.regression else None
            yield Play(options, redis, l2, processes, slowing)
    finally:
        await asyncio.gather(*(app.stop() for app in apps))
        await link.stop()
        if redis is not None:
            await redis.kill()


async def _start(
    apps: Sequence[AppServer], environment: Mapping[str, str], options: Options, held: AsyncExitStack
) -> list[Process]:
    """All processes, each with a client of its own."""
    watched = ["--watched"] if options.regression else []
    ports = [options.port] + [0] * (len(apps) - 1)
    starting = [app.start(environment, port, *watched) for app, port in zip(apps, ports, strict=True)]
    processes = []
    for app, urls in zip(apps, await asyncio.gather(*starting), strict=True):
        client = httpx.AsyncClient(base_url=urls.pop("base"), timeout=10, trust_env=False)
        processes.append(Process(app, urls, await held.enter_async_context(client)))
    return processes


def _environment(redis_url: str | None, options: Options) -> dict[str, str]:
    """How an application is configured: by its environment. Memory is small, so that Redis has something to do."""
    where = {"OTCACHE_REDIS_URL": redis_url} if redis_url is not None else {}
    where["OTCACHE_MAX_STALENESS"] = str(STALENESS)
    # the detector needs more L2 reads; a long timeout keeps a busy machine from looking like an outage
    more = {"OTCACHE_MEMORY_CACHE_SIZE": "20", "OTCACHE_TIMEOUT": "2"} if options.regression else {}
    return {"OTCACHE_MEMORY_CACHE_SIZE": "40", "OTCACHE_AI__TOKEN_PRICES": json.dumps(PRICES), **where, **more}
