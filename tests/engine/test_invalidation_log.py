"""Numbers of invalidations decide which entries are valid."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otcache._engine.invalidation_log import EVERYTHING, FLOOR, InvalidationLog, new_id, prefix_target, tag_target


def known(*rows: tuple[str, int], id_: str = "0000000a") -> InvalidationLog:
    stamps = InvalidationLog()
    stamps.adopt(id_, rows)
    return stamps


@pytest.mark.parametrize(
    ("target", "concerned", "others"),
    [
        (tag_target("a"), [("k", ("a",))], [("k", ()), ("a", ("b",))]),
        (prefix_target("user:"), [("user:1", ()), ("user:", ())], [("users", ()), ("us", ())]),
        (prefix_target(""), [("any", ()), ("x", ("a",))], []),
        (EVERYTHING, [("any", ())], []),
        (FLOOR, [("any", ())], []),
    ],
)
def test_an_invalidation_concerns_its_target_and_nothing_else(
    target: str, concerned: list[tuple[str, tuple[str, ...]]], others: list[tuple[str, tuple[str, ...]]]
) -> None:
    stamps = known()
    before = stamps.current

    stamps.follow(target, 1)

    assert [stamps.allows(key, before, tags) for key, tags in concerned] == [False] * len(concerned)
    assert [stamps.allows(key, before, tags) for key, tags in others] == [True] * len(others)


def test_what_is_made_after_an_invalidation_is_valid() -> None:
    stamps = known()

    stamps.follow(tag_target("a"), 1)

    assert stamps.allows("k", stamps.current, ("a",))


def test_another_numbering_makes_every_entry_invalid() -> None:
    stamps = known(("t:a", 3))
    before = stamps.current

    heard = stamps.adopt("0000000b", [])

    assert (heard, stamps.allows("k", before), stamps.newest) == ([EVERYTHING], False, 0)


def test_an_entry_of_a_writer_that_knew_of_no_invalidation_is_as_old_as_can_be() -> None:
    stamps = known(("t:a", 3))

    assert (stamps.allows("k", None), stamps.allows("k", None, ("a",))) == (True, False)


def test_a_gap_in_the_numbers_is_told_and_does_not_count_as_known() -> None:
    stamps = known(("t:a", 1))

    complete = stamps.follow("t:b", 3)

    assert (complete, stamps.newest, stamps.allows("k", stamps.current, ("b",))) == (False, 1, False)


def test_news_that_come_twice_or_late_change_nothing() -> None:
    stamps = known(("t:a", 5))

    assert (stamps.follow("t:a", 5), stamps.follow("t:a", 4), stamps.newest) == (True, True, 5)


def test_clearing_everything_forgets_what_it_covers() -> None:
    stamps = known(("t:a", 1), ("p:x", 2))

    stamps.follow(EVERYTHING, 3)

    assert (len(stamps), stamps.allows("x1", stamps.current, ("a",))) == (0, True)


@given(st.lists(st.sampled_from(["t:a", "t:b", "p:k", "p:kk", "*"]), max_size=20), st.integers(0, 20))
def test_a_stamp_is_valid_exactly_if_nothing_of_its_own_came_after_it(targets: list[str], position: int) -> None:
    stamps, made = known(), known().current
    for number, target in enumerate(targets, 1):
        stamps.follow(target, number)
        made = stamps.current if number == position else made
    later = targets[position:] if position <= len(targets) else targets

    assert stamps.allows("kk1", made, ("a",)) == (not {"t:a", "p:k", "p:kk", "*"} & set(later))


def test_the_name_of_a_numbering_is_eight_digits_and_not_zero() -> None:
    assert all(len(name) == 8 and int(name, 16) for name in (new_id() for _ in range(100)))
