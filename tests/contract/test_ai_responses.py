"""Responses of AI models belong to their text, operation, options and model, whatever these are called."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otcache import AICacheConfig, AIMemoryCache, AIResponseCache
from otcache.cache import Cache
from tests.servers import RedisServer

AnyAICache = AIMemoryCache | AIResponseCache

names = st.one_of(
    st.sampled_from(
        ["sum", "summarize", "su", "s*", "s?m", "[s]um", "\\sum", "#", "a|b", "|txt:", "sum|txt:t", "\ud800"]
    ),
    st.text(st.characters(categories=["Cs", "Ll", "P", "Cc"]), min_size=1, max_size=6),
)
calls = st.tuples(st.sampled_from(["t", "t|model:sum"]), names, st.sampled_from([None, {"a": 1}]), st.none() | names)


@pytest.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest, redis_server: RedisServer, prefix: str) -> AsyncIterator[AnyAICache]:
    """In memory, and every read from a Redis."""
    far: dict[str, Any] = {"redis_url": redis_server.url, "key_prefix": prefix, "timeout": 10, "enable_l1_cache": False}
    async with AIResponseCache(**far) if request.param == "redis" else AIMemoryCache() as made:
        yield made


ODD: tuple[tuple[Any, ...], ...] = (
    ("t", "sum", None, None), ("t", "sum", None, "m"), ("t", "sum", {"model": "m"}, None),
    ("t", "sum|model:m", None, None),
    ("t|model:m", "sum", None, None), ("t", "sum", None, ""), ("t", "sum", None, "M"), ("t", "Sum", None, "m"),
    ("t", "übersetzen: de → en", None, "\ud800"), ("t", "\ud800", None, None), ("t", "x" * 9000, None, "y" * 9000),
    ("t" * 9000, "sum", {"a": float("nan")}, "m"), ("t", "sum", {"a": 1}, "m"), ("t", "sum", {"a": True}, "m"),
    ("t", "sum", {"a": "1"}, "m"), (" t", "sum", None, "m"), ("é", "sum", None, "m"), ("e\u0301", "sum", None, "m"),
)  # fmt: skip


async def test_each_call_finds_its_own_response(cache: AnyAICache) -> None:
    for number, (text, operation, options, model) in enumerate(ODD):
        await cache.cache_response(text, operation, options, number, model=model)

    found = [await cache.get_cached_response(*call[:3], model=call[3]) for call in ODD]

    assert found == list(range(len(ODD)))


@given(st.lists(calls, min_size=1, max_size=8))
async def test_calls_find_the_response_that_was_kept_last_for_them(given_calls: list[tuple[Any, ...]]) -> None:
    kept: dict[str, int] = {}
    async with AIMemoryCache() as cache:
        for number, (text, operation, options, model) in enumerate(given_calls):
            await cache.cache_response(text, operation, options, number, model=model)
            kept[repr((text, operation, options, model))] = number

        found = {repr(call): await cache.get_cached_response(*call[:3], model=call[3]) for call in given_calls}

    assert found == kept


OPERATIONS = (
    "sum",
    "summarize",
    "su",
    "s*",
    "s?m",
    "[s]um",
    "\\sum",
    "sum ",
    "#",
    "a|b",
    "a",
    "\n",
    "\ud800",
    "x" * 300,
)


async def test_invalidation_by_operation_meets_exactly_that_one(cache: AnyAICache) -> None:
    for chosen in OPERATIONS:
        for operation in OPERATIONS:
            await cache.cache_response("t", operation, None, operation[:2].encode("utf-8", "replace"))

        assert await cache.invalidate_by_operation(chosen) == 1

        left = [await cache.get_cached_response("t", operation) is not None for operation in OPERATIONS]
        assert left == [operation != chosen for operation in OPERATIONS]


async def test_a_text_too_long_to_keep_is_answered_whatever_the_model(cache: AnyAICache) -> None:
    text = "t" * (cache.ai_config.max_text_length + 1)

    await cache.cache_response(text, "sum", None, "short", model="m")

    assert await cache.get_cached_response(text, "sum", model="m") is None


async def test_times_to_live_go_by_the_operation_as_it_is_called() -> None:
    config = AICacheConfig(operation_ttls={"a|b": 5, "kept": float("inf")})
    async with AIMemoryCache(ai_config=config) as cache:
        for operation in ("a|b", "kept"):
            await cache.cache_response("t", operation, None, 1)
        left = [await Cache.get_ttl(cache, cache.build_key("t", operation)) for operation in ("a|b", "kept")]

    assert 4 < (left[0] or 0) <= 5
    assert left[1] == float("inf")
