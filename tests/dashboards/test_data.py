"""Every query of every panel returns data on a real Prometheus that scrapes a real application."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Final

import pytest

from dashboards.common import circuit_state, component_state
from dashboards.loading import callers_per_load, offload, time_avoided
from dashboards.preview.invented import last_week
from otcache.telemetry import catalog
from tests.dashboards.application import Application
from tests.dashboards.model import PANELS, Panel, filled, promql
from tests.servers import wait_for
from tests.stack.prometheus import Prometheus

SECONDS: Final = 300.0
RULE: Final = """
groups:
  - name: otcache
    rules: [{alert: OtcacheSomething, expr: vector(1), labels: {severity: warning}}]
"""
"""So that an alert fires."""
NEEDS: Final[dict[str, str]] = {}
"""Queries that something else is needed for, and what."""


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    """It scrapes an application that keeps playing."""
    with (
        Application() as application,
        Prometheus(
            {"shop": [application.port]}, rules=[RULE], history=last_week("shop", application.port, "users", 180)
        ) as started,
    ):
        started.wait_for_targets(60)
        yield started


def states(panel: Panel) -> set[str]:
    """The numbers that a panel has words for."""
    mappings = panel.model["fieldConfig"]["defaults"].get("mappings", [])
    return {number for mapping in mappings for number in mapping["options"]}


def silent(prometheus: Prometheus, queries: dict[str, str]) -> list[str]:
    """The queries without data now; those that have some are taken out."""
    for name in [name for name, query in queries.items() if prometheus.query(query)]:
        del queries[name]
    return list(queries)


def test_every_query_of_every_panel_returns_data(prometheus: Prometheus) -> None:
    waiting = {name: filled(query) for name, query in promql() if name not in NEEDS}

    with contextlib.suppress(TimeoutError):
        wait_for(lambda: not silent(prometheus, waiting), "data", SECONDS)

    assert waiting == {}


@pytest.mark.parametrize(
    "panel", [panel for panel in PANELS if panel.model["type"] == "stat" and states(panel)], ids=str
)
def test_a_state_is_one_that_has_a_name(panel: Panel, prometheus: Prometheus) -> None:
    (query,) = panel.queries("prometheus")

    shown = {f"{series.value:g}" for series in prometheus.wait_for_series(filled(query), SECONDS)}

    assert shown
    assert shown <= states(panel)


def test_two_open_breakers_of_one_process_are_one_open_state() -> None:
    now, row = time.time(), catalog.CIRCUIT_STATUS.prometheus
    labels = 'job="shop",instance="one",otcache_backend_name="redis",otcache_component="l2"'
    numbers = {"closed": 0, "half_open": 0, "open": 2}
    samples = [f'{row}{{{labels},otcache_circuit_state="{s}"}} {n} {now - 60:.3f}' for s, n in numbers.items()]

    with Prometheus(history="\n".join([f"# TYPE {row} gauge", *samples, "# EOF", ""])) as prometheus:
        (state,) = prometheus.query(filled(circuit_state().text), at=now - 50)

    assert (state.labels, state.value) == ({"otcache_backend_name": "redis"}, 2)


Row = tuple[str, str, float, float]
"""A metric's name, labels, the number it begins with, and what it grows by per second."""


def history(rows: list[Row]) -> Prometheus:
    """One that knows ten minutes of these series of one process, as OpenMetrics."""
    now, step = time.time(), 15
    samples = [
        f'{name}{{job="shop",instance="one",{labels}}} {begin + growth * (600 - ago)} {now - ago:.3f}'
        for name, labels, begin, growth in rows
        for ago in range(600, 0, -step)
    ]
    return Prometheus(history="\n".join([*samples, "# EOF", ""]))


def component(name: str, **numbers: int) -> list[Row]:
    """Caches of the process, by the state of their far tier or of their subscription."""
    labels = f'otcache_backend_name="redis",otcache_component="{name}",otcache_component_state='
    return [(catalog.COMPONENT_STATUS.prometheus, f'{labels}"{state}"', number, 0) for state, number in numbers.items()]


def test_a_subscription_that_is_lost_is_no_redis_that_is_away() -> None:
    rows = component("l2", available=2, degraded=0, unavailable=0)
    rows += component("backplane", available=1, degraded=0, unavailable=1)

    with history(rows) as prometheus:
        (redis,) = prometheus.query(filled(component_state().text))
        (heard,) = prometheus.query(filled(component_state("backplane").text))

    assert (redis.value, heard.value) == (0, 2)


def test_what_loading_spares_is_what_its_definition_says() -> None:
    users, pages = 'otcache_cache_name="users"', 'otcache_cache_name="pages"'
    lookups, loads, took = (row.prometheus for row in (catalog.LOOKUPS, catalog.LOADS, catalog.LOADER_DURATION))
    rows: list[Row] = [
        (lookups, f'{users},otcache_result="hit"', 0, 6),
        (lookups, f'{users},otcache_result="miss"', 0, 4),
        (lookups, f'{pages},otcache_result="miss"', 0, 90),  # filled by `set`
        (loads, f'{users},otcache_loader_trigger="miss"', 0, 1),
        (loads, f'{users},otcache_loader_trigger="eager"', 0, 1),
        (loads, f'{pages},otcache_loader_trigger="miss"', 0, 0),
        (f"{took}_sum", users, 0, 1),
        (f"{took}_count", users, 0, 2),
        (catalog.COALESCE_REQUESTS.prometheus, f'{users},otcache_coalesce_outcome="value"', 0, 3),
    ]

    with history(rows) as prometheus:
        found = [prometheus.query(filled(expr.text)) for expr in (offload(), time_avoided(), callers_per_load())]

    assert [series.value for (series,) in found] == pytest.approx([0.9, 3.0, 1.5])


def test_no_query_that_has_data_is_excused(prometheus: Prometheus) -> None:
    assert NEEDS.keys() <= dict(promql()).keys()
