"""The demo as services of a container stack: `python -m otcache._demo.compose app | traffic | ready`.

Telemetry goes where the standard `OTEL_EXPORTER_OTLP_ENDPOINT` says, Redis is where `OTCACHE_REDIS_URL` says.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import httpx
import uvicorn
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

from otcache._demo.app import create_app
from otcache._demo.service import TRACED
from otcache._demo.traffic import Traffic
from otcache.telemetry import setup

SERVICE: Final = "otcache-demo"
"""Its `service.name`, and so its `job` in Prometheus."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the services; the exit status."""
    arguments = _parser().parse_args(argv)
    status: int = arguments.run(arguments)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("otcache._demo.compose")
    services = parser.add_subparsers(metavar="service", required=True)
    app = services.add_parser("app", help="serve the application")
    app.add_argument("--host", default="127.0.0.1")
    app.add_argument("--port", type=int, default=8000)
    app.set_defaults(run=_app)
    traffic = services.add_parser("traffic", help="ask the application, until a signal")
    traffic.add_argument("url")
    traffic.add_argument("--rate", type=float, default=50.0, help="requests per second")
    traffic.set_defaults(run=_traffic)
    ready = services.add_parser("ready", help="end as soon as every URL answers with a success")
    ready.add_argument("url", nargs="+")
    ready.add_argument("--seconds", type=float, default=120.0, help="for all of them together")
    ready.set_defaults(run=_ready)
    return parser


def _app(arguments: argparse.Namespace) -> int:
    setup(SERVICE, exporter="otlp", sampler_ratio=TRACED, histograms="fine")
    app = create_app()
    FastAPIInstrumentor.instrument_app(app, excluded_urls="/health", exclude_spans=["receive", "send"])
    uvicorn.run(app, host=arguments.host, port=arguments.port, log_level="warning", access_log=False)
    return 0


def _traffic(arguments: argparse.Namespace) -> int:
    return asyncio.run(_ask(arguments.url, arguments.rate))


async def _ask(url: str, rate: float) -> int:
    async with httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as http:
        traffic = Traffic(http, rate)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, traffic.stop)
        await traffic.run()
    return 0


def _ready(arguments: argparse.Namespace) -> int:
    """Images without a shell can't check their own health: this is done from beside them."""
    late = asyncio.run(_wait_for(arguments.url, arguments.seconds))
    if late:
        sys.stderr.write(f"not ready within {arguments.seconds:g} s: {', '.join(late)}\n")
    return 1 if late else 0


async def _wait_for(urls: Sequence[str], seconds: float) -> list[str]:
    """Those that did not answer in time."""
    left = list(urls)
    async with httpx.AsyncClient(timeout=2, trust_env=False) as http:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while left := [url for url in left if not await _answers(http, url)]:  # noqa: ASYNC110  other processes
                    await asyncio.sleep(0.2)
    return left


async def _answers(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(url)).is_success
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    sys.exit(main())
