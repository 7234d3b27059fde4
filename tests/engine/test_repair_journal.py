"""The journal remembers what must be removed, and gives up on single keys when there are too many."""

from __future__ import annotations

from otcache._engine.repair_journal import RepairJournal


def test_keys_come_out_in_the_order_of_their_failures() -> None:
    journal = RepairJournal(10)
    journal.add(["b", "a"])
    journal.add(["b", "c"])

    assert journal.take(2) == ["b", "a"]
    assert journal.take(2) == ["c"]
    assert not journal.pending


def test_a_later_acknowledged_write_takes_its_key_out() -> None:
    journal = RepairJournal(10)
    journal.add(["a", "b"])

    journal.discard(["a", "never there"])

    assert journal.take(10) == ["b"]


def test_too_many_keys_become_everything_and_it_says_so_once() -> None:
    journal = RepairJournal(2)

    said = [journal.add(["a", "b"]), journal.add(["c"]), journal.add(["d"])]

    assert said == [False, True, False]
    assert journal.everything
    assert len(journal) == 0
    assert journal.pending


def test_once_the_prefix_is_cleared_it_is_empty() -> None:
    journal = RepairJournal(1)
    journal.add_everything()

    journal.forgive()

    assert not journal.pending
