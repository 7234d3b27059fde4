"""A hit of a cached function is a hit of its cache: counted, traced and called back like any other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from otcache import MISSING, GenericRedisCache, InMemoryCache, cached
from otcache.telemetry._instrumentation.signals import clock
from otcache.testing import Capture, ManualClock, capture_telemetry
from tests.decorators.cases import Counted
from tests.servers import RedisServer


@pytest.fixture
def telemetry() -> Iterator[Capture]:
    """What is emitted during the test."""
    with capture_telemetry() as captured:
        yield captured


def hits(cache: InMemoryCache) -> int:
    """Return the hits of L1."""
    return int(cache.get_stats()["hits"]["l1"])


async def test_each_hit_is_counted() -> None:
    async with InMemoryCache(name="counted") as cache:

        @cached("user:{user_id}", cache=cache)
        async def read(user_id: int) -> int:
            return user_id

        before = [await read(1), hits(cache)][1]
        await read(1)
        await read(1)

        assert hits(cache) - before == 2


async def test_a_hit_below_a_recorded_span_has_its_own(telemetry: Capture) -> None:
    async with InMemoryCache(providers=telemetry.providers, name="shop") as cache:

        @cached("user:{user_id}", cache=cache)
        async def read(user_id: int) -> int:
            return user_id

        await read(1)
        telemetry.clear()
        with telemetry.tracer_provider.get_tracer("test").start_as_current_span("request"):
            await read(1)

        names = [span.name for span in telemetry.spans]

    assert len(names) == 2
    assert names[0].startswith("cache.get")
    assert names[0].endswith(" shop")


async def test_each_hit_is_called_back() -> None:
    counted = Counted()

    async with InMemoryCache() as cache:

        @cached("user:{user_id}", cache=cache)
        async def read(user_id: int) -> int:
            return user_id

        await read(1)
        cache.register_callback("get_success", counted.note)
        await read(1)
        await read(1)

    assert [call[0] for call in counted.calls] == ["user:1", "user:1"]


async def test_what_is_not_near_and_fresh_is_no_quick_hit_and_not_counted() -> None:
    async with InMemoryCache(name="quick") as cache:
        await cache.set("kept", 1, ttl=60)
        before = hits(cache)
        cache._clock = time = ManualClock(clock())

        found = [cache.hit("kept"), cache.hit("absent")]
        time.move(61)
        found.append(cache.hit("kept"))

        assert found == [1, MISSING, MISSING]
        assert hits(cache) - before == 1


@dataclass
class User:
    id: int


async def test_another_process_gets_the_declared_type_from_redis(redis_server: RedisServer, prefix: str) -> None:
    counted = Counted()
    options: dict[str, Any] = {"redis_url": redis_server.url, "key_prefix": prefix, "timeout": 5.0}

    def read_through(cache: GenericRedisCache) -> Any:
        @cached("user:{user_id}", cache=cache)
        async def read(user_id: int) -> User:
            counted.note()
            return User(user_id)

        return read

    async with GenericRedisCache(**options) as one, GenericRedisCache(**options) as other:
        answers = [await read_through(one)(1), await read_through(other)(1)]

    assert answers == [User(1), User(1)]
    assert len(counted.calls) == 1
