"""Every place that takes a time to live takes the same ones, and they mean the same; a place without a row fails."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Awaitable, Callable, Iterator
from types import ModuleType
from typing import Any, Final, NamedTuple

import pytest

import otcache
from otcache import (
    FOREVER,
    AICacheConfig,
    AIMemoryCache,
    CacheConfig,
    CacheFactory,
    CacheInterface,
    InMemoryCache,
    Loaded,
    Settings,
    cached,
)
from otcache.exceptions import CacheError
from tests.contract.ttls import COMPUTED, WRITTEN, WRONG

KEPT: Final = 500


class Own(CacheInterface):
    """Somebody's own cache: whole seconds, as documented."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[Any, int | None]] = {}

    async def get(self, key: str) -> Any:
        return self.kept.get(key, (None,))[0]

    async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        assert ttl is None or (type(ttl) is int and 1 <= ttl <= 31_536_000), "as CacheInterface.set says"
        self.kept[key] = (value, ttl)

    async def delete(self, key: str) -> None:
        self.kept.pop(key, None)

    async def get_ttl(self, key: str) -> float | None:
        return self.kept.get(key, (None, None))[1]


class Place(NamedTuple):
    """A parameter that takes a time to live, and what is left of an entry that was kept by it (`None`: nothing)."""

    name: str
    left: Callable[[Any], Awaitable[float | None]]


def by_call(act: Callable[[Any, Any], Awaitable[Any]], new: Callable[[], Any] = InMemoryCache) -> Any:
    """What is left of an old entry after `act(cache, ttl)`."""

    async def left(ttl: Any) -> float | None:
        cache = new()
        await cache.set("k", "old", KEPT)
        await act(cache, ttl)
        found: float | None = await cache.get_ttl("k")
        return found

    return left


def by_option(build: Callable[[Any], Any]) -> Any:
    """What is left after a plain `set`, or a response of an operation, in a cache that is built with it."""

    async def left(ttl: Any) -> float | None:
        cache = build(ttl)
        cache = await cache if inspect.isawaitable(cache) else cache
        key = "k"
        if isinstance(cache, AIMemoryCache):
            key = cache.build_key("t", "op")
            await cache.cache_response("t", "op", None, 1)
        else:
            await cache.set(key, 1)
        found: float | None = await cache.get_ttl(key)
        await cache.close()
        return found

    return left


async def by_decorator(cache: Any, value: Any, **options: Any) -> None:
    @cached("k", cache=cache, **options)
    async def read() -> Any:
        return value

    await read.refresh()


async def by_response(ttl: Any) -> float | None:
    cache = AIMemoryCache()
    await cache.cache_response("t", "op", None, 1, ttl=ttl)
    return await cache.get_ttl(cache.build_key("t", "op"))


def ai(ttl: Any, **options: Any) -> Any:
    config = AICacheConfig(operation_ttls={"op": ttl}) if not options else AICacheConfig()
    return AIMemoryCache(CacheConfig(ai_config=config, **options))


