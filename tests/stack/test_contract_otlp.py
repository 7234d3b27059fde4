"""What the catalogue says is what arrives by OTLP, through somebody else's receiver: names, kinds, parents, numbers."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, Final

import pytest

from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.metrics import GRID
from otcache.testing import EventRecord, Span
from tests.stack.exported import Run, Way, exported
from tests.stack.otlp import DELTA, Rotel, Sink
from tests.telemetry import scenario
from tests.telemetry.contract import UNREACHABLE, Metric, allowed, promised, seen, type_of
from tests.telemetry.scenario import STEPS

HALF: Final = len(STEPS) // 2
CUMULATIVE: Final = 2
WAYS: Final = (
    Way("grpc", "cumulative", "default"),
    Way("http/protobuf", "delta", "fine"),
    Way("grpc", "delta", "exponential"),
)


@pytest.fixture(scope="module", params=WAYS, ids=str)
def run(request: pytest.FixtureRequest, sink: Sink, rotel: Rotel) -> Run:
    """The whole scenario, exported twice on the way."""
    return exported(request.param, str(request.param), sink, rotel, STEPS[:HALF], STEPS[HALF:])


def test_what_arrives_is_what_the_catalogue_lists(run: Run) -> None:
    found = seen(run.arrived)

    assert sorted(promised() - found - UNREACHABLE.keys()) == [], "listed, and never arrived"
    assert sorted(found - promised() - allowed()) == [], "arrived, and not listed"


def test_spans_arrive_as_they_were_made(run: Run) -> None:
    def in_order(spans: tuple[Span, ...]) -> list[Span]:
        return sorted(spans, key=lambda span: span.span_id)

    assert in_order(run.arrived.spans) == in_order(run.sent)


def test_every_operation_is_under_its_request_and_every_round_trip_under_its_operation(run: Run) -> None:
    parents = {(span.scope, parent.scope if parent else None) for span, parent in _with_parents(run.arrived.spans)}
    roots = {
        type_of(span) for span, parent in _with_parents(run.arrived.spans) if span.scope == "otcache" and not parent
    }

    assert parents - {("otcache", None)} == {
        ("application", None), ("otcache", "application"), ("otcache.redis", "otcache"), ("otcache", "otcache"),
    }  # fmt: skip
    assert roots == {catalog.CALLBACK_SPAN, catalog.REFRESH_SPAN}
    below = {type_of(span) for span, parent in _with_parents(run.arrived.spans) if parent and parent.scope == "otcache"}
    assert below == {catalog.LOAD_SPAN, catalog.REDIS_SPAN}


def _with_parents(spans: tuple[Span, ...]) -> list[tuple[Span, Span | None]]:
    known = {span.span_id: span for span in spans}
    return [(span, known[span.parent_id] if span.parent_id is not None else None) for span in spans]


def test_links_survive(run: Run) -> None:
    steps = sorted((span for span in run.arrived.spans if span.scope == "application"), key=lambda span: span.start_ns)
    halves = (steps[:HALF], steps[HALF:])

    linked = [pair[1].links == (pair[0].span_id,) for half in halves for pair in pairwise(half)]

    assert linked == [True] * (len(STEPS) - 2)


def test_events_arrive_as_they_were_said(run: Run) -> None:
    def in_order(events: tuple[EventRecord, ...]) -> list[EventRecord]:
        return sorted(events, key=lambda event: (event.name, event.span_id, event.body, str(event.attributes)))

    assert in_order(run.arrived.events) == in_order(run.said)


def test_exemplars_lead_to_spans_that_arrived(run: Run) -> None:
    known = {(span.trace_id, span.span_id) for span in run.arrived.spans}

    assert {(each.trace_id, each.span_id) for each in run.exemplars} <= known
    assert {catalog.OPERATION_DURATION.name, catalog.L2_DURATION.name} <= {each.metric for each in run.exemplars}


def test_counters_add_up_to_what_they_stood_at_in_this_process(run: Run) -> None:
    arrived = {
        metric.name: {frozenset(point.attributes.items()): point.value for point in metric.points}
        for metric in run.arrived.metrics
        if metric.kind != "histogram"
    }

    assert arrived == {name: series for name, series in run.totals.items() if series}


def test_histograms_add_up_to_what_was_counted_in_this_process(run: Run) -> None:
    for row in (row for row in catalog.INSTRUMENTS if row.kind == "histogram"):
        (metric,) = (each for each in run.arrived.metrics if each.name == row.name)
        arrived = {frozenset(point.attributes.items()): (point.count, point.sum) for point in metric.points}

        assert arrived == {key: _count_and_sum(row, cell) for key, cell in run.cells[row.name].items()}


def _count_and_sum(row: catalog.Instrument, cell: list[int]) -> tuple[int, Any]:
    """As they should arrive: what is replayed one by one is rounded to whole ns, and to one at least."""
    count = sum(cell[:-1])
    return count, pytest.approx(cell[-1] / row.scale, abs=2 * count / row.scale)


def test_both_temporalities_arrive_at_the_same_numbers(sink: Sink, rotel: Rotel) -> None:
    first = (scenario.every_operation, scenario.batches)
    then = (scenario.batches, scenario.reasons_to_miss, scenario.refused_arguments)
    ways = (Way("grpc", "cumulative", "default"), Way("grpc", "delta", "default"))

    runs = [exported(way, f"same-{way.temporality}", sink, rotel, first, then) for way in ways]
    cumulative, delta = [
        {(metric.name, frozenset(point.attributes.items()), point.value, point.count)
         for metric in run.arrived.metrics for point in metric.points}
        for run in runs
    ]  # fmt: skip

    assert cumulative == delta
    assert len(cumulative) > 100


def test_views_decide_the_boundaries(run: Run) -> None:
    fine = tuple(bound / 1e9 for bound in GRID)
    rows = [row for row in catalog.INSTRUMENTS if row.kind == "histogram"]
    seconds = {"default": None, "fine": fine, "exponential": ()}[run.way.histograms]

    expected = {row.name: row.buckets if seconds is None or row.scale != catalog.NS else seconds for row in rows}

    assert run.boundaries == {name: {bounds} for name, bounds in expected.items() if bounds}


@pytest.mark.parametrize("run", [way for way in WAYS if way.histograms == "fine"], indirect=True, ids=str)
def test_the_fine_view_hands_over_every_bucket_of_the_grid(run: Run) -> None:
    (metric,) = (each for each in run.arrived.metrics if each.name == catalog.OPERATION_DURATION.name)

    arrived = {frozenset(point.attributes.items()): list(point.buckets) for point in metric.points}

    assert arrived == {key: cell[:-1] for key, cell in run.cells[metric.name].items()}


def test_the_temporality_is_the_one_asked_for(run: Run) -> None:
    wanted = DELTA if run.way.temporality == "delta" else CUMULATIVE
    # a sum that may fall is cumulative either way, as the specification's preference says; a gauge has none
    special = {"updowncounter": CUMULATIVE, "gauge": 0}

    expected = {row.name: {special.get(row.kind, wanted)} for row in catalog.INSTRUMENTS}

    assert run.temporalities == expected


def test_the_standard_translation_gives_the_names_of_a_metrics_page(run: Run) -> None:
    translated = {metric.name: prometheus_name(metric) for metric in run.arrived.metrics}

    assert translated == {row.name: row.prometheus for row in catalog.INSTRUMENTS}


def prometheus_name(metric: Metric) -> str:
    """A metric's name as Prometheus' own OTLP receiver and the collector make it."""
    words = [word for word in re.split(r"[^a-zA-Z0-9]+", metric.name) if word]
    unit, _, per = re.sub(r"\{.*?\}", "", metric.unit).partition("/")
    for suffix in ({"s": "seconds", "By": "bytes"}.get(unit), {"s": "per_second"}.get(per)):
        if suffix is not None and suffix not in words:
            words.append(suffix)
    if metric.kind == "counter":
        words = [word for word in words if word != "total"] + ["total"]
    if metric.kind == "gauge" and metric.unit == "1":
        words = [word for word in words if word != "ratio"] + ["ratio"]
    return "_".join(words)
