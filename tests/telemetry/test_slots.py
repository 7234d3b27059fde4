"""A hit's duration goes where a search of the grid would put it, be it looked up or searched for."""

from __future__ import annotations

import itertools

import pytest

from otcache import InMemoryCache
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.metrics import GRID, SLOTS, SLOTTED, SUM, observe
from otcache.telemetry._instrumentation.signals import clock
from otcache.testing import Capture

DURATIONS = (0, 1, 99, 100, 101, 1_000, 9_999, 10_000, 10_001, 10_025, 12_500, 12_501, 60_000_000_000, 60_000_000_001)


def test_every_nanosecond_of_the_table_is_in_the_bucket_that_bounds_it() -> None:
    lows = (-1, *GRID)

    outside = [ns for ns, slot in enumerate(SLOTS) if not lows[slot] < ns <= GRID[slot]]

    assert outside == []
    assert len(SLOTS) == SLOTTED > 10_000


@pytest.mark.parametrize("operation", ["get", "get_or_set"])
@pytest.mark.parametrize("duration", DURATIONS)
async def test_a_hit_of_any_duration_is_counted_as_any_value_is(
    telemetry: Capture, operation: str, duration: int
) -> None:
    expected = [0] * (len(GRID) + 2)
    observe(expected, GRID, duration)

    async with InMemoryCache(providers=telemetry.providers, spans="off") as cache:
        await cache.set("k", 1)
        readings = itertools.cycle((now := clock(), now + duration))
        cache._clock = lambda: next(readings)
        answer = await (cache.get("k") if operation == "get" else cache.get_or_set("k", lambda: 2))
        cells = cache._probe.metrics.histogram(catalog.OPERATION_DURATION)

    assert answer == 1
    assert cells[(cache.name, operation, "hit", "l1", None)] == expected
    assert expected[SUM] == duration
