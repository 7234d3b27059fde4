"""`setup()`: the OpenTelemetry SDK for an application that has none. The only module that builds it."""

from __future__ import annotations

import atexit
import logging
import os
import queue
import re
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, cast, get_args

from opentelemetry import _logs, metrics, trace

from otcache.exceptions import ConfigurationError
from otcache.telemetry._setup import logs
from otcache.telemetry._setup.redis_metrics import RedisMetrics
from otcache.telemetry._setup.redis_metrics import require as require_redis_metrics

try:
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricReader, PeriodicExportingMetricReader
    from opentelemetry.sdk.metrics.view import View
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    from otcache.telemetry._setup.prometheus import PageServer, page_app, page_reader
    from otcache.telemetry._setup.views import Histograms, Profile
    from otcache.telemetry._setup.views import views as views
except ImportError as exc:  # pragma: no cover  tests/shape/test_import.py shows it in a process of its own
    raise ConfigurationError('telemetry.setup needs the OpenTelemetry SDK: pip install "otcache[otlp]"') from exc

Exporter = Literal["otlp", "prometheus", "console", "none"]
Protocol = Literal["grpc", "http/protobuf"]
_Trio = tuple[Any, Any, Any]
"""Of traces, metrics and logs."""

SHUTDOWN_WITHIN: Final = 5.0
"""Seconds for everything at the end, also with nobody listening at the other end."""
_INSTANCE: Final = "service.instance.id"
_WORKERS: Final = re.compile(r"(?:uvicorn|gunicorn|hypercorn|granian|fastapi)\S* (?:.* )?(?:--workers[ =]|-w ?)(\d+)\b")

_log: Final = logging.getLogger("otcache.telemetry")


class TelemetryHandle:
    """The providers that `setup` made or found.

    Attributes:
        tracer_provider: For spans of the application's own.
        meter_provider: For its metrics.
        logger_provider: For its log records.
        metrics_port: The port that the Prometheus page is served on; `None` without one.
    """

    def __init__(
        self,
        providers: _Trio,
        owned: Iterable[Any],
        server: PageServer | None = None,
        redis_metrics: RedisMetrics | None = None,
    ) -> None:
        self.tracer_provider, self.meter_provider, self.logger_provider = providers
        self.metrics_port = None if server is None else server.port
        self._owned = [(provider, _Worker()) for provider in owned]
        self._closing = [] if server is None else [(server.close, _Worker())]
        self._redis = redis_metrics

    def metrics_app(self) -> Any:
        """An ASGI application that answers with the Prometheus page: `app.mount("/metrics", handle.metrics_app())`.

        Who asks for OpenMetrics gets exemplars; the text format 0.0.4 has none.

        Raises:
            ConfigurationError: The Prometheus client is not installed.
        """
        return page_app()

    def force_flush(self, timeout: float = SHUTDOWN_WITHIN) -> bool:
        """Export what waits; whether all of it was done within `timeout` seconds."""
        return _within(timeout, [worker.begin(provider.force_flush) for provider, worker in self._owned])

    def shutdown(self, timeout: float = SHUTDOWN_WITHIN) -> bool:
        """Export what waits and end; whether that was done within `timeout` seconds. Idempotent."""
        atexit.unregister(self.shutdown)
        if self._redis is not None:
            self._redis.off()
        ending = [(provider.shutdown, worker) for provider, worker in self._owned] + self._closing
        self._owned, self._closing = [], []
        return _within(timeout, [worker.begin(end, last=True) for end, worker in ending])


