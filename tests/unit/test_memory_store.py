"""The near tier: bounded, O(1), and it remembers why a key is gone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from otcache.stores.memory import NEVER, REMEMBERED, MemoryStore


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


def test_what_is_remembered_is_bounded() -> None:
    store = store_of(10)

    for number in range(2 * REMEMBERED):
        store.remove(str(number))

    assert len(store._gone) == REMEMBERED


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
