"""Receivers of OTLP: a sink in this process that keeps what arrives, and rotel, somebody else's, in front of it.

An application sends to rotel by gRPC or HTTP/protobuf, rotel forwards to the sink: what the sink holds has been
understood by an implementation that shares no code with the SDK.
"""

from __future__ import annotations

import gzip
import importlib.util
import math
import shutil
import socket
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent import futures
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import grpc  # type: ignore[import-untyped]  # its stubs would be one more package
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from otcache.telemetry import catalog
from otcache.testing import EventRecord, Point, Span
from tests.servers import end, free_port, require, spawn, wait_for
from tests.stack.web import Answer, Arrivals, Request, WebServer
from tests.telemetry.contract import Emitted, Metric

DELTA: Final = 1
"""`AGGREGATION_TEMPORALITY_DELTA`."""


class Exemplar(NamedTuple):
    """An example of a histogram's values, and the span it was measured in."""

    metric: str
    trace_id: int
    span_id: int
    value: float


class Sink(Arrivals):
    """Keeps every request of the three signals as it came, by gRPC and by HTTP. Use it as a context manager.

    Attributes:
        grpc_port: Where the gRPC services are.
        http: Where `/v1/{traces,metrics,logs}` are.
    """

    def __init__(self) -> None:
        super().__init__()
        self._traces: list[Any] = []
        self._metrics: list[Any] = []
        self._logs: list[Any] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        self._server.add_generic_rpc_handlers([_service(name, request, self) for name, request in _REQUESTS.items()])
        self.grpc_port = self._server.add_insecure_port("127.0.0.1:0")
        self.http = _Http(self)

    def __enter__(self) -> Self:
        self._server.start()
        self.http.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.__exit__(kind, error, trace)
        self._server.stop(grace=None).wait()

    def keep(self, request: Any) -> None:
        """One request came."""
        places = {"resource_spans": self._traces, "resource_metrics": self._metrics, "resource_logs": self._logs}
        (field,) = (each.name for each in request.DESCRIPTOR.fields)
        with self.arrival():
            places[field].extend(getattr(request, field))

    # --- what came, of one service ------------------------------------------------------------------

    def emitted(self, service: str) -> Emitted:
        """Everything of one `service.name`, decoded; of metrics the last state, deltas added up."""
        return Emitted(self.metrics(service), tuple(self.spans(service)), tuple(self.events(service)))

    def spans(self, service: str) -> list[Span]:
        """The spans, in the order of their arrival."""
        found = [
            (scoped.scope.name, span)
            for resource in _of(self._traces, service)
            for scoped in resource.scope_spans
            for span in scoped.spans
        ]
        names = {span.span_id: span.name for _, span in found}
        return [_span(scope, span, names) for scope, span in found]

    def events(self, service: str) -> list[EventRecord]:
        """The log records."""
        return [
            _event(record)
            for resource in _of(self._logs, service)
            for scoped in resource.scope_logs
            for record in scoped.log_records
        ]

    def metrics(self, service: str) -> tuple[Metric, ...]:
        """The metrics: cumulative series as they were last, delta ones summed."""
        totals: dict[tuple[str, str, str, str], dict[Any, Point]] = {}
        for metric, scope, kind, data in self._series(service):
            series = totals.setdefault((metric.name, kind, metric.unit, scope), {})
            for point in sorted(data.data_points, key=lambda each: int(each.time_unix_nano)):
                new = _point(point, kind)
                key = frozenset(new.attributes.items())
                series[key] = _sum(series.get(key), new) if _temporality(data) == DELTA else new
        return tuple(Metric(*shape, tuple(series.values())) for shape, series in totals.items())

    def collections(self, service: str) -> int:
        """How many collections have come; a process reports its identity in each."""
        times = {
            point.time_unix_nano
            for metric, _, _, data in self._series(service)
            if metric.name == catalog.BUILD_INFO.name
            for point in data.data_points
        }
        return len(times)

    def temporalities(self, service: str) -> dict[str, set[int]]:
        """By metric: the temporalities it came in, as OTLP numbers them (1 delta, 2 cumulative)."""
        found: dict[str, set[int]] = {}
        for metric, _, _, data in self._series(service):
            found.setdefault(metric.name, set()).add(_temporality(data))
        return found

    def boundaries(self, service: str) -> dict[str, set[tuple[float, ...]]]:
        """By histogram: the explicit boundaries that its points came with."""
        found: dict[str, set[tuple[float, ...]]] = {}
        for metric, _, _, data in self._series(service):
            if metric.WhichOneof("data") == "histogram":
                found.setdefault(metric.name, set()).update(tuple(point.explicit_bounds) for point in data.data_points)
        return found

    def exemplars(self, service: str) -> list[Exemplar]:
        """Every exemplar of every histogram."""
        return [
            Exemplar(metric.name, _id(each.trace_id), _id(each.span_id), each.as_double)
            for metric, _, _, data in self._series(service)
            for point in data.data_points
            for each in getattr(point, "exemplars", ())
        ]

    def scopes(self, service: str) -> set[tuple[str, str]]:
        """Names and versions of the instrumentation scopes, of all signals."""
        scoped = (each.scope for resource in _of(self._traces, service) for each in resource.scope_spans)
        metered = (each.scope for resource in _of(self._metrics, service) for each in resource.scope_metrics)
        logged = (each.scope for resource in _of(self._logs, service) for each in resource.scope_logs)
        return {(scope.name, scope.version) for part in (scoped, metered, logged) for scope in part}

    def _series(self, service: str) -> Iterator[tuple[Any, str, str, Any]]:
        """Each metric of each request in the order of time: it, its scope, its kind, its data."""
        requests = sorted(_of(self._metrics, service), key=_first_time)
        for resource in requests:
            for scoped in resource.scope_metrics:
                for metric in scoped.metrics:
                    data = getattr(metric, metric.WhichOneof("data"))
                    yield metric, scoped.scope.name, _kind(metric.WhichOneof("data"), data), data


