"""No call of a cache raises or hangs because of the shape of an answer: it is an outage of that call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from otcache import GenericRedisCache
from tests.cases.conftest import Make
from tests.cases.expected import fails_until
from tests.cases.impostor import Impostor
from tests.servers import RedisServer

Call = Callable[[GenericRedisCache], Awaitable[Any]]

INTEGER = b":-5\r\n"
INTEGERS = b"*2\r\n:1\r\n:2\r\n"
NOTHINGS = b"*2\r\n$-1\r\n$-1\r\n"
TEXT_AND_NOTHING = b"*2\r\n$9\r\n1e\xb266zzzz\r\n$-1\r\n"


async def load() -> str:
    return "loaded"


async def two_at_once(cache: GenericRedisCache) -> None:
    await asyncio.gather(cache.get("key"), cache.get("other"))


@pytest.mark.parametrize(
    ("command", "answer", "call"),
    [
        pytest.param("GET", INTEGER, lambda cache: cache.get("key"), id="get"),
        pytest.param("GET", INTEGER, lambda cache: cache.get_or_set("key", load), id="get_or_set"),
        pytest.param("GET", INTEGER, lambda cache: cache.touch("key", 600), id="touch"),
        pytest.param("GET", INTEGER, lambda cache: cache.exists("key"), id="exists"),
        pytest.param("GET", INTEGER, lambda cache: cache.get_ttl("key"), id="get_ttl"),
        pytest.param("MGET", INTEGERS, lambda cache: cache.get_many(["key", "other"]), id="get_many"),
        pytest.param("MGET", INTEGERS, two_at_once, id="two gets"),
        pytest.param("SCAN", INTEGERS, lambda cache: cache.purge(), id="purge"),
        pytest.param("EVAL", NOTHINGS, lambda cache: cache.invalidate_tag("tag"), id="invalidate_tag"),
        pytest.param("EVAL", TEXT_AND_NOTHING, lambda cache: cache.invalidate_tag("tag"), id="invalidate_tag, damaged"),
        pytest.param("EVAL", INTEGERS, lambda cache: cache.get_or_set("new", load), id="lock of a load"),
    ],
)
@fails_until(14, "an answer of an unexpected shape raises from our own code, or hangs for ever")
async def test_an_answer_of_an_unexpected_shape_fails_no_call(
    make: Make, redis_server: RedisServer, command: str, answer: bytes, call: Call
) -> None:
    async with Impostor(redis_server.port) as impostor:
        cache = make(redis_url=impostor.url, timeout=2.0, memory_cache_size=0, breaker_failures=50)
        await cache.set_many({"key": "value", "other": "value"}, ttl=600)
        await cache.invalidate_tag("warm")

        impostor.answers[command] = answer
        raised = await _raised_by(call(cache))
        impostor.answers.clear()
        await cache.close()

    assert raised is None


async def _raised_by(call: Awaitable[Any]) -> str | None:
    """What a call raises; `TimeoutError()` if it hangs."""
    try:
        async with asyncio.timeout(4):
            await call
    except Exception as exc:  # noqa: BLE001  which one it is, is what the test asks
        return repr(exc)
    return None
