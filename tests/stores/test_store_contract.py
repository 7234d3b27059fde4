"""What a Redis store promises, on every client kind and both servers."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import Any

import pytest

from otcache.exceptions import StoreError
from otcache.stores.redis.store import RedisStore
from tests.conftest import Connect, Place
from tests.servers import RedisServer

ENTRY = bytes([0xCA, 1, 1, 0]) + bytes(8) + b"the body"
EVERY_BYTE = bytes(range(256))


async def test_what_is_written_is_read_back(store: RedisStore) -> None:
    await store.write("key", EVERY_BYTE, 60_000)

    assert await store.read("key") == EVERY_BYTE
    assert await store.read("absent") is None


async def test_keys_may_be_any_text(store: RedisStore) -> None:
    keys = ["a key", "näme", "{tag}", "new\nline", "*", "x" * 8192]

    for key in keys:
        await store.write(key, key.encode(), 0)

    assert await store.read_many(keys) == [key.encode() for key in keys]


async def test_many_are_read_in_their_order(store: RedisStore) -> None:
    await store.write("a", b"1", 0)
    await store.write("b", b"2", 0)

    assert await store.read_many(["b", "absent", "a", "b"]) == [b"2", None, b"1", b"2"]
    assert await store.read_many([]) == []


async def test_many_are_written_at_once(store: RedisStore) -> None:
    items = [(f"key{number}", b"%d" % number) for number in range(100)]

    errors = await store.write_many(items, 60_000)

    assert errors == [None] * 100
    assert await store.read_many([key for key, _ in items]) == [payload for _, payload in items]
    assert 0 < (await store.left_ms("key99") or 0) <= 60_000
    assert await store.write_many([], 0) == []


async def test_removal_counts_what_existed(store: RedisStore) -> None:
    await store.write_many([(f"key{number}", b"") for number in range(10)], 0)

    removed = await store.remove([f"key{number}" for number in range(12)])

    assert removed == 10
    assert not await store.contains("key0")
    assert await store.remove(["key0"]) == 0
    assert await store.remove([]) == 0


async def test_an_empty_payload_exists(store: RedisStore) -> None:
    await store.write("key", b"", 0)

    assert await store.contains("key")
    assert await store.read("key") == b""


async def test_time_left_is_told(store: RedisStore) -> None:
    await store.write("mortal", b"", 60_000)
    await store.write("immortal", b"", 0)

    assert 50_000 < (await store.left_ms("mortal") or 0) <= 60_000
    assert await store.left_ms("immortal") == 0
    assert await store.left_ms("absent") is None


async def test_an_overwrite_without_ttl_never_expires(store: RedisStore) -> None:
    await store.write("key", b"old", 1000)

    await store.write("key", b"new", 0)

    assert await store.left_ms("key") == 0


def _stamp(payload: bytes | None) -> int:
    assert payload is not None
    return int(struct.unpack(">Q", payload[4:12])[0])


async def test_touch_moves_the_expiry_and_the_stamp_together(store: RedisStore) -> None:
    await store.write("key", ENTRY, 1000)
    await store.sync_clock()

    touched = await store.touch("key", 90_000)

    payload = await store.read("key")
    left = await store.left_ms("key") or 0
    assert touched
    assert 80_000 < left <= 90_000
    assert abs(_stamp(payload) - (store.server_ms() + left)) < 2000
    assert payload == ENTRY[:4] + payload[4:12] + ENTRY[12:] if payload else False


async def test_touch_with_zero_makes_an_entry_immortal(store: RedisStore) -> None:
    await store.write("key", ENTRY[:4] + b"\xff" * 8 + ENTRY[12:], 1000)

    assert await store.touch("key", 0)

    assert await store.left_ms("key") == 0
    assert await store.read("key") == ENTRY


@pytest.mark.parametrize("foreign", [b"", b"text", b"a text of more than twelve bytes", ENTRY[:11]])
async def test_touch_leaves_foreign_bytes_alone(store: RedisStore, foreign: bytes) -> None:
    await store.write("key", foreign, 0)

    assert not await store.touch("key", 60_000)

    assert await store.read("key") == foreign
    assert await store.left_ms("key") == 0


async def test_touch_of_nothing_creates_nothing(store: RedisStore) -> None:
    assert not await store.touch("absent", 1000)

    assert not await store.contains("absent")


async def test_touch_survives_a_server_that_forgot_the_script(store: RedisStore, place: Place) -> None:
    await store.write("key", ENTRY, 0)
    await store.touch("key", 1000)

    for server in getattr(place.servers, "nodes", [getattr(place.servers, "master", place.servers)]):
        server.command("SCRIPT", "FLUSH")

    assert await store.touch("key", 60_000)


async def _scanned(store: RedisStore, pattern: str) -> list[str]:
    return sorted({key async for keys in store.scan(pattern) for key in keys})


async def test_scan_finds_what_matches_under_the_prefix(store: RedisStore) -> None:
    await store.write_many([(f"user:{number}", b"") for number in range(50)], 0)
    await store.write("other", b"", 0)

    assert await _scanned(store, "user:*") == sorted(f"user:{number}" for number in range(50))
    assert await _scanned(store, "user:1?") == sorted(f"user:1{number}" for number in range(10))
    assert len(await _scanned(store, "*")) == 51


async def test_scan_takes_a_prefix_literally(place: Place, prefix: str) -> None:
    wild, other = place.store(f"{prefix}[ab]*?\\-^:"), place.store(f"{prefix}aXY\\-^:")
    await wild.write("mine", b"", 0)
    await other.write("theirs", b"", 0)

    found = await _scanned(wild, "*")

    assert found == ["mine"]
    await wild.close()
    await other.close()


async def test_a_foreign_key_that_is_not_text_can_be_removed(redis_server: Any, prefix: str) -> None:
    store = Place(redis_server.url, redis_server).store(prefix)
    redis_server.command("SET", prefix.encode() + b"\xff\xfe", "x")

    removed = await store.remove(await _scanned(store, "*"))

    assert removed == 1
    assert await _scanned(store, "*") == []
    await store.close()


async def test_the_servers_clock_is_learnt(store: RedisStore) -> None:
    await store.sync_clock()
    first = store.server_ms()

    await asyncio.sleep(0.02)

    assert abs(first - time.time() * 1000) < 1500
    assert store.server_ms() - first >= 15


async def test_a_ping_is_answered(store: RedisStore) -> None:
    await store.ping()


async def test_a_key_of_another_type_is_an_error_of_that_key_alone(
    store: RedisStore, place: Place, prefix: str
) -> None:
    server = place.servers.owner(f"{prefix}list") if hasattr(place.servers, "owner") else place.servers
    getattr(server, "master", server).command("RPUSH", f"{prefix}list", "x")

    for call in (store.read("list"), store.touch("list", 1000)):
        with pytest.raises(StoreError) as caught:
            await call
        assert (caught.value.reason, caught.value.error_type, caught.value.counts) == (
            "server_error",
            "WRONGTYPE",
            False,
        )

    assert await store.read_many(["list", "absent"]) == [None, None]
    assert await store.contains("list")
    await store.write("list", b"now a string", 0)
    assert await store.read("list") == b"now a string"


async def test_it_says_where_it_is(redis_server: Any, place: Place, store: RedisStore) -> None:
    assert store.url.split("://")[0] == place.url.split("://")[0]
    assert store.database == "0"
    if place.url.startswith("unix"):
        assert (store.address, store.port) == (str(place.servers.socket_path), None)
    else:
        assert store.address == "127.0.0.1"
        assert f":{store.port}" in place.url


async def test_a_closed_store_refuses_and_leaves_nothing_open(place: Place, prefix: str) -> None:
    before = place.servers.clients()
    store = place.store(prefix)
    await asyncio.gather(*(store.write(f"key{number}", b"", 1000) for number in range(20)))

    await store.close()
    await store.close()

    with pytest.raises(StoreError) as caught:
        await store.read("key")
    assert (caught.value.reason, caught.value.counts) == ("connection", False)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    async with asyncio.timeout(20):
        while place.servers.clients() > before:
            await asyncio.sleep(0.01)


async def test_the_pool_is_bounded_and_told(place: Place, prefix: str) -> None:
    store = place.store(prefix, max_connections=4)
    assert store.pool_stats() is None
    await store.ping()

    await asyncio.gather(*(store.read(f"key{number}") for number in range(4)))

    in_use, idle, limit = store.pool_stats() or (0, 0, 0)
    assert in_use == 0
    assert 1 <= idle <= limit
    assert limit % 4 == 0
    await store.close()


async def test_a_full_pool_is_no_sign_of_an_outage(redis_server: Any, prefix: str) -> None:
    store = Place(redis_server.url, redis_server).store(prefix, max_connections=1)

    answers = await asyncio.gather(*(store.read("key") for _ in range(3)), return_exceptions=True)

    assert answers[0] is None
    for error in answers[1:]:
        assert isinstance(error, StoreError)
        assert (error.reason, error.counts) == ("connection", False)
        assert error.error_type == "redis.exceptions.MaxConnectionsError"
    assert await store.read("key") is None
    await store.close()


async def test_a_clock_learnt_slowly_is_known_to_be_less_sure(connect: Connect, redis_server: RedisServer) -> None:
    store = connect(redis_server.url)
    await store.sync_clock()
    quick = store.clock_error_ms
    redis_server.command("CLIENT", "PAUSE", "80", "ALL")

    await store.sync_clock()

    assert store.clock_error_ms >= quick + 20, "half of a round trip of 80 ms"
