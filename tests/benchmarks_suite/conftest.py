"""A setting for one test: its Redis is the shared server, its caches are small."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from benchmarks.setting import Setting
from tests.servers import RedisServer

Settings = Callable[..., Setting]


@pytest.fixture
def settings() -> Iterator[Settings]:
    """Makes settings; closed after the test."""
    made: list[Setting] = []

    def make(port: int | None = None, without: frozenset[str] = frozenset()) -> Setting:
        made.append(Setting(port, large=200, without=without))
        return made[-1]

    yield make
    for setting in made:
        setting.close()


@pytest.fixture
def setting(settings: Settings, redis_server: RedisServer) -> Setting:
    """One with a Redis."""
    return settings(redis_server.port)
