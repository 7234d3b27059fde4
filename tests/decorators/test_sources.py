"""Where a cached function finds its cache: one that is there, or one that is asked for at each call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from fastapi import Depends

from otcache import (
    ConfigurationError,
    InMemoryCache,
    cached,
    cleanup_cache_registry,
    get_cache_service,
    get_fallback_cache_service,
    get_settings,
)

CACHE = InMemoryCache()


async def ask() -> InMemoryCache:
    """An async function that gives a cache."""
    return CACHE


def ask_for(cache: InMemoryCache = Depends(ask), note: str = "") -> InMemoryCache:
    """A dependency of FastAPI's kind, with one of its own."""
    return cache


@pytest.mark.parametrize("source", [CACHE, lambda: CACHE, ask, ask_for, lambda: ask()], ids=range(5))
async def test_a_cache_is_given_or_asked_for(source: Any) -> None:
    @cached("source:{user_id}", cache=source)
    async def read(user_id: int) -> int:
        return user_id

    assert [await read(1), await read(1)] == [1, 1]
    assert await CACHE.get("source:1") == 1
    await read.invalidate(1)
    assert await CACHE.get("source:1") is None


async def test_a_cache_is_asked_for_at_each_call() -> None:
    caches = [InMemoryCache(), InMemoryCache()]
    turn = iter([*caches, *caches])

    @cached("x", cache=lambda: next(turn))
    async def read() -> int:
        return 1

    await read()
    assert [await cache.get("x") for cache in caches] == [1, None]
    await read()

    assert [await cache.get("x") for cache in caches] == [1, 1]


@pytest.mark.parametrize("found", [None, {}, CACHE.get])
async def test_an_answer_that_is_no_cache_is_an_error_of_the_configuration(found: Any) -> None:
    @cached("x", cache=lambda: found)
    async def read() -> int:
        return 1

    with pytest.raises(ConfigurationError, match="not a cache: has the application been started"):
        await read()


def needy(request: object) -> InMemoryCache:
    """A function that needs a request."""
    raise NotImplementedError


def generator() -> Iterator[InMemoryCache]:
    """A function that FastAPI would enter and leave."""
    yield CACHE


def indirect(cache: InMemoryCache = Depends(needy)) -> InMemoryCache:
    """A function that needs it all the same."""
    return cache


@pytest.mark.parametrize(
    ("source", "message"), [(needy, "needs request"), (indirect, "needs request"), (generator, "is the generator")]
)
def test_a_function_that_can_not_be_asked_is_refused_at_decoration(source: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        cached("x", cache=source)(lambda: None)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An application whose environment names no Redis."""
    for name in ("REDIS_URL", "OTCACHE_REDIS_URL", "OTCACHE_PRESET"):
        monkeypatch.delenv(name, raising=False)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.mark.parametrize("source", [get_cache_service, get_fallback_cache_service])
@pytest.mark.usefixtures("settings")
async def test_the_functions_for_fastapi_give_the_applications_cache(source: Callable[[], Awaitable[Any]]) -> None:
    @cached("service:{user_id}", cache=source)
    async def read(user_id: int) -> int:
        return user_id

    assert [await read(1), await read(1)] == [1, 1]
    assert (await read.answer(1)).status == "fresh"
    await cleanup_cache_registry()
