"""Caches on a real Redis, an environment without options, and an end for a case that hangs."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from otcache import GenericRedisCache, get_settings
from tests.servers import RedisServer

Make = Callable[..., GenericRedisCache]
_SECONDS = 240  # far above what any case takes; those that wait for something bound it themselves


@pytest.fixture(autouse=True)
def _ends(request: pytest.FixtureRequest) -> Iterator[None]:
    """A case that hangs is a failure of its own kind, never an expected one."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"{request.node.name} took more than {_SECONDS} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def _fresh_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each case has an environment without options, and reads it anew."""
    for name in [name for name in os.environ if name.startswith("OTCACHE_") or name == "REDIS_URL"]:
        monkeypatch.delenv(name)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def own_server(start: Callable[[RedisServer], RedisServer]) -> RedisServer:
    """A server that the case may stop, fill and configure."""
    return start(RedisServer())


@pytest.fixture
async def make(redis_server: RedisServer, prefix: str) -> AsyncIterator[Make]:
    """Makes caches on the shared server, or on the server or URL that is given; closed after the case."""
    caches: list[GenericRedisCache] = []

    def build(**options: Any) -> GenericRedisCache:
        usual: dict[str, Any] = {"redis_url": redis_server.url, "key_prefix": prefix, "timeout": 10.0}
        caches.append(GenericRedisCache(**(usual | options)))
        return caches[-1]

    yield build
    for cache in caches:
        await cache.close()


@pytest.fixture
def cache(make: Make) -> GenericRedisCache:
    """One of them."""
    return make()
