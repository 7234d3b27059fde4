"""Windows out of Prometheus, or what speaks its HTTP API: Mimir, Thanos, Cortex, VictoriaMetrics.

Raw samples are queried and subtracted here: `increase()` extrapolates, gives fractions, and loses the first value of
a new series.
"""

from __future__ import annotations

import bisect
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from otcache._exports.read import SourceError
from otcache.exceptions import ConfigurationError
from otcache.regression._sources.prometheus_api import Access, Api, TooMuchError, seconds
from otcache.regression._sources.prometheus_values import Point, classic, native, numbers
from otcache.regression._sources.selection import Matcher, Reading, Selection, Series
from otcache.regression._sources.windows import Lives, Windows
from otcache.telemetry import catalog
from otcache.telemetry.catalog import Instrument

RAW_UP_TO: Final = 2 * 3600.0
"""Seconds up to which raw samples are read; beyond, one per step."""
MOST_POINTS: Final = 1000
"""Points per series of one `query_range`; the API refuses more than 11,000."""
_RAW_PIECE: Final = 1800.0
_SHORTEST: Final = 60.0
_ENDS: Final = {"counter": "(_total)?", "updowncounter": "(_ratio)?", "histogram": "(_bucket|_sum|_count)?"}
_UNITS: Final = {"s": "(_seconds)?", "By": "(_bytes)?"}
_DOTTED: Final = {attribute.name.replace(".", "_"): attribute.name for attribute in catalog.ATTRIBUTES}

Labels = frozenset[tuple[str, str]]


