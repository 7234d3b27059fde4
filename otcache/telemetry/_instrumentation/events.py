"""Events: a log record with a name for OpenTelemetry, and the same as a line of the `otcache` logger."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Final, Literal

import structlog
from opentelemetry import _logs as otel_logs
from opentelemetry import context as otel_context

from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.privacy import mask, own_words, redact
from otcache.telemetry.catalog import Event

Severity = Literal["INFO", "WARN"]
RATE: Final = 10.0
"""Events per second of one name."""
BURST: Final = 20.0
EXPORTED: Final = "_otcache_exported"
"""Marks a line whose record has been exported already; the logging chain takes it out."""

_NUMBERS: Final = {"INFO": otel_logs.SeverityNumber.INFO, "WARN": otel_logs.SeverityNumber.WARN}


def _without_mark(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    line.pop(EXPORTED, None)
    return line


_plain: Final = structlog.wrap_logger(
    logging.getLogger("otcache"),
    processors=[
        structlog.stdlib.filter_by_level,
        _without_mark,
        structlog.processors.KeyValueRenderer(key_order=["event"], drop_missing=True),
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
)
"""For an application that has not configured structlog: an ordinary record with key=value text."""


class _Bucket:
    """A token bucket, and what it refused since it last let something through."""

    def __init__(self, now: float) -> None:
        self._tokens, self._filled, self.refused = BURST, now, 0

    def takes(self, now: float) -> bool:
        """Whether one more may pass."""
        self._tokens = min(BURST, self._tokens + (now - self._filled) * RATE)
        self._filled = now
        if self._tokens < 1:
            self.refused += 1
            return False
        self._tokens -= 1
        return True


class Events:
    """Emits events; never raises, never waits.

    `dropped` is called for each event that the rate limit refused; `clock` gives seconds and is monotonic.
    """

    def __init__(
        self,
        version: str,
        provider: otel_logs.LoggerProvider | None,
        *,
        dropped: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._version = version
        self._provider = provider
        self._dropped = dropped
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def emit(
        self,
        event: Event,
        body: str,
        attributes: Mapping[str, Any],
        *,
        severity: Severity | None = None,
        exception: BaseException | None = None,
        context: otel_context.Context | None = None,
        key: str | None = None,
    ) -> None:
        """Emit one event.

        `body` is one sentence for people, `key` is what no message may show. Of an exception the class is kept, and the
        redacted message of one of our own. `context` is that of the span it belongs to; the current one by default.
        """
        bucket = self._buckets.setdefault(event.name, _Bucket(self._clock()))
        if not bucket.takes(self._clock()):
            self._dropped()
            return
        facts = dict(attributes)
        if bucket.refused:
            facts[catalog.SUPPRESSED.name], bucket.refused = bucket.refused, 0
        level, text = severity or event.severity, redact(body, key=key)
        try:
            if exception is not None:
                facts[catalog.EXCEPTION_TYPE.name] = type_of(exception)
                message = own_words(exception, key)
                facts |= {} if message is None else {catalog.EXCEPTION_MESSAGE.name: message}
            logger = otel_logs.get_logger("otcache", self._version, logger_provider=self._provider)
            emit_record(logger, event.name, text, facts, level, _NUMBERS[level], context)
            _write(event, text, facts, level, context)
        except Exception:  # noqa: BLE001  the application's handlers and exporters
            self._dropped()


def exception_facts(exception: BaseException) -> dict[str, str]:
    """`exception.type` and the redacted `exception.message`, also of an exception that can't be shown."""
    try:
        message = str(exception)
    except Exception:  # noqa: BLE001  the application's `__str__`
        message = ""
    return {catalog.EXCEPTION_TYPE.name: type_of(exception), catalog.EXCEPTION_MESSAGE.name: redact(message)}


def type_of(exception: BaseException) -> str:
    """The exception's class, fully qualified."""
    kind = type(exception)
    return f"{kind.__module__}.{kind.__qualname__}"


def stacktrace(exception: BaseException) -> str:
    """The traceback without passwords and without locals."""
    return mask("".join(traceback.format_exception(exception)))


def emit_record(
    logger: otel_logs.Logger,
    name: str | None,
    body: str,
    facts: Mapping[str, Any],
    severity_text: str,
    severity: otel_logs.SeverityNumber,
    context: otel_context.Context | None,
) -> None:
    """One record through the Logs API, in the trace of `context`."""
    now = time.time_ns()
    record = otel_logs.LogRecord(
        timestamp=now, observed_timestamp=now, context=context or otel_context.get_current(), body=body,
        severity_text=severity_text, severity_number=severity, attributes=dict(facts), event_name=name,
    )  # fmt: skip
    logger.emit(record)


def _write(
    event: Event, body: str, facts: Mapping[str, Any], level: Severity, context: otel_context.Context | None
) -> None:
    """The line: by the application's structlog if it has one, else an ordinary logging record."""
    logger: Any = structlog.get_logger("otcache") if structlog.is_configured() else _plain
    write = logger.warning if level == "WARN" else logger.info
    with _current(context):
        write(body, event_name=event.name, **facts, **{EXPORTED: True})


@contextmanager
def _current(context: otel_context.Context | None) -> Iterator[None]:
    """Let the line carry the ids of the operation that it is about."""
    if context is None:
        yield
        return
    token = otel_context.attach(context)
    try:
        yield
    finally:
        otel_context.detach(token)
