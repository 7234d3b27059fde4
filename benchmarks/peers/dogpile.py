"""dogpile.cache: synchronous; objects in memory. Its rows have a coroutine around the call."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from dogpile.cache import make_region
from dogpile.cache.api import NO_VALUE

from benchmarks.peers import TTL, Client


def _region() -> Any:
    return make_region().configure("dogpile.cache.memory", expiration_time=TTL)


async def memory(stack: AsyncExitStack, limit: int) -> Client:
    """The dictionary backend; it has no limit of entries."""
    region = _region()

    async def get(key: str) -> Any:
        value = region.get(key)
        return None if value is NO_VALUE else value

    async def put(key: str, value: Any) -> None:
        region.set(key, value)

    return Client(get, put)


async def decorated(stack: AsyncExitStack, function: Any) -> Any:
    """`cache_on_arguments` over a plain function: it can't cache what a coroutine returns."""
    region = _region()

    @region.cache_on_arguments()  # type: ignore[untyped-decorator]
    def user(user_id: int) -> dict[str, int]:
        return {"id": user_id}

    async def call(user_id: int) -> Any:
        return user(user_id)

    return call
