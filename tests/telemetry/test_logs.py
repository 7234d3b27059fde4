"""The chain: lines with the ids of their trace, exported once, without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import redirect_stderr
from typing import Any

import pytest
import structlog
from opentelemetry import trace

from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.events import Events
from otcache.telemetry._setup.logs import configure_logging
from otcache.testing import Capture


@pytest.fixture
def out() -> io.StringIO:
    """Standard error of the chain."""
    return io.StringIO()


def configure(out: io.StringIO, **options: Any) -> None:
    """Configure the chain to write to `out`; pytest moves the real standard error around."""
    with redirect_stderr(out):
        configure_logging(**{"json": True} | options)


@pytest.fixture
def lines(telemetry: Capture, monkeypatch: Any, out: io.StringIO) -> Iterator[Any]:
    """The chain on a stream of the test's own, exporting to memory; what the stream has, parsed."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    provider = telemetry.providers.logger_provider
    target = "opentelemetry._logs.get_logger"
    monkeypatch.setattr(target, lambda name, *_, **__: provider.get_logger(name))  # type: ignore[union-attr]
    configure(out)
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.parametrize("flags", [0, 1], ids=["unsampled", "sampled"])
def test_a_line_carries_the_ids_of_its_request(lines: Any, flags: int) -> None:
    context = trace.SpanContext(10, 11, is_remote=False, trace_flags=trace.TraceFlags(flags))

    with trace.use_span(trace.NonRecordingSpan(context)):
        structlog.get_logger("shop").info("placed", order=7)
    (line,) = lines()

    assert (line["trace_id"], line["span_id"], line["trace_flags"]) == (f"{10:032x}", f"{11:016x}", f"{flags:02x}")
    assert (line["event"], line["order"], line["level"], line["logger"]) == ("placed", 7, "info", "shop")


def test_a_line_outside_a_request_has_no_ids(lines: Any) -> None:
    structlog.get_logger("shop").info("placed")

    assert "trace_id" not in lines()[0]


def test_records_of_the_standard_library_go_the_same_way(lines: Any, telemetry: Capture) -> None:
    with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(10, 11, is_remote=False))):
        logging.getLogger("uvicorn").warning("bound to %s", "redis://u:hunter2@h")
    (line,), (record,) = lines(), telemetry.events

    assert (line["event"], line["trace_id"]) == ("bound to redis://u:***@h", f"{10:032x}")
    assert (record.body, record.severity, record.trace_id) == ("bound to redis://u:***@h", "WARN", 10)


def test_a_line_is_exported_once_and_an_event_of_ours_not_again(lines: Any, telemetry: Capture) -> None:
    structlog.get_logger("shop").info("placed", order=7)
    events = Events("1", telemetry.providers.logger_provider, dropped=lambda: None)
    events.emit(catalog.STARTED, "ready", {catalog.CACHE.name: "a"})

    assert [(event.body, event.name) for event in telemetry.events] == [("placed", ""), ("ready", catalog.STARTED.name)]
    assert telemetry.events[0].attributes["order"] == 7
    assert [line["event"] for line in lines()] == ["placed", "ready"]


@pytest.mark.parametrize("name", ["opentelemetry.sdk", "grpc", "urllib3.connectionpool"])
def test_what_the_export_says_is_shown_and_not_exported(lines: Any, telemetry: Capture, name: str) -> None:
    logging.getLogger(name).warning("retrying")

    assert (len(lines()), telemetry.events) == (1, [])


def test_no_secret_gets_out_whatever_carries_it(lines: Any, telemetry: Capture) -> None:
    log = structlog.get_logger("shop")
    log.info(
        "connect redis://u:hunter2@h", password="hunter2", nested={"api_key": "hunter2", "n": [{"token": "hunter2"}]}
    )
    log.info("object", thing=KeyError("password=hunter2"), raw=b"AUTH hunter2")
    try:
        raise ValueError("AUTH ada hunter2")
    except ValueError:
        log.exception("failed")
        logging.getLogger("other").exception("failed")

    assert "hunter2" not in str(lines())
    assert "hunter2" not in str(telemetry.events)
    assert len(lines()) == len(telemetry.events) == 4


def test_an_exception_is_exported_with_its_class_and_traceback(lines: Any, telemetry: Capture) -> None:
    try:
        raise ValueError("no")
    except ValueError:
        structlog.get_logger("shop").exception("failed")
    (record,), (line,) = telemetry.events, lines()

    assert record.severity == "ERROR"
    assert (record.attributes["exception.type"], record.attributes["exception.message"]) == (
        "builtins.ValueError",
        "no",
    )
    assert "ValueError: no" in record.attributes["exception.stacktrace"]
    assert "ValueError: no" in line["exception"]


def test_configuring_twice_writes_each_line_once(lines: Any, out: io.StringIO) -> None:
    configure(out)

    structlog.get_logger("shop").info("placed")

    assert len(lines()) == 1


@pytest.mark.usefixtures("lines")
def test_a_terminal_sees_no_locals_in_a_traceback(out: io.StringIO) -> None:
    def fails(held: str) -> None:
        raise ValueError(len(held))

    configure(out, json=False)
    try:
        fails("hunter" + str(2))
    except ValueError:
        structlog.get_logger("shop").exception("failed")

    assert "ValueError: 7" in out.getvalue()
    assert "hunter2" not in out.getvalue()


def test_a_level_hides_what_is_less_severe(lines: Any, out: io.StringIO) -> None:
    configure(out, level="WARNING")

    structlog.get_logger("shop").info("hidden")
    structlog.get_logger("shop").warning("shown")

    assert [line["event"] for line in lines()] == ["shown"]
