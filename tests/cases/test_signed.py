"""With a signing secret, nothing that somebody else has written to Redis is ever believed."""

from __future__ import annotations

import asyncio

import pytest

from otcache import GenericRedisCache
from tests.cases.conftest import Make
from tests.cases.expected import given
from tests.servers import RedisServer

SECRET = "s" * 32


class Role:
    """A class of the application's own: pickled, and therefore signed."""

    def __init__(self, name: str) -> None:
        self.name = name


@pytest.fixture
def guests(make: Make) -> GenericRedisCache:
    return make(name="guests", signing_secret=SECRET, enable_l1_cache=False)


def where(server: RedisServer, prefix: str, key: str) -> bytes:
    """The one key in Redis of an entry."""
    keys: list[bytes] = server.command("KEYS", f"{prefix}*{key}")
    given(len(keys) == 1, "an entry in Redis")
    return keys[0]


async def test_a_value_that_is_over_stays_over(
    guests: GenericRedisCache, redis_server: RedisServer, prefix: str
) -> None:
    await guests.set("role", Role("admin"), ttl=1)
    place = where(redis_server, prefix, "role")
    payload: bytes = redis_server.command("GET", place)
    await asyncio.sleep(1.2)

    found = []
    for start in range(32):  # the expiry is somewhere in the first bytes: none of them is believed as 0
        redis_server.command("SET", place, payload[:start] + bytes(8) + payload[start + 8 :])
        found.append(await guests.get("role"))

    assert found == [None] * 32


async def test_an_unsigned_value_is_none(make: Make, guests: GenericRedisCache) -> None:
    anybody = make(name="guests", enable_l1_cache=False)

    await anybody.set("role", {"is_admin": True})

    assert await guests.get("role") is None
