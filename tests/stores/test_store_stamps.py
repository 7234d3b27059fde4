"""Numbers of invalidations: one zset, one step each, on every client kind and both servers."""

from __future__ import annotations

import asyncio
from typing import Any

from otcache.stores.base import InvalidationRows
from otcache.stores.redis.store import RedisStore
from tests.conftest import Connect, Place
from tests.servers import RedisServer
from tests.stores.conftest import Listen

ID, OTHER = "0000000a", "deadbeef"
LIMIT = 1000


async def test_the_first_who_asks_makes_the_stamps(store: RedisStore) -> None:
    first = await store.coordination.versions("", 0, ID)
    second = await store.coordination.versions("", 0, OTHER)

    assert first == second == InvalidationRows(ID, [])


async def test_the_first_invalidation_makes_the_stamps(store: RedisStore) -> None:
    assert await store.coordination.invalidate("t:tag", ID, LIMIT, b"") == (ID, 1)

    assert await store.coordination.versions("", 0, OTHER) == InvalidationRows(ID, [("t:tag", 1)])


async def test_every_invalidation_has_a_number_of_its_own(store: RedisStore) -> None:
    answers = [
        await store.coordination.invalidate(target, ID, LIMIT, b"") for target in ("t:a", "p:b", "t:a", "t:ü \n")
    ]

    assert answers == [(ID, number) for number in (1, 2, 3, 4)]
    assert (await store.coordination.versions("", 0, ID)).rows == [("p:b", 2), ("t:a", 3), ("t:ü \n", 4)]


async def test_only_what_is_new_is_told(store: RedisStore) -> None:
    for target in ("t:a", "t:b", "t:c"):
        await store.coordination.invalidate(target, ID, LIMIT, b"")

    assert await store.coordination.versions(ID, 2, OTHER) == InvalidationRows(ID, [("t:c", 3)])
    assert await store.coordination.versions(ID, 3, OTHER) == InvalidationRows(ID, [])
    assert len((await store.coordination.versions(OTHER, 3, OTHER)).rows) == 3, "numbers of another life say nothing"


async def test_everything_makes_all_other_rows_needless(store: RedisStore) -> None:
    for target in ("t:a", "p:b", "*"):
        await store.coordination.invalidate(target, ID, LIMIT, b"")

    assert await store.coordination.versions(ID, 1, OTHER) == InvalidationRows(ID, [("*", 3)])
    assert await store.coordination.invalidate("t:a", OTHER, LIMIT, b"") == (ID, 4)
    assert (await store.coordination.versions("", 0, ID)).rows == [("*", 3), ("t:a", 4)]


async def test_lost_stamps_begin_anew_under_another_id(store: RedisStore, place: Place, prefix: str) -> None:
    await store.coordination.invalidate("t:a", ID, LIMIT, b"")
    name = f"{prefix.removesuffix(':')}@1:stamps"
    server = place.servers.owner(name) if hasattr(place.servers, "owner") else place.servers
    getattr(server, "master", server).command("DEL", name)

    assert await store.coordination.versions(ID, 1, OTHER) == InvalidationRows(OTHER, [])


async def test_above_the_limit_the_floor_stands_for_the_lowest_rows(store: RedisStore) -> None:
    numbers = {}
    for number in range(60):
        numbers[f"t:{number}"] = (await store.coordination.invalidate(f"t:{number}", ID, 20, b""))[1]
        rows = dict((await store.coordination.versions("", 0, ID)).rows)
        floor = rows.pop("#floor", 0)

        assert len(rows) + bool(floor) <= 20
        assert all(numbers[target] <= floor for target in numbers.keys() - rows.keys())
        assert all(rows[target] == numbers[target] > floor for target in rows)


async def test_a_limit_of_one_keeps_the_floor_alone(store: RedisStore) -> None:
    answers = [await store.coordination.invalidate(f"t:{number}", ID, 1, b"") for number in range(4)]

    assert [number for _, number in answers] == [1, 2, 3, 4]
    assert (await store.coordination.versions("", 0, ID)).rows == [("#floor", 4)]


async def test_whoever_was_away_learns_of_a_higher_floor(store: RedisStore) -> None:
    for number in range(30):
        await store.coordination.invalidate(f"t:{number}", ID, 20, b"")

    rows = dict((await store.coordination.versions(ID, 5, OTHER)).rows)

    assert rows["#floor"] > 5
    assert all(number > 5 for number in rows.values())


async def test_racing_invalidations_get_different_numbers(place: Place, connect: Connect, listen: Listen) -> None:
    stores = [connect(place.url, **place.options) for _ in range(4)]
    ear = await listen(stores[0])

    answers = await asyncio.gather(
        *(
            store.coordination.invalidate("t:same", f"{who:08x}", LIMIT, b"s ")
            for who, store in enumerate(stores)
            for _ in range(10)
        )
    )

    assert len({stamp_id for stamp_id, _ in answers}) == 1
    assert sorted(number for _, number in answers) == list(range(1, 41))
    assert await ear.all() == [b"s %d t:same" % number for number in range(1, 41)]
    assert (await stores[0].coordination.versions("", 0, ID)).rows == [("t:same", 40)]


async def test_an_invalidation_is_told_with_its_number_and_target(store: RedisStore, listen: Listen) -> None:
    ear = await listen(store)

    await store.coordination.invalidate("p:user: 1%s", ID, LIMIT, b"s 0123 99 ")
    await store.coordination.invalidate("*", ID, LIMIT, b"")

    assert await ear.all() == [b"s 0123 99 1 p:user: 1%s", b"2 *"]


async def test_after_the_last_number_the_stamps_begin_anew(server: RedisServer, connect: Any, prefix: str) -> None:
    store = connect(server.url)
    await store.coordination.invalidate("t:a", ID, LIMIT, b"")
    server.command("ZADD", f"{prefix.removesuffix(':')}@1:stamps", 2**32 - 2, "t:a")

    answers = [await store.coordination.invalidate("t:b", OTHER, LIMIT, b"") for _ in range(2)]

    assert answers == [(ID, 2**32 - 1), (OTHER, 1)]
    assert await store.coordination.versions(ID, 2**32 - 1, ID) == InvalidationRows(OTHER, [("t:b", 1)])
