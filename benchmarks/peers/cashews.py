"""cashews: objects in memory, pickle on Redis. Its limits of time are redis-py's."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from cashews import Cache

from benchmarks.peers import TIMEOUT, TTL, Client


async def _client(stack: AsyncExitStack, url: str, **options: Any) -> Client:
    cache = Cache()
    cache.setup(url, **options)
    await cache.init()
    stack.push_async_callback(cache.close)

    async def put(key: str, value: Any) -> None:
        await cache.set(key, value, expire=TTL)

    return Client(cache.get, put, limit=url.startswith("mem"))


async def memory(stack: AsyncExitStack, limit: int) -> Client:
    """`mem://`."""
    return await _client(stack, "mem://", size=limit, check_interval=60)


async def redis(stack: AsyncExitStack, port: int) -> Client:
    """`redis://`, with as many connections as there may be readers."""
    timeouts = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    return await _client(stack, f"redis://127.0.0.1:{port}", max_connections=64, **timeouts)


async def decorated(stack: AsyncExitStack, function: Any) -> Any:
    """`@cache(ttl=...)` with a template as its documentation shows."""
    cache = Cache()
    cache.setup("mem://", check_interval=60)
    await cache.init()
    stack.push_async_callback(cache.close)
    return cache(ttl="1h", key="user:{user_id}")(function)
