"""The Prometheus page: exemplars on it, nothing on it that breaks it, and ways to serve it.

The one file that knows the exporter's internals, by duck typing: its reader adds a histogram's counts up, so a count
that keeps its exemplar through additions comes out at the other end, in every version. Where an exporter works in
another way, the page is the stock one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from opentelemetry.sdk.metrics.export import (
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricReader,
    MetricsData,
    Sum,
)

from otcache.exceptions import ConfigurationError

HOST: Final = "127.0.0.1"
"""Where `metrics_port` is opened: a page is not protected, and is nobody else's."""

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_log: Final = logging.getLogger("otcache.telemetry")


# --- the reader -------------------------------------------------------------------------------------


def page_reader() -> MetricReader:
    """A reader whose metrics are on the page, until it is shut down.

    Raises:
        ConfigurationError: The extra is missing.
    """
    _client()
    from opentelemetry.exporter.prometheus import PrometheusMetricReader

    skipped: set[str] = set()

    class PageReader(PrometheusMetricReader):  # here, because its base may not be installed
        def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
            super()._receive_metrics(_shown(metrics_data, skipped), timeout_millis, **kwargs)

    reader = PageReader()
    if not _hook(reader):
        _log.warning("this version of the Prometheus exporter is not known: the page has no exemplars")
    return reader


def _hook(reader: Any) -> bool:
    """Let the page take the exemplars off the counts; whether the reader is one that allows it."""
    try:
        collector = reader._collector  # noqa: SLF001
        collector.collect = partial(_families, collector.collect, threading.Lock())
    except AttributeError:
        return False
    return True


def _families(collect: Callable[[], Iterable[Any]], alone: threading.Lock) -> list[Any]:
    """What the exporter collects, exemplars in their place; one scrape at a time, or two would share one page."""
    with alone:
        families = list(collect())
    for family in families:
        family.samples[:] = [_sample(sample) for sample in family.samples]
    return families


def _sample(sample: Any) -> Any:
    exemplar = getattr(sample.value, "exemplar", None)
    if exemplar is None or not sample.name.endswith("_bucket"):
        return sample
    return sample._replace(value=int(sample.value), exemplar=exemplar)


# --- what is shown ----------------------------------------------------------------------------------


class _Count(int):
    """A bucket's count that keeps its exemplar when the counts below are added to it."""

    exemplar: Any = None

    def __add__(self, above: int) -> int:
        return _counted(int(self) + int(above), getattr(above, "exemplar", None))

    def __radd__(self, below: int) -> int:
        return _counted(int(below) + int(self), self.exemplar)


def _counted(count: int, exemplar: Any) -> int:
    if exemplar is None:
        return count
    kept = _Count(count)
    kept.exemplar = exemplar
    return kept


def _shown(data: MetricsData | None, skipped: set[str]) -> Any:
    """`data` without what the exporter fails on, and with exemplars on the counts."""
    if data is None:
        return None
    return replace(
        data,
        resource_metrics=[
            replace(
                resource,
                scope_metrics=[
                    replace(scope, metrics=[kept for metric in scope.metrics if (kept := _kept(metric, skipped))])
                    for scope in resource.scope_metrics
                ],
            )
            for resource in data.resource_metrics
        ],
    )


def _kept(metric: Metric, skipped: set[str]) -> Metric | None:
    """The metric's points that a page can show; `None` if it can show none."""
    data: Any = metric.data
    points = [shown for point in data.data_points if (shown := _point(data, point)) is not None]
    if len(points) < len(data.data_points) and metric.name not in skipped:
        skipped.add(metric.name)
        _log.warning("the Prometheus page leaves out what it can't show of %s (%s)", metric.name, type(data).__name__)
    return replace(metric, data=replace(data, data_points=points)) if points else None


def _point(data: Any, point: Any) -> Any:
    """A point as the exporter gets it; `None` for one that would make the whole page fail."""
    if not all(_is_text(value) for value in (point.attributes or {}).values()):
        return None
    if isinstance(data, Histogram):
        return _with_exemplars(point) if isinstance(point, HistogramDataPoint) else None
    return point if isinstance(data, (Sum, Gauge)) and isinstance(point.value, (int, float)) else None


def _is_text(value: Any) -> bool:
    """Whether an attribute's value can be written; half a surrogate pair can't."""
    if not isinstance(value, str) or value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _with_exemplars(point: HistogramDataPoint) -> HistogramDataPoint:
    sampled = [each for each in point.exemplars or () if each.trace_id and each.span_id]
    if not sampled:
        return point
    from prometheus_client.samples import Exemplar

    counts = list(point.bucket_counts)
    for each in sorted(sampled, key=lambda each: each.time_unix_nano):  # the last one of a bucket is shown
        labels = {"trace_id": f"{each.trace_id:032x}", "span_id": f"{each.span_id:016x}"}
        at = bisect_left(point.explicit_bounds, each.value)
        counts[at] = _counted(int(counts[at]), Exemplar(labels, each.value, each.time_unix_nano / 1e9))
    return replace(point, bucket_counts=counts)


# --- serving ----------------------------------------------------------------------------------------


def page_app() -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """An ASGI application that answers with the page, in the format that is asked for; collected in a thread.

    Raises:
        ConfigurationError: The extra is missing.
    """
    page = _client().make_wsgi_app()

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        if scope["type"] == "http":
            status, headers, body = await asyncio.to_thread(_answer, page, scope)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    return app


def _answer(page: Any, scope: Scope) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    query = scope.get("query_string", b"").decode("latin-1")
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": query}
    for name, value in scope.get("headers", ()):
        field = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        environ[field] = ",".join(filter(None, [environ.get(field), value.decode("latin-1")]))
    started: list[tuple[str, list[tuple[str, str]]]] = []
    body = b"".join(page(environ, lambda status, headers, *_: started.append((status, headers))))
    status, headers = started[0]
    return int(status.split()[0]), [(name.lower().encode(), value.encode()) for name, value in headers], body


class PageServer:
    """The page on a port of 127.0.0.1, answered by threads of its own.

    Args:
        port: 0 takes any free one.

    Attributes:
        port: The one it listens on.

    Raises:
        ConfigurationError: The extra is missing, or the port can't be had.
    """

    def __init__(self, port: int) -> None:
        page = _client().make_wsgi_app()
        try:
            self._server = make_server(HOST, port, page, _Server, _Handler)
        except OSError as exc:
            raise ConfigurationError(f"metrics_port={port} can't be opened on {HOST}: {exc.strerror}") from exc
        self.port: int = self._server.server_port
        self._process = os.getpid()
        threading.Thread(target=self._server.serve_forever, name="otcache-metrics", daemon=True).start()

    def close(self) -> None:
        """Stop answering and free the port."""
        if os.getpid() == self._process:  # a fork has the socket, but not the thread that could say it has stopped
            self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    allow_reuse_port = False  # two workers on one port would answer by chance


class _Handler(WSGIRequestHandler):
    timeout = 30.0  # of a client that says nothing

    def log_message(self, *_: Any) -> None: ...


def _client() -> Any:
    try:
        import opentelemetry.exporter.prometheus  # noqa: F401
        import prometheus_client
    except ImportError as exc:
        raise ConfigurationError('exporter="prometheus" needs: pip install "otcache[prometheus]"') from exc
    return prometheus_client
