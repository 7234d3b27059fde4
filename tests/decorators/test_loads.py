"""The options of a cached function reach the load: tags, template, stale values, one call for many callers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from otcache import InMemoryCache, cached
from otcache.telemetry import catalog
from otcache.testing import Capture, capture_telemetry
from tests.decorators.cases import Counted


@pytest.fixture
def telemetry() -> Iterator[Capture]:
    """What is emitted during the test."""
    with capture_telemetry() as captured:
        yield captured


async def test_many_callers_at_once_make_one_call() -> None:
    counted = Counted()

    async with InMemoryCache() as cache:

        @cached("user:{user_id}", cache=cache)
        async def read(user_id: int) -> int:
            await asyncio.sleep(0)
            return counted.note(user_id)

        assert await asyncio.gather(*(read(1) for _ in range(50))) == [1] * 50


async def test_a_span_has_the_template_and_no_argument(telemetry: Capture) -> None:
    async with InMemoryCache(providers=telemetry.providers) as cache:

        @cached("user:{user_id}", cache=cache)
        async def read(user_id: str) -> str:
            return "a value"

        for _ in range(2):
            with telemetry.tracer_provider.get_tracer("test").start_as_current_span("request"):
                await read("secret-id")

    ours = [span for span in telemetry.spans if span.name.startswith("cache.get_or_set")]
    assert [span.attributes[catalog.KEY_TEMPLATE.name] for span in ours] == ["user:{user_id}"] * len(ours)
    assert len(ours) >= 2
    assert "secret-id" not in str(telemetry.spans)


async def test_a_value_is_invalidated_by_a_tag_that_names_an_argument() -> None:
    counted = Counted()

    async with InMemoryCache() as cache:

        @cached("user:{user_id}:{lang}", cache=cache, tags=("users", "user:{user_id}"))
        async def read(user_id: int, lang: str = "en") -> int:
            return counted.note(user_id)

        first = [await read(1), await read(1, "de"), await read(2)]
        await cache.invalidate_tag("user:1")
        again = [await read(1), await read(1, "de"), await read(2)]

    assert first == [1, 2, 3]
    assert again == [4, 5, 3]
