"""aiocache: objects in memory, JSON on Redis; every call has a limit of time (`asyncio.wait_for`), as by default."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from aiocache import Cache, RedisCache, SimpleMemoryCache, cached
from aiocache.serializers import JsonSerializer

from benchmarks.peers import TIMEOUT, TTL, Client


def _client(cache: Any) -> Client:
    async def put(key: str, value: Any) -> None:
        await cache.set(key, value, ttl=TTL)

    return Client(cache.get, put)


async def memory(stack: AsyncExitStack, limit: int) -> Client:
    """`SimpleMemoryCache`; it has no limit of entries, and a timer per entry."""
    cache = SimpleMemoryCache(namespace=f"bench{id(stack)}")
    stack.push_async_callback(cache.clear)
    return _client(cache)


async def redis(stack: AsyncExitStack, port: int) -> Client:
    """`RedisCache` with its JSON serializer."""
    cache = RedisCache(endpoint="127.0.0.1", port=port, timeout=TIMEOUT, pool_max_size=64, serializer=JsonSerializer())
    stack.push_async_callback(cache.close)
    return _client(cache)


async def decorated(stack: AsyncExitStack, function: Any) -> Any:
    """`@cached(ttl=...)` with its own key."""
    return cached(ttl=TTL, cache=Cache.MEMORY, namespace="bench")(function)
