"""fastapi-cache2: bytes in memory, whatever its coder makes (JSON) on Redis; the backend itself encodes nothing."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from fastapi_cache import FastAPICache
from fastapi_cache.backends.inmemory import InMemoryBackend
from fastapi_cache.backends.redis import RedisBackend
from fastapi_cache.coder import JsonCoder
from fastapi_cache.decorator import cache

from benchmarks.peers import TTL, Client
from benchmarks.peers.redis_py import connect


async def memory(stack: AsyncExitStack, limit: int) -> Client:
    """The backend in memory, handed bytes: no limit of entries, no decoding."""
    backend = InMemoryBackend()
    backend._store = {}  # its own, not the class's

    async def put(key: str, value: Any) -> None:
        await backend.set(key, value if isinstance(value, bytes) else str(value).encode(), TTL)

    return Client(backend.get, put)


async def redis(stack: AsyncExitStack, port: int) -> Client:
    """The backend on Redis as its decorator uses it: TTL and GET in one pipeline, then JSON."""
    backend = RedisBackend(connect(stack, port))

    async def get(key: str) -> Any:
        _, payload = await backend.get_with_ttl(key)
        return None if payload is None else JsonCoder.decode(payload)

    async def put(key: str, value: Any) -> None:
        await backend.set(key, JsonCoder.encode(value), TTL)

    return Client(get, put)


async def decorated(stack: AsyncExitStack, function: Any) -> Any:
    """`@cache(expire=...)` over the backend in memory."""
    backend = InMemoryBackend()
    backend._store = {}
    FastAPICache.init(backend, prefix="bench")
    stack.callback(FastAPICache.reset)
    return cache(expire=TTL)(function)
