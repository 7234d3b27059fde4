"""What every implementation promises, over every tier and both servers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from otcache import FOREVER, MISSING, ValidationError
from otcache.cache import Cache
from otcache.ttl import ttl_seconds
from tests.rows import every


async def test_what_was_set_comes_back(cache: Cache) -> None:
    await cache.set("user:1", {"name": "Ada", "tags": ["a", "b"]})

    assert await cache.get("user:1") == {"name": "Ada", "tags": ["a", "b"]}


async def test_a_miss_is_none_or_the_default(cache: Cache) -> None:
    assert await cache.get("absent") is None
    assert await cache.get("absent", default=7) == 7


async def test_a_cached_none_is_a_hit(cache: Cache) -> None:
    await cache.set("nothing", None)

    assert await cache.get("nothing", default=MISSING) is None
    assert await cache.exists("nothing")


async def test_the_last_value_counts(cache: Cache) -> None:
    for number in range(3):
        await cache.set("k", number)

    assert await cache.get("k") == 2


async def test_what_was_deleted_is_gone_and_deleting_nothing_is_fine(cache: Cache) -> None:
    await cache.set("k", 1)

    await cache.delete("k")
    await cache.delete("k")
    assert await cache.get("k") is None
    assert not await cache.exists("k")


async def test_the_default_time_to_live_is_taken(cache: Cache) -> None:
    await cache.set("k", 1)

    default = ttl_seconds(cache.config.default_ttl)
    assert default - 2 <= (await cache.get_ttl("k") or 0) <= default


async def test_what_is_kept_for_ever_never_expires(cache: Cache) -> None:
    await cache.set("k", 1, ttl=FOREVER)

    assert await cache.get_ttl("k") == FOREVER
    assert await cache.get("k") == 1


async def test_an_absent_key_has_no_time_left(cache: Cache) -> None:
    assert await cache.get_ttl("absent") is None


@every("ttl", [-1, float("nan"), True, "60", "forever", 31_536_001, timedelta(days=366), 10**5000])
async def test_a_bad_time_to_live_is_refused_and_nothing_is_stored(cache: Cache, ttl: Any) -> None:
    with pytest.raises(ValidationError, match="ttl"):
        await cache.set("k", 1, ttl=ttl)

    assert await cache.get("k") is None


@every("key", ["", 7, None, b"k", ["k"], "x" * 8193, "é" * 4097])
async def test_a_bad_key_is_refused_by_every_operation(cache: Cache, key: Any) -> None:
    calls = [cache.get(key), cache.set(key, 1), cache.delete(key), cache.exists(key), cache.get_ttl(key),
             cache.touch(key), cache.get_many([key]), cache.delete_many([key])]  # fmt: skip
    for call in calls:
        with pytest.raises(ValidationError, match="key"):
            await call


async def test_the_longest_key_is_accepted(cache: Cache) -> None:
    key = "é" * 4096

    await cache.set(key, 1)

    assert await cache.get(key) == 1


async def test_a_value_that_cannot_be_kept_is_refused_and_the_old_one_stays(cache: Cache) -> None:
    await cache.set("k", "old")

    with pytest.raises(ValidationError, match="object"):
        await cache.set("k", {"deep": [object()]})

    assert await cache.get("k") == "old"


async def test_touch_gives_a_new_time(cache: Cache) -> None:
    await cache.set("k", 1, ttl=50)

    assert await cache.touch("k", 500)
    assert 498 <= (await cache.get_ttl("k") or 0) <= 500
    assert await cache.touch("k", FOREVER)
    assert await cache.get_ttl("k") == FOREVER
    assert not await cache.touch("absent", 500)


async def test_a_batch_comes_back_as_it_went(cache: Cache) -> None:
    await cache.set_many({"a": 1, "b": None, "c": [3]}, ttl=100)

    assert await cache.get_many(["a", "b", "absent", "c", "a"]) == {"a": 1, "b": None, "c": [3]}
    assert 98 <= (await cache.get_ttl("b") or 0) <= 100


async def test_a_batch_is_deleted_as_a_whole(cache: Cache) -> None:
    await cache.set_many({"a": 1, "b": 2, "c": 3})

    await cache.delete_many(["a", "c", "absent"])

    assert await cache.get_many(["a", "b", "c"]) == {"b": 2}


async def test_an_empty_batch_is_nothing(cache: Cache) -> None:
    await cache.set_many({})
    await cache.delete_many([])

    assert await cache.get_many([]) == {}


async def test_one_bad_entry_refuses_the_whole_batch(cache: Cache) -> None:
    with pytest.raises(ValidationError):
        await cache.set_many({"a": 1, "b": object()})

    assert await cache.get_many(["a", "b"]) == {}


@every("keys", ["abc", b"abc", 7, None])
async def test_keys_that_are_no_list_of_keys_are_refused(cache: Cache, keys: Any) -> None:
    with pytest.raises(ValidationError, match="keys"):
        await cache.get_many(keys)
    with pytest.raises(ValidationError, match="keys"):
        await cache.delete_many(keys)


async def test_clear_removes_everything_of_this_cache(cache: Cache) -> None:
    await cache.set_many({f"k{number}": number for number in range(50)})

    await cache.clear()

    assert await cache.get_many([f"k{number}" for number in range(50)]) == {}


async def test_it_answers_a_ping_and_tells_its_statistics(cache: Cache) -> None:
    await cache.set("k", 1)
    await cache.get("k")
    await cache.get("absent")

    stats = cache.get_stats()

    assert await cache.ping()
    assert sum(stats["hits"].values()) >= 1
    assert sum(stats["misses"].values()) >= 1


async def test_callbacks_are_told_what_happened(cache: Cache) -> None:
    told: list[tuple[Any, ...]] = []
    for event in ("get_success", "get_miss", "set_success", "delete_success"):
        cache.register_callback(event, lambda *args, event=event: told.append((event, *args)))

    await cache.get("k")
    await cache.set("k", 1)
    await cache.get("k")
    await cache.delete("k")
    await cache.set_many({"a": 1, "b": 2})
    await cache.get_many(["a", "x"])

    assert told == [
        ("get_miss", "k"), ("set_success", "k", 1), ("get_success", "k", 1), ("delete_success", "k"),
        ("set_success", "a", 1), ("set_success", "b", 2), ("get_success", "a", 1), ("get_miss", "x"),
    ]  # fmt: skip


async def test_an_unknown_event_is_refused_by_name(cache: Cache) -> None:
    with pytest.raises(ValidationError, match="get_success"):
        cache.register_callback("get_sucess", print)


async def test_a_callback_that_raises_changes_nothing(cache: Cache) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("mine")

    cache.register_callback("get_success", broken)
    await cache.set("k", 1)

    assert await cache.get("k") == 1


async def test_closing_twice_is_fine(cache: Cache) -> None:
    await cache.close()
    await cache.close()
