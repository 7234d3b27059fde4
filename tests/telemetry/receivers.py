"""The other end of OTLP on loopback: one that keeps what arrives, and ends that are in trouble."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

Trouble = Literal["silent", "refusing", "foreign"]

_ANSWERS: Final = {
    "refusing": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "foreign": b"-ERR unknown command\r\n",
}


class Receiver(ThreadingHTTPServer):
    """An OTLP receiver over HTTP that keeps what arrives."""

    daemon_threads = True

    def __init__(self) -> None:
        self.requests: list[ExportMetricsServiceRequest] = []
        super().__init__(("127.0.0.1", 0), _Keep)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def totals(self, name: str, **attributes: str) -> dict[str, float]:
        """By `service.instance.id`, the last value of a counter, summed over the series with these attributes."""
        found: dict[str, float] = {}
        for request in list(self.requests):
            for resource in request.resource_metrics:
                found[_text(resource.resource.attributes)["service.instance.id"]] = sum(
                    point.as_int
                    for scope in resource.scope_metrics
                    for metric in scope.metrics
                    if metric.name == name
                    for point in metric.sum.data_points
                    if attributes.items() <= _text(point.attributes).items()
                )
        return found


def _text(attributes: Any) -> dict[str, str]:
    return {each.key.replace(".", "_"): each.value.string_value for each in attributes} | {
        each.key: each.value.string_value for each in attributes
    }


class _Keep(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/metrics":
            self.server.requests.append(ExportMetricsServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None: ...


class Troubled(socketserver.ThreadingTCPServer):
    """Takes connections and never gives a right answer: none at all, HTTP's 503, or another protocol's error."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, trouble: Trouble) -> None:
        self.answer = _ANSWERS.get(trouble)
        self.reached = threading.Event()
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), _Fail)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def server_close(self) -> None:
        self.over.set()
        super().server_close()


class _Fail(socketserver.BaseRequestHandler):
    server: Troubled

    def handle(self) -> None:
        self.server.reached.set()
        if self.server.answer is None:
            self.server.over.wait()
            return
        try:
            self.request.recv(65536)
            self.request.sendall(self.server.answer)
        except OSError:
            return  # the exporter has hung up


@contextmanager
def running(server: Any) -> Iterator[Any]:
    """The server, answering in a thread until the end."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
