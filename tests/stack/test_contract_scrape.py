"""What the catalogue says is what a real Prometheus finds on the page of a real process: names, labels, values."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest

from otcache._exports.check import check
from otcache.telemetry import catalog
from otcache.telemetry.catalog import Instrument
from otcache.testing import Point
from tests.rows import every
from tests.servers import wait_for
from tests.stack.application import Application
from tests.stack.prometheus import Prometheus
from tests.telemetry.contract import UNREACHABLE, Emitted, Metric, promised, seen

OURS: Final = '{__name__=~"otcache.*"}'
CARRIED: Final = {"job", "instance", "otel_scope_name", "otel_scope_version", "otel_scope_schema_url"}
"""Labels of the scrape and of the exporter; a resource's attributes are on `target_info`."""


class Scraped(NamedTuple):
    """What Prometheus holds after the scenario; `series` by the instruments' names."""

    application: Application
    prometheus: Prometheus
    series: dict[str, list[dict[str, str]]]


@pytest.fixture(scope="module")
def scraped() -> Iterator[Scraped]:
    application = Application().start()
    with Prometheus({"shop": [application.port]}, interval="500ms") as prometheus, application:
        played = time.time()
        newest = "min(timestamp(otcache_build_info))"
        wait_for(lambda: (prometheus.value(newest) or 0) > played, "a scrape after the scenario")
        series: dict[str, list[dict[str, str]]] = {}
        for each in prometheus.query(OURS, at=time.time()):
            series.setdefault(each.labels["__name__"], []).append({**each.labels, "": str(each.value)})
        yield Scraped(application, prometheus, series)


def names(row: Instrument) -> list[str]:
    """The names that an instrument's series have."""
    ends = ("_bucket", "_sum", "_count") if row.kind == "histogram" else ("",)
    return [row.prometheus + end for end in ends]


def test_every_instrument_is_there_under_its_name_and_nothing_else_is(scraped: Scraped) -> None:
    assert sorted(scraped.series) == sorted(name for row in catalog.INSTRUMENTS for name in names(row))


@every("row", catalog.INSTRUMENTS, ids=lambda row: row.name)
def test_its_series_have_its_attributes_as_labels_and_no_others(scraped: Scraped, row: Instrument) -> None:
    always = {key.name.replace(".", "_") for key in row.attributes}
    reached = (key for key in row.conditional if (row.name, key.name, key.type) not in UNREACHABLE)
    sometimes = {key.name.replace(".", "_") for key in reached}
    for name in names(row):
        buckets = {"le"} if name.endswith("_bucket") and row.kind == "histogram" else set()
        labels = [each.keys() - CARRIED - {"__name__", ""} for each in scraped.series[name]]

        assert set().union(*labels) == always | sometimes | buckets
        assert all(always | buckets <= each for each in labels)


def test_every_closed_value_that_can_be_reached_is_there(scraped: Scraped) -> None:
    found = seen(Emitted(tuple(_as_metric(scraped, row) for row in catalog.INSTRUMENTS)))
    wanted = {fact for fact in promised() if fact[0] in {row.name for row in catalog.INSTRUMENTS}}

    assert sorted(wanted - found - UNREACHABLE.keys()) == []
    assert sorted(found - wanted) == []


def _as_metric(scraped: Scraped, row: Instrument) -> Metric:
    """A scraped instrument in the catalogue's words; the text format has neither unit nor up-down counters."""
    attributes = {key.name.replace(".", "_"): key.name for key in row.keys}
    name = row.prometheus + ("_count" if row.kind == "histogram" else "")
    points = [
        Point({attributes[label]: value for label, value in each.items() if label in attributes}, float(each[""]))
        for each in scraped.series[name]
    ]
    scopes = {each.get("otel_scope_name", row.scope) for each in scraped.series[name]}  # older exporters leave it out
    return Metric(row.name, row.kind, row.unit, "+".join(scopes), tuple(points))


def test_types_and_descriptions_are_the_catalogues(scraped: Scraped) -> None:
    metadata: dict[str, Any] = scraped.prometheus.api("metadata")
    kinds = {"counter": "counter", "updowncounter": "gauge", "histogram": "histogram"}

    for row in catalog.INSTRUMENTS:
        (found,) = metadata.get(row.prometheus) or metadata[row.prometheus.removesuffix("_total")]
        assert (found["type"], found["help"]) == (kinds.get(row.kind, row.kind), row.brief)


def test_what_was_scraped_adds_up_to_what_the_process_had_counted(scraped: Scraped) -> None:
    sums = {name: sum(float(each[""]) for each in scraped.series[name]) for name in scraped.application.counted}

    assert sums == pytest.approx(scraped.application.counted)


def test_our_own_command_says_the_same_and_finds_the_cap_that_was_reached(scraped: Scraped) -> None:
    report = check(f"http://127.0.0.1:{scraped.application.port}/metrics", complete=True)

    assert {each.kind for each in report.differences} == {"cap"}
    assert catalog.AI_LOOKUPS.prometheus in {each.metric for each in report.differences}
    assert report.unseen == ()
