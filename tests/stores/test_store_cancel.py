"""A cancelled call never hands its reply to another, and connections end where they should."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from otcache.exceptions import StoreError
from otcache.stores.redis.store import RedisStore
from otcache.stores.redis.target import resolve_target
from tests.conftest import Connect, Place
from tests.servers import RedisServer

KEYS = [f"key{number}" for number in range(64)]
WORKERS = 12


async def _cut_short(call: Awaitable[Any], dice: random.Random) -> Any:
    """The answer of `call`, or `None` if a random moment came first."""
    task = asyncio.ensure_future(call)
    if dice.random() < 0.5:
        for _ in range(dice.randrange(12)):
            await asyncio.sleep(0)
        if dice.random() < 0.3:
            await asyncio.sleep(dice.random() * 0.002)
        task.cancel()
    with suppress(asyncio.CancelledError):
        return await task
    return None


async def _hammer(store: RedisStore, seed: int, rounds: int) -> int:
    """Reads and writes with random cancellations; how many answers were compared."""
    dice, compared = random.Random(seed), 0
    for _ in range(rounds):
        keys = dice.sample(KEYS, 5)
        match dice.randrange(4):
            case 0 | 1:
                answer = await _cut_short(store.read(keys[0]), dice)
                wanted: Any = keys[0].encode()
            case 2:
                answer = await _cut_short(store.read_many(keys), dice)
                wanted = [key.encode() for key in keys]
            case _:
                answer = await _cut_short(store.write_many([(key, key.encode()) for key in keys], 0), dice)
                wanted = [None] * len(keys)
        assert answer is None or answer == wanted
        compared += answer is not None
    return compared


@pytest.mark.parametrize("rounds", [40, pytest.param(1000, marks=pytest.mark.long)])
async def test_a_cancelled_call_never_hands_its_reply_to_another(
    place: Place, connect: Connect, rounds: int, seed: int
) -> None:
    store = connect(place.url, **place.options, max_connections=WORKERS, timeout=5.0)
    await store.write_many([(key, key.encode()) for key in KEYS], 0)

    compared = await asyncio.gather(*(_hammer(store, seed * WORKERS + number, rounds) for number in range(WORKERS)))

    assert sum(compared) > rounds  # many were answered, and each with its own key
    assert await store.read_many(KEYS) == [key.encode() for key in KEYS]
    in_use, idle, limit = store.session.usage() or (1, 0, 0)
    assert in_use == 0
    assert idle <= limit
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancelled_connects_leave_nothing_open(place: Place, prefix: str) -> None:
    before = place.servers.clients()
    dice = random.Random(7)
    for _ in range(40):
        store = place.store(prefix)
        await _cut_short(store.read("key"), dice)
        await store.close()

    gc.collect()  # an unclosed transport would warn here, and warnings are errors

    await _until(lambda: place.servers.clients() <= before)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_closing_ends_the_calls_under_way(private_server: RedisServer, prefix: str) -> None:
    store = Place(private_server.url, private_server).store(prefix)
    await store.ping()
    with private_server.paused():
        calls = [asyncio.ensure_future(store.read(key)) for key in KEYS[:5]]
        await asyncio.sleep(0.02)

        await store.close()
        answers = await asyncio.gather(*calls, return_exceptions=True)

    assert all(isinstance(answer, StoreError) for answer in answers)
    await _until(lambda: private_server.clients() == 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_store_moves_to_the_event_loop_that_uses_it(place: Place, prefix: str) -> None:
    before = place.servers.clients()
    store = place.store(prefix)

    async def use(payload: bytes) -> bytes | None:
        await store.write_many([(key, payload) for key in KEYS], 0)
        answers = await asyncio.gather(*(store.read(key) for key in KEYS[:8]))
        assert set(answers) == {payload}
        return answers[0]

    for payload in (b"first", b"second", b"third"):  # each time the loop before is closed, its connections open
        assert asyncio.run(use(payload)) == payload
        gc.collect()

    asyncio.run(store.close())
    gc.collect()
    asyncio.run(_until(lambda: place.servers.clients() <= before))


def test_a_store_moves_from_an_event_loop_that_still_runs(redis_server: RedisServer, prefix: str) -> None:
    before = redis_server.clients()
    store = Place(redis_server.url, redis_server).store(prefix)
    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(store.write("key", b"x", 0), other).result(5)

    async def here() -> bytes | None:
        payload = await store.read("key")
        await _until(lambda: redis_server.clients() == before + 1)  # the other loop's connection is gone
        await store.close()
        return payload

    assert asyncio.run(here()) == b"x"
    other.call_soon_threadsafe(other.stop)
    thread.join()
    other.close()


def test_a_store_is_made_without_an_event_loop() -> None:
    store = RedisStore(resolve_target("redis://127.0.0.1:1"), "p:")

    assert store.session.usage() is None
    assert store.clock.now_ms() > 0


async def test_a_stopped_server_does_not_hold_up_closing(private_place: Place, prefix: str) -> None:
    store = private_place.store(prefix)
    await asyncio.gather(*(store.read(key) for key in KEYS[:8]))
    private_place.servers.pause()

    async with asyncio.timeout(20):  # TLS would wait 30 s for the other side's goodbye
        await store.close()

    private_place.servers.resume()


async def test_a_caller_of_a_cluster_batch_that_leaves_takes_its_tasks_along(place: Place, connect: Connect) -> None:
    store = connect(place.url, **place.options, timeout=5.0)
    for turns in range(20):
        task = asyncio.ensure_future(store.write_many([(key, b"x") for key in KEYS], 0))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

        assert asyncio.all_tasks() == {asyncio.current_task()}

    assert await store.write_many([(key, b"x") for key in KEYS], 0) == [None] * len(KEYS)
