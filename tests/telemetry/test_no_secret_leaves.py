"""Secrets pushed through every path: none is in a byte that leaves the process, as a span, metric, log or page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.servers import RedisServer, free_port

ROOT = Path(__file__).parents[2]
KEY, VALUE, PASSWORD, TEXT = "zebra:ada@example.org", "giraffe-value", "hunter2-ostrich", "a walrus wrote this"
SECRETS = (KEY, "zebra", VALUE, "giraffe", PASSWORD, "ostrich", TEXT, "walrus", quote(KEY), repr(KEY)[1:-1])
PROGRAM = Path(__file__).with_name("secretive.py")


class Sink(ThreadingHTTPServer):
    """Keeps every byte that is posted, headers included."""

    daemon_threads = True

    def __init__(self) -> None:
        self.posted: dict[str, bytes] = {}
        super().__init__(("127.0.0.1", 0), _Keep)


class _Keep(BaseHTTPRequestHandler):
    server: Sink

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        seen = self.server.posted.get(self.path, b"")
        self.server.posted[self.path] = seen + bytes(self.headers) + body
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    server = Sink()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def everything(sink: Sink) -> dict[str, bytes]:
    """What the program has let out, by the way it went."""
    server = RedisServer("valkey").start()
    server.command("CONFIG", "SET", "requirepass", PASSWORD)
    job = {
        "url": f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0",
        "wrong": f"redis://:{PASSWORD}-wrong@127.0.0.1:{server.port}/0",
        "away": f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0",
        "endpoint": f"http://127.0.0.1:{sink.server_port}",
        "key": KEY, "value": VALUE, "text": TEXT, "password": PASSWORD,
    }  # fmt: skip
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTCACHE_", "OTEL_", "REDIS"))}
    done = subprocess.run(
        [sys.executable, PROGRAM], input=json.dumps(job).encode(), cwd=ROOT,
        env=kept | {"PYTHONPATH": str(ROOT)}, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    server.stop()
    assert done.returncode == 0, done.stderr.decode()
    return {"log lines": done.stderr, "page": done.stdout, **sink.posted}


@pytest.mark.parametrize("way", ["log lines", "page", "/v1/traces", "/v1/metrics", "/v1/logs"])
def test_no_byte_that_leaves_holds_a_secret(everything: dict[str, bytes], way: str) -> None:
    left = everything[way]

    found = [secret for secret in SECRETS if secret.encode() in left]

    assert len(left) > 500, "something did leave this way"
    assert found == []


def test_the_operations_did_leave(everything: dict[str, bytes]) -> None:
    spans, logs = everything["/v1/traces"], everything["/v1/logs"]

    for name in (
        b"cache.get shop",
        b"cache.set shop",
        b"cache.get_many shop",
        b"cache.get ai",
        b"GET",
        b"PIPELINE SET",
    ):
        assert name in spans, name
    assert b"otcache.callback.exception" in logs
    assert b"otcache.operation.exception" in logs
    assert b"db.client.operation.exception" in logs
