"""A cache on somebody's own store, with only what that store can do: a file per entry, registered by its scheme."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otcache import CacheConfig, CacheFactory, GenericRedisCache, Loaded, UnsupportedError, ValidationError
from otcache.config.url import SCHEMES
from otcache.exceptions import ConfigurationError
from otcache.stores import open_store, register_store
from otcache.telemetry import catalog
from otcache.testing import Capture, capture_telemetry
from tests.telemetry.scenario import PATIENT

Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """The scheme `dir`, for as long as a test of this file runs; its module is imported at first use."""
    module = "tests.stores.directory_store"
    register_store("dir", f"{module}:open_directory", check=f"{module}:check_url")
    yield
    del SCHEMES["dir"]


@pytest.fixture
def telemetry() -> Iterator[Capture]:
    with capture_telemetry() as captured:
        yield captured
        captured.assert_schema()


@pytest.fixture
async def make(telemetry: Capture, tmp_path: Path) -> AsyncIterator[Make]:
    """Makes connected caches of one name on one directory: each stands for a process."""
    caches: list[GenericRedisCache] = []

    async def build(**options: Any) -> GenericRedisCache:
        known: dict[str, Any] = {"redis_url": f"dir://{tmp_path}", "timeout": PATIENT, "providers": telemetry.providers}
        caches.append(GenericRedisCache(**(known | options)))
        assert await caches[-1].connect()
        return caches[-1]

    yield build
    for cache in caches:
        await cache.close()


async def test_what_one_process_stores_another_reads(make: Make) -> None:
    writer, reader = await make(), await make()

    await writer.set("k", {"a": [1]}, ttl=60)
    await writer.set_many({"a": 1, "b": 2}, ttl=60)

    assert await reader.get("k") == {"a": [1]}
    assert await reader.get_many(["a", "b", "c"]) == {"a": 1, "b": 2}
    assert (await reader.exists("a"), await reader.exists("c")) == (True, False)
    assert 50 < await reader.get_ttl("a") <= 60
    assert await reader.touch("a", 600)
    assert await writer.delete("b") is None
    assert await (await make()).get_many(["a", "b"]) == {"a": 1}


@pytest.mark.parametrize(
    ("method", "arguments", "left"), [("clear", (), {}), ("invalidate_prefix", ("user:",), {"x": 3})]
)
async def test_without_invalidations_entries_are_found_and_removed(
    method: str, arguments: tuple[str, ...], left: dict[str, int], make: Make
) -> None:
    cache, other = await make(), await make(enable_l1_cache=False)
    await cache.set_many({"user:1": 1, "user:[2]*": 2, "x": 3})

    await getattr(cache, method)(*arguments)

    for each in (cache, other):
        assert await each.get_many(["user:1", "user:[2]*", "x"]) == left


async def test_without_invalidations_tags_are_refused_by_name(make: Make) -> None:
    cache = await make()

    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: cache.set("k", 1, tags=["t"]),
        lambda: cache.get_or_set("k", lambda: 1, tags=["t"]),
        lambda: cache.invalidate_tag("t"),
    ]
    for call in calls:
        with pytest.raises(UnsupportedError, match="dir:// has no invalidations"):
            await call()
    # tags that come with a value fail no load: it is given to its caller, and not kept
    assert await cache.get_or_set("k", lambda: Loaded(1, tags=("t",))) == 1
    assert not await cache.exists("k")


async def test_without_locks_each_process_loads_once(make: Make) -> None:
    one, other, loads = await make(), await make(), []

    async def load() -> int:
        loads.append(1)
        while len(loads) < 2:  # both processes are at it
            await asyncio.sleep(0)
        return 7

    values = await asyncio.gather(*(cache.get_or_set("k", load) for cache in (one, other) for _ in range(10)))

    assert (values, len(loads)) == ([7] * 20, 2)


async def test_without_messages_a_copy_lives_for_max_staleness(make: Make) -> None:
    one, other = await make(max_staleness=0.2), await make()
    await one.set("k", "old", ttl=3600)
    assert await one.get("k") == "old"

    await other.set("k", "new", ttl=3600)

    async def is_new() -> bool:
        return bool(await one.get("k") == "new")

    async with asyncio.timeout(30):
        while not await is_new():
            await asyncio.sleep(0.01)


async def test_the_start_says_what_the_store_lacks(make: Make, telemetry: Capture) -> None:
    cache = await make()

    [event] = [event for event in telemetry.events if event.name == catalog.STARTED.name]

    assert event.severity == "WARN"
    assert event.body.endswith("the store of its L2 has no invalidations, no locks, no channel (docs/stores.md)")
    assert cache.get_stats()["l2"]["url"].startswith("dir:///")


async def test_spans_name_the_store(make: Make, telemetry: Capture, tmp_path: Path) -> None:
    await (await make()).get("k")

    [span] = [span for span in telemetry.spans if span.kind == "CLIENT" and span.name == "GET"]

    known = (catalog.DB_SYSTEM, catalog.SERVER_ADDRESS, catalog.SERVER_PORT, catalog.DB_NAMESPACE)
    assert [span.attributes.get(attribute.name) for attribute in known] == ["directory", str(tmp_path), None, None]


async def test_a_store_that_is_away_costs_no_error(make: Make, tmp_path: Path) -> None:
    cache = await make(memory_cache_size=0)
    await cache.set("k", 1)
    for path in tmp_path.iterdir():
        path.rename(tmp_path.with_suffix(".away"))
        path.write_text("no directory")

    assert await cache.get("k") is None
    assert await cache.get_or_set("k", lambda: 2) == 2


async def test_the_documented_constructors_take_the_scheme(tmp_path: Path) -> None:
    cache = await CacheFactory().for_web_app(redis_url=f"dir://{tmp_path}", timeout=PATIENT)

    await cache.set("k", 1)

    assert type(cache) is GenericRedisCache
    assert await cache.get("k") == 1
    await cache.close()


def test_a_configuration_knows_the_scheme_and_what_its_urls_need() -> None:
    assert CacheConfig(redis_url="dir:///x", environment="production").validate().warnings == []
    assert CacheConfig(redis_url="dir:///x", use_tls=True).validate().errors == [
        "use_tls does not go with dir://, which stays on this host: leave it out"
    ]
    [error] = CacheConfig(redis_url="dirr:///x").validate().errors
    assert error.endswith("rediss+cluster://, dir://; did you mean 'dir'?")


async def test_a_url_that_the_store_can_not_use_is_refused() -> None:
    with pytest.raises(ValidationError, match="names no directory"):
        await CacheFactory().for_web_app(redis_url="dir://")
    with pytest.raises(ConfigurationError, match="did you mean 'dir'"):
        open_store(CacheConfig(redis_url="dri:///x"))
    with pytest.raises(ConfigurationError, match="is no scheme of a URL"):
        register_store("Dir://", "x:y")
