"""What the demo shows: a line per second that fits a terminal, and a tree for a trace."""

from __future__ import annotations

import re
from typing import cast

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otcache._demo.screen import HEADING, line, totals
from otcache._demo.snapshot import Snapshot, Window
from otcache._demo.traces import TraceBook, new_trace
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.metrics import GRID, observe


def _cell(seconds: float, times: int) -> list[int]:
    cell = [0] * (len(GRID) + 2)
    for _ in range(times):
        observe(cell, GRID, round(seconds * 1e9))
    return cell


@pytest.fixture
def window() -> Window:
    counts = {
        "hits": {"l1": 300, "l2": 90}, "loads": {"miss": 90, "revalidate": 8},
        "misses": {"absent": 40, "expired": 12, "deleted": 5, "backend_unavailable": 120},
        "operations": {"all": 620, "degraded": 130}, "waited": {"process": 118, "distributed": 2},
        "stale": {"backend_unavailable": 7, "revalidating": 8}, "breakers": {"open": 2, "closed": 0},
        "invalidations": {"local": 30, "backplane": 140}, "messages": {"publish": 210, "receive": 400},
        "dollars": {"saved": catalog.AI_COST.scale, "spent": catalog.AI_COST.scale // 2},
    }  # fmt: skip
    cells = {"l1": _cell(1.5e-6, 300), "l2": _cell(4e-4, 90), "loader": _cell(0.25, 100), "requests": _cell(0.06, 600)}
    return Window(Snapshot(100.0), Snapshot(105.0, counts, cells))


def test_a_second_is_a_line_of_less_than_80_columns(window: Window) -> None:
    shown = line(12.3, window)

    assert (len(HEADING), len(shown)) == (77, 77)
    assert re.split(r"\s{2,}", shown)[:4] == [" 12 s", "120", "68.8 %", "1.5 µs"]
    assert re.search(r" 20 +3 +open +21.0 %$", shown)


def test_a_second_without_a_request_has_dashes_and_no_error() -> None:
    shown = line(1.0, Window(Snapshot(1.0), Snapshot(2.0)))

    assert shown.split()[2:] == ["0", "-", "-", "-", "-", "0", "0", "none", "-"]


def test_the_summary_says_what_the_metrics_say(window: Window) -> None:
    assert totals(window) == {
        "hit ratio": "68.8 % (L1 52.9 %, L2 15.9 %)",
        "misses": "backend_unavailable 120, absent 40, expired 12, deleted 5",
        "p99 of reads": "L1 1.5 µs, L2 400 µs, loaded 250 ms",
        "p99 of requests": "60 ms",
        "loads": "98 (miss 90, revalidate 8); 120 callers waited instead, 2 of them on another process",
        "stale answers": "revalidating 8, backend_unavailable 7",
        "degraded": "130 operations (21.0 %)",
        "invalidations": "30 in the process itself; 210 messages sent, 140 applied",
        "AI responses": "$1.0000 saved, $0.5000 spent",
    }


def _recording() -> tuple[TraceBook, TracerProvider]:
    book, provider = TraceBook(), TracerProvider()
    provider.add_span_processor(cast("SpanProcessor", book))
    return book, provider


def test_only_traces_that_were_asked_for_are_kept() -> None:
    book, provider = _recording()
    provider.get_tracer("t").start_span("other", kind=trace.SpanKind.SERVER).end()

    assert book._traces == {}


def test_a_tree_puts_every_span_under_its_parent_and_says_where_links_lead() -> None:
    trace_id, header = new_trace()
    book, provider = _recording()
    tracer = provider.get_tracer("t")
    parent = TraceContextTextMapPropagator().extract({"traceparent": header})
    leader = tracer.start_span("leader").get_span_context()
    link = trace.Link(leader, {catalog.LINK_TYPE.name: "coalesced_leader"})
    told: dict[str, str | int] = {
        catalog.RESULT.name: "miss",
        catalog.MISS_REASON.name: "absent",
        catalog.TIER.name: "none",
        "other": 1,
    }

    with tracer.start_as_current_span("GET /r", context=parent, kind=trace.SpanKind.SERVER):
        with tracer.start_as_current_span("cache.get", attributes=told, links=[link]):
            pass
        unfinished = book.tree(trace_id)

    shown = re.sub(r"  [\d.]+ [mµn]?s", "", book.tree(trace_id)).split("\n")
    assert unfinished == ""
    assert shown == [
        f"trace {trace_id}",
        "  GET /r SERVER",
        "    cache.get  result=miss  miss.reason=absent",
        f"      => coalesced_leader  span {leader.span_id:016x} of trace {leader.trace_id:032x}",
    ]
