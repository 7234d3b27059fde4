"""The checker finds every kind of broken promise in histories made by hand, and accepts those that keep them."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any, Final

import pytest

from tests.histories.checker import Violation, check
from tests.histories.history import (
    DATABASE,
    Change,
    Event,
    History,
    Kind,
    Read,
    Record,
    Settled,
    Write,
    read_records,
    write_record,
)
from tests.histories.report import coverage, report

BOUND: Final = 2000


def put(process: int, value: str | None, began: int, ended: int, **facts: Any) -> Write:
    """A confirmed `set` of `k`; a delete if there is no value."""
    kind: Kind = "set" if value is not None else "delete"
    return Write(process, kind, "k", began, ended, facts.pop("acknowledged", True), value, **facts)


def got(process: int, value: str | None, began: int, **facts: Any) -> Read:
    """A `get` of `k` from L1 that took 1 ns."""
    return Read(process, facts.pop("operation", "get"), facts.pop("key", "k"), value, began, began + 1, **facts)


def wrong(*records: Record) -> list[tuple[str, int]]:
    """The faults in a history, each with by how much it was late."""
    return [(each.fault, each.late) for each in check(History().add(records), BOUND)]


OLD, NEW = put(0, "0:1", 100, 200), put(1, "1:1", 300, 400)


# --- what is broken -----------------------------------------------------------------------------------


def test_a_copy_older_than_a_confirmed_write_is_stale_after_the_bound() -> None:
    assert wrong(OLD, NEW, got(0, "0:1", 2401)) == [("stale", 1)]
    assert wrong(OLD, NEW, got(2, "0:1", 9400, operation="get_many")) == [("stale", 7000)]


@pytest.mark.parametrize(
    "newer",
    [
        put(1, None, 300, 400),
        Write(1, "tag", "red", 300, 400, True),
        Write(1, "prefix", "k", 300, 400, True),
        Write(1, "clear", "", 300, 400, True),
    ],
    ids=lambda write: str(write.kind),
)
def test_every_way_to_remove_a_value_counts_as_a_newer_write(newer: Write) -> None:
    old = put(0, "0:1", 100, 200, tags=("blue", "red"))

    assert wrong(old, newer, got(0, "0:1", 2401)) == [("stale", 1)]


def test_the_first_of_several_newer_writes_sets_the_time() -> None:
    later = put(2, "2:1", 300, 350)

    assert wrong(OLD, NEW, later, got(0, "0:1", 2401)) == [("stale", 51)]


def test_a_process_never_reads_what_is_older_than_its_own_confirmed_write() -> None:
    assert wrong(OLD, NEW, got(1, "0:1", 400)) == [("own write", 0)]
    assert wrong(OLD, Write(1, "clear", "", 300, 400, True), got(1, "0:1", 401)) == [("own write", 1)]


def test_a_value_that_nobody_wrote_is_reported() -> None:
    assert wrong(OLD, got(0, "9:9", 250)) == [("unknown", 0)]
    assert wrong(OLD, got(0, "0:1", 250, key="other")) == [("unknown", 0)]


def test_a_value_read_before_its_write_began_is_reported() -> None:
    assert wrong(NEW, got(0, "1:1", 298)) == [("future", 1)]


def test_redis_itself_may_not_answer_what_it_confirmed_to_be_overwritten() -> None:
    assert wrong(OLD, NEW, got(2, "0:1", 401, tier="l2")) == [("redis", 1)]


def test_an_invalidation_of_many_may_reach_what_redis_answers_within_the_bound() -> None:
    clear = Write(1, "clear", "", 300, 400, True)

    assert wrong(OLD, clear, got(2, "0:1", 2400, tier="l2")) == []
    assert wrong(OLD, clear, got(2, "0:1", 2401, tier="l2")) == [("stale", 1)]


def test_of_two_writes_that_overlap_the_later_one_is_known_by_what_redis_answers() -> None:
    first, second = put(0, "0:1", 100, 200), put(1, "1:1", 150, 250)
    answer = got(2, "1:1", 260, tier="l2")

    assert wrong(first, second, answer, got(0, "0:1", 2251)) == [("stale", 1)]
    assert wrong(first, second, answer, got(1, "1:1", 9000)) == []


def test_a_write_that_was_not_confirmed_counts_from_when_redis_answered_it_to_somebody() -> None:
    seen = got(2, "1:1", 600, tier="l2")
    lost = put(1, "1:1", 300, 400, acknowledged=False)

    assert wrong(OLD, lost, seen, got(0, "0:1", 2601)) == []
    assert wrong(OLD, lost, seen, got(0, "0:1", 2602)) == [("stale", 1)]


def test_what_was_set_while_redis_was_away_is_bound_as_everything_once_it_is_settled() -> None:
    local = put(0, "0:1", 100, 200, acknowledged=False)
    settled, newer = Settled(0, 210, 290), put(1, "1:1", 300, 400)

    assert wrong(local, settled, newer, got(0, "0:1", 2401)) == [("stale", 1)]


def test_what_redis_was_never_asked_to_set_is_bound_from_the_moment_it_was_set() -> None:
    local = put(0, "0:1", 100, 200, acknowledged=False, sent=False)

    assert wrong(local, NEW, got(0, "0:1", 2401)) == [("local", 1)]


def test_a_load_that_a_change_overtook_may_not_be_served_for_longer_than_the_bound() -> None:
    before = Change(DATABASE, "k", "initial:k", 0, 0, 0)
    change, forgotten = Change(1, "k", "1:1", 1, 300, 350), put(1, None, 351, 400)
    loaded = got(0, "initial:k", 340, operation="get_or_set", tier="loader")

    assert wrong(before, change, forgotten, loaded, got(0, "initial:k", 2401)) == [("stale", 1)]
    assert wrong(before, change, forgotten, got(1, "initial:k", 400)) == [("own write", 0)]
    assert wrong(before, change, forgotten, got(2, "initial:k", 2401, tier="l2")) == [("stale", 1)]


# --- what is not --------------------------------------------------------------------------------------


def test_a_miss_is_always_allowed() -> None:
    assert wrong(OLD, NEW, got(0, None, 250), got(1, None, 9000)) == []


def test_an_old_copy_is_allowed_until_the_bound_itself() -> None:
    assert wrong(OLD, NEW, got(0, "0:1", 2400)) == []


def test_writes_that_overlap_may_have_come_in_any_order() -> None:
    first, second = put(0, "0:1", 100, 200), put(1, "1:1", 199, 250)

    assert wrong(first, second, got(2, "0:1", 9000), got(3, "1:1", 9000)) == []


def test_redis_may_have_answered_before_a_write_that_overlaps_the_read() -> None:
    first, second = put(0, "0:1", 100, 200), put(1, "1:1", 150, 250)
    answer = got(2, "1:1", 199, tier="l2")  # asked while the first was under way

    assert wrong(first, second, answer, got(0, "0:1", 9000)) == []


@pytest.mark.parametrize("sent", [True, False])
def test_what_redis_answers_says_nothing_about_a_write_that_may_have_been_lost(sent: bool) -> None:
    local, settled = put(1, "1:1", 300, 400, acknowledged=False, sent=sent), Settled(1, 410, 490)

    assert wrong(OLD, local, settled, got(2, "0:1", 500, tier="l2"), got(1, "1:1", 9000)) == []


def test_a_write_that_nobody_confirmed_promises_nothing() -> None:
    lost = put(1, "1:1", 300, 400, acknowledged=False)

    assert wrong(OLD, lost, got(0, "0:1", 9000), got(1, "0:1", 401)) == []


def test_a_write_that_was_not_confirmed_may_come_after_later_ones_until_it_is_settled() -> None:
    late = put(0, "0:1", 100, 200, acknowledged=False)  # it waits in front of a Redis that is paused
    too_early, settled = Settled(0, 199, 250), Settled(0, 350, 450)
    of_another = Settled(1, 210, 290)

    assert wrong(late, too_early, settled, of_another, NEW, got(0, "0:1", 9000)) == []
    assert wrong(late, settled, NEW, put(2, "2:1", 500, 600), got(0, "0:1", 2601)) == [("stale", 1)]


def test_an_invalidation_concerns_only_what_it_names() -> None:
    old = put(0, "0:1", 100, 200, tags=("red",))
    others = (Write(1, "tag", "blue", 300, 400, True), Write(1, "prefix", "q", 300, 400, True))

    assert wrong(old, *others, got(1, "0:1", 9000)) == []


def test_the_value_of_the_last_write_is_good_for_ever_also_after_redis_has_lost_it() -> None:
    assert wrong(OLD, NEW, Event(500, "Redis is killed"), got(3, "1:1", 99_000)) == []


def test_another_process_may_read_what_is_older_within_the_bound_and_before_its_own_write_is_confirmed() -> None:
    assert wrong(OLD, NEW, got(1, "0:1", 399), got(0, "0:1", 2000, operation="get_many")) == []


def test_a_load_before_the_change_is_good_until_the_cache_was_told() -> None:
    before = Change(DATABASE, "k", "initial:k", 0, 0, 0)
    change = Change(1, "k", "1:1", 1, 300, 350)
    too_early = put(1, None, 349, 400)  # asked for before the change was made: a load after it may find the old row

    assert wrong(before, change, got(0, "initial:k", 9000)) == []
    assert wrong(before, change, too_early, got(0, "initial:k", 9000)) == []


def test_what_the_database_holds_now_may_be_loaded_after_every_invalidation() -> None:
    before, change = Change(DATABASE, "k", "initial:k", 0, 0, 0), Change(1, "k", "1:1", 1, 300, 350)
    again = (put(1, None, 351, 400), put(2, None, 500, 600))

    assert wrong(before, change, *again, got(2, "1:1", 9000), got(1, "1:1", 9001, tier="l2")) == []


def test_a_read_that_began_in_time_may_be_answered_late() -> None:
    slow = Read(0, "get", "k", "0:1", 2400, 9000, "l1")  # the process was paused meanwhile

    assert wrong(OLD, NEW, slow) == []


# --- the rest -----------------------------------------------------------------------------------------


def test_a_report_shows_the_read_the_newer_write_how_late_it_was_and_what_happened_around() -> None:
    second = 1_000_000_000
    history = History().add(
        [
            Write(0, "set", "k", 1 * second, 2 * second, True, "0:1", ("red",)),
            Write(1, "tag", "red", 3 * second, 4 * second, True),
            Event(5 * second, "Redis is killed"),
            *(Read(0, "get", "k", "0:1", began * second, began * second + 1, "l1") for began in (7, 8, 9)),
        ]
    )

    text = report(history, check(history, 2 * second))

    assert text == (
        "3 broken promises in 1 groups\n\n"
        "stale: process 0 asked get('k') at 6.000000 s, and got '0:1' from l1 at 6.000000 s\n"
        "  got:   process 0: set 'k' = '0:1' tagged red from 0.000000 s to 1.000000 s, confirmed\n"
        "  newer: process 1: tag 'red' from 2.000000 s to 3.000000 s, confirmed\n"
        "  late:  by 1.000000 s; at the worst 3.000000 s\n"
        "  and 2 more such reads, the last at 8.000000 s\n"
        "    4.000000 s Redis is killed"
    )


def test_coverage_says_what_a_run_has_seen() -> None:
    lost = put(2, "2:1", 500, 600, acknowledged=False)
    reads = [got(0, "0:1", 450, tier="l1"), got(1, "0:1", 290, tier="l1"), got(2, "2:1", 700), got(3, None, 700)]

    seen = coverage(History().add([OLD, NEW, lost, *reads]), BOUND)

    assert (seen.hits, seen.near, seen.others, seen.old, seen.oldest) == (3, 2, 1, 1, 50)
    assert (seen.unconfirmed, seen.away, seen.loaded) == (1, 1, 0)


def test_records_come_back_from_a_file_whose_end_is_cut_off(tmp_path: Path) -> None:
    records: list[Record] = [put(0, "0:1", 1, 2, tags=("red",)), got(0, None, 3), Event(4, "x"), Settled(0, 5, 6)]
    file = StringIO()
    for record in records:
        write_record(file, record)
    path = tmp_path / "records"
    path.write_text(file.getvalue() + '["Read",{"pro')

    assert list(read_records(path)) == records


def test_a_violation_names_the_write_that_should_have_been_seen() -> None:
    read = got(0, "0:1", 2401)

    (found,) = check(History().add([OLD, NEW, read]), BOUND)

    assert isinstance(found, Violation)
    assert (found.read, found.newer) == (read, NEW)
    assert found.version is not None
    assert found.version.origin == OLD
