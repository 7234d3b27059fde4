"""What is measured of the way to Redis and back: codecs, ages, connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from otcache import GenericRedisCache
from otcache.telemetry import catalog
from otcache.testing import Capture, Point
from tests.servers import RedisServer, free_port


@pytest.fixture
async def cache(telemetry: Capture, redis_server: Any, prefix: str) -> AsyncIterator[GenericRedisCache]:
    """A cache without a near tier that compresses what is over 100 bytes."""
    options: dict[str, Any] = {
        "key_prefix": prefix,
        "enable_l1_cache": False,
        "compression_threshold": 100,
        "max_staleness": 60.0,
    }
    async with GenericRedisCache(
        redis_url=redis_server.url, providers=telemetry.providers, timeout=5.0, **options
    ) as built:
        yield built


def by(telemetry: Capture, row: catalog.Instrument, *keys: catalog.Attribute) -> dict[tuple[Any, ...], Point]:
    """The series of a metric by some of their attributes."""
    return {tuple(p.attributes.get(key.name) for key in keys): p for p in telemetry.metrics().get(row.name, [])}


def codecs(telemetry: Capture) -> dict[tuple[Any, ...], int]:
    found = by(telemetry, catalog.CODEC_DURATION, catalog.CODEC_OPERATION, catalog.CODEC_NAME, catalog.ERROR_TYPE)
    return {names: point.count for names, point in found.items()}


async def test_every_step_of_a_codec_is_timed(telemetry: Capture, cache: GenericRedisCache) -> None:
    await cache.set_many({"plain": 1, "tagged": (1, 2), "long": "x" * 1000})
    await cache.get_many(["plain", "tagged", "long"])

    assert codecs(telemetry) == {
        ("serialize", "plain", None): 2, ("serialize", "tagged", None): 1, ("compress", "zlib", None): 1,
        ("deserialize", "plain", None): 2, ("deserialize", "tagged", None): 1, ("decompress", "zlib", None): 1,
    }  # fmt: skip


async def test_bytes_that_cannot_be_read_are_an_error_of_the_codec(
    telemetry: Capture, cache: GenericRedisCache, redis_server: Any, prefix: str
) -> None:
    redis_server.command("SET", f"{prefix}default:k", "somebody else's")

    assert await cache.get("k") is None

    assert codecs(telemetry) == {("deserialize", "unknown", "otcache.exceptions.DecodeError"): 1}


async def test_the_far_tier_says_how_old_a_value_was(
    telemetry: Capture, cache: GenericRedisCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cache.set("k", 1)
    assert cache._l2 is not None
    now = cache._l2.store.clock.now_ms()
    monkeypatch.setattr(cache._l2.store.clock, "now_ms", lambda: now + 70_000)

    await cache.get("k")
    (point,) = by(telemetry, catalog.ENTRY_AGE, catalog.RESULT).values()

    assert point.count == 1
    assert point.sum == pytest.approx(70, abs=5)


async def test_connections_are_counted_by_state_up_to_their_limit(
    telemetry: Capture, cache: GenericRedisCache, redis_server: RedisServer
) -> None:
    def connections() -> tuple[float, float, float]:
        found = by(telemetry, catalog.CONNECTIONS, catalog.CONNECTION_STATE)
        (limit,) = telemetry.metrics()[catalog.CONNECTION_LIMIT.name]
        return found["used",].value, found["idle",].value, limit.value

    idle = connections()
    redis_server.command("CLIENT", "PAUSE", "1000", "ALL")
    calls = [asyncio.create_task(cache.delete(f"k{number}")) for number in range(3)]  # reads would share one
    while connections()[0] < 3:
        await asyncio.sleep(0.01)
    busy = connections()
    await asyncio.gather(*calls)

    assert [idle, busy, connections()] == [(0, 1, 50), (3, 0, 50), (0, 3, 50)]


async def test_the_way_of_news_is_good_until_an_attempt_has_failed(telemetry: Capture, prefix: str) -> None:
    def state() -> list[str]:
        found = by(telemetry, catalog.COMPONENT_STATUS, catalog.COMPONENT, catalog.COMPONENT_STATE)
        return [state for (part, state), point in found.items() if part == "backplane" and point.value]

    nobody = f"redis://127.0.0.1:{free_port()}"
    cache = GenericRedisCache(redis_url=nobody, key_prefix=prefix, providers=telemetry.providers, timeout=0.2)
    unused = state()
    await cache.get("k")

    assert (unused, state()) == (["available"], ["unavailable"])
    await cache.close()
