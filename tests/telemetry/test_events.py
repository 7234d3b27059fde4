"""Events: one record and one line each, bounded in number, without secrets."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from opentelemetry import _logs as otel_logs
from opentelemetry import trace

from otcache import ValidationError
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.events import BURST, EXPORTED, Events
from otcache.testing import Capture


class UnshowableError(Exception):
    """Its text can't be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Seconds:
    """A clock in seconds."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def unconfigured() -> Iterator[None]:
    """structlog as it is before anybody configures it, and after the test too."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


@pytest.fixture
def refused() -> list[int]:
    return []


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def events(telemetry: Capture, refused: list[int], clock: Seconds) -> Events:
    return Events("1", telemetry.providers.logger_provider, dropped=lambda: refused.append(1), clock=clock)


def test_an_event_is_a_named_record_in_its_trace(telemetry: Capture, events: Events) -> None:
    context = trace.set_span_in_context(trace.NonRecordingSpan(trace.SpanContext(5, 6, is_remote=False)))

    events.emit(catalog.CIRCUIT_CHANGED, "open", {catalog.CACHE.name: "a"}, severity="INFO", context=context)
    (event,) = telemetry.events

    assert (event.name, event.severity, event.body) == (catalog.CIRCUIT_CHANGED.name, "INFO", "open")
    assert (event.trace_id, event.span_id, event.attributes) == (5, 6, {catalog.CACHE.name: "a"})


@pytest.mark.usefixtures("unconfigured")
def test_an_application_without_structlog_gets_an_ordinary_record(events: Events, caplog: Any) -> None:
    with caplog.at_level(logging.INFO, "otcache"):
        events.emit(catalog.STARTED, "ready", {catalog.CACHE.name: "a"})
    (record,) = caplog.records

    assert (record.name, record.levelname) == ("otcache", "INFO")
    assert "event='ready'" in record.getMessage()
    assert f"{catalog.CACHE.name}='a'" in record.getMessage()
    assert EXPORTED not in record.getMessage()
    assert not structlog.is_configured()


@pytest.mark.usefixtures("unconfigured")
def test_an_application_with_structlog_gets_a_marked_line(events: Events) -> None:
    lines: list[Any] = []

    def keep(logger: Any, method: str, line: Any) -> str:
        lines.append(dict(line))
        return "shown"

    structlog.configure(processors=[keep])

    events.emit(catalog.CAPPED, "over", {catalog.LIMIT.name: 7})

    assert lines == [{"event": "over", "event_name": catalog.CAPPED.name, catalog.LIMIT.name: 7, EXPORTED: True}]


def test_a_flood_is_cut_and_the_next_event_says_how_many_are_missing(
    telemetry: Capture, events: Events, refused: list[int], clock: Seconds
) -> None:
    for _ in range(int(BURST) + 7):
        events.emit(catalog.CAPPED, "over", {})
    events.emit(catalog.STARTED, "another name has a limit of its own", {})
    clock.now += 0.1
    events.emit(catalog.CAPPED, "over", {})

    assert (len(telemetry.events), len(refused)) == (BURST + 2, 7)
    assert telemetry.events[-1].attributes == {catalog.SUPPRESSED.name: 7}


def test_an_exception_shows_its_class_and_neither_key_nor_password(telemetry: Capture, events: Events) -> None:
    error = ValidationError("user:ada at redis://u:hunter2@h")

    events.emit(catalog.OPERATION_EXCEPTION, "get of user:ada raised", {}, exception=error, key="user:ada")
    (event,) = telemetry.events

    assert event.attributes["exception.type"] == "otcache.exceptions.ValidationError"
    assert event.attributes["exception.message"] == "*** at redis://u:***@h"
    assert "user:ada" not in event.body


def test_of_the_applications_own_exception_only_the_class_is_told(telemetry: Capture, events: Events) -> None:
    events.emit(catalog.OPERATION_EXCEPTION, "raised", {}, exception=UnshowableError("a value"))

    assert telemetry.events[0].attributes == {"exception.type": f"{__name__}.UnshowableError"}


def test_a_provider_that_raises_is_counted_and_nothing_else(refused: list[int]) -> None:
    class Broken(otel_logs.LoggerProvider):
        def get_logger(self, *args: Any, **kwargs: Any) -> Any:
            raise OSError("broken")

    Events("1", Broken(), dropped=lambda: refused.append(1)).emit(catalog.STARTED, "ready", {})

    assert refused == [1]
