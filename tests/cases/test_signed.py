"""With a signing secret, nothing that somebody else has written to Redis is ever believed."""

from __future__ import annotations

import asyncio
import random
from itertools import chain, product
from typing import Any, Final

import pytest

from otcache import GenericRedisCache
from otcache._serialization.wire import WIRE_VERSION
from otcache.stores.redis.session import RedisNames
from otcache.telemetry import catalog
from otcache.testing import capture_telemetry
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


SEALS: Final[dict[str, dict[str, Any]]] = {
    "checksum": {},
    "signed": {"signing_secret": SECRET},
    "encrypted": {"encryption_keys": "00" * 32},
    "both": {"signing_secret": SECRET, "encryption_keys": "00" * 32},
}
VALUES: Final[dict[str, Any]] = {
    "plain": {"is_admin": True},
    "tagged": ("admin", {1}),
    "none": None,
    "large": "x" * 5000,
}


async def test_an_unsigned_value_is_none(make: Make, guests: GenericRedisCache) -> None:
    anybody = make(name="guests", enable_l1_cache=False)

    await anybody.set("role", {"is_admin": True})

    assert await guests.get("role") is None


@pytest.mark.parametrize(("writer", "reader"), [pair for pair in product(SEALS, SEALS) if pair[0] != pair[1]])
async def test_what_is_sealed_in_another_way_is_not_there(make: Make, writer: str, reader: str) -> None:
    anybody, cache = (make(**SEALS[seal], memory_cache_size=size) for seal, size in ((writer, 0), (reader, 100)))
    await anybody.set_many(VALUES, ttl=600)

    assert await cache.get_many(VALUES) == {}
    assert [await cache.get(key, "absent") for key in VALUES] == ["absent"] * len(VALUES)
    assert [await cache.touch(key, 600) for key in VALUES] == [False] * len(VALUES)
    if reader != "checksum":  # without a secret these two believe Redis
        assert [await cache.exists(key) for key in VALUES] == [False] * len(VALUES)
        assert [await cache.get_ttl(key) for key in VALUES] == [None] * len(VALUES)
    assert [await cache.get_or_set(key, lambda: "mine") for key in VALUES] == ["mine"] * len(VALUES)
    assert await cache.get_many(VALUES) == dict.fromkeys(VALUES, "mine")


@pytest.mark.parametrize("seal", SEALS)
async def test_an_entry_that_stands_elsewhere_is_not_there(
    make: Make, redis_server: RedisServer, prefix: str, seal: str
) -> None:
    options = SEALS[seal] | {"enable_l1_cache": False}
    cache, other_name = make(name="guests", **options), make(name="admins", **options)
    other_prefix = make(name="guests", key_prefix=f"{prefix[:-1]}b:", **options)
    for value in VALUES.values():
        await cache.set("7", value, ttl=600)
        theirs: bytes = redis_server.command("GET", f"{prefix}guests:7")
        for name in (f"{prefix}guests:8", f"{prefix}admins:7", f"{prefix[:-1]}b:guests:7"):
            redis_server.command("SET", name, theirs)

        found = [await cache.get("8", "-"), await other_name.get("7", "-"), await other_prefix.get("7", "-")]

        assert found == ["-", "-", "-"]


@pytest.mark.parametrize("seal", [seal for seal in SEALS if seal != "checksum"])
async def test_rows_beside_the_entries_bring_no_value(
    make: Make, redis_server: RedisServer, prefix: str, seal: str
) -> None:
    """A lock, an invalidation row or a message of an attacker costs loads: it never becomes an answer."""
    cache, forged = make(**SEALS[seal], lock_seconds=0.2), make(enable_l1_cache=False)
    await forged.set("k", {"is_admin": True})
    payload: bytes = redis_server.command("GET", f"{prefix}default:k")
    names = RedisNames(f"{prefix}default:", clustered=False)
    await cache.set("warm", 1, ttl=600, tags=["t"])

    redis_server.command("SET", names.lock("k"), payload, "PX", 200)
    redis_server.command("ZADD", names.versions, 5, b"t:t", 6, payload)
    redis_server.command("PUBLISH", names.channel, payload)
    redis_server.command("PUBLISH", names.channel, b"k%d x 0 " % WIRE_VERSION + payload)

    assert await cache.get("k") is None
    assert await cache.get_or_set("k", lambda: "loaded", ttl=60) == "loaded"
    assert await cache.get("warm") in (1, None)


async def test_an_old_value_under_its_own_key_is_believed_until_its_end(
    make: Make, redis_server: RedisServer, prefix: str
) -> None:
    """A replay is not found out: documented, and here so that the documentation stays true."""
    cache = make(**SEALS["both"], enable_l1_cache=False)
    await cache.set("role", "admin", ttl=1)
    old: bytes = redis_server.command("GET", f"{prefix}default:role")
    await cache.set("role", "revoked", ttl=600)

    redis_server.command("SET", f"{prefix}default:role", old)

    assert await cache.get("role") == "admin"
    await asyncio.sleep(1.1)
    assert await cache.get("role") is None


async def test_it_is_told_once_and_never_with_a_secret(
    make: Make, guests: GenericRedisCache, caplog: pytest.LogCaptureFixture
) -> None:
    await make(name="guests", enable_l1_cache=False).set_many(VALUES)

    assert await guests.get_many(VALUES) == {}

    told = [line.getMessage() for line in caplog.records if "otcache.entry.refused" in line.getMessage()]
    assert len(told) == 1
    assert "the entry has a checksum, and this cache reads a signature" in told[0]
    assert SECRET not in caplog.text


@pytest.mark.parametrize("seal", SEALS)
async def test_each_of_ten_thousand_single_bit_errors_is_a_miss_for_its_reason(
    make: Make, redis_server: RedisServer, prefix: str, seal: str
) -> None:
    chance = random.Random(seal)
    values: dict[str, Any] = {f"user:{number}": {"id": number, "name": "Ada"} for number in range(1000)}
    names = [f"{prefix}default:{key}" for key in values]
    with capture_telemetry() as telemetry:
        cache = make(**SEALS[seal], enable_l1_cache=False, providers=telemetry.providers)
        await cache.set_many(values, ttl=600)
        whole: list[bytes] = redis_server.command("MGET", *names)

        for _ in range(10):
            damaged = [flipped(payload, chance) for payload in whole]
            redis_server.command("MSET", *chain.from_iterable(zip(names, damaged, strict=True)))
            assert await cache.get_many(values) == {}

        missed = {catalog.MISS_REASON.name: "decode_error"}
        assert telemetry.metric_value(catalog.LOOKUPS.name, **missed) == 10_000


def flipped(payload: bytes, chance: random.Random) -> bytes:
    """`payload` with one bit changed."""
    changed = bytearray(payload)
    changed[chance.randrange(len(payload))] ^= 1 << chance.randrange(8)
    return bytes(changed)
