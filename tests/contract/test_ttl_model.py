"""What becomes of entries under any times to live: each operation in each store, compared with a plain dictionary."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otcache import FOREVER, GenericRedisCache, InMemoryCache, Loaded
from otcache.cache import Cache
from otcache.config.url import SCHEMES
from otcache.stores import register_store
from tests.contract.ttls import COMPUTED, WRITTEN
from tests.servers import RedisServer

DEFAULT: Final = 300
SLOW: Final = 50
"""Seconds that a test may take without that counting as a fault."""


class Step(NamedTuple):
    operation: str
    key: str
    ttl: Any  # None: the default


OPERATIONS = ("set", "set_many", "touch", "load", "refresh", "loaded", "nothing", "delete")
ttls = st.sampled_from([None, *WRITTEN])
steps = st.one_of(
    st.builds(Step, st.sampled_from(OPERATIONS), st.sampled_from("ab"), ttls),
    st.builds(Step, st.just("loaded"), st.sampled_from("ab"), st.sampled_from([ttl for ttl, _ in COMPUTED])),
)


class Plain:
    """What a cache should do, with nothing but a dictionary: keys, and values with their seconds."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[Any, float]] = {}

    def step(self, step: Step, value: Any) -> Any:
        known = {**WRITTEN, None: DEFAULT}
        seconds = known[step.ttl] if step.ttl in known else dict(COMPUTED)[step.ttl]
        held = self.kept.get(step.key)
        if step.operation == "delete":
            self.kept.pop(step.key, None)
            return None
        if step.operation == "touch":
            if held is not None:
                self._keep(step.key, held[0], seconds)
            return held is not None
        if step.operation in ("load", "loaded", "nothing") and held is not None:
            return held[0]
        made = None if step.operation == "nothing" else value
        self._keep(step.key, made, seconds)
        return None if step.operation.startswith("set") else made

    def _keep(self, key: str, value: Any, seconds: float) -> None:
        self.kept.pop(key, None)
        if seconds:
            self.kept[key] = (value, seconds)


async def real(cache: Cache, step: Step, value: Any) -> Any:
    key, ttl = step.key, step.ttl
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "set": lambda: cache.set(key, value, ttl),
        "set_many": lambda: cache.set_many({key: value}, ttl),
        "touch": lambda: cache.touch(key, ttl),
        "delete": lambda: cache.delete(key),
        "load": lambda: cache.get_or_set(key, lambda: value, ttl),
        "refresh": lambda: cache.get_or_set(key, lambda: value, ttl, refresh=True),
        "loaded": lambda: cache.get_or_set(key, lambda: Loaded(value, ttl=ttl)),
        "nothing": lambda: cache.get_or_set(key, lambda: None, DEFAULT, negative_ttl=ttl),
    }
    return await calls[step.operation]()


def is_left(left: float | None, seconds: float) -> bool:
    """Whether an entry of so many seconds may have that time left."""
    if left is None or seconds == FOREVER:
        return left == seconds
    return seconds - SLOW - seconds / 1000 <= left <= seconds


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[str]:
    """The URL of somebody's own store."""
    register_store("dir", "tests.stores.directory_store:open_directory")
    yield f"dir://{tmp_path}"
    del SCHEMES["dir"]


@asynccontextmanager
async def opened(kind: str, redis: str, directory: str) -> AsyncIterator[list[Cache]]:
    """One cache of a kind, and where there is a store another one on it that sees it only there."""
    options: dict[str, Any] = {"default_ttl": DEFAULT, "timeout": 30, "key_prefix": f"t{uuid.uuid4().hex}:"}
    async with AsyncExitStack() as stack:
        if kind.startswith("memory"):
            isolation: Any = {"l1_isolation": "copy"} if kind == "memory-copy" else {}
            yield [await stack.enter_async_context(InMemoryCache(**options, **isolation))]
            return
        url: dict[str, Any] = {"redis_url": directory if kind == "directory" else redis}
        one = GenericRedisCache(**options, **url, enable_l1_cache=kind != "redis-no-l1")
        other = GenericRedisCache(**options, **url, enable_l1_cache=False)
        yield [await stack.enter_async_context(each) for each in (one, other)]


@pytest.mark.parametrize("kind", ["memory", "memory-copy", "redis", "redis-no-l1", "directory"])
@settings(max_examples=settings().max_examples // 2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(walk=st.lists(steps, min_size=1, max_size=8))
async def test_a_cache_does_what_the_plain_model_does(
    kind: str, redis_server: RedisServer, directory: str, walk: list[Step]
) -> None:
    plain = Plain()
    async with opened(kind, redis_server.url, directory) as caches:
        for number, step in enumerate(walk):
            assert await real(caches[0], step, number) == plain.step(step, number)

            for cache in caches:
                held = {key: await cache.get(key) for key in "ab" if await cache.exists(key)}
                assert held == {key: value for key, (value, _) in plain.kept.items()}
                left = {key: await cache.get_ttl(key) for key in "ab"}
                assert {key for key in "ab" if left[key] is not None} == plain.kept.keys()
                assert all(is_left(left[key], seconds) for key, (_, seconds) in plain.kept.items())
