"""How the two tiers of one cache work together, on both servers."""

from __future__ import annotations

import asyncio
from typing import Any

from otcache import FOREVER, GenericRedisCache
from otcache.cache import Cache
from otcache.stores.memory import NEVER
from tests.inside import forget


def near_left_seconds(cache: Cache, key: str) -> float:
    entry = cache._entries[key]
    return float("inf") if entry.expires == NEVER else (entry.expires - cache._clock()) / 1e9


async def heard(writer: GenericRedisCache, reader: GenericRedisCache) -> None:
    """Wait until `reader` has heard of everything that `writer` has written so far."""
    assert reader._tiers.backplane is not None
    news = reader._tiers.backplane.wait("the last of all")
    await writer.set("the last of all", 0)
    await asyncio.wait_for(news, 20)


async def test_an_l2_hit_fills_l1_with_the_time_left(
    two_processes: tuple[GenericRedisCache, GenericRedisCache],
) -> None:
    writer, reader = two_processes
    await writer.set("k", "v", ttl=50)
    await writer.touch("k", 20)
    await heard(writer, reader)

    assert await reader.get("k") == "v"
    assert 18 < near_left_seconds(reader, "k") <= 20


async def test_a_batch_read_fills_l1_with_the_time_left_too(
    two_processes: tuple[GenericRedisCache, GenericRedisCache],
) -> None:
    writer, reader = two_processes
    await writer.set_many({"a": 1, "b": 2}, ttl=20)
    await heard(writer, reader)

    assert await reader.get_many(["a", "b"]) == {"a": 1, "b": 2}
    assert all(18 < near_left_seconds(reader, key) <= 20 for key in "ab")


async def test_an_entry_that_never_expires_stays_so_in_l1(
    two_processes: tuple[GenericRedisCache, GenericRedisCache],
) -> None:
    writer, reader = two_processes
    await writer.set("k", 1, ttl=FOREVER)
    await heard(writer, reader)
    await reader.get("k")

    assert near_left_seconds(reader, "k") == FOREVER


async def test_clear_leaves_other_caches_of_the_same_redis_alone(
    two_processes: tuple[GenericRedisCache, GenericRedisCache],
) -> None:
    mine, _ = two_processes
    async with GenericRedisCache(mine.config, name=f"{mine.name}-other") as other:
        await mine.set("k", "mine")
        await other.set("k", "other's")

        await mine.clear()

        assert [await mine.get("k"), await other.get("k")] == [None, "other's"]


async def test_a_read_that_began_before_a_write_does_not_cover_it(
    two_processes: tuple[GenericRedisCache, GenericRedisCache],
) -> None:
    writer, cache = two_processes
    for number in range(50):
        await writer.set("k", f"old {number}")
        forget(cache)

        await asyncio.gather(cache.get("k"), cache.set("k", f"new {number}"), cache.get("k"))

        assert await cache.get("k") == f"new {number}"


async def test_of_writes_that_overlap_l1_and_l2_agree_afterwards(
    two_processes: tuple[GenericRedisCache, GenericRedisCache],
) -> None:
    cache, reader = two_processes

    for _ in range(20):
        await asyncio.gather(*(cache.set("k", number) for number in range(10)))
        forget(reader)

        assert await cache.get("k") == await reader.get("k")


async def test_foreign_bytes_are_a_miss_with_that_reason(
    two_processes: tuple[GenericRedisCache, GenericRedisCache], raw: Any
) -> None:
    cache, _ = two_processes
    for bad in (b"", b"plain text", b"\xca\x01", b"\xca\x63" + bytes(40), b"\xca\x01\x01\x00" + bytes(8) + b"{broken"):
        await raw.set(f"{cache.config.key_prefix}{cache.name}:k", bad)

        assert await cache.get("k") is None

    assert cache.get_stats()["misses"] == {"decode_error": 5}


async def test_a_foreign_type_under_our_key_is_a_degraded_miss_and_closes_nothing(
    two_processes: tuple[GenericRedisCache, GenericRedisCache], raw: Any
) -> None:
    cache, _ = two_processes
    await raw.lpush(f"{cache.config.key_prefix}{cache.name}:k", "x")

    assert [await cache.get("k") for _ in range(10)] == [None] * 10
    assert cache.get_stats()["l2"]["breaker"] == "closed"


async def test_with_isolation_every_caller_gets_its_own(
    two_processes: tuple[GenericRedisCache, GenericRedisCache],
) -> None:
    base, _ = two_processes
    async with GenericRedisCache(base.config, l1_isolation="copy") as cache:
        given = {"tags": [1]}
        await cache.set("k", given)
        given["tags"].append(2)
        first = await cache.get("k")
        first["tags"].append(3)

        assert await cache.get("k") == {"tags": [1]}
