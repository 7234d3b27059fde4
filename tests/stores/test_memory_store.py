"""The near tier: bounded, O(1), and it remembers why a key is gone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otcache.stores.memory import NEVER, REMEMBERED, MemoryStore, More
from otcache.telemetry.catalog.values import MissReason


def store_of(limit: int) -> MemoryStore:
    return MemoryStore(limit, [0], [0])


def test_it_never_holds_more_than_its_limit() -> None:
    store = store_of(3)

    for number in range(10):
        store.put(str(number), number, NEVER, 0)

    assert len(store.entries) == 3
    assert store._evicted == [7]


def test_an_entry_that_was_used_survives_one_that_was_not() -> None:
    store = store_of(2)
    store.put("used", 1, NEVER, 0)
    store.put("idle", 2, NEVER, 0)

    store.entries["used"].used = True
    store.put("new", 3, NEVER, 0)

    assert set(store.entries) == {"used", "new"}
    assert store.reason("idle") == "evicted"


def test_an_expired_entry_leaves_as_expired_and_not_as_evicted() -> None:
    store = store_of(1)
    store.put("old", 1, 10, 0)

    store.put("new", 2, NEVER, 20)

    assert store.reason("old") == "expired"
    assert (store._evicted, store._expired) == ([0], [1])


def test_peek_drops_what_is_over() -> None:
    store = store_of(2)
    store.put("a", 1, 10, 0)

    assert store.peek("a", 9) is not None
    assert store.peek("a", 10) is None
    assert store.entries == {}


def test_a_removed_key_is_remembered_until_it_is_stored_again() -> None:
    store = store_of(2)
    store.put("a", 1, NEVER, 0)
    store.remove("a")

    reasons = [store.reason("a"), store.reason("never seen")]
    store.put("a", 2, NEVER, 0)

    assert reasons == ["deleted", "absent"]
    assert store.reason("a") == "absent"


@pytest.mark.parametrize("why", ["deleted", "evicted"])
def test_the_last_reasons_are_remembered_and_no_more_than_so_many(why: MissReason) -> None:
    store = store_of(10)
    keys = [str(number) for number in range(3 * REMEMBERED)]

    for key in keys:
        store.put(key, 1, NEVER, 0)
        if why == "deleted":
            store.remove(key)
    reasons = [store.reason(key) for key in keys]

    gone = reasons if why == "deleted" else reasons[:-10]
    assert REMEMBERED // 2 <= gone.count(why) <= REMEMBERED
    assert set(gone[-REMEMBERED // 2 :]) == {why}
    assert set(reasons) == {why, "absent"}


def test_of_two_reasons_the_later_one_is_told() -> None:
    store = store_of(1)
    store.put("a", 1, NEVER, 0)
    store.remove("a")
    store.put("a", 2, NEVER, 0)

    store.put("b", 3, NEVER, 0)

    assert store.reason("a") == "evicted"


def test_entries_of_one_time_share_the_number_of_their_end() -> None:
    store, hour, started = store_of(1000), 3600 * 10**9, 10**15

    for number in range(1000):
        store.put(str(number), number, started + number * 10**6 + hour, started + number * 10**6)

    assert len({id(entry.expires) for entry in store.entries.values()}) <= 3


@given(st.lists(st.tuples(st.integers(1, 10**17), st.integers(0, 10**9)), max_size=20))
def test_no_entry_ends_late_and_none_much_too_early(steps: list[tuple[int, int]]) -> None:
    store, now = store_of(1), 0

    for span, passed in steps:
        now += passed
        store.put("a", 1, now + span, now)
        early = now + span - store.entries["a"].expires

        assert 0 <= early <= min(span / 1000, 5 * 10**8)


def test_what_is_evicted_leaves_nothing_behind() -> None:
    store = store_of(1)
    store.put("tagged", 1, NEVER, 0, more=More(NEVER, NEVER, 0, ("t",)))
    store.local["tagged"] = 10

    store.put("new", 2, NEVER, 0)

    assert (store.local, store._tagged, store._evicted) == ({}, {}, [1])
    assert store.reason("tagged") == "evicted"


def test_a_value_that_is_over_when_it_comes_leaves_no_reason() -> None:
    store = store_of(1)
    store.put("a", 1, NEVER, 0)
    store.put("b", 2, NEVER, 0)

    store.put("a", 3, 5, 6)

    assert store.reason("a") == "absent"


def test_a_limit_of_zero_keeps_nothing() -> None:
    store = store_of(0)

    assert store.put("a", 1, NEVER, 0) is False
    assert store.entries == {}


def test_storing_and_removing_one_key_for_ever_keeps_the_ring_short() -> None:
    store = store_of(5)

    for number in range(10_000):
        store.put(f"k{number % 7}", number, NEVER, 0)
        store.remove(f"k{number % 7}")

    assert len(store._hand) <= 2 * 5 + 64 + 1


@given(st.lists(st.tuples(st.sampled_from("psrg"), st.integers(0, 8)), max_size=200), st.integers(1, 5))
def test_whatever_happens_every_entry_has_a_place_in_the_ring(steps: list[tuple[str, int]], limit: int) -> None:
    store = store_of(limit)

    for step, (action, number) in enumerate(steps):
        key = str(number)
        if action == "p":
            store.put(key, step, NEVER, step)
        elif action == "s":
            store.put(key, step, step + 5, step)
        elif action == "r":
            store.remove(key)
        else:
            store.peek(key, step)

    assert len(store.entries) <= limit
    assert set(store.entries) <= set(store._hand)
