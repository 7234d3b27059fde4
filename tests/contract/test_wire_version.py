"""Two releases on one Redis: what carries another wire version is a miss or is ignored, and counted; never an error."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from otcache import GenericRedisCache
from otcache._serialization.wire import WIRE_VERSION
from otcache.stores.redis.session import RedisNames
from otcache.telemetry import catalog
from otcache.testing import Capture, capture_telemetry
from tests.servers import RedisServer
from tests.telemetry.scenario import PATIENT, until

NEXT = WIRE_VERSION + 1


@pytest.fixture
def telemetry() -> Iterator[Capture]:
    with capture_telemetry() as captured:
        yield captured
        captured.assert_schema()


@pytest.fixture(params=[False], ids=["no-l1"])
async def cache(
    request: pytest.FixtureRequest, telemetry: Capture, redis_server: RedisServer, prefix: str
) -> AsyncIterator[GenericRedisCache]:
    """A cache whose every read asks Redis, unless the test wants L1."""
    options: dict[str, Any] = {"timeout": PATIENT, "max_staleness": 10.0, "providers": telemetry.providers}
    options |= {"redis_url": redis_server.url, "key_prefix": prefix, "enable_l1_cache": request.param}
    async with GenericRedisCache(**options) as cache:
        yield cache


@pytest.fixture
def names(prefix: str) -> RedisNames:
    return RedisNames(f"{prefix}default:", clustered=False)


def entry_of_the_next_version(redis_server: RedisServer, name: bytes) -> None:
    ours = bytes(redis_server.command("GET", name))
    redis_server.command("SET", name, ours[:1] + bytes([NEXT]) + ours[2:])


async def test_an_entry_is_a_miss_until_it_is_written_again(
    cache: GenericRedisCache, redis_server: RedisServer, names: RedisNames, telemetry: Capture
) -> None:
    await cache.set("k", 1)
    entry_of_the_next_version(redis_server, names.entry("k"))

    assert await cache.get("k", "absent") == "absent"
    assert telemetry.metric_value(catalog.LOOKUPS.name, **{catalog.MISS_REASON.name: "decode_error"}) == 1

    assert await cache.get_or_set("k", lambda: 2) == 2
    assert await cache.get("k") == 2


async def test_its_time_to_live_and_its_bytes_stay_as_they_are(
    cache: GenericRedisCache, redis_server: RedisServer, names: RedisNames
) -> None:
    await cache.set("k", 1)
    entry_of_the_next_version(redis_server, names.entry("k"))
    theirs = redis_server.command("GET", names.entry("k"))

    assert not await cache.touch("k", 5)

    assert redis_server.command("GET", names.entry("k")) == theirs
    assert redis_server.command("TTL", names.entry("k")) == -1, "as it was written"


@pytest.mark.parametrize("cache", [True], indirect=True, ids=["l1"])
@pytest.mark.parametrize("sign", ["k", "s", "f", "z"])
async def test_a_message_is_counted_and_changes_nothing(
    sign: str, cache: GenericRedisCache, redis_server: RedisServer, names: RedisNames, telemetry: Capture
) -> None:
    await cache.set("k", 1)

    heard = redis_server.command("PUBLISH", names.channel, f"{sign}{NEXT} another layout of whatever follows: k")

    unknown = {catalog.MESSAGE_DIRECTION.name: "receive", catalog.MESSAGE_KIND.name: "unknown"}
    await until(lambda: telemetry.metric_value(catalog.MESSAGES.name, **unknown) == 1)
    [point] = [
        point
        for point in telemetry.metrics()[catalog.MESSAGES.name]
        if unknown.items() <= dict(point.attributes).items()
    ]
    assert heard == 1
    assert catalog.ERROR_TYPE.name not in point.attributes
    assert await cache.get("k") == 1
    assert telemetry.metric_value(catalog.LOOKUPS.name, **{catalog.TIER.name: "l1"}) == 1


async def test_versions_and_locks_are_rows_of_their_own(
    cache: GenericRedisCache, redis_server: RedisServer, names: RedisNames
) -> None:
    theirs = {name.replace(b"@%d:" % WIRE_VERSION, b"@%d:" % NEXT) for name in (names.versions, names.lock("k"))}
    for name in theirs:
        redis_server.command("SET", name, "rows that we could not read")

    await cache.set("k", 1, tags=["t"])
    await cache.invalidate_tag("t")

    assert await cache.get_or_set("k", lambda: 2) == 2
    assert {redis_server.command("GET", name) for name in theirs} == {b"rows that we could not read"}
