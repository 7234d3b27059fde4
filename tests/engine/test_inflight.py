"""A slow read never covers a newer write, and overlapping writes trust only the server."""

from __future__ import annotations

from otcache._engine.changes import Changes
from otcache._engine.inflight import Inflight


def test_a_read_that_nothing_disturbed_may_copy() -> None:
    inflight = Inflight(Changes())
    token = inflight.begin_read("k")

    assert inflight.end_read("k", token)


def test_a_write_during_a_read_forbids_the_copy() -> None:
    inflight = Inflight(Changes())
    reading = inflight.begin_read("k")

    writing, _ = inflight.begin_write(["k"])
    inflight.end_write(["k"], writing)

    assert not inflight.end_read("k", reading)


def test_a_read_that_begins_during_a_write_may_not_copy() -> None:
    inflight = Inflight(Changes())
    writing, _ = inflight.begin_write(["k"])
    reading = inflight.begin_read("k")

    inflight.end_write(["k"], writing)

    assert not inflight.end_read("k", reading)


def test_of_two_reads_the_later_one_copies() -> None:
    inflight = Inflight(Changes())
    first, second = inflight.begin_read("k"), inflight.begin_read("k")

    assert [inflight.end_read("k", first), inflight.end_read("k", second)] == [False, True]


def test_writes_that_overlap_know_it_on_both_sides() -> None:
    inflight = Inflight(Changes())
    first, first_overlaps = inflight.begin_write(["k"])
    second, second_overlaps = inflight.begin_write(["k", "other"])

    alone = [inflight.end_write(["k"], first), inflight.end_write(["k", "other"], second)]

    assert (first_overlaps, second_overlaps) == (False, True)
    assert alone == [False, True]


def test_nothing_is_kept_once_everything_is_over() -> None:
    inflight = Inflight(Changes())
    reading, loading = inflight.begin_read("a"), inflight.begin_load("c")
    writing, _ = inflight.begin_write(["a", "b"])
    inflight.disturb(["b"])
    inflight.disturb_all()

    inflight.end_write(["a", "b"], writing)
    inflight.end_read("a", reading)
    inflight.end_load("c", loading)

    assert (inflight._reads, inflight._writes, inflight._loads, inflight._spoilt) == ({}, {}, {}, set())


def test_news_of_another_process_forbid_what_is_under_way() -> None:
    inflight = Inflight(Changes())
    reading, loading = inflight.begin_read("k"), inflight.begin_load("k")
    writing, _ = inflight.begin_write(["other"])

    inflight.disturb(["k", "other"])

    assert not inflight.end_read("k", reading)
    assert not inflight.end_load("k", loading)
    assert not inflight.end_write(["other"], writing)


def test_a_write_after_the_news_is_alone_again() -> None:
    inflight = Inflight(Changes())
    inflight.disturb(["k"])

    writing, overlaps = inflight.begin_write(["k"])

    assert (overlaps, inflight.end_write(["k"], writing)) == (False, True)


def test_a_write_during_a_load_forbids_to_store_what_it_made() -> None:
    inflight = Inflight(Changes())
    loading = inflight.begin_load("k")

    writing, _ = inflight.begin_write(["k"])
    inflight.end_write(["k"], writing)

    assert not inflight.end_load("k", loading)