class _Worker:
    """A daemon thread that waits for something to do: at exit Python 3.12 starts no threads any more."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], threading.Event] | None] = queue.SimpleQueue()
        self._start()

    def begin(self, call: Callable[[], Any], *, last: bool = False) -> threading.Event:
        """Make `call` behind the earlier ones; the event says that it is over."""
        if not self._thread.is_alive():  # in a child after a fork
            self._start()
        done = threading.Event()
        self._calls.put((call, done))
        if last:
            self._calls.put(None)
        return done

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="otcache-telemetry", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for call, done in iter(self._calls.get, None):
            _quietly(call)
            done.set()


def _within(seconds: float, under_way: list[threading.Event]) -> bool:
    """Wait for all and no longer: an exporter retries for half a minute by itself."""
    ends = time.monotonic() + seconds
    return all(done.wait(max(0.0, ends - time.monotonic())) for done in under_way)


def _quietly(call: Callable[[], Any]) -> None:
    try:
        call()
    except Exception as exc:  # noqa: BLE001  an exporter's trouble at the end is nobody else's
        _log.warning("telemetry did not end cleanly: %s", type(exc).__name__)


def setup(
    service_name: str | None = None,
    exporter: Exporter = "otlp",
    *,
    endpoint: str | None = None,
    protocol: Protocol | None = None,
    metrics_port: int | None = None,
    sampler_ratio: float | None = None,
    export_interval: float | None = None,
    histograms: Histograms = "default",
    profile: Profile = "default",
    redis_metrics: bool = False,
    extra_views: Iterable[View] = (),
    extra_readers: Iterable[MetricReader] = (),
    configure_logging: bool = True,
    service_version: str | None = None,
    set_global: bool = True,
) -> TelemetryHandle:
    """Set the global OpenTelemetry providers, for an application that has none.

    A provider that the application has set stays, with a warning. What is not given is taken from the
    standard `OTEL_...` variables, then from the defaults.

    Args:
        service_name: `service.name`.
        exporter: otlp (traces, metrics, logs), prometheus (a page for metrics; traces and logs by OTLP if
            an endpoint is known), console, or none.
        endpoint: Of the OTLP receiver, such as `http://localhost:4317`.
        protocol: Of OTLP: grpc or http/protobuf; `OTEL_EXPORTER_OTLP_PROTOCOL`, then grpc, by default.
        metrics_port: With prometheus: serve the page on this port of 127.0.0.1, 0..65535; 0 takes any free one, and
            the handle's `metrics_port` says which.
        sampler_ratio: Share of new traces that are recorded, 0..1; a sampled parent is always followed.
        export_interval: Seconds between exports of metrics, 0.1..3600; `OTEL_METRIC_EXPORT_INTERVAL`, then 60,
            by default.
        histograms: `default`, `fine` (the internal grid), or `exponential` (not for prometheus).
        profile: `default`, `lean` (fewer histograms and attributes), or `counters` (no histograms).
        redis_metrics: Whether redis-py's own metrics are turned on; they cost time in each command.
        extra_views: Views for metrics of the application's own.
        extra_readers: Readers beside the exporter's, such as `otcache.regression._sources.sdk.WindowReader`.
        configure_logging: Whether lines get trace ids and are exported (docs/logging.md).
        service_version: `service.version`, the application's.
        set_global: Whether the providers become the global ones; if not, pass them to caches as `providers=`.

    Raises:
        ConfigurationError: An extra is missing, redis-py is too old for `redis_metrics`, the port is taken, or
            arguments are out of range or contradict each other.
    """
    _check(exporter, sampler_ratio, export_interval, metrics_port)
    if redis_metrics:
        require_redis_metrics()
    resource = _resource(service_name, service_version)
    chosen = views(histograms, profile=profile, redis_metrics=redis_metrics, prometheus=exporter == "prometheus")
    exporters = _exporters(exporter, endpoint, protocol or _protocol())
    server = None if metrics_port is None else PageServer(metrics_port)
    readers = [*_readers(exporter, exporters.get("metrics"), export_interval), *extra_readers]
    sampler = None if sampler_ratio is None else ParentBasedTraceIdRatio(sampler_ratio)
    tracers = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
    meters = MeterProvider(readers, resource=resource, views=[*chosen, *extra_views], shutdown_on_exit=False)
    loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
    if "traces" in exporters:
        tracers.add_span_processor(BatchSpanProcessor(exporters["traces"]))
    if "logs" in exporters:
        loggers.add_log_record_processor(BatchLogRecordProcessor(exporters["logs"]))
    made: _Trio = (tracers, meters, loggers)
    providers, owned = _install(*made) if set_global else (made, [*made])
    handle = TelemetryHandle(providers, owned, server, RedisMetrics(providers[1]) if redis_metrics else None)
    if configure_logging:
        logs.configure_logging()
    atexit.register(handle.shutdown)
    return handle


def _protocol() -> Protocol:
    """What the standard variable says."""
    named = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "grpc"
    for known in get_args(Protocol):
        if named == known:
            return cast("Protocol", known)
    raise ConfigurationError(f"OTEL_EXPORTER_OTLP_PROTOCOL={named!r} is not one of grpc, http/protobuf")


def _check(exporter: str, ratio: float | None, interval: float | None, port: int | None = None) -> None:
    if exporter not in get_args(Exporter):
        raise ConfigurationError(f"exporter={exporter!r} is not one of {', '.join(get_args(Exporter))}")
    if ratio is not None and not 0 <= ratio <= 1:
        raise ConfigurationError(f"sampler_ratio={ratio} is outside 0..1")
    if interval is not None and not 0.1 <= interval <= 3600:
        raise ConfigurationError(f"export_interval={interval} is outside 0.1..3600 s")
    if port is not None and not 0 <= port <= 65535:
        raise ConfigurationError(f"metrics_port={port} is outside 0..65535")
    if port is not None and exporter != "prometheus":
        raise ConfigurationError(f"metrics_port={port} needs exporter='prometheus', not {exporter!r}")
    if exporter == "prometheus" and port is None and _workers() > 1:
        _log.warning(
            "several workers behind one /metrics page show one worker's numbers by chance: export by OTLP, "
            "or give each worker a metrics_port of its own"
        )


def _workers() -> int:
    """How many workers serve this application, where the environment or the command line says so."""
    named = _WORKERS.search(" ".join(sys.argv))
    told = named[1] if named else os.environ.get("WEB_CONCURRENCY", "")
    return int(told) if told.isdecimal() else 1


def _resource(service_name: str | None, service_version: str | None) -> Resource:
    """What tells this process apart; the environment's attributes win over the defaults, arguments over both."""
    named = {"service.name": service_name, "service.version": service_version}
    found = Resource.create({name: value for name, value in named.items() if value is not None})
    if _INSTANCE in (os.environ.get("OTEL_RESOURCE_ATTRIBUTES") or ""):
        return found
    return found.merge(Resource({_INSTANCE: str(uuid.uuid4())}))


