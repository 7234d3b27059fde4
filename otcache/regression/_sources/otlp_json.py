"""OTLP JSON, one request per line, as the collector's file exporter writes it: any order, any number of files."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from otcache._exports import otlp_json as otlp
from otcache._exports.otlp_json import OVERFLOW, repeated
from otcache.regression._model import Exponential
from otcache.regression._sources.cells import FINEST, Cells, explicit
from otcache.regression._sources.files import named
from otcache.regression._sources.selection import Reading, Selection, Series
from otcache.regression._sources.windows import Lives, Windows
from otcache.telemetry.catalog import Instrument

_TEMPORALITY: Final[Mapping[Any, bool]] = {
    1: True, "1": True, "AGGREGATION_TEMPORALITY_DELTA": True,
    2: False, "2": False, "AGGREGATION_TEMPORALITY_CUMULATIVE": False,
}  # fmt: skip
"""Whether it is delta."""
_FIELDS: Final = {
    "histogram": ("histogram", "exponentialHistogram"),
    "counter": ("sum",),
    "updowncounter": ("gauge", "sum"),
}
"""Where a metric of each kind has its points."""
_LARGEST: Final = 2**64
_DIGITS: Final = 16
"""From as many on, a whole number may be no float."""


class OtlpReader:
    """What has been read so far."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._windows = Windows(selection)
        self._lives = Lives(self._windows)
        self._rows = {row.name: row for row in selection.metrics}
        self._low, self._high = selection.low - selection.gap, selection.high + selection.gap
        self._series: dict[Hashable, Series | None] = {}
        self._last: dict[Hashable, tuple[float, float]] = {}
        self._notes: dict[str, None] = {}

    def read(self, where: str, requests: Iterable[tuple[int, dict[str, Any]]]) -> None:
        """Take a file's requests in. Raises SourceError: one is no OTLP, or there are no metrics."""
        with named(where):
            for number, request in otlp.requests(requests):
                with otlp.line(number):
                    self._request(request)

    def reading(self) -> Reading:
        """The windows."""
        self._lives.close()
        return self._windows.reading(tuple(self._notes))

    def _request(self, request: Mapping[str, Any]) -> None:
        for metric in otlp.metrics(request):
            row = self._rows.get(metric.data["name"])
            if row is not None and self._is_in_its_unit(metric.data, row):
                attributes = _texts(metric.resource)
                self._metric(metric.data, row, _Process(attributes, frozenset(attributes.items())))

    def _is_in_its_unit(self, metric: Mapping[str, Any], row: Instrument) -> bool:
        unit = metric.get("unit") or row.unit
        if unit != row.unit:
            self._notes[f"{row.name} is left out: it is in {str(unit)[:20]!r}, not in {row.unit!r}"] = None
        return bool(unit == row.unit)

    def _metric(self, metric: Mapping[str, Any], row: Instrument, process: _Process) -> None:
        field = next((name for name in _FIELDS[row.kind] if name in metric), None)
        if field is None:
            self._notes[f"{row.name} is left out: it is no {row.kind}"] = None
            return
        data = metric[field]
        delta = field != "gauge" and _is_delta(data, row)
        if delta and row.kind == "updowncounter":
            self._notes[f"{row.name} is left out: a level can't be known from its changes"] = None
            return
        for point in repeated(data, "dataPoints"):
            if not _flags(point) & 1:
                self._point(point, row, process, field, delta)

    def _point(self, point: Mapping[str, Any], row: Instrument, process: _Process, field: str, delta: bool) -> None:
        times = _times(point, row)
        if not self._low <= times.at <= self._high:
            return  # before its buckets are read: most of a long file is outside of the selection
        attributes = _texts(otlp.attributes(point))
        identity = (process.identity, (row.name, frozenset(attributes.items())))
        if identity not in self._series:
            self._series[identity] = self._accepted(row, attributes, process)
        series = self._series[identity]
        if series is None:
            return
        if row.kind == "updowncounter":
            self._windows.showed(series, identity, times.at, _value(point, row))
        elif delta:
            self._delta(identity, series, times, _counted(point, row, field))
        else:
            self._lives.exported(process.identity, times.at)
            self._lives.point(identity, series, times.born, times.at, _counted(point, row, field))

    def _accepted(self, row: Instrument, attributes: Mapping[str, str], process: _Process) -> Series | None:
        """Where the points of a series belong; `None` if they are not selected."""
        if OVERFLOW in attributes:
            self._notes[f"{row.name}: series that the SDK has folded into one are left out"] = None
            return None
        labels = {**process.attributes, **attributes}
        if not all(matcher.accepts(labels) for matcher in self._selection.match):
            return None
        return self._selection.series(row, attributes, process.attributes)

    def _delta(self, identity: Hashable, series: Series, times: _Times, by: Cells | float) -> None:
        if self._last.get(identity) == times:
            return  # sent twice
        self._last[identity] = times
        born = times.born or times.at - self._selection.step
        self._windows.rose(series, born, times.at, by)


class _Process(NamedTuple):
    """A resource."""

    attributes: Mapping[str, str]
    identity: frozenset[tuple[str, str]]


class _Times(NamedTuple):
    born: float
    at: float