_REQUESTS: Final[dict[str, Any]] = {
    "trace": trace_service_pb2.ExportTraceServiceRequest,
    "metrics": metrics_service_pb2.ExportMetricsServiceRequest,
    "logs": logs_service_pb2.ExportLogsServiceRequest,
}
_PATHS: Final = {"/v1/traces": "trace", "/v1/metrics": "metrics", "/v1/logs": "logs"}


def _service(name: str, request: Any, sink: Sink) -> Any:
    """The gRPC service of one signal. Its answer has no field set: the same bytes for all three."""

    def export(message: Any, context: Any) -> trace_service_pb2.ExportTraceServiceResponse:
        sink.keep(message)
        return trace_service_pb2.ExportTraceServiceResponse()

    handler = grpc.unary_unary_rpc_method_handler(
        export,
        request_deserializer=request.FromString,
        response_serializer=trace_service_pb2.ExportTraceServiceResponse.SerializeToString,
    )
    service = f"opentelemetry.proto.collector.{name}.v1.{name.capitalize()}Service"
    return grpc.method_handlers_generic_handler(service, {"Export": handler})


class _Http(WebServer):
    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def answer(self, request: Request) -> Answer:
        if request.path not in _PATHS:
            return Answer(status=404)
        headers = {name.lower(): value for name, value in request.headers.items()}
        packed = headers.get("content-encoding") == "gzip"
        message = _REQUESTS[_PATHS[request.path]]
        self._sink.keep(message.FromString(gzip.decompress(request.body) if packed else request.body))
        return Answer(content_type="application/x-protobuf")


# --- decoding ---------------------------------------------------------------------------------------


def _of(resources: Iterable[Any], service: str) -> list[Any]:
    return [each for each in list(resources) if _attributes(each.resource.attributes).get("service.name") == service]


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(_value(each) for each in value.array_value.values)
    return None if kind is None else getattr(value, kind)


def _id(raw: bytes) -> int:
    return int.from_bytes(raw, "big")


def _span(scope: str, span: Any, names: Mapping[bytes, str]) -> Span:
    return Span(
        name=span.name,
        kind=trace_pb2.Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        scope=scope,
        attributes=_attributes(span.attributes),
        status=trace_pb2.Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"),
        span_id=_id(span.span_id),
        parent_id=_id(span.parent_span_id) or None,
        parent_name=names.get(span.parent_span_id),
        links=tuple(_id(link.span_id) for link in span.links),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        trace_id=_id(span.trace_id),
        status_description=span.status.message,
    )


