"""The SDK of this process as a source: a reader of its own beside the application's, and the last windows it saw."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from otcache._exports.otlp_json import OVERFLOW
from otcache.exceptions import ConfigurationError
from otcache.regression._model import CounterWindow, Exponential, GaugeWindow, SeriesKey, Window
from otcache.regression._sources.cells import Cells, added, explicit
from otcache.regression._sources.selection import COMPARED, Reading, Selection, Series
from otcache.telemetry.catalog import Instrument

try:
    from opentelemetry.sdk.metrics import Counter, Histogram, ObservableCounter
    from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricReader, MetricsData
except ImportError as exc:  # pragma: no cover  needs an environment without the SDK
    raise ConfigurationError('the SDK reader needs the OpenTelemetry SDK: pip install "otcache[otlp]"') from exc

_DELTA: Final[dict[type, AggregationTemporality]] = dict.fromkeys(
    (Counter, ObservableCounter, Histogram), AggregationTemporality.DELTA
)
_END_WITHIN: Final = 1.0
"""Seconds that the end waits for the thread."""

_log: Final = logging.getLogger("otcache.regression")


class WindowReader(MetricReader):
    """Keeps the last windows of this process's metrics: `MeterProvider([application_reader, WindowReader()])`.

    A window lasts from one collection to the next. They are made by a thread of its own, or by `collect()`; the
    application waits for neither.

    Args:
        interval: Seconds between collections, 1..86400; `None`: whenever `collect()` is called.
        windows: How many are kept, 2..100000; the oldest go.
        metrics: Rows of the catalogue.

    Raises:
        ConfigurationError: An argument is out of range.
    """

    def __init__(
        self, interval: float | None = 60.0, windows: int = 120, metrics: tuple[Instrument, ...] = COMPARED
    ) -> None:
        if interval is not None and not 1 <= interval <= 86_400:
            raise ConfigurationError(f"interval={interval} is outside 1..86400 s")
        if not 2 <= windows <= 100_000:
            raise ConfigurationError(f"windows={windows} is outside 2..100000")
        super().__init__(preferred_temporality=_DELTA)
        self._rows = {row.name: row for row in metrics}
        self._interval = interval
        self._ring: deque[dict[SeriesKey, Window]] = deque(maxlen=windows)
        self._lock = threading.Lock()
        self._end = time.time()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._begin()

    def read(self, start: float | None = None, end: float | None = None) -> Reading:
        """The windows that lie between two times by their middles.

        Args:
            start: Seconds since the epoch; the oldest by default.
            end: Seconds since the epoch; now by default.
        """
        self._begin()
        low, high = -math.inf if start is None else start, math.inf if end is None else end
        with self._lock:
            kept = list(self._ring)
        series: dict[SeriesKey, list[Window]] = {}
        for windows in kept:
            for key, window in windows.items():
                if low <= (window.start + window.end) / 2 < high:
                    series.setdefault(key, []).append(window)
        return Reading({key: tuple(windows) for key, windows in series.items()})

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """End the thread; what was read stays. Called by the provider."""
        self._over.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(min(timeout_millis / 1000, _END_WITHIN))

    # --- collections --------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Start the thread; again in a child after a fork, which has none."""
        if self._interval is None or self._over.is_set() or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._run, name="otcache-windows", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(self._interval):
            try:
                self.collect()
            except Exception as exc:  # noqa: BLE001  other instruments' callbacks are other people's code
                _log.warning("the metrics of this process could not be collected: %s", type(exc).__name__)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> None:  # noqa: ARG002
        now = time.time()
        start, self._end = self._end, now
        if start >= now:
            return  # the clock was set back: the length of this window is unknown
        windows = _windows(_points(metrics_data, self._rows), start, now)
        with self._lock:
            self._ring.append(windows)


def _windows(points: Iterator[tuple[Instrument, Series, Any]], start: float, end: float) -> dict[SeriesKey, Window]:
    """One collection; series that the answer does not tell apart are summed."""
    histograms: dict[SeriesKey, Cells] = {}
    counters: dict[SeriesKey, dict[str, float]] = {}
    gauges: dict[SeriesKey, float] = {}
    for row, series, point in points:
        if row.kind == "histogram":
            cells = _cells(point)
            histograms[series.key] = added(histograms[series.key], cells) if series.key in histograms else cells
        elif row.kind == "counter":
            by = counters.setdefault(series.key, {})
            by[series.about] = by.get(series.about, 0.0) + point.value
        else:
            gauges[series.key] = gauges.get(series.key, 0.0) + point.value
    found: dict[SeriesKey, Window] = {key: cells.window(start, end) for key, cells in histograms.items() if cells.count}
    found |= {key: CounterWindow(start, end, by) for key, by in counters.items() if any(by.values())}
    return found | {key: GaugeWindow(start, end, (value,)) for key, value in gauges.items()}


def _points(data: MetricsData, rows: Mapping[str, Instrument]) -> Iterator[tuple[Instrument, Series, Any]]:
    """The points of the selected metrics; those that the SDK has folded into one are left out."""
    selection = Selection()
    for resource in data.resource_metrics:
        process = {name: str(value) for name, value in resource.resource.attributes.items()}
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
            row = rows.get(metric.name)
            for point in metric.data.data_points if row is not None else ():
                attributes = {name: str(value) for name, value in (point.attributes or {}).items()}
                if row is not None and OVERFLOW not in attributes:
                    yield row, selection.series(row, attributes, process), point


def _cells(point: Any) -> Cells:
    if hasattr(point, "explicit_bounds"):
        return explicit(point.count, point.sum, tuple(point.explicit_bounds), point.bucket_counts)
    counts: dict[int, float] = {at: n for at, n in enumerate(point.positive.bucket_counts, point.positive.offset) if n}
    below = sum(point.negative.bucket_counts)  # nothing that otcache measures is below 0
    return Cells(point.count, point.sum, Exponential(point.scale), counts, point.zero_count + below)
