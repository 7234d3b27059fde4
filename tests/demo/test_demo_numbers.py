"""The numbers of the demo are those of the cells."""

from __future__ import annotations

from otcache._demo.screen import duration, percent
from otcache._demo.snapshot import Snapshot, Window, count, quantile, together
from otcache.telemetry._instrumentation.metrics import GRID, observe


def _cell(*seconds: float) -> list[int]:
    cell = [0] * (len(GRID) + 2)
    for value in seconds:
        observe(cell, GRID, round(value * 1e9))
    return cell


def test_a_quantile_lies_in_the_bucket_of_its_value() -> None:
    cell = _cell(*(n / 1000 for n in range(1, 101)))

    p50, p99 = quantile(cell, 0.50), quantile(cell, 0.99)

    assert p50 is not None
    assert p99 is not None
    assert 0.045 < p50 < 0.055
    assert 0.095 < p99 <= 0.1


def test_an_empty_histogram_has_no_quantile() -> None:
    assert quantile([], 0.99) is None
    assert quantile(_cell(), 0.99) is None


def test_what_is_beyond_the_grid_counts_as_its_end() -> None:
    assert quantile(_cell(100.0), 0.99) == 60.0


def test_a_window_holds_what_happened_inside_it() -> None:
    before = {"hits": {"l1": 5}, "misses": {"absent": 4, "expired": 2}, "operations": {"all": 20, "degraded": 3}}
    after = {
        "hits": {"l1": 8, "l2": 3},
        "misses": {"absent": 6, "expired": 2},
        "operations": {"all": 40, "degraded": 8},
    }
    old = Snapshot(10.0, before, {"l1": _cell(1e-6)})
    new = Snapshot(12.0, after, {"l1": _cell(1e-6, 2e-6), "l2": _cell(1e-3)})

    window = Window(old, new)

    assert (window.seconds, window.total("hits"), window.counts("misses")) == (2.0, 6, {"absent": 2})
    assert (window.hit_ratio(), window.hit_ratio("l1"), window.degraded_share) == (0.75, 0.375, 0.25)
    assert (count(window.cell("l1")), count(window.cell("l2")), window.cell("loader")) == (1, 1, [])


def test_an_empty_window_has_no_shares() -> None:
    window = Window(Snapshot(1.0), Snapshot(1.0))

    assert (window.hit_ratio(), window.degraded_share, window.cell("requests")) == (None, None, [])


def _states(breakers: dict[str, int], backplanes: dict[str, int]) -> Snapshot:
    return Snapshot(0.0, counts={"breakers": breakers, "backplanes": backplanes})


def test_the_worst_breaker_is_shown() -> None:
    assert _states({"closed": 1, "open": 1, "half_open": 0}, {}).breaker == "open"
    assert _states({"closed": 2, "open": 0, "half_open": 0}, {}).breaker == "closed"
    assert Snapshot(0.0).breaker == "none"


def test_the_processes_are_added_up() -> None:
    up = {"available": 1, "unavailable": 0}
    one = Snapshot(10.0, {"hits": {"l1": 5}, "stale": {"revalidating": 1}, "backplanes": up}, {"l1": _cell(1e-6)})
    other = Snapshot(11.0, {"hits": {"l1": 2, "l2": 1}, "breakers": {"closed": 1}, "backplanes": up}, {"l2": _cell(1)})

    both = together([one, other], _cell(1, 2, 3))

    assert both.counts["hits"] == {"l1": 7, "l2": 1}
    assert (both.at, both.counts["stale"], both.is_whole) == (11.0, {"revalidating": 1}, True)
    assert {name: count(cell) for name, cell in both.cells.items()} == {"l1": 1, "l2": 1, "requests": 3}


def test_whole_is_what_uses_redis_with_its_backplane_up() -> None:
    closed, available = {"closed": 1}, {"available": 2, "unavailable": 0}

    assert _states(closed, available).is_whole
    assert not _states(closed, {"available": 1, "unavailable": 1}).is_whole
    assert not _states({"open": 1, "closed": 1}, available).is_whole


def test_durations_and_shares_are_written_with_three_digits() -> None:
    written = [duration(s) for s in (None, 9.5e-7, 1.25e-6, 12.34e-6, 0.0009996, 0.25, 12.0)]

    assert written == ["-", "950 ns", "1.25 µs", "12.3 µs", "1 ms", "250 ms", "12 s"]
    assert (percent(None), percent(0.5)) == ("-", "50.0 %")
