"""A stale value is served where no fresh one is to be had, and is refreshed in the background."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otcache.telemetry import catalog
from otcache.testing import Capture, ManualClock
from tests.inside import loads_under_way
from tests.loading.conftest import Loader, Make
from tests.telemetry.scenario import until

TTL = 10


@pytest.fixture
def aged(make: Make) -> Any:
    """A cache in memory, and the clock that its entries are judged by."""
    cache = make(redis_url=None, default_ttl=TTL, stale_ttl=100, early_refresh=0.0)
    clock = ManualClock(cache._clock())
    cache._clock = cache._tiers._clock = cache._tiers.l1._clock = clock
    cache._loads._failures._clock = clock
    return cache, clock


async def past(aged: Any, loader: Loader, seconds: float = TTL + 5) -> Any:
    """The cache with a value under `k` that is past its time to live."""
    cache, clock = aged
    await cache.get_or_set("k", loader)
    clock.move(seconds)
    return cache


async def test_a_stale_value_is_served_at_once_and_refreshed_in_the_background(aged: Any) -> None:
    loader = Loader("old")
    cache = await past(aged, loader)
    loader.value = "new"
    loader.hold()

    answer = await cache.answer("k", loader)

    assert (answer.value, answer.status, answer.stale_reason) == ("old", "stale", "revalidating")
    assert answer.left == pytest.approx(-5, abs=1)
    loader.release()
    await until(lambda: not loads_under_way(cache))
    assert loader.calls == 2


async def test_a_value_past_its_stale_time_is_gone(aged: Any) -> None:
    loader = Loader("old")
    cache = await past(aged, loader, TTL + 101)
    loader.value = "new"

    assert (await cache.answer("k", loader)).status == "loaded"


async def test_many_callers_of_a_stale_value_cost_one_refresh(aged: Any) -> None:
    loader = Loader("old")
    cache = await past(aged, loader)
    loader.hold()

    answers = await asyncio.gather(*[cache.answer("k", loader) for _ in range(50)])

    loader.release()
    await until(lambda: not loads_under_way(cache))
    assert {answer.stale_reason for answer in answers} == {"revalidating"}
    assert loader.calls == 2


async def test_a_caller_may_wait_a_little_for_the_new_value(aged: Any) -> None:
    loader = Loader("old")
    cache = await past(aged, loader)
    loader.value = "new"

    answer = await cache.answer("k", loader, soft_timeout=10.0)

    assert (answer.value, answer.status) == ("new", "loaded")


async def test_a_load_that_takes_longer_than_a_caller_waits_goes_on(aged: Any, telemetry: Capture) -> None:
    loader = Loader("old")
    cache = await past(aged, loader)
    loader.hold()

    answer = await cache.answer("k", loader, soft_timeout=0.05)
    loader.release()
    await until(lambda: not loads_under_way(cache))

    assert (answer.value, answer.stale_reason) == ("old", "loader_timeout")
    loads = [span for span in telemetry.spans if span.name == "cache.load users"]
    assert loads[-1].attributes[catalog.DETACHED.name] is True


async def test_a_loader_that_fails_is_not_tried_again_for_a_while(aged: Any, telemetry: Capture) -> None:
    loader = Loader("old")
    cache = await past(aged, loader)
    loader.error = ValueError("the database is away")

    first = await cache.answer("k", loader, soft_timeout=10.0)
    second = await cache.answer("k", loader)

    assert [each.stale_reason for each in (first, second)] == ["loader_error", "loader_error"]
    assert loader.calls == 2
    aged[1].move(cache.config.stale_retry_seconds + 1)
    await cache.answer("k", loader, soft_timeout=10.0)
    assert loader.calls == 3
    (event, *_) = [each for each in telemetry.events if each.name == catalog.LOADER_EXCEPTION.name]
    assert event.attributes[catalog.STALE_REASON.name] == "loader_error"
    assert [each for each in telemetry.events if each.name == catalog.STALE_SERVED.name]


async def test_a_forced_load_that_fails_raises(aged: Any) -> None:
    loader = Loader("old")
    cache = await past(aged, loader)
    loader.error = ValueError("the database is away")

    with pytest.raises(ValueError, match="the database is away"):
        await cache.get_or_set("k", loader, refresh=True)


async def test_a_refresh_is_a_trace_of_its_own_that_leads_to_who_began_it(aged: Any, telemetry: Capture) -> None:
    loader = Loader("old")
    cache = await past(aged, loader)
    telemetry.clear()

    await cache.get_or_set("k", loader)
    await until(lambda: not loads_under_way(cache))

    spans = {span.name: span for span in telemetry.spans}
    refresh, operation = spans["cache.refresh users"], spans["cache.get_or_set users"]
    assert (refresh.parent_id, refresh.links) == (None, (operation.span_id,))
    assert refresh.trace_id != operation.trace_id
    assert spans["cache.load users"].parent_name == "cache.refresh users"
    assert refresh.attributes[catalog.TRIGGER.name] == "revalidate"


async def test_a_stale_value_is_told_to_those_who_listen(aged: Any, telemetry: Capture) -> None:
    loader, told = Loader("old"), []
    cache = await past(aged, loader)
    cache.register_callback("get_stale", lambda key, value: told.append((key, value)))

    await cache.get_or_set("k", loader)
    await until(lambda: not loads_under_way(cache))

    assert told == [("k", "old")]
    assert telemetry.metric_value(catalog.LOOKUPS.name, otcache_stale_reason="revalidating") == 1
    assert telemetry.metric_value(catalog.STALE_AGE.name) == 1


async def test_a_hot_value_is_loaded_before_its_time_is_over(make: Make, telemetry: Capture) -> None:
    cache, loader = make(redis_url=None), Loader("old")
    await cache.get_or_set("k", loader, ttl=1000, early_refresh=100)
    cache._entries["k"].expires = cache._clock()  # the moment that was drawn

    answer = await cache.answer("k", loader)
    await until(lambda: not loads_under_way(cache))

    assert (answer.status, loader.calls) == ("fresh", 2)
    assert telemetry.metric_value(catalog.LOADS.name, otcache_loader_trigger="eager") == 1


async def test_a_caller_who_accepts_less_stale_values_than_the_caller_it_joined_loads(make: Make) -> None:
    cache, loader = make(stale_ttl=100, enable_l1_cache=False), Loader("old")
    await cache.get_or_set("k", loader, TTL)
    clock, ahead = cache._l2.store.clock, (TTL + 5) * 1000
    now = clock.now_ms
    clock.now_ms = lambda: now() + ahead
    cache._loads._failures.note("k", "loader_error")
    loader.value = "new"

    lax, strict = await asyncio.gather(cache.answer("k", loader), cache.answer("k", loader, stale_ttl=1))

    assert (lax.value, lax.status, lax.stale_reason) == ("old", "stale", "loader_error")
    assert (strict.value, strict.status, loader.calls) == ("new", "loaded", 2)
