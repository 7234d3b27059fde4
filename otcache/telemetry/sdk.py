"""`setup()`: the OpenTelemetry SDK for an application that has none. The only module that builds it."""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, cast, get_args

from opentelemetry import _logs, metrics, trace

from otcache.exceptions import ConfigurationError
from otcache.telemetry import catalog, logs
from otcache.telemetry.metrics import GRID

try:
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, MetricReader, PeriodicExportingMetricReader
    from opentelemetry.sdk.metrics.view import (
        ExplicitBucketHistogramAggregation,
        ExponentialBucketHistogramAggregation,
        View,
    )
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
except ImportError as exc:  # pragma: no cover  tests/shape/test_import.py shows it in a process of its own
    raise ConfigurationError('telemetry.setup needs the OpenTelemetry SDK: pip install "otcache[otlp]"') from exc

Exporter = Literal["otlp", "prometheus", "console", "none"]
Protocol = Literal["grpc", "http/protobuf"]
Histograms = Literal["default", "fine", "exponential"]

SHUTDOWN_WITHIN: Final = 5.0
"""Seconds for everything at the end, also with nobody listening at the other end."""
_INSTANCE: Final = "service.instance.id"

_log: Final = logging.getLogger("otcache.telemetry")


class TelemetryHandle:
    """The providers that `setup` made or found.

    Attributes:
        tracer_provider: For spans of the application's own.
        meter_provider: For its metrics.
        logger_provider: For its log records.
    """

    def __init__(self, tracers: Any, meters: Any, loggers: Any, owned: Iterable[Any]) -> None:
        self.tracer_provider = tracers
        self.meter_provider = meters
        self.logger_provider = loggers
        self._owned = [(provider, _Worker()) for provider in owned]

    def metrics_app(self) -> Any:
        """An ASGI application that answers with the Prometheus page: `app.mount("/metrics", handle.metrics_app())`.

        Raises:
            ConfigurationError: The Prometheus client is not installed.
        """
        return _prometheus().make_asgi_app()

    def force_flush(self, timeout: float = SHUTDOWN_WITHIN) -> bool:
        """Export what waits; whether all of it was done within `timeout` seconds."""
        return _within(timeout, [worker.begin(provider.force_flush) for provider, worker in self._owned])

    def shutdown(self, timeout: float = SHUTDOWN_WITHIN) -> bool:
        """Export what waits and end; whether that was done within `timeout` seconds. Idempotent."""
        atexit.unregister(self.shutdown)
        owned, self._owned = self._owned, []
        return _within(timeout, [worker.begin(provider.shutdown, last=True) for provider, worker in owned])


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
        metrics_port: With prometheus: serve the page on this port of 127.0.0.1.
        sampler_ratio: Share of new traces that are recorded, 0..1; a sampled parent is always followed.
        export_interval: Seconds between exports of metrics, 0.1..3600; `OTEL_METRIC_EXPORT_INTERVAL`, then 60,
            by default.
        histograms: `default`, `fine` (the internal grid), or `exponential` (not for prometheus).
        configure_logging: Whether lines get trace ids and are exported (docs/logging.md).
        service_version: `service.version`, the application's.
        set_global: Whether the providers become the global ones; if not, pass them to caches as `providers=`.

    Raises:
        ConfigurationError: An extra is missing, or arguments contradict each other.
    """
    _check(exporter, sampler_ratio, export_interval)
    resource = _resource(service_name, service_version)
    views_ = list(views(histograms, prometheus=exporter == "prometheus"))
    exporters = _exporters(exporter, endpoint, protocol or _protocol())
    readers = _readers(exporter, exporters.get("metrics"), export_interval, metrics_port)
    sampler = None if sampler_ratio is None else ParentBasedTraceIdRatio(sampler_ratio)
    tracers = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
    meters = MeterProvider(readers, resource=resource, views=views_, shutdown_on_exit=False)
    loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
    if "traces" in exporters:
        tracers.add_span_processor(BatchSpanProcessor(exporters["traces"]))
    if "logs" in exporters:
        loggers.add_log_record_processor(BatchLogRecordProcessor(exporters["logs"]))
    handle = (_install if set_global else _handle)(tracers, meters, loggers)
    if configure_logging:
        logs.configure_logging()
    atexit.register(handle.shutdown)
    return handle


def _handle(tracers: TracerProvider, meters: MeterProvider, loggers: LoggerProvider) -> TelemetryHandle:
    return TelemetryHandle(tracers, meters, loggers, (tracers, meters, loggers))


def _protocol() -> Protocol:
    """What the standard variable says."""
    named = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "grpc"
    for known in get_args(Protocol):
        if named == known:
            return cast("Protocol", known)
    raise ConfigurationError(f"OTEL_EXPORTER_OTLP_PROTOCOL={named!r} is not one of grpc, http/protobuf")


def _check(exporter: str, ratio: float | None, interval: float | None) -> None:
    if exporter not in ("otlp", "prometheus", "console", "none"):
        raise ConfigurationError(f"exporter={exporter!r} is not one of otlp, prometheus, console, none")
    if ratio is not None and not 0 <= ratio <= 1:
        raise ConfigurationError(f"sampler_ratio={ratio} is outside 0..1")
    if interval is not None and not 0.1 <= interval <= 3600:
        raise ConfigurationError(f"export_interval={interval} is outside 0.1..3600 s")
    workers = os.environ.get("WEB_CONCURRENCY", "")
    if exporter == "prometheus" and workers.isdecimal() and int(workers) > 1:
        _log.warning(
            "several workers behind one /metrics page show one worker's numbers by chance: export by OTLP, "
            "or give each worker a metrics_port of its own"
        )


def _resource(service_name: str | None, service_version: str | None) -> Resource:
    """What tells this process apart; the environment's attributes win over the defaults, arguments over both."""
    named = {"service.name": service_name, "service.version": service_version}
    found = Resource.create({name: value for name, value in named.items() if value is not None})
    if _INSTANCE in (os.environ.get("OTEL_RESOURCE_ATTRIBUTES") or ""):
        return found
    return found.merge(Resource({_INSTANCE: str(uuid.uuid4())}))