def _event(record: Any) -> EventRecord:
    return EventRecord(
        record.event_name,
        record.severity_text,
        str(_value(record.body)),
        _attributes(record.attributes),
        _id(record.trace_id),
        _id(record.span_id),
    )


def _kind(field: str, data: Any) -> str:
    """The catalogue's word; an exponential histogram is one too."""
    if field == "sum":
        return "counter" if data.is_monotonic else "updowncounter"
    return "histogram" if field == "exponential_histogram" else field


def _temporality(data: Any) -> int:
    return int(getattr(data, "aggregation_temporality", 0))


def _first_time(resource: Any) -> int:
    fields = ((metric, metric.WhichOneof("data")) for scoped in resource.scope_metrics for metric in scoped.metrics)
    return min(int(point.time_unix_nano) for metric, field in fields for point in getattr(metric, field).data_points)


def _point(point: Any, kind: str) -> Point:
    attributes = _attributes(point.attributes)
    if kind != "histogram":
        return Point(attributes, value=point.as_int if point.WhichOneof("value") == "as_int" else point.as_double)
    return Point(attributes, count=point.count, sum=point.sum, buckets=tuple(getattr(point, "bucket_counts", ())))


def _sum(before: Point | None, new: Point) -> Point:
    if before is None:
        return new
    buckets = tuple(a + b for a, b in zip(before.buckets, new.buckets, strict=True))
    total = math.fsum((before.sum, new.sum))
    return Point(new.attributes, before.value + new.value, before.count + new.count, total, buckets)


# --- somebody else's receiver -----------------------------------------------------------------------


class Rotel:
    """A rotel process: receives by gRPC and HTTP/protobuf, forwards everything to a sink. Use it as a context manager.

    Args:
        sink: Where to.
        protocol: How it forwards: grpc or http.

    Attributes:
        endpoints: Where it listens, by the protocol's name in `setup`.
    """

    def __init__(self, sink: Sink, protocol: str = "grpc") -> None:
        self._binary = _rotel()
        self._directory = Path(tempfile.mkdtemp(prefix="otc-rotel-"))
        self._ports = {"grpc": free_port(), "http/protobuf": free_port()}
        self.endpoints = {name: f"http://127.0.0.1:{port}" for name, port in self._ports.items()}
        to = f"http://127.0.0.1:{sink.grpc_port}" if protocol == "grpc" else sink.http.url
        self._forward = ("--exporter", "otlp", "--otlp-exporter-protocol", protocol, "--otlp-exporter-endpoint", to)

    def __enter__(self) -> Self:
        listen = [f"--otlp-{name}-endpoint=127.0.0.1:{self._ports[full]}" for name, full in _LISTENERS.items()]
        log = self._directory / "log"
        # the program is linked with the libpython of its wheel, which may be the interpreter's own
        where = f"LD_LIBRARY_PATH={sysconfig.get_config_var('LIBDIR')}"
        command = ["env", where, str(self._binary), "start", *listen, "--batch-timeout", "20ms", *self._forward]
        self._process = spawn(command, log)
        wait_for(self._is_ready, f"rotel: {log.read_text()[-500:]!r}; ready")
        return self

    def _is_ready(self) -> bool:
        if self._process.poll() is not None:
            said = (self._directory / "log").read_text()
            if "loading shared libraries" in said:
                require(f"rotel's libpython ({said.strip()[-200:]})", "apt-get install libpython3-dev")
            raise RuntimeError(f"rotel ended: {said[-1000:]}")
        try:
            for port in self._ports.values():
                socket.create_connection(("127.0.0.1", port), timeout=2).close()
        except OSError:
            return False
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end(self._process)
        shutil.rmtree(self._directory, ignore_errors=True)


_LISTENERS: Final = {"grpc": "grpc", "http": "http/protobuf"}


def _rotel() -> Path:
    spec = importlib.util.find_spec("rotel")
    found = Path(spec.origin).parent / "rotel-agent" if spec is not None and spec.origin is not None else None
    if found is None or not found.exists():
        require("rotel", "pip install rotel==0.0.1a15")
    return found
