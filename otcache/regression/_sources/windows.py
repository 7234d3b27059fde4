"""Points become rises, and rises become windows: the same for every source."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field

from otcache.regression._model import CounterWindow, GaugeWindow, SeriesKey, Window
from otcache.regression._sources.cells import Cells, Packed, added, rise
from otcache.regression._sources.selection import Reading, Selection, Series

Value = Cells | float
"""A histogram, or a number."""
Identity = tuple[Hashable, Hashable]
"""What tells a series apart: its process, and the rest."""


def grown(before: Value | None, now: Value) -> Value:
    """What was counted since `before`; all of `now` after a restart, which is where it has fallen."""
    if isinstance(now, Cells):
        return rise(before if isinstance(before, Cells) else None, now)
    if before is None or isinstance(before, Cells) or before > now:
        return now
    return now - before


def total(value: Value) -> float:
    """How many were counted."""
    return value.count if isinstance(value, Cells) else value


class Windows:
    """Windows of `selection.step` seconds, those that hold something.

    Without a start they begin where the first point lies: what is exported once per step then falls into one window
    each, also when its times waver.
    """

    def __init__(self, selection: Selection) -> None:
        self.selection = selection
        self._origin = selection.start
        self._histograms: dict[SeriesKey, dict[int, Cells]] = {}
        self._counters: dict[SeriesKey, dict[int, dict[str, float]]] = {}
        self._gauges: dict[SeriesKey, dict[int, dict[Hashable, list[tuple[float, float]]]]] = {}
        self._too_long = 0

    def slot(self, at: float, begin: float | None = None) -> int:
        """Number of the window around a time; without a start the first window begins there, or at `begin`."""
        if self._origin is None:
            self._origin = at if begin is None else begin
        return math.floor((at - self._origin) / self.selection.step)

    def rose(self, series: Series, start: float, end: float, by: Value) -> None:
        """Add a rise to the window that its middle lies in, which is the one that most of it lies in."""
        middle = (start + end) / 2
        if not total(by) or not self.selection.low <= middle < self.selection.high:
            return
        if end - start > self.selection.gap:
            self._too_long += 1
            return
        slot = self.slot(middle, start)
        if isinstance(by, Cells):
            windows = self._histograms.setdefault(series.key, {})
            windows[slot] = added(windows[slot], by) if slot in windows else by
        else:
            counted = self._counters.setdefault(series.key, {}).setdefault(slot, {})
            counted[series.about] = counted.get(series.about, 0.0) + by

    def showed(self, series: Series, process: Hashable, at: float, value: float) -> None:
        """Add a gauge's value."""
        if self.selection.low < at <= self.selection.high:
            slot = self.slot(at - self.selection.step * 1e-6)  # at a window's end it belongs to what it ends
            self._gauges.setdefault(series.key, {}).setdefault(slot, {}).setdefault(process, []).append((at, value))

    def reading(self, notes: tuple[str, ...] = ()) -> Reading:
        """What has been added."""
        series: dict[SeriesKey, tuple[Window, ...]] = {}
        for key, cells in self._histograms.items():
            series[key] = tuple(cells[slot].window(*self._span(slot)) for slot in sorted(cells))
        for key, counted in self._counters.items():
            series[key] = tuple(CounterWindow(*self._span(slot), counted[slot]) for slot in sorted(counted))
        for key, shown in self._gauges.items():
            series[key] = tuple(GaugeWindow(*self._span(slot), _level(shown[slot])) for slot in sorted(shown))
        if self._too_long:
            left_out = f"{self._too_long} rises over gaps of more than {self.selection.gap:g} s are left out"
            notes = (*notes, left_out)
        return Reading(series, notes)

    def _span(self, slot: int) -> tuple[float, float]:
        start = (self._origin or 0.0) + slot * self.selection.step
        return start, min(start + self.selection.step, self.selection.high)


def _level(shown: dict[Hashable, list[tuple[float, float]]]) -> tuple[float, ...]:
    """The values of the one process there is; of several the sum of their means."""
    if len(shown) == 1:
        return tuple(value for values in shown.values() for _, value in sorted(values))
    return (math.fsum(math.fsum(value for _, value in values) / len(values) for values in shown.values()),)


