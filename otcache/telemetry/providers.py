"""Where a cache reports: the application's OpenTelemetry providers, or others for a test."""

from __future__ import annotations

from typing import NamedTuple

from opentelemetry._logs import LoggerProvider
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider


class Providers(NamedTuple):
    """OpenTelemetry providers; the global one where there is none.

    Attributes:
        tracer_provider: For spans.
        meter_provider: For metrics.
        logger_provider: For events.
    """

    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None
    logger_provider: LoggerProvider | None = None
