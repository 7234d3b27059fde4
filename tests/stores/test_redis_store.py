"""Redis keeps the promises of a store that can do everything, and those that only Redis makes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otcache.exceptions import StoreError
from otcache.stores.redis.store import RedisStore
from otcache.testing import Promise, store_contract
from tests.conftest import Connect, Place
from tests.servers import RedisServer

ENTRY = b"the payload of an entry"


@pytest.mark.parametrize("promise", store_contract())
async def test_it_keeps_what_a_store_promises(promise: Promise, place: Place) -> None:
    # the many connections of one promise ask a Sentinel for the master, each in a share of the time limit
    await promise(lambda prefix: place.store(prefix, timeout=5.0).backend)


async def test_replace_survives_a_server_that_forgot_the_script(store: RedisStore, place: Place) -> None:
    await store.write("key", ENTRY, 0)
    await store.replace("key", ENTRY, ENTRY, 1000)

    for server in getattr(place.servers, "nodes", [getattr(place.servers, "master", place.servers)]):
        server.command("SCRIPT", "FLUSH")

    assert await store.replace("key", ENTRY, ENTRY, 60_000)


async def _scanned(store: RedisStore, pattern: str) -> list[str]:
    return sorted({key async for keys in store.scan(pattern) for key in keys})


async def test_a_foreign_key_that_is_not_text_can_be_removed(redis_server: Any, prefix: str) -> None:
    store = Place(redis_server.url, redis_server).store(prefix)
    redis_server.command("SET", prefix.encode() + b"\xff\xfe", "x")

    removed = await store.remove(await _scanned(store, "*"))

    assert removed == 1
    assert await _scanned(store, "*") == []
    await store.close()


async def test_a_key_of_another_type_is_an_error_of_that_key_alone(
    store: RedisStore, place: Place, prefix: str
) -> None:
    server = place.servers.owner(f"{prefix}list") if hasattr(place.servers, "owner") else place.servers
    getattr(server, "master", server).command("RPUSH", f"{prefix}list", "x")

    for call in (store.read("list"), store.replace("list", ENTRY, ENTRY, 1000)):
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
    assert store.location.url.split("://")[0] == place.url.split("://")[0]
    assert store.location.database == "0"
    if place.url.startswith("unix"):
        assert (store.location.address, store.location.port) == (str(place.servers.socket_path), None)
    else:
        assert store.location.address == "127.0.0.1"
        assert f":{store.location.port}" in place.url


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
    async with asyncio.timeout(5):
        while place.servers.clients() > before:
            await asyncio.sleep(0.01)


async def test_the_pool_is_bounded_and_told(place: Place, prefix: str) -> None:
    store = place.store(prefix, max_connections=4)
    assert store.session.usage() is None
    await store.ping()

    await asyncio.gather(*(store.read(f"key{number}") for number in range(4)))

    in_use, idle, limit = store.session.usage() or (0, 0, 0)
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
    await store.clock.sync()
    quick = store.clock.error_ms
    redis_server.command("CLIENT", "PAUSE", "80", "ALL")

    await store.clock.sync()

    assert store.clock.error_ms >= quick + 20, "half of a round trip of 80 ms"