FACTORY: Final = CacheFactory()
AWAY: Final[dict[str, Any]] = {"redis_url": "redis://127.0.0.1:1", "timeout": 0.05}
PLACES: Final = (
    Place("Cache.set(ttl)", by_call(lambda c, ttl: c.set("k", 1, ttl))),
    Place("Cache.set_many(ttl)", by_call(lambda c, ttl: c.set_many({"k": 1}, ttl))),
    Place("Cache.touch(ttl)", by_call(lambda c, ttl: c.touch("k", ttl))),
    Place("Cache.get_or_set(ttl)", by_call(lambda c, ttl: c.get_or_set("k", int, ttl, refresh=True))),
    Place("Cache.answer(ttl)", by_call(lambda c, ttl: c.answer("k", int, ttl, refresh=True))),
    Place("Cache.get_or_set(negative_ttl)",
          by_call(lambda c, ttl: c.get_or_set("k", lambda: None, 9, negative_ttl=ttl, refresh=True))),
    Place("Cache.answer(negative_ttl)",
          by_call(lambda c, ttl: c.answer("k", lambda: None, 9, negative_ttl=ttl, refresh=True))),
    Place("CacheInterface.get_or_set(ttl)", by_call(lambda c, ttl: c.get_or_set("k", int, ttl, refresh=True), Own)),
    Place("CacheInterface.answer(ttl)", by_call(lambda c, ttl: c.answer("k", int, ttl, refresh=True), Own)),
    Place("CachedOptions.ttl", by_call(lambda c, ttl: by_decorator(c, 1, ttl=ttl))),
    Place("LoadOptions.negative_ttl", by_call(lambda c, ttl: by_decorator(c, None, ttl=9, negative_ttl=ttl))),
    Place("AIMethods.cache_response(ttl)", by_response),
    Place("AICacheConfig.operation_ttls", by_option(ai)),
    Place("CacheConfig.default_ttl", by_option(lambda ttl: InMemoryCache(CacheConfig(default_ttl=ttl)))),
    Place("Settings.default_ttl", by_option(lambda ttl: InMemoryCache(Settings(default_ttl=ttl).to_cache_config()))),
    Place("CacheFactory.for_web_app(default_ttl)", by_option(lambda ttl: FACTORY.for_web_app(**AWAY, default_ttl=ttl))),
    Place("CacheFactory.for_ai_app(default_ttl)", by_option(lambda ttl: FACTORY.for_ai_app(**AWAY, default_ttl=ttl))),
    Place("CacheFactory.for_ai_app(operation_ttls)",
          by_option(lambda ttl: FACTORY.for_ai_app(**AWAY, operation_ttls={"op": ttl}))),
    Place("CacheFactory.for_testing(default_ttl)",
          by_option(lambda ttl: FACTORY.for_testing(use_memory_cache=True, default_ttl=ttl))),
)  # fmt: skip


# --- places whose time to live is another ---------------------------------------------------------------


def loaded(cache: Any, ttl: Any) -> Any:
    return cache.get_or_set("k", lambda: Loaded(1, ttl=ttl), KEPT, refresh=True)


LOADED: Final = (Place("Loaded.ttl", by_call(loaded)), Place("Loaded.ttl of an own cache", by_call(loaded, Own)))
"""What a program has computed: nothing is refused."""


def stale_by_call(call: str) -> Any:
    async def left(ttl: Any) -> float | None:
        cache = InMemoryCache()
        await getattr(cache, call)("k", int, 10, stale_ttl=ttl)
        return await cache.get_ttl("k")

    return left


def stale_by_option(build: Callable[[Any], Any]) -> Any:
    async def left(ttl: Any) -> float | None:
        cache = InMemoryCache(build(ttl))
        await cache.get_or_set("k", int, 10)
        return await cache.get_ttl("k")

    return left


def stale_by_decorator(ttl: Any) -> Any:
    return by_call(lambda c, ttl: by_decorator(c, 1, ttl=10, stale_ttl=ttl))(ttl)


STALE: Final = (
    Place("Cache.get_or_set(stale_ttl)", stale_by_call("get_or_set")),
    Place("Cache.answer(stale_ttl)", stale_by_call("answer")),
    Place("LoadOptions.stale_ttl", stale_by_decorator),
    Place("CacheConfig.stale_ttl", stale_by_option(lambda ttl: CacheConfig(stale_ttl=ttl))),
    Place("Settings.stale_ttl", stale_by_option(lambda ttl: Settings(stale_ttl=ttl).to_cache_config())),
)
"""What is added to a time to live, here of 10 s; 0 adds nothing."""


async def nothing_found(build: Callable[[Any], CacheConfig], ttl: Any) -> float | None:
    cache = InMemoryCache(build(ttl))
    await cache.get_or_set("k", lambda: None)
    return await cache.get_ttl("k")


NEGATIVE: Final = (
    Place("CacheConfig.negative_ttl", lambda ttl: nothing_found(lambda ttl: CacheConfig(negative_ttl=ttl), ttl)),
    Place("Settings.negative_ttl",
          lambda ttl: nothing_found(lambda ttl: Settings(negative_ttl=ttl).to_cache_config(), ttl)),
)  # fmt: skip

