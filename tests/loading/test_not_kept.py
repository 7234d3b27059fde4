"""A time to live of 0: callers get the value, nothing is kept, and what was there is gone everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from otcache import FOREVER, Loaded
from otcache.cache import Cache
from otcache.telemetry import catalog
from otcache.testing import Capture
from tests.inside import loads_under_way
from tests.loading.conftest import Loader, Make, waiting
from tests.rows import every
from tests.telemetry.scenario import until

REMOVALS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "set": lambda cache: cache.set("k", "new", ttl=0),
    "set_many": lambda cache: cache.set_many({"k": "new"}, ttl=0),
    "touch": lambda cache: cache.touch("k", 0),
    "load": lambda cache: cache.get_or_set("k", lambda: "new", 0, refresh=True),
    "loaded": lambda cache: cache.get_or_set("k", lambda: Loaded("new", ttl=-1), refresh=True),
    "nothing": lambda cache: cache.get_or_set("k", lambda: None, negative_ttl=0, refresh=True),
}
every_removal = pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS)


async def once_stale(cache: Any, value: Any, **options: Any) -> Any:
    """The first answer that is not fresh; asking begins no load before."""
    while (answer := await cache.answer("k", lambda: value, **options)).status == "fresh":
        await asyncio.sleep(0.01)
    assert answer.status == "stale"
    return answer


@every_removal
async def test_other_processes_are_told_that_the_entry_is_gone(make: Make, remove: Any) -> None:
    here, there = make(), make()
    await here.connect()
    await there.connect()
    await there.set("k", "old")
    assert await here.get("k") == await there.get("k") == "old"

    await remove(here)

    assert await here.get("k") is None
    async with asyncio.timeout(20):  # until the message arrives; the entry itself lives for an hour
        while await there.get("k") is not None:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("operation", ["set", "set_many"])
@pytest.mark.parametrize("is_there", [True, False])
async def test_nothing_was_set_and_something_deleted(cache: Any, operation: str, is_there: bool) -> None:
    told: list[str] = []
    if is_there:
        await cache.set("k", "old")
    for event in ("set_success", "delete_success"):
        cache.register_callback(event, lambda *_, event=event: told.append(event))

    await REMOVALS[operation](cache)

    assert told == ["delete_success"]


@pytest.mark.parametrize("operation", ["set", "set_many"])
async def test_the_result_is_noop_and_the_span_says_0(cache: Any, telemetry: Capture, operation: str) -> None:
    await cache.set("k", "old")

    await REMOVALS[operation](cache)

    span = telemetry.spans[-1].attributes
    assert (span[catalog.RESULT.name], span[catalog.TTL.name]) == ("noop", 0)


async def test_a_touch_with_0_says_whether_there_was_an_entry(cache: Any) -> None:
    await cache.set("k", "old", FOREVER)

    assert [await cache.touch("k", 0), await cache.touch("k", 0)] == [True, False]


async def test_all_who_wait_get_the_value(cache: Any) -> None:
    loader = Loader(held=True)
    callers = [asyncio.create_task(cache.answer("k", loader, ttl=0)) for _ in range(5)]
    await waiting(cache, 4)

    loader.release()

    answers = await asyncio.gather(*callers)
    assert [(each.value, each.status, each.left) for each in answers] == [("made", "loaded", 0)] * 5
    assert (loader.calls, await cache.exists("k")) == (1, False)


async def test_processes_do_not_wait_for_one_another(make: Make) -> None:
    here, there = make(), make()
    first = Loader("first", held=True)
    leading = asyncio.create_task(here.get_or_set("k", first, ttl=0))
    await first.began.wait()

    assert await there.get_or_set("k", lambda: "second", ttl=0) == "second"

    first.release()
    assert await leading == "first"


async def test_a_value_that_can_not_be_kept_is_given(cache: Any) -> None:
    value = object()

    assert await cache.get_or_set("k", lambda: value, ttl=0) is value


@pytest.mark.parametrize("refresh", [True, False])
async def test_what_is_written_during_the_load_stays(cache: Any, refresh: bool) -> None:
    loader = Loader("old", held=True)
    loading = asyncio.create_task(cache.get_or_set("k", loader, ttl=0, refresh=refresh))
    await loader.began.wait()
    await cache.set("k", "newer")

    loader.release()

    assert (await loading, await cache.get("k")) == ("old", "newer")


async def test_a_refresh_in_the_background_that_is_not_kept_ends_the_stale_value(make: Make) -> None:
    cache: Cache = make(redis_url=None, stale_ttl=FOREVER, early_refresh=0.0)
    await cache.get_or_set("k", lambda: "old", ttl=0.05)

    answer = await once_stale(cache, Loaded("new", ttl=0))
    await until(lambda: not loads_under_way(cache))

    assert answer.value == "old"
    assert not await cache.exists("k")
    assert (await cache.answer("k", lambda: "newer")).status == "loaded"


@every("ttl", ["3600", True, b"1", object()])
async def test_what_is_no_time_to_live_is_told(cache: Any, telemetry: Capture, ttl: Any) -> None:
    before = len(telemetry.events)

    assert await cache.get_or_set("k", lambda: Loaded("v", ttl=ttl)) == "v"

    (event,) = [each for each in telemetry.events[before:] if each.name == catalog.LOADER_EXCEPTION.name]
    said = event.attributes[catalog.EXCEPTION_MESSAGE.name]
    assert said == f"ttl is {type(ttl).__name__}: give seconds (0 to 31536000), a timedelta, or otcache.FOREVER"
    assert not await cache.exists("k")


async def test_what_is_over_is_not_worth_a_word(cache: Any, telemetry: Capture) -> None:
    for ttl in (-5, float("nan"), 0, 10**12):
        await cache.get_or_set(f"k{ttl}", lambda ttl=ttl: Loaded("v", ttl=ttl))

    assert [each for each in telemetry.events if each.name == catalog.LOADER_EXCEPTION.name] == []


# --- for ever, and less than a second -------------------------------------------------------------------


async def test_for_ever_leaves_no_infinity_in_spans(cache: Any, telemetry: Capture) -> None:
    await cache.set("k", 1, FOREVER)
    await cache.set("m", 1, 90.5)
    answer = await cache.answer("k", lambda: 2)
    await cache.answer("l", lambda: 2, FOREVER, stale_ttl=FOREVER)

    assert answer.left == FOREVER
    numbers = [value for span in telemetry.spans for value in span.attributes.values() if isinstance(value, float)]
    assert numbers == [90.5]


async def test_for_ever_stale_is_served_after_its_time(make: Make) -> None:
    cache = make(early_refresh=0.0)
    await cache.get_or_set("k", lambda: "old", 0.05, stale_ttl=FOREVER)

    assert await cache.get_ttl("k") == FOREVER
    answer = await once_stale(cache, "new", stale_ttl=FOREVER)

    assert answer.value == "old"


@pytest.mark.parametrize("has_l1", [True, False])
async def test_half_a_second_is_half_a_second(make: Make, has_l1: bool) -> None:
    cache = make(enable_l1_cache=has_l1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await cache.set("k", 1, 0.3)
    left = await cache.get_ttl("k")

    while await cache.exists("k"):
        await asyncio.sleep(0.01)

    assert 0 < left <= 0.3
    assert loop.time() - began > 0.28


async def test_jitter_shortens_what_is_short_and_not_what_lasts_for_ever(make: Make) -> None:
    cache = make(redis_url=None, ttl_jitter=0.5)

    left = [(await cache.answer(f"k{number}", int, ttl=0.1)).left for number in range(30)]

    assert min(left) >= 0.05
    assert max(left) <= 0.1
    assert len(set(left)) > 10
    assert (await cache.answer("k", int, ttl=FOREVER)).left == FOREVER
