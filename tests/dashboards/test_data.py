"""Every query of every panel returns data on a real Prometheus that scrapes a real application."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Final

import pytest

from dashboards.common import circuit_state
from dashboards.preview.invented import last_week
from otcache.telemetry import catalog
from tests.dashboards.application import Application
from tests.dashboards.model import PANELS, Panel, filled, promql
from tests.servers import wait_for
from tests.stack.prometheus import Prometheus

SECONDS: Final = 120.0
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

    shown = {f"{series.value:g}" for series in prometheus.wait_for_series(filled(query))}

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


def test_no_query_that_has_data_is_excused(prometheus: Prometheus) -> None:
    assert NEEDS.keys() <= dict(promql()).keys()