ELSEWHERE: Final = {
    "CachedOptions.negative_ttl", "CachedOptions.stale_ttl",  # of LoadOptions
    "CallOptions.negative_ttl", "CallOptions.stale_ttl",  # the types of get_or_set's own
    "CacheInterface.set(ttl)",  # documented: whole seconds, and no more
    "Facts.is_ttl", "Outcome.ttl", "WriteOptions.ttl", "ttl_seconds(ttl)", "computed_ttl(ttl)",  # inside
    "cached_endpoint(ttl)", "cached_endpoint(stale_ttl)",  # tests/http
}  # fmt: skip


# --- they are all here ----------------------------------------------------------------------------------


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(otcache.__path__, "otcache."):
        if not any(part.startswith("_") for part in found.name.split(".")):
            yield importlib.import_module(found.name)
    yield importlib.import_module("otcache._decorators.decorator")  # the options of `cached`


def takes(name: str, names: Any) -> set[str]:
    return {name.format(each) for each in names if each.endswith(("ttl", "ttls"))}


def places_of(thing: Any) -> Iterator[set[str]]:
    if inspect.isfunction(thing):
        yield takes(f"{thing.__qualname__}({{}})", inspect.signature(thing).parameters)
    elif inspect.isclass(thing):
        yield takes(f"{thing.__qualname__}.{{}}", getattr(thing, "__annotations__", {}))
        for name, method in vars(thing).items():
            if inspect.isfunction(method) and not name.startswith("_"):
                yield takes(f"{method.__qualname__}({{}})", inspect.signature(method).parameters)


def test_every_place_has_a_row() -> None:
    things = [thing for module in modules() for name, thing in vars(module).items() if not name.startswith("_")]
    ours = [thing for thing in things if str(getattr(thing, "__module__", "")).startswith("otcache")]

    found = set().union(*(names for thing in ours for names in places_of(thing)))

    rows = {place.name.partition(" ")[0] for place in (*PLACES, *LOADED, *STALE, *NEGATIVE)}
    assert found == rows | ELSEWHERE


# --- and mean the same ----------------------------------------------------------------------------------


def is_left(left: float | None, seconds: float) -> bool:
    """Whether an entry of so many seconds may have that time left; L1 may end one by a thousandth earlier."""
    if not seconds or left is None or seconds == FOREVER:
        return left == (seconds or None)
    return seconds - 50 - seconds / 1000 <= left <= seconds


def meant(place: Place, seconds: float) -> float:
    """What a time to live means at a place: somebody's own cache gets whole seconds of at most a year."""
    is_own = place.name.startswith("CacheInterface") or place.name.endswith("own cache")
    return int(min(seconds, 31_536_000)) if is_own else seconds


@pytest.mark.parametrize("place", [*PLACES, *LOADED, *NEGATIVE], ids=lambda place: place.name)
async def test_a_time_to_live_means_the_same_at(place: Place) -> None:
    wanted = [*WRITTEN.items(), *(COMPUTED if place in LOADED else ())]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a default of 0
        left = [await place.left(ttl) for ttl, _ in wanted]

    wrong = [(ttl, found) for (ttl, s), found in zip(wanted, left, strict=True) if not is_left(found, meant(place, s))]
    assert wrong == []


@pytest.mark.parametrize("place", STALE, ids=lambda place: place.name)
async def test_a_time_to_be_stale_is_added_at(place: Place) -> None:
    left = [await place.left(ttl) for ttl in WRITTEN]

    assert all(is_left(found, seconds + 10) for found, seconds in zip(left, WRITTEN.values(), strict=True))


@pytest.mark.parametrize("place", [*PLACES, *STALE, *NEGATIVE], ids=lambda place: place.name)
async def test_what_is_none_is_refused_by_name_at(place: Place) -> None:
    is_option = "default_ttl" in place.name or place.name.startswith(("CacheConfig", "Settings"))
    wrong = [ttl for ttl in WRONG if ttl != "forever" or not (is_option or "operation" in place.name)]

    for ttl in wrong:  # options come from files, which say `forever`
        with pytest.raises(CacheError, match="ttl"):
            await place.left(ttl)
