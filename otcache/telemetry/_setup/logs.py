"""The structlog chain of an application: lines that carry the ids of their trace, and reach OpenTelemetry too.

The library never configures logging by itself; an application calls `configure_logging` (or `setup`).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import structlog
from opentelemetry import _logs as otel_logs
from opentelemetry import trace

from otcache.telemetry._instrumentation.events import EXPORTED, emit_record, exception_facts, stacktrace
from otcache.telemetry._instrumentation.privacy import is_secret, mask, redact

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
    """Mask passwords in everything the line says, the values of secret names included."""
    for name, value in line.items():
        if name not in _NOT_FACTS[2:] and name[:1] != "_":
            line[name] = _clean(name, value)
    return line


def _clean(name: str, value: Any) -> Any:
    """What may be shown of `value`; objects other than the plain ones as their `repr`."""
    if is_secret(name) and not isinstance(value, bool | int | float | None):
        return "***"
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {str(inner): _clean(str(inner), each) for inner, each in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(name, each) for each in value]
    return redact(repr(value))


def redact_exception(logger: Any, method: str, line: Line) -> Line:  # noqa: ARG001  structlog's signature
    """Mask passwords in the rendered traceback."""
    if isinstance(line.get("exception"), str):
        line["exception"] = mask(line["exception"])
    return line


def export_record(logger: Any, method: str, line: Line) -> Line:  # noqa: ARG001  structlog's signature
    """Send the line to OpenTelemetry, unless it is an event of otcache's, which has been sent already."""
    exported = line.pop(EXPORTED, False)
    if exported or str(line.get("logger", "")).startswith(_EXPORT_MACHINERY):
        return line
    text, number = _SEVERITIES.get(str(line.get("level", "info")), _SEVERITIES["info"])
    facts = {name: _plain(value) for name, value in line.items() if name not in _NOT_FACTS and name[:1] != "_"}
    error = _exception(line.get("exc_info"))
    if error is not None:
        facts |= exception_facts(error) | {"exception.stacktrace": stacktrace(error)}
    target = otel_logs.get_logger(str(line.get("logger", "app")))
    emit_record(target, line.get("event_name"), str(line.get("event", "")), facts, text, number, None)
    return line


def _exception(info: Any) -> BaseException | None:
    """What `exc_info` stands for: an exception, the standard library's triple, or `True`."""
    found = sys.exc_info() if info is True else info
    error = found[1] if isinstance(found, tuple) else found
    return error if isinstance(error, BaseException) else None


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
    # the pretty tracebacks show locals, which hold keys and values
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer: Any = structlog.processors.JSONRenderer() if as_json else console
    last: list[Any] = [structlog.processors.format_exc_info, redact_exception]
    wrap = structlog.stdlib.ProcessorFormatter.wrap_for_formatter
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_shared(), wrap],
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
