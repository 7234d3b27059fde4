"""Everything that is emitted is in the catalogue, and everything in the catalogue is emitted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from otcache.testing import Capture, capture_telemetry
from tests.servers import RedisServer
from tests.telemetry.contract import UNREACHABLE, allowed, of_capture, promised, seen
from tests.telemetry.scenario import play, stage


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