def views(histograms: Histograms = "default", *, prometheus: bool = False) -> tuple[View, ...]:
    """Views for a `MeterProvider` of the application's own.

    Args:
        histograms: `default` needs none: boundaries travel with the instruments. `fine` exports the internal
            grid of durations. `exponential` re-buckets approximately.
        prometheus: Whether a Prometheus reader is used; it fails on exponential histograms.

    Raises:
        ConfigurationError: exponential and prometheus together.
    """
    if histograms == "default":
        return ()
    if histograms == "exponential" and prometheus:
        raise ConfigurationError("histograms='exponential' breaks the Prometheus page; use 'fine', or OTLP")
    if histograms not in ("fine", "exponential"):
        raise ConfigurationError(f"histograms={histograms!r} is not one of default, fine, exponential")
    rows = [row for row in catalog.INSTRUMENTS if row.kind == "histogram" and row.scale == catalog.NS]
    return tuple(View(instrument_name=row.name, aggregation=_aggregation(histograms)) for row in rows)


def _aggregation(histograms: Histograms) -> Any:
    if histograms == "fine":
        return ExplicitBucketHistogramAggregation([bound / 1e9 for bound in GRID])
    return ExponentialBucketHistogramAggregation()


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
        if protocol == "grpc":
            return _grpc(endpoint)
        return _http(endpoint)
    except ImportError as exc:
        raise ConfigurationError('exporter="otlp" needs its exporters: pip install "otcache[otlp]"') from exc


def _grpc(endpoint: str | None) -> dict[str, Any]:
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    given: dict[str, Any] = {} if endpoint is None else {"endpoint": endpoint}
    return {
        "traces": OTLPSpanExporter(**given),
        "metrics": OTLPMetricExporter(**given),
        "logs": OTLPLogExporter(**given),
    }


def _http(endpoint: str | None) -> dict[str, Any]:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    def given(signal: str) -> dict[str, Any]:
        return {} if endpoint is None else {"endpoint": f"{endpoint.rstrip('/')}/v1/{signal}"}

    return {
        "traces": OTLPSpanExporter(**given("traces")),
        "metrics": OTLPMetricExporter(**given("metrics")),
        "logs": OTLPLogExporter(**given("logs")),
    }


def _readers(exporter: Exporter, metric_exporter: Any, interval: float | None, port: int | None) -> list[MetricReader]:
    if exporter == "prometheus":
        client = _prometheus()
        from opentelemetry.exporter.prometheus import PrometheusMetricReader

        if port is not None:
            client.start_http_server(port, addr="127.0.0.1")
        return [PrometheusMetricReader()]
    if metric_exporter is None:
        return []
    return [PeriodicExportingMetricReader(metric_exporter, None if interval is None else interval * 1000)]


def _prometheus() -> Any:
    try:
        import opentelemetry.exporter.prometheus  # noqa: F401
        import prometheus_client
    except ImportError as exc:
        raise ConfigurationError('exporter="prometheus" needs: pip install "otcache[prometheus]"') from exc
    return prometheus_client


def _install(tracers: TracerProvider, meters: MeterProvider, loggers: LoggerProvider) -> TelemetryHandle:
    """Set those global providers that are not set; the application's own stay."""
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
    return TelemetryHandle(
        trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider(), owned
    )
