"""The process that serves the demo's application: telemetry, uvicorn, and two routes for the demo itself."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from typing import Final

import uvicorn
from fastapi import FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from otcache._demo.app import create_app
from otcache._demo.detector import Detector, Found
from otcache._demo.snapshot import Snapshot, take
from otcache._demo.traces import TraceBook
from otcache.regression._sources.sdk import WindowReader
from otcache.telemetry import setup
from otcache.telemetry._instrumentation.metrics import metrics_for
from otcache.version import __version__

TRACED: Final = 0.1
"""Share of requests that are traced, as in production; a caller that traces is always followed."""
KEPT: Final = 700
"""Windows of a second that the reader keeps."""


def observe(app: FastAPI, book: TraceBook, detector: Detector | None = None) -> None:
    """Add what the demo reads: the counts so far, the tree of one trace, and what the detector has found."""
    metrics = metrics_for(None, __version__)

    @app.get("/demo/state", include_in_schema=False)
    async def read_state() -> Snapshot:
        return take(metrics)

    @app.get("/demo/traces/{trace_id}", include_in_schema=False)
    async def read_trace(trace_id: str) -> str:
        return book.tree(trace_id)

    if detector is None:
        return

    @app.post("/demo/detector", include_in_schema=False, status_code=204)
    async def begin(window: float, baseline: float) -> None:
        detector.begin(window, baseline)

    @app.get("/demo/detector", include_in_schema=False)
    async def read_found() -> Found:
        return detector.found


class Page:
    """An ASGI application at exactly one path: `mount` would send `/metrics` on to `/metrics/`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


async def _serve(app: FastAPI, port: int) -> None:
    """Serve until standard input ends: its other end is the demo's."""
    listening = socket.create_server(("127.0.0.1", port))
    # a connection ends at the client's side: the server's end could meet the next request on its way
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_keep_alive=60))
    asyncio.get_running_loop().add_reader(sys.stdin, setattr, server, "should_exit", True)
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    urls = {"base": base, **{page: f"{base}/{page}" for page in ("docs", "metrics", "health")}}
    sys.stdout.write(json.dumps(urls) + "\n")
    sys.stdout.flush()
    await server.serve(sockets=[listening])


def main() -> None:
    """Serve on the port in the first argument until standard input ends; after `--watched`, with a detector inside."""
    readers = [WindowReader(1.0, KEPT)] if "--watched" in sys.argv[2:] else []
    telemetry = setup(
        "otcache-demo", exporter="prometheus", sampler_ratio=TRACED, histograms="fine", extra_readers=readers
    )
    book = TraceBook()
    telemetry.tracer_provider.add_span_processor(book)
    app = create_app()
    app.router.routes.append(Route("/metrics", Page(telemetry.metrics_app()), include_in_schema=False))
    observe(app, book, Detector(readers[0].read) if readers else None)
    FastAPIInstrumentor.instrument_app(app, excluded_urls="/demo/,/metrics,/health", exclude_spans=["receive", "send"])
    asyncio.run(_serve(app, int(sys.argv[1])))


if __name__ == "__main__":
    main()