def _exporters(exporter: Exporter, endpoint: str | None, protocol: Protocol) -> Mapping[str, Any]:
    if exporter == "console":
        return {"traces": ConsoleSpanExporter(), "metrics": ConsoleMetricExporter()}
    known = endpoint is not None or any(
        name.startswith("OTEL_EXPORTER_OTLP") and name.endswith("ENDPOINT") for name in os.environ
    )
    if exporter == "none" or (exporter == "prometheus" and not known):
        return {}
    found = _otlp(endpoint, protocol)
    return {name: each for name, each in found.items() if name != "metrics"} if exporter == "prometheus" else found


def _otlp(endpoint: str | None, protocol: Protocol) -> dict[str, Any]:
    try:
        return _grpc(endpoint) if protocol == "grpc" else _http(endpoint)
    except ImportError as exc:
        raise ConfigurationError('exporter="otlp" needs its exporters: pip install "otcache[otlp]"') from exc


def _grpc(endpoint: str | None) -> dict[str, Any]:
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    kinds = {"traces": OTLPSpanExporter, "metrics": OTLPMetricExporter, "logs": OTLPLogExporter}
    return {name: kind(endpoint=endpoint) for name, kind in kinds.items()}


def _http(endpoint: str | None) -> dict[str, Any]:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    kinds = {"traces": OTLPSpanExporter, "metrics": OTLPMetricExporter, "logs": OTLPLogExporter}
    base = None if endpoint is None else endpoint.rstrip("/")
    return {name: kind(endpoint=None if base is None else f"{base}/v1/{name}") for name, kind in kinds.items()}


def _readers(exporter: Exporter, metric_exporter: Any, interval: float | None) -> list[MetricReader]:
    if exporter == "prometheus":
        return [page_reader()]
    if metric_exporter is None:
        return []
    return [PeriodicExportingMetricReader(metric_exporter, None if interval is None else interval * 1000)]


def _install(tracers: TracerProvider, meters: MeterProvider, loggers: LoggerProvider) -> tuple[_Trio, list[Any]]:
    """Set those global providers that are not set; the ones in use, and those of them that were made here."""
    owned: list[Any] = []
    own_tracers = isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    own_meters = type(metrics.get_meter_provider()).__name__ == "_ProxyMeterProvider"
    own_loggers = type(_logs.get_logger_provider()).__name__ == "ProxyLoggerProvider"
    parts: list[tuple[str, bool, Any, Callable[[Any], None]]] = [
        ("traces", own_tracers, tracers, trace.set_tracer_provider),
        ("metrics", own_meters, meters, metrics.set_meter_provider),
        ("logs", own_loggers, loggers, _logs.set_logger_provider),
    ]
    for name, own, provider, install in parts:
        if own:
            install(provider)
            owned.append(provider)
        else:
            _Worker().begin(provider.shutdown, last=True)  # not waited for: its exporter may retry
            _log.warning("the application has set a provider for %s: it stays", name)
    return (trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider()), owned