def _times(point: Mapping[str, Any], row: Instrument) -> _Times:
    born, at = _integer(point, "startTimeUnixNano", row), _integer(point, "timeUnixNano", row)
    if not at:
        raise ValueError(f"a point of {row.name} has no time")
    if born > at:
        raise ValueError(f"a point of {row.name} ends {(born - at) / 1e9:.3f} s before it starts: its clock was set")
    return _Times(born / 1e9, at / 1e9)


def _counted(point: Mapping[str, Any], row: Instrument, field: str) -> Cells | float:
    if field == "sum":
        return _at_least_0(_value(point, row), row)
    count = float(_integer(point, "count", row))
    if count and point.get("sum") is None:
        raise ValueError(f"a point of {row.name} has no sum")
    total = _float(point.get("sum") or 0.0, row)
    cells = _explicit(point, row, count, total) if field == "histogram" else _exponential(point, row, count, total)
    counted = sum(cells.counts.values()) + cells.zero
    if counted != count:
        raise ValueError(f"the buckets of a point of {row.name} hold {counted:g} values, and its count is {count:g}")
    return cells


def _explicit(point: Mapping[str, Any], row: Instrument, count: float, total: float) -> Cells:
    bounds = _bounds(tuple(repeated(point, "explicitBounds")), row)
    return explicit(count, total, bounds, _numbers(repeated(point, "bucketCounts"), row))


@lru_cache(maxsize=256)
def _bounds(values: tuple[Any, ...], row: Instrument) -> tuple[float, ...]:
    """One object for all points that have the same."""
    bounds = tuple(_float(bound, row) for bound in values)
    if list(bounds) != sorted(set(bounds)):
        raise ValueError(f"the bounds of a point of {row.name} are not ascending")
    return bounds


def _numbers(values: Sequence[Any], row: Instrument) -> Sequence[float]:
    """How many values each bucket has: whole numbers as numbers or as text."""
    kinds = set(map(type, values))
    if kinds == {str} and all(map(str.isdecimal, values)) and len(max(values, key=len)) < _DIGITS:
        return list(map(float, values))
    return [_number(each, row) for each in values]


def _exponential(point: Mapping[str, Any], row: Instrument, count: float, total: float) -> Cells:
    scale = int(_float(point.get("scale") or 0, row))
    if abs(scale) > FINEST:
        raise ValueError(f"a point of {row.name} has scale {scale}, outside -{FINEST}..{FINEST}")
    counts = dict(_buckets(point.get("positive") or {}, row))
    below = sum(n for _, n in _buckets(point.get("negative") or {}, row))
    zero = _number(point.get("zeroCount") or 0, row) + below  # nothing that otcache measures is below 0
    threshold = _at_least_0(_float(point.get("zeroThreshold") or 0.0, row), row)
    return Cells(count, total, Exponential(scale, threshold), counts, zero)


def _buckets(side: Mapping[str, Any], row: Instrument) -> Iterator[tuple[int, float]]:
    offset = int(_float(side.get("offset") or 0, row))
    return ((index, n) for index, n in enumerate(_numbers(repeated(side, "bucketCounts"), row), offset) if n)


def _value(point: Mapping[str, Any], row: Instrument) -> float:
    """Of a number's point; whole numbers come as text."""
    for field in ("asDouble", "asInt"):
        if point.get(field) is not None:
            return _float(point[field], row)
    raise ValueError(f"a point of {row.name} has no value")


def _float(value: Any, row: Instrument) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError
    number = float(value) if len(str(value)) <= 400 else math.inf
    if not math.isfinite(number):
        raise ValueError(f"a point of {row.name} holds {number}, or what is too large")
    return number


def _number(value: Any, row: Instrument) -> float:
    """How many values: a whole number as a number or as text."""
    number = _float(value, row)
    if not 0 <= number < _LARGEST or not number.is_integer():
        raise ValueError(f"a point of {row.name} holds {number:g}, which is no number of values")
    return number


def _at_least_0(number: float, row: Instrument) -> float:
    if number < 0:
        raise ValueError(f"a point of {row.name} holds {number:g}, which is below 0")
    return number


def _integer(point: Mapping[str, Any], field: str, row: Instrument) -> int:
    """Exactly, which a float of nanoseconds is not."""
    value = point.get(field) or 0
    number = int(value) if isinstance(value, str) and value.isdecimal() else int(_float(value, row))
    if not 0 <= number < _LARGEST:
        raise ValueError(f"{field} of a point of {row.name} is outside 0..2**64")
    return number


def _flags(point: Mapping[str, Any]) -> int:
    flags = point.get("flags") or 0
    return int(flags) if isinstance(flags, int) or str(flags).isdecimal() else int("NO_RECORDED_VALUE" in str(flags))


def _is_delta(data: Mapping[str, Any], row: Instrument) -> bool:
    named = data.get("aggregationTemporality")
    if not isinstance(named, (int, str)) or named not in _TEMPORALITY:
        raise ValueError(f"{row.name} says neither that it is delta nor that it is cumulative")
    return _TEMPORALITY[named]


def _texts(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {name: _text(value) for name, value in attributes.items()}


def _text(value: Mapping[str, Any]) -> str:
    """As Prometheus would show it."""
    one = next(iter(value.values()), "")
    return one if isinstance(one, str) else str(one).lower() if isinstance(one, bool) else str(one)