class Prometheus:
    """A Prometheus to read from.

    Args:
        url: Its base, such as `http://localhost:9090`; it may hold a user and a password.
        access: Credentials and limits of a request.
        raw_up_to: Seconds up to which raw samples are read. A longer range is read in samples of one per step.

    Raises:
        ConfigurationError: The URL is none, or the arguments contradict each other.
    """

    def __init__(self, url: str, access: Access | None = None, *, raw_up_to: float = RAW_UP_TO) -> None:
        self._api = Api(url, access)
        self._raw_up_to = raw_up_to

    def read(self, selection: Selection) -> Reading:
        """The windows; a metric that is not there is left out.

        Args:
            selection: What is read; it must have a start and an end.

        Raises:
            SourceError: It is away, slow, refuses, or does not answer what Prometheus answers.
            ConfigurationError: There is no start or no end.
        """
        if selection.start is None or selection.end is None:
            raise ConfigurationError("Prometheus needs a start and an end")
        windows, notes = Windows(selection), dict[str, None]()
        for row in selection.metrics:
            reader = _Metric(row, selection, windows)
            for start, end in _pieces(selection, self._raw_up_to):
                for result in self._ask(row, selection, start, end, notes):
                    reader.take(result)
                reader.flush()
            reader.close(self._api, notes)
        return windows.reading(tuple(notes))

    def _ask(
        self, row: Instrument, selection: Selection, start: float, end: float, notes: dict[str, None]
    ) -> Iterator[Any]:
        """The series between two times, in the order of time; in two halves if that is too much at once."""
        raw = selection.high - selection.low <= self._raw_up_to
        selector = selector_of(row, selection.match)
        try:
            if raw:
                length = math.ceil((end - start) * 1000)
                answer = self._api.ask("query", {"query": f"{selector}[{length}ms]", "time": seconds(end)})
            else:
                query = {"query": selector, "start": seconds(start), "end": seconds(end), "step": f"{selection.step}"}
                answer = self._api.ask("query_range", query)
        except TooMuchError:
            half = start + max(1, (end - start) / 2 // selection.step) * selection.step
            if end - start <= max(_SHORTEST, selection.step) or half >= end:
                raise
            yield from self._ask(row, selection, start, half, notes)
            yield from self._ask(row, selection, half, end, notes)
            return
        notes.update(dict.fromkeys(answer.notes))
        result = answer.data.get("result")
        if answer.data.get("resultType") != "matrix" or not isinstance(result, list):
            raise SourceError(f"{self._api} answers another type than a matrix")
        yield from result


def _pieces(selection: Selection, raw_up_to: float) -> Iterator[tuple[float, float]]:
    """The range in pieces that one answer holds; it begins early, for a value to subtract from."""
    before = math.ceil(selection.gap / selection.step) * selection.step
    at, end = selection.low - before, selection.high
    length = _RAW_PIECE if selection.high - selection.low <= raw_up_to else MOST_POINTS * selection.step
    while at < end:
        yield at, min(at + length, end)
        at += length


def selector_of(row: Instrument, match: Iterable[Matcher]) -> str:
    """All series of a metric that meet the conditions, under every name that the ways to Prometheus give it."""
    words = row.name.replace(".", "[._]")
    name = f'__name__=~"{words}{_UNITS.get(row.unit, "")}{_ENDS[row.kind]}"'
    conditions = (f"{each.name.replace('.', '_')}{each.operator}{_quoted(each.value)}" for each in match)
    return f"{{{','.join([name, *conditions])}}}"


def _quoted(text: str) -> str:
    """A text of PromQL: Go's escapes, of which JSON's are a part."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


@dataclass(slots=True)
class _Found:
    """One series of one process: what was answered and not handed on yet, and the time of the last that was."""

    labels: Mapping[str, str]
    buckets: dict[float, list[Point]] = field(default_factory=dict)
    sums: list[Point] = field(default_factory=list)
    counts: list[Point] = field(default_factory=list)
    natives: list[Any] = field(default_factory=list)
    latest: float = -math.inf
    born: float = 0.0


class _Metric:
    """One metric on its way through the answers."""

    def __init__(self, row: Instrument, selection: Selection, windows: Windows) -> None:
        self._row = row
        self._selection = selection
        self._windows = windows
        self._lives = Lives(windows)
        self._found: dict[Labels, _Found] = {}
        self._scraped: dict[Labels, float] = {}
        self._gaps = 0

    def take(self, result: Any) -> None:
        """One series of an answer."""
        try:
            labels = {str(name): str(value) for name, value in result["metric"].items()}
            name, bound = labels.pop("__name__", ""), labels.pop("le", None)
            found = self._found.setdefault(frozenset(labels.items()), _Found(labels))
            points = numbers(result.get("values") or ())
            if self._row.kind == "histogram":
                found.natives.extend(result.get("histograms") or ())
            self._put(found, name, bound, points)
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise SourceError(f"Prometheus answers series of {self._row.prometheus} in another shape") from exc

    def _put(self, found: _Found, name: str, bound: str | None, points: list[Point]) -> None:
        if self._row.kind != "histogram" or (bound is None and name.endswith("_count")):
            found.counts.extend(points)
        elif bound is not None:
            found.buckets.setdefault(float(bound), []).extend(points)  # "1" and "1.0" are the same bound
        elif name.endswith("_sum"):
            found.sums.extend(points)

    def flush(self) -> None:
        """Hand on what has been answered so far."""
        ready = {identity: self._points(found) for identity, found in self._found.items()}
        scrapes: dict[Labels, set[float]] = {}
        for identity, points in ready.items():
            scrapes.setdefault(_process(identity), set()).update(at for at, _ in points)
        order = {process: sorted(times) for process, times in scrapes.items()}
        for identity, points in ready.items():
            if points:
                self._hand_on(identity, points, order[_process(identity)])
        for process, times in order.items():
            if times:
                self._scraped[process] = times[-1]

    def _hand_on(self, identity: Labels, points: list[tuple[float, Any]], scrapes: list[float]) -> None:
        found, series = self._found[identity], self._series(identity)
        if found.latest == -math.inf:
            found.born = self._before(_process(identity), points[0][0], scrapes)
        found.latest = points[-1][0]
        for at, value in points:
            if self._row.kind == "updowncounter":
                self._windows.showed(series, identity, at, value)
            else:
                self._lives.point((_process(identity), identity), series, found.born, at, value)

    def _before(self, process: Labels, at: float, scrapes: list[float]) -> float:
        """When the process was last scraped without this series, which began at 0 after that; 0 if it never was."""
        earlier = bisect.bisect_left(scrapes, at)
        return scrapes[earlier - 1] if earlier else self._scraped.get(process, 0.0)

    def _points(self, found: _Found) -> list[tuple[float, Any]]:
        """The values in the order of time; what is no number is a gap."""
        points: list[tuple[float, Any]]
        if self._row.kind == "histogram":
            points = native(found.natives) if found.natives else classic(found.buckets, found.sums, found.counts)
            total = len(found.natives) or len({at for each in found.buckets.values() for at, _ in each})
        else:
            points = [(at, value) for at, value in sorted(found.counts) if math.isfinite(value)]
            total = len(found.counts)
        self._gaps += total - len(points)
        found.buckets, found.sums, found.counts, found.natives = {}, [], [], []
        return [(at, value) for at, value in points if at > found.latest]

    def _series(self, identity: Labels) -> Series:
        labels = {_DOTTED.get(name, name): value for name, value in identity}
        resource = {name.replace("_", "."): value for name, value in identity} | labels
        return self._selection.series(self._row, labels, resource)

    def close(self, api: Api, notes: dict[str, None]) -> None:
        """All has been answered."""
        self._lives.close()
        if self._gaps:
            if not any(found.latest > -math.inf for found in self._found.values()):
                raise SourceError(f"{api} answers nothing but NaN for {self._row.prometheus}")
            notes[f"{self._gaps} samples of {self._row.prometheus} were NaN or incomplete and are left out"] = None


_OF_A_SERIES: Final = re.compile("|".join(map(re.escape, _DOTTED)))


def _process(identity: Labels) -> Labels:
    """The labels that are not the metric's own."""
    return frozenset(pair for pair in identity if not _OF_A_SERIES.fullmatch(pair[0].replace(".", "_")))
