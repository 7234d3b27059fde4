"""An object of L1 that a caller has changed is found out at the next hit, and served to nobody else."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from otcache import (
    AIResponseCache,
    CacheConfig,
    CacheConfigBuilder,
    EnvironmentPresets,
    GenericRedisCache,
    InMemoryCache,
    ValidationError,
    cached,
)
from otcache._engine.shared_objects import AHEAD_NS, ONE_IN, SharedObjects
from otcache.cache import Cache
from otcache.stores.memory import Entry
from otcache.telemetry import catalog
from otcache.testing import Capture, ManualClock
from tests.inside import forget
from tests.rows import every
from tests.serialization import test_fingerprint as shapes
from tests.servers import RedisServer

SECRET = "a secret that allows classes of the application"


@pytest.fixture
def cache(telemetry: Capture) -> InMemoryCache:
    return InMemoryCache(name="shared", environment="testing", providers=telemetry.providers, signing_secret=SECRET)


@pytest.fixture
async def far(telemetry: Capture, redis_server: RedisServer, prefix: str) -> AsyncIterator[GenericRedisCache]:
    config = CacheConfig(
        name="shared",
        redis_url=redis_server.url,
        key_prefix=prefix,
        l1_change_detection="always",
        stale_ttl=60,
        timeout=30,
        max_staleness=600,
    )
    async with GenericRedisCache(config=config, providers=telemetry.providers) as made:
        yield made


def found(telemetry: Capture) -> int:
    """Changes that the metric has counted."""
    return int(telemetry.metric_value(catalog.CHANGED_OBJECTS.name) or 0)


def entry(cache: Cache, key: str = "k") -> Entry:
    """What L1 keeps."""
    return cache._l1.store.entries[key]


def events(telemetry: Capture) -> list[Any]:
    return [event for event in telemetry.events if event.name == catalog.OBJECT_CHANGED.name]


# --- any value, any change ----------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=shapes.values, dice=st.randoms(use_true_random=False))
async def test_any_change_is_found_at_the_next_hit_and_none_is_without(
    cache: InMemoryCache, telemetry: Capture, value: Any, dice: random.Random
) -> None:
    try:
        await cache.set("k", value)
    except ValidationError:
        assume(False)
    before = found(telemetry)
    for _ in range(3):
        shapes.read(await cache.get("k"))
    assert found(telemetry) == before
    changes = list(shapes.places(value))
    assume(changes)

    dice.choice(changes)(dice)

    assert await cache.get("k", "gone") == "gone"
    assert found(telemetry) == before + 1


# --- every operation that hands out an object ---------------------------------------------------------

Take = Callable[[Cache, Any], Awaitable[Any]]


async def by_set(cache: Cache, value: Any) -> Any:
    await cache.set("k", value)
    return value


async def by_set_many(cache: Cache, value: Any) -> Any:
    await cache.set_many({"j": [1], "k": value})
    return value


async def by_get(cache: Cache, value: Any) -> Any:
    await cache.set("k", value)
    return await cache.get("k")


async def by_get_many(cache: Cache, value: Any) -> Any:
    await cache.set("k", value)
    return (await cache.get_many(["k"]))["k"]


async def by_load(cache: Cache, value: Any) -> Any:
    return await cache.get_or_set("k", lambda: value)


async def by_hit_of_a_load(cache: Cache, value: Any) -> Any:
    await by_load(cache, value)
    return await cache.get_or_set("k", lambda: value)


async def by_answer(cache: Cache, value: Any) -> Any:
    await by_load(cache, value)
    return (await cache.answer("k", lambda: value)).value


async def by_callback(cache: Cache, value: Any) -> Any:
    seen: list[Any] = []

    def keep(_: str, shown: Any) -> None:
        seen.append(shown)

    cache.register_callback("get_success", keep)
    await by_get(cache, value)
    cache.unregister_callback("get_success", keep)
    return seen[0]


async def by_promotion(cache: Cache, value: Any) -> Any:
    await cache.set("k", value)
    forget(cache)
    return await cache.get("k")


async def by_promotion_of_many(cache: Cache, value: Any) -> Any:
    await cache.set("k", value)
    forget(cache)
    return (await cache.get_many(["k"]))["k"]


async def by_promotion_of_a_load(cache: Cache, value: Any) -> Any:
    await by_promotion(cache, value)
    forget(cache)
    return await cache.get_or_set("k", lambda: value)


async def by_touch(cache: Cache, value: Any) -> Any:
    await cache.set("k", value)
    assert await cache.touch("k", 60)
    return await cache.get("k")


async def by_refresh(cache: Cache, value: Any) -> Any:
    await cache.set("k", [0])
    return await cache.get_or_set("k", lambda: value, refresh=True)


async def by_tag(cache: Cache, value: Any) -> Any:
    await cache.set("k", value, tags=["t"])
    return await cache.get("k")


@pytest.mark.parametrize("promoted", [False, True])
async def test_a_response_of_ai_is_found_too(
    telemetry: Capture, redis_server: RedisServer, prefix: str, promoted: bool
) -> None:
    config = CacheConfig(redis_url=redis_server.url, key_prefix=prefix, l1_change_detection="always")
    async with AIResponseCache(config, providers=telemetry.providers) as cache:
        await cache.cache_response("text", "summarize", {}, {"n": [1]})
        if promoted:
            forget(cache)
        mine = await cache.get_cached_response("text", "summarize", {})
        mine["n"].append("of another caller")

        assert await cache.get_cached_response("text", "summarize", {}) == {"n": [1]}
    assert found(telemetry) == 1


async def reads(cache: Cache) -> list[Any]:
    """What other callers get now, each from a cache in the same state."""
    ways: list[Callable[[], Awaitable[Any]]] = [
        lambda: cache.get("k"), lambda: cache.get("k"), lambda: cache.get_or_set("k", lambda: {"n": [1]}),
    ]  # fmt: skip
    return [await way() for way in ways]


IN_MEMORY = (
    by_set, by_set_many, by_get, by_get_many, by_load, by_hit_of_a_load, by_answer, by_callback, by_touch, by_refresh,
    by_tag,
)  # fmt: skip


@every("take", IN_MEMORY)
async def test_in_memory_a_changed_object_is_a_miss(take: Take) -> None:
    telemetry = Capture()
    cache = InMemoryCache(name="shared", l1_change_detection="always", providers=telemetry.providers)
    mine = await take(cache, {"n": [1]})

    mine["n"].append("of another caller")

    assert await reads(cache) == [None, None, {"n": [1]}]
    assert (found(telemetry), len(events(telemetry))) == (1, 1)
    assert telemetry.metric_value(catalog.LOOKUPS.name, **{catalog.MISS_REASON.name: "changed"})


@every("take", (*IN_MEMORY, by_promotion, by_promotion_of_many, by_promotion_of_a_load))
async def test_with_redis_the_right_one_is_served(take: Take, far: GenericRedisCache, telemetry: Capture) -> None:
    await far.delete("k")
    before = found(telemetry)
    mine = await take(far, {"n": [1]})

    mine["n"].append("of another caller")

    assert await reads(far) == [{"n": [1]}] * 3
    assert found(telemetry) == before + 1


@pytest.mark.parametrize("way", ["get_many", "hit", "answer"])
async def test_every_way_to_read_finds_it(cache: InMemoryCache, way: str) -> None:
    mine = await by_get(cache, {"n": [1]})
    mine["n"] = []

    ways: dict[str, Callable[[], Any]] = {
        "get_many": lambda: cache.get_many(["k"]),
        "hit": lambda: cache.hit("k"),
        "answer": lambda: cache.answer("k", lambda: "loaded"),
    }
    got = ways[way]()
    got = await got if asyncio.iscoroutine(got) else got

    assert getattr(got, "value", got) in ({}, "loaded") or got.name == "MISSING"


async def test_what_is_changed_while_set_waits_for_redis_is_found(far: GenericRedisCache, telemetry: Capture) -> None:
    value: Any = {"n": [1]}

    writing = asyncio.ensure_future(far.set("k", value))
    await asyncio.sleep(0)  # encoded, and on its way
    value["n"].append("later")
    await writing

    assert await far.get("k") == {"n": [1]}
    assert found(telemetry) == 1


class OriginError(Exception):
    """The origin is away."""


async def fail() -> Any:
    raise OriginError


async def gone_stale(cache: Cache) -> Any:
    """An object that a caller holds and whose time to live is over."""
    mine = await cache.get_or_set("k", lambda: {"n": [1]}, ttl=1, stale_ttl=60)
    cache._tiers._clock = cache._l1._clock = cache._clock = ManualClock(cache._clock() + 2 * 10**9)
    return mine


async def test_a_stale_value_that_was_changed_is_not_served(cache: InMemoryCache, telemetry: Capture) -> None:
    mine = await gone_stale(cache)
    assert await cache.get_or_set("k", fail, stale_ttl=60) is mine

    mine["n"].append(2)

    with pytest.raises(OriginError):
        await cache.get_or_set("k", fail, stale_ttl=60)
    assert found(telemetry) == 1


async def test_nor_one_that_is_changed_while_a_caller_waits_for_better(
    cache: InMemoryCache, telemetry: Capture
) -> None:
    mine = await gone_stale(cache)

    async def change_and_fail() -> Any:
        mine["n"].append(2)
        raise OriginError

    with pytest.raises(OriginError):
        await cache.get_or_set("k", change_and_fail, stale_ttl=60, soft_timeout=5)
    assert found(telemetry) == 1


# --- callers of one load ------------------------------------------------------------------------------


async def slow(value: Any, runs: list[int]) -> Any:
    runs.append(1)
    await asyncio.sleep(0)
    return value


async def change_what_comes(cache: Cache, runs: list[int]) -> Any:
    got = await cache.get_or_set("k", lambda: slow({"n": [1]}, runs), template="user:{id}")
    assert got == {"n": [1]}
    got["n"].append("mine")
    return got


async def test_waiters_never_get_what_another_waiter_changed(cache: InMemoryCache, telemetry: Capture) -> None:
    runs: list[int] = []

    await asyncio.gather(*(change_what_comes(cache, runs) for _ in range(8)))

    assert await cache.get("k") is None
    assert (runs, found(telemetry)) == ([1], 1)  # one load, and the change is told once


async def test_nor_do_those_who_wait_for_redis(far: GenericRedisCache, telemetry: Capture) -> None:
    runs: list[int] = []
    await by_promotion(far, {"n": [1]})
    forget(far)

    await asyncio.gather(*(change_what_comes(far, runs) for _ in range(8)))

    assert await far.get("k") == {"n": [1]}
    assert (runs, found(telemetry) > 0) == ([], True)


async def test_waiters_who_change_nothing_share_one_object(cache: InMemoryCache, telemetry: Capture) -> None:
    got = await asyncio.gather(*(cache.get_or_set("k", lambda: slow({"n": [1]}, [])) for _ in range(8)))

    assert all(each is got[0] for each in got)
    assert found(telemetry) == 0


async def test_what_can_not_change_is_not_compared(cache: InMemoryCache) -> None:
    await cache.set("k", "text")
    await cache.set("none", None)
    await cache.set("rows", ((1, "a"), (2, "b")))

    assert [entry(cache, key).more for key in ("k", "none", "rows")] == [None] * 3


# --- what is told -------------------------------------------------------------------------------------


async def test_the_event_names_the_template_and_the_class_and_nothing_else(telemetry: Capture) -> None:
    cache = InMemoryCache(name="shared", l1_change_detection="always", providers=telemetry.providers)

    @cached("user:{name}", cache=cache, ttl=60)
    async def user(name: str) -> dict[str, list[str]]:
        return {"secret words": [name]}

    (await user("Ada"))["secret words"].append("more secret words")
    assert await user("Ada") == {"secret words": ["Ada"]}

    (event,) = events(telemetry)
    assert event.attributes == {
        catalog.CACHE.name: "shared", catalog.VALUE_TYPE.name: "dict", catalog.KEY_TEMPLATE.name: "user:{name}",
    }  # fmt: skip
    assert event.severity == "WARN"
    assert not any(word in event.body for word in ("Ada", "secret"))


@every("mode, shown", [("hash", True), ("template", True), ("raw", True), ("off", False)])
async def test_the_template_stays_inside_where_keys_do(mode: str, shown: bool) -> None:
    telemetry = Capture()
    cache = InMemoryCache(l1_change_detection="always", telemetry_keys=mode, providers=telemetry.providers)

    (await cache.get_or_set("user:1", lambda: [1], template="user:{id}")).append(2)
    await cache.get("user:1")

    (event,) = events(telemetry)
    assert (catalog.KEY_TEMPLATE.name in event.attributes, "user:{id}" in event.body) == (shown, shown)


async def test_a_value_that_can_not_be_read_any_more_was_changed(cache: InMemoryCache, telemetry: Capture) -> None:
    mine = await by_get(cache, {"n": [1]})

    mine["n"] = (_ for _ in ())

    assert await cache.get("k") is None
    assert found(telemetry) == 1


# --- production ---------------------------------------------------------------------------------------


async def chosen(cache: InMemoryCache, value: Any) -> Any:
    """Store `value` until it is one of those that are looked at."""
    for _ in range(100 * ONE_IN):
        await cache.set("k", value)
        if entry(cache).more is not None:
            return value
    raise AssertionError("no entry was chosen")


async def test_one_in_a_hundred_is_looked_at_and_the_others_stay_on_the_hit_path(telemetry: Capture) -> None:
    cache = InMemoryCache(memory_cache_size=10_000, providers=telemetry.providers)
    random.seed(1)

    for number in range(5000):
        await cache.set(f"{number}", [number])

    kept = [entry(cache, f"{number}") for number in range(5000)]
    assert 20 < sum(each.more is not None for each in kept) < 100
    assert all((each.expires > 0) == (each.more is None) for each in kept)


async def test_a_chosen_one_is_found_at_the_next_hit(telemetry: Capture) -> None:
    cache = InMemoryCache(environment="production", providers=telemetry.providers)
    mine = await chosen(cache, [1])
    assert await cache.get("k") is mine

    mine.append(2)

    assert await cache.get("k") is None
    assert found(telemetry) == 1


def test_looking_takes_its_share_of_time_and_no_more() -> None:
    shared = SharedObjects("sampled", lambda *_: None)
    clock = shared._clock = ManualClock(10**12)
    mark = next(mark for mark in iter(lambda: shared.mark([1]), 0) if mark is not None)
    looked = 0
    ticking = 1_000_000  # ns that one look takes

    def tick() -> int:
        clock.now += ticking // 2
        return clock.now

    shared._clock = tick
    for _ in range(1000):
        while (again := shared.look_again()) == 0:
            assert shared.is_intact(mark, [1])
            looked += 1
        clock.now = again
    began = clock.now - 10**12

    assert looked * ticking <= (began + AHEAD_NS) / 50


async def test_an_entry_that_is_paused_still_ends_in_time(telemetry: Capture) -> None:
    cache = InMemoryCache(providers=telemetry.providers)
    await chosen(cache, [1])
    cache._tiers.shared._paid = time.perf_counter_ns() + 3600 * 10**9

    assert await cache.get("k") == [1]
    assert 0 < entry(cache).expires <= entry(cache).dies  # on the hit path from now on
    assert await cache.touch("k", 5)
    assert await cache.get("k") == [1]
    assert 0 < entry(cache).expires <= entry(cache).dies


# --- the option ---------------------------------------------------------------------------------------


@every(
    "made, detection",
    [
        (CacheConfig(), "sampled"),
        (CacheConfig(environment="testing"), "always"),
        (CacheConfig(environment="production"), "sampled"),
        (CacheConfig(environment="testing", l1_change_detection="off"), "off"),
        (CacheConfig(l1_change_detection="always", l1_isolation="copy"), "off"),
        (CacheConfigBuilder().for_environment("development").build(), "always"),
        (CacheConfigBuilder().for_environment("testing").build(), "always"),
        (CacheConfigBuilder().for_environment("production").build(), "sampled"),
        (CacheConfigBuilder().for_environment("development").for_environment("production").build(), "sampled"),
        (CacheConfigBuilder().with_options(environment="testing", l1_change_detection="sampled").build(), "sampled"),
        (InMemoryCache().config, "sampled"),
        (InMemoryCache(environment="development").config, "always"),
        (EnvironmentPresets.development(), "always"),
        (EnvironmentPresets.ai_development(), "always"),
        (EnvironmentPresets.testing(), "off"),  # copies
        (EnvironmentPresets.production(), "sampled"),
        (EnvironmentPresets.ai_production(), "sampled"),
    ],
)
def test_where_changes_are_looked_for(made: CacheConfig, detection: str) -> None:
    assert made.detects_changes == detection


def test_the_environment_chooses_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTCACHE_ENVIRONMENT", "development")

    assert CacheConfigBuilder().from_environment().build().detects_changes == "always"
