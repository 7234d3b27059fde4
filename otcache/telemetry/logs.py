"""The structlog chain of an application: lines that carry the ids of their trace, and reach OpenTelemetry too.

The library never configures logging by itself; an application calls `configure_logging` (or `setup`).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog
from opentelemetry import _logs as otel_logs
from opentelemetry import trace

from otcache.telemetry.events import EXPORTED, emit_record
from otcache.telemetry.privacy import redact

_EXPORT_MACHINERY: Final = ("opentelemetry", "urllib3", "grpc")
"""Loggers whose lines are shown and never exported: exporting what the export says would never end."""

Line = MutableMapping[str, Any]

_SEVERITIES: Final = {
    "debug": ("DEBUG", otel_logs.SeverityNumber.DEBUG),
    "info": ("INFO", otel_logs.SeverityNumber.INFO),
    "warning": ("WARN", otel_logs.SeverityNumber.WARN),
    "error": ("ERROR", otel_logs.SeverityNumber.ERROR),
    "critical": ("FATAL", otel_logs.SeverityNumber.FATAL),
}
_NOT_FACTS: Final = ("event", "event_name", "level", "timestamp", "trace_id", "span_id", "trace_flags", "exc_info")


def add_trace_context(logger: Any, method: str, line: Line) -> Line:  # noqa: ARG001  structlog's signature
    """Add `trace_id` (32 hex digits), `span_id` (16) and `trace_flags` (2), of unsampled requests too."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        line["trace_id"] = f"{context.trace_id:032x}"
        line["span_id"] = f"{context.span_id:016x}"
        line["trace_flags"] = f"{context.trace_flags:02x}"
    return line


def redact_text(logger: Any, method: str, line: Line) -> Line:  # noqa: ARG001  structlog's signature
    """Mask passwords in every text of the line."""
    for name, value in line.items():
        if isinstance(value, str) and name not in _NOT_FACTS[2:]:
            line[name] = redact(value)
    return line


def export_record(logger: Any, method: str, line: Line) -> Line:  # noqa: ARG001  structlog's signature
    """Send the line to OpenTelemetry, unless it is an event of otcache's, which has been sent already."""
    exported = line.pop(EXPORTED, False)
    if exported or str(line.get("logger", "")).startswith(_EXPORT_MACHINERY):
        return line
    text, number = _SEVERITIES.get(str(line.get("level", "info")), _SEVERITIES["info"])
    facts = {name: _plain(value) for name, value in line.items() if name not in _NOT_FACTS and name[:1] != "_"}
    target = otel_logs.get_logger(str(line.get("logger", "app")))
    emit_record(target, line.get("event_name"), str(line.get("event", "")), facts, text, number, None)
    return line


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | bool | int | float) else repr(value)


def _shared() -> list[Any]:
    """The steps of every line, ours or the standard library's."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        add_trace_context,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact_text,
        structlog.processors.StackInfoRenderer(),
        export_record,
    ]


def configure_logging(*, json: bool | None = None, level: int | str = logging.INFO) -> None:
    """One chain for structlog and for the standard library's records (uvicorn, redis, ...), to standard error.

    Args:
        json: One JSON object per line; `None` for JSON unless a person is looking at a terminal.
        level: The least severe level that is shown.
    """
    as_json = not sys.stderr.isatty() if json is None else json
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    last = [structlog.processors.format_exc_info] if as_json else []
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared(),
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last, renderer],
        )
    )
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each.formatter, structlog.stdlib.ProcessorFormatter)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
