"""A time to live of 0 keeps nothing, and fractions and durations are times to live."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from otcache import GenericRedisCache, InMemoryCache, Loaded, cached
from otcache.exceptions import ValidationError
from tests.cases.conftest import Make
from tests.cases.expected import outcome, wrong_if_raised

AnyCache = GenericRedisCache | InMemoryCache


@pytest.fixture(params=["memory", "redis"])
async def either(request: pytest.FixtureRequest, make: Make) -> AsyncIterator[AnyCache]:
    """A cache in memory, and one with a Redis."""
    async with make() if request.param == "redis" else InMemoryCache(name="ttl") as cache:
        yield cache


# twmb/go-cache #3, cloudflare/agents #709
async def test_a_ttl_of_zero_removes_what_was_there(either: AnyCache) -> None:
    await either.set("token", "old", ttl=60)

    await either.set("token", "new", ttl=0)

    assert await either.get("token") is None


async def test_a_negative_ttl_of_zero_asks_again(cache: GenericRedisCache) -> None:
    found: list[str | None] = [None, "Ada"]

    got = [await cache.get_or_set("user:7", lambda: found.pop(0), ttl=60, negative_ttl=0) for _ in range(2)]

    assert got == [None, "Ada"]


async def test_a_cached_function_with_a_ttl_of_zero_runs_each_time(cache: GenericRedisCache) -> None:
    runs = itertools.count()

    @cached("run", cache=cache, ttl=0)
    async def run() -> int:
        return next(runs)

    assert [await run(), await run()] == [0, 1]


# psf/cachecontrol #456, kornelski/http-cache-semantics #35: expires_in of a token
@pytest.mark.parametrize("ttl", [3599.5, -5, -0.5, 10**9], ids=["float", "over", "just over", "too long"])
async def test_a_load_never_fails_for_a_ttl_that_was_computed(cache: GenericRedisCache, ttl: Any) -> None:
    got = await outcome(cache.get_or_set("token", lambda: Loaded("t0k3n", ttl=ttl)))

    assert got == "t0k3n"


@pytest.mark.parametrize("ttl", [90.5, timedelta(minutes=1)], ids=str)
async def test_a_ttl_is_a_number_of_seconds_or_a_duration(either: AnyCache, ttl: Any) -> None:
    with wrong_if_raised(ValidationError):
        await either.set("key", "value", ttl=ttl)

    assert await either.get("key") == "value"
