"""Every query of every panel returns data on a real Prometheus that scrapes a real application."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Final

import pytest

from otcache.telemetry.catalog import LOOKUPS
from tests.dashboards.application import Application
from tests.dashboards.model import filled, promql
from tests.servers import wait_for
from tests.stack.prometheus import Prometheus

SECONDS: Final = 120.0
WEEK: Final = 7 * 24 * 3600
RULE: Final = """
groups:
  - name: otcache
    rules: [{alert: OtcacheSomething, expr: vector(1), labels: {severity: warning}}]
"""
"""So that an alert fires."""
NEEDS: Final[dict[str, str]] = {}
"""Queries that something else is needed for, and what."""


def last_week(port: int) -> str:
    """Look-ups at this time a week ago, as OpenMetrics."""
    labels = f'job="shop",instance="127.0.0.1:{port}",otcache_cache_name="users",otcache_tier="l1"'
    name = LOOKUPS.prometheus
    start = time.time() - WEEK - 60
    samples = [
        f'{name}{{{labels},otcache_miss_reason="none",otcache_result="{result}"}} {10 * step} {start + step * 5:.3f}'
        for result in ("hit", "miss")
        for step in range(60)
    ]
    return "\n".join([f"# TYPE {name.removesuffix('_total')} counter", *samples, "# EOF", ""])


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    """It scrapes an application that keeps playing."""
    with (
        Application() as application,
        Prometheus({"shop": [application.port]}, rules=[RULE], history=last_week(application.port)) as started,
    ):
        started.wait_for_targets(60)
        yield started


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


def test_no_query_that_has_data_is_excused(prometheus: Prometheus) -> None:
    assert NEEDS.keys() <= dict(promql()).keys()
