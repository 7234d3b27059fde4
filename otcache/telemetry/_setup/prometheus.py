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

from opentelemetry.sdk.metrics import export as sdk

from otcache.exceptions import ConfigurationError

HOST: Final = "127.0.0.1"
"""Where `metrics_port` is opened: a page is not protected, and is nobody else's."""

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_log: Final = logging.getLogger("otcache.telemetry")


# --- the reader -------------------------------------------------------------------------------------


def page_reader() -> sdk.MetricReader:
    """A reader whose metrics are on the page, until it is shut down.

    Raises:
        ConfigurationError: The extra is missing.
    """
    _client()
    from opentelemetry.exporter.prometheus import PrometheusMetricReader

    sieve = _Sieve()

    class PageReader(PrometheusMetricReader):  # here, because its base may not be installed
        def _receive_metrics(
            self, metrics_data: sdk.MetricsData, timeout_millis: float = 10_000, **kwargs: Any
        ) -> None:
            super()._receive_metrics(sieve.shown(metrics_data), timeout_millis, **kwargs)

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


class _Sieve:
    """Takes out what the exporter fails on, and puts exemplars on the counts.

    The SDK forgets exemplars at every collection. They stay here until a bucket has a new one: a second Prometheus,
    or somebody's look at the page, takes them from nobody.
    """

    def __init__(self) -> None:
        self._skipped: set[str] = set()
        self._last: dict[Any, dict[int, Any]] = {}

    def shown(self, data: sdk.MetricsData | None) -> Any:
        """What the exporter gets; all of it where the SDK's data are not as expected."""
        try:
            return data and replace(data, resource_metrics=[self._resource(each) for each in data.resource_metrics])
        except (AttributeError, TypeError) as exc:
            self._say("everything", f"the SDK's data are not known ({exc}): the page is the exporter's own")
            return data

    def _resource(self, resource: sdk.ResourceMetrics) -> sdk.ResourceMetrics:
        return replace(resource, scope_metrics=[self._scope(each) for each in resource.scope_metrics])

    def _scope(self, scope: sdk.ScopeMetrics) -> sdk.ScopeMetrics:
        found = [self._metric(metric, scope.scope.name) for metric in scope.metrics]
        return replace(scope, metrics=[metric for metric in found if metric.data.data_points])

    def _metric(self, metric: sdk.Metric, scope: str) -> sdk.Metric:
        """The metric with those points that a page can show."""
        data: Any = metric.data
        points = [point for point in data.data_points if _can_be_shown(data, point)]
        if len(points) < len(data.data_points):
            reason = f"the Prometheus page leaves out what it can't show of {metric.name} ({type(data).__name__})"
            self._say(metric.name, reason)
        if isinstance(data, sdk.Histogram):
            points = [self._with_exemplars(point, (scope, metric.name)) for point in points]
        return replace(metric, data=replace(data, data_points=points))

    def _with_exemplars(self, point: sdk.HistogramDataPoint, metric: tuple[str, str]) -> sdk.HistogramDataPoint:
        series = (*metric, repr(sorted((point.attributes or {}).items())))
        sampled = [each for each in point.exemplars or () if each.trace_id and each.span_id]
        for each in sorted(sampled, key=lambda each: each.time_unix_nano):  # the last one of a bucket is shown
            at = bisect_left(point.explicit_bounds, each.value)
            self._last.setdefault(series, {})[at] = _exemplar(each)
        last = self._last.get(series)
        if not last:
            return point
        counts = [_counted(int(count), last.get(at)) for at, count in enumerate(point.bucket_counts)]
        return replace(point, bucket_counts=counts)

    def _say(self, what: str, text: str) -> None:
        if what not in self._skipped:
            self._skipped.add(what)
            _log.warning("%s", text)


def _exemplar(found: Any) -> Any:
    from prometheus_client.samples import Exemplar

    labels = {"trace_id": f"{found.trace_id:032x}", "span_id": f"{found.span_id:016x}"}
    return Exemplar(labels, found.value, found.time_unix_nano / 1e9)


def _can_be_shown(data: Any, point: Any) -> bool:
    """Whether the exporter can write the point; one that it can't makes the whole page fail."""
    if not all(_is_text(value) for value in (point.attributes or {}).values()):
        return False
    if isinstance(data, sdk.Histogram):
        return isinstance(point, sdk.HistogramDataPoint)
    return isinstance(data, (sdk.Sum, sdk.Gauge)) and isinstance(point.value, (int, float))


def _is_text(value: Any) -> bool:
    """Whether an attribute's value can be written; half a surrogate pair can't."""
    if not isinstance(value, str) or value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


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
    """The page on a port of 127.0.0.1 (0: any free one; `port` says which), answered by threads of its own.

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
        run = partial(self._server.serve_forever, poll_interval=0.1)  # what the end waits for
        threading.Thread(target=run, name="otcache-metrics", daemon=True).start()

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
