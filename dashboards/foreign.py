"""What panels show that is not ours: Prometheus' own alerts, redis-py's native metrics, the SDK's own metrics."""

from __future__ import annotations

from typing import Final

from otcache.telemetry.catalog import CONNECTION_STATE, ERROR_TYPE, Attribute, Instrument

ALERT_NAME: Final = Attribute("alertname", "string", "The alert's name.")
ALERT_STATE: Final = Attribute("alertstate", "string", "Its state.", values=("pending", "firing"))
SEVERITY: Final = Attribute("severity", "string", "How bad it is.")
ALERTS: Final = Instrument(
    "ALERTS", "gauge", "", "1 for every alert that Prometheus knows.", (ALERT_NAME, ALERT_STATE, SEVERITY)
)

REDIS_ERROR_CATEGORY: Final = Attribute("redis.client.errors.category", "string", "What kind of error.")
REDIS_CONNECTIONS: Final = Instrument(
    "db.client.connection.count", "updowncounter", "{connection}", "Connections.", (CONNECTION_STATE,)
)
REDIS_CREATED: Final = Instrument(
    "db.client.connection.create_time", "histogram", "s", "Time to open a connection.", ()
)
REDIS_DURATION: Final = Instrument("db.client.operation.duration", "histogram", "s", "Time of a command.", ())
REDIS_ERRORS: Final = Instrument(
    "redis.client.errors", "counter", "{error}", "Errors of the client.", (REDIS_ERROR_CATEGORY,)
)
"""redis-py's, which are opt-in."""

QUEUE_SIZE: Final = Instrument("otel.sdk.processor.span.queue.size", "updowncounter", "{span}", "Waiting spans.", ())
SPANS_EXPORTED: Final = Instrument(
    "otel.sdk.exporter.span.exported", "counter", "{span}", "Spans handed over, or not.", (), (ERROR_TYPE,)
)
"""The SDK's, with OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED."""

FOREIGN: Final = (
    ALERTS, REDIS_CONNECTIONS, REDIS_CREATED, REDIS_DURATION, REDIS_ERRORS, QUEUE_SIZE, SPANS_EXPORTED,
)  # fmt: skip
