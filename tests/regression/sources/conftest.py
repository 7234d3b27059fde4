"""A Prometheus to fill, and servers that answer as they should not."""

from __future__ import annotations

import itertools
import ssl
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.regression.sources.prometheus_server import PrometheusServer


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """A shared Prometheus that takes remote writes; every test writes under a job of its own."""
    server = PrometheusServer(tmp_path_factory.mktemp("prometheus")).start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def job() -> Callable[[], str]:
    """Names of jobs that nobody else uses."""
    numbers = itertools.count()
    return lambda: f"job{next(numbers)}"


@pytest.fixture(scope="session")
def half_an_hour_ago() -> float:
    """A full minute about half an hour ago: what is written for then, Prometheus takes."""
    return float(int(time.time() / 60) * 60 - 30 * 60)


Handle = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Start a server that answers every GET by a function; gives its URL."""
    servers: list[ThreadingHTTPServer] = []

    def start(handle: Handle, context: ssl.SSLContext | None = None) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                handle(self)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        if context is not None:
            servers[-1].socket = context.wrap_socket(servers[-1].socket, server_side=True)
        Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return f"http{'s' if context else ''}://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def answer(serve: Callable[..., str]) -> Callable[..., str]:
    """A server that always gives the same answer."""

    def start(body: bytes | str, status: int = 200, headers: dict[str, str] | None = None) -> str:
        content = body.encode() if isinstance(body, str) else body

        def handle(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(content)

        return serve(handle)

    return start


@pytest.fixture
def page(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file."""

    def write(content: bytes | str, name: str = "metrics.jsonl") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write