@dataclass(slots=True)
class _Held:
    """The points of one life in one window; `risen` is from the first to the last, falls taken for restarts."""

    first_at: float
    first: Value | Packed
    last_at: float
    last: Value | Packed
    risen: Value | Packed | None = None

    def add(self, at: float, value: Value) -> None:
        """Take a point in; one between the others changes nothing."""
        if at > self.last_at:
            self._more(grown(_open(self.last), value))
            self.last_at, self.last = at, value
        elif at < self.first_at:
            self._more(grown(value, _open(self.first)))
            self.first_at, self.first = at, value

    def _more(self, by: Value) -> None:
        risen = None if self.risen is None else _open(self.risen)
        if isinstance(by, Cells):
            self.risen = added(risen, by) if isinstance(risen, Cells) else by
        else:
            self.risen = by if risen is None else by + total(risen)

    def pack(self) -> None:
        """Take less memory, now that the next points are probably another window's."""
        alone = self.last is self.first
        self.first = _packed(self.first)
        self.last = self.first if alone else _packed(self.last)
        self.risen = None if self.risen is None else _packed(self.risen)


def _packed(value: Value | Packed) -> Value | Packed:
    return Packed.of(value) if isinstance(value, Cells) else value


def _open(value: Value | Packed) -> Value:
    return value.unpacked() if isinstance(value, Packed) else value


@dataclass(slots=True)
class _Life:
    """Points between two restarts that the source reports."""

    series: Series
    latest: float
    total: float
    held: dict[int, _Held] = field(default_factory=dict)
    current: _Held | None = None

    def add(self, slot: int, at: float, value: Value) -> None:
        """Take a point in."""
        if slot in self.held:
            held = self.held[slot]
            held.add(at, value)
        else:
            held = self.held[slot] = _Held(at, value, at, value)
        if self.current is not None and self.current is not held:
            self.current.pack()
        self.current = held


class Lives:
    """Cumulative points in any order; per series and window only the first and the last are kept.

    A restart is a new time of birth, or a fall. A fall is seen between points that come in order, and between windows.
    """

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._lives: dict[tuple[Identity, float], _Life] = {}
        self._exports: dict[Hashable, dict[int, tuple[float, float]]] = {}

    def exported(self, process: Hashable, at: float) -> None:
        """Note that a process has exported something: what it exports for the first time later is new."""
        exports, slot = self._exports.setdefault(process, {}), self._windows.slot(at)
        first, last = exports.get(slot, (at, at))
        exports[slot] = min(first, at), max(last, at)

    def point(self, identity: Identity, series: Series, born: float, at: float, value: Value) -> None:
        """Add a point.

        Args:
            identity: What tells the series apart: its process, and the rest.
            series: Where it goes.
            born: Since when it counts, seconds since the epoch; 0 if unknown.
            at: When it was read.
            value: What it was.

        Raises:
            ValueError: The clock went back: an earlier point of the same life counts more than a later one.
        """
        limits = self._windows.selection
        if not limits.low - limits.gap <= at <= limits.high + limits.gap:
            return
        counted = total(value)
        life = self._lives.setdefault((identity, born), _Life(series, at, counted))
        if born and at < life.latest and counted > life.total:
            raise ValueError(f"the clock went back by {life.latest - at:.3f} s while the counts went on")
        if at >= life.latest:
            life.latest, life.total = at, counted
        life.add(self._windows.slot(at), at, value)

    def close(self) -> None:
        """Hand everything on."""
        while self._lives:
            ((process, _), born), life = self._lives.popitem()
            since = self._before(process, min(held.first_at for held in life.held.values()))
            for start, end, by in _rises(born, since, life):
                self._windows.rose(life.series, start, end, by)
        self._exports.clear()

    def _before(self, process: Hashable, at: float) -> float:
        """When a process last exported something before a time, as far as it is known; 0 if it never did."""
        exports, slot = self._exports.get(process, {}), self._windows.slot(at)
        if slot in exports and exports[slot][0] < at:
            return exports[slot][0]
        return max((last for earlier, (_, last) in exports.items() if earlier < slot), default=0.0)


def _rises(born: float, since: float, life: _Life) -> Iterator[tuple[float, float, Value]]:
    before: tuple[float, Value] | None = None
    for slot in sorted(life.held):
        held = life.held.pop(slot)
        first = _open(held.first)
        if before is not None:
            yield before[0], held.first_at, grown(before[1], first)
        elif 0 < born < held.first_at:
            yield max(born, since), held.first_at, first
        if held.risen is not None:
            yield held.first_at, held.last_at, _open(held.risen)
        before = held.last_at, _open(held.last)
