"""Everything that is emitted is in the catalogue, and everything in the catalogue is emitted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

from otcache.telemetry import catalog
from otcache.testing import Capture, Point, Span, capture_telemetry
from tests.servers import RedisServer
from tests.telemetry.contract import UNREACHABLE, Emitted, Metric, allowed, of_capture, promised, seen
from tests.telemetry.scenario import play, stage

SPAN = Span("", "CLIENT", "otcache.redis", {}, "UNSET", 1, None, None, (), 0, 0)


@pytest.fixture
async def telemetry(start: Callable[[RedisServer], RedisServer], prefix: str) -> AsyncIterator[Capture]:
    """What the whole scenario emitted, its caches still open."""
    with capture_telemetry() as captured:
        async with stage(captured.providers, start(RedisServer("valkey")), prefix) as playing:
            await play(playing)
            yield captured


async def test_the_scenario_emits_what_the_catalogue_lists_and_nothing_else(telemetry: Capture) -> None:
    emitted = of_capture(telemetry)
    found = seen(emitted)

    assert sorted(promised() - found - UNREACHABLE.keys()) == [], "listed, and never emitted"
    assert sorted(found - promised() - allowed()) == [], "emitted, and not listed"
    assert sorted(found & UNREACHABLE.keys()) == [], "called unreachable, and emitted"
    assert UNREACHABLE.keys() <= promised(), "called unreachable, and not even listed"
    telemetry.assert_schema()


async def test_what_went_wrong_in_it_is_told_by_its_names(telemetry: Capture) -> None:
    metrics = telemetry.metrics()
    errors = {point.attributes.get(catalog.ERROR_TYPE.name) for point in metrics[catalog.L2_OPERATIONS.name]}
    operations = {point.attributes[catalog.AI_OPERATION.name] for point in metrics[catalog.AI_LOOKUPS.name]}

    assert {"OOM", "READONLY", "TimeoutError", "redis.exceptions.ConnectionError", None} <= errors
    assert catalog.OTHER in operations


def test_a_comparison_of_nothing_misses_everything() -> None:
    assert seen(Emitted()) == set()
    assert len(promised()) > 10 * len(catalog.INSTRUMENTS)


def test_what_the_catalogue_does_not_know_is_a_surplus() -> None:
    wrong = (
        Metric("otcache.secrets", "counter", "1", "otcache", (Point({}, value=1),)),
        Metric(catalog.L1_COUNT.name, "counter", "By", "otcache", (Point({catalog.TIER.name: "l1"}, value=1),)),
    )
    span = replace(SPAN, name="GET", attributes={catalog.DB_OPERATION.name: "SET"})

    surplus = seen(Emitted(wrong, (span,))) - promised() - allowed()

    assert {fact[:2] for fact in surplus} == {
        ("otcache.secrets", "kind"), ("otcache.secrets", "unit"), ("otcache.secrets", "scope"),
        (catalog.L1_COUNT.name, "kind"), (catalog.L1_COUNT.name, "unit"), (catalog.L1_COUNT.name, catalog.TIER.name),
        (catalog.L1_COUNT.name, catalog.CACHE.name), ("span GET", "scope"),
    }  # fmt: skip


def test_a_series_at_zero_has_not_been_emitted() -> None:
    attributes = {catalog.CACHE.name: "a", catalog.DEGRADED_REASON.name: "auth"}
    at_zero = Metric(catalog.DEGRADED_OPERATIONS.name, "counter", "{operation}", "otcache", (Point(attributes),))

    assert {what for _, what, _ in seen(Emitted((at_zero,)))} == {"kind", "unit", "scope"}
