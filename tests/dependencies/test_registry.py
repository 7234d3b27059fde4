"""One cache per configuration and event loop, built once, closed by its owner."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace

import pytest

from otcache.cache import Cache
from otcache.config import CacheConfig
from otcache.dependencies import _registry as registry
from otcache.exceptions import InfrastructureError
from tests.servers import RedisServer, wait_for

MEMORY = CacheConfig(name="registry-test")


async def test_concurrent_first_requests_build_one_cache() -> None:
    caches = await registry.current()

    built = await asyncio.gather(*(caches.get(replace(MEMORY)) for _ in range(50)))

    assert len({id(cache) for cache in built}) == 1


async def test_equal_configurations_share_a_cache_and_a_password_tells_them_apart() -> None:
    caches = await registry.current()

    first = await caches.get(replace(MEMORY, signing_secret="a" * 32))
    same = await caches.get(replace(MEMORY, signing_secret="a" * 32))
    other = await caches.get(replace(MEMORY, signing_secret="b" * 32))

    assert first is same
    assert first is not other


async def test_a_cancelled_first_request_does_not_take_the_cache_from_the_others(silent_url: str) -> None:
    caches = await registry.current()
    config = replace(MEMORY, redis_url=silent_url, timeout=0.1)
    first = asyncio.ensure_future(caches.get(config))
    second = asyncio.ensure_future(caches.get(config))
    await asyncio.sleep(0)

    first.cancel()

    assert isinstance(await second, Cache)
    assert first.cancelled() or first.cancelling()


async def test_all_who_wait_for_a_failing_build_learn_it_at_once_and_the_next_tries_again(silent_url: str) -> None:
    caches = await registry.current()
    config = replace(MEMORY, redis_url=silent_url, timeout=0.1, fail_on_connection_error=True)
    started = asyncio.get_running_loop().time()

    failures = await asyncio.gather(*(caches.get(config) for _ in range(20)), return_exceptions=True)

    assert {type(failure) for failure in failures} == {InfrastructureError}
    assert asyncio.get_running_loop().time() - started < 20 * 0.1
    with pytest.raises(InfrastructureError):
        await caches.get(config)


async def test_a_closed_registry_opens_new_caches() -> None:
    caches = await registry.current()
    first = await caches.get(MEMORY)

    closing = await caches.close()

    assert closing == (1, [])
    assert await caches.get(MEMORY) is not first


def test_each_event_loop_has_its_own_cache_and_its_end_closes_it() -> None:
    async def build() -> Cache:
        return await (await registry.current()).get(MEMORY)

    first, second = asyncio.run(build()), asyncio.run(build())

    assert first is not second
    assert not [loop for loop in registry._registries if loop.is_closed()]


def test_the_caches_of_a_loop_that_was_rudely_closed_are_closed_by_the_next(redis_server: RedisServer) -> None:
    before = redis_server.clients()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_ping(replace(MEMORY, redis_url=redis_server.url)))
    loop.close()
    held = loop in registry._registries, redis_server.clients() - before

    asyncio.run(_ping(MEMORY))

    assert held == (True, 2)  # its pool, and what it listens by
    assert loop not in registry._registries
    wait_for(lambda: redis_server.clients() == before, "its connection was closed")


async def _ping(config: CacheConfig) -> None:
    assert await (await registry.current()).get(config)


LEFT_OPEN = """
import asyncio, sys
from otcache.config import CacheConfig
from otcache.dependencies import _registry as registry

async def use():
    cache = await (await registry.current()).get(CacheConfig(redis_url=sys.argv[1], name="exit-test"))
    await cache.set("key", 1)
    await cache.delete("key")

"""
ENDS = {
    "asyncio.run": "asyncio.run(use())",
    "a loop that is left open": "loop = asyncio.new_event_loop(); loop.run_until_complete(use())",
    "a loop that is rudely closed": "loop = asyncio.new_event_loop(); loop.run_until_complete(use()); loop.close()",
}
CASES = [("redis", ends) for ends in ENDS] + [("nothing", "asyncio.run"), ("nothing", "a loop that is left open")]


@pytest.mark.parametrize(("there", "ends"), CASES)
def test_a_process_that_never_cleans_up_ends_without_a_warning(
    there: str, ends: str, redis_server: RedisServer, away_url: str
) -> None:
    url = redis_server.url if there == "redis" else away_url
    before = redis_server.clients()

    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-c", LEFT_OPEN + ENDS[ends], url], capture_output=True, text=True, timeout=30
    )

    warned = [line for line in ended.stderr.splitlines() if "Warning" in line or "destroyed" in line]
    assert ended.returncode == 0
    assert [line for line in warned if "unclosed event loop" not in line] == []  # that one is the script's own
    wait_for(lambda: redis_server.clients() == before, "its connection was closed")
