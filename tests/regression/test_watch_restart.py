"""A watch that is restarted shows what was in force, also while nothing can be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otcache._exports.read import SourceError
from otcache.regression import _hysteresis as hysteresis
from otcache.regression._model import Finding, Report, SeriesKey
from otcache.regression._reporting.metrics import Verdicts
from otcache.regression._sources.selection import Reading
from otcache.regression._watch import Memory, Plan, StateFile, Watch
from otcache.telemetry import catalog
from otcache.telemetry.providers import Providers

KEY = SeriesKey(catalog.LOOKUPS.name, frozenset({(catalog.CACHE.name, "pages")}))
CRITICAL = Report((Finding(KEY, "ratio", "critical", 0.5, 0.4, 0.6),), "critical")


def _away(start: float, end: float) -> Reading:
    raise SourceError("Prometheus does not answer")


def _in_force(reader: InMemoryMetricReader) -> list[tuple[object, object]]:
    """Cache and verdict of every status that is 1."""
    data: Any = reader.get_metrics_data()
    metrics = [metric for each in data.resource_metrics for scope in each.scope_metrics for metric in scope.metrics]
    points = [
        point for each in metrics if each.name == catalog.REGRESSION_STATUS.name for point in each.data.data_points
    ]
    return [(p.attributes[catalog.CACHE.name], p.attributes[catalog.VERDICT.name]) for p in points if p.value]


def test_what_was_in_force_is_shown_before_the_first_look_and_after_one_that_failed(tmp_path: Path) -> None:
    alarms, _ = hysteresis.step({}, CRITICAL, 1)
    state, reader = StateFile(tmp_path / "state.json"), InMemoryMetricReader()
    state.save(Memory(1_790_000_000.0, alarms))
    provider = MeterProvider([reader], shutdown_on_exit=False)

    watch = Watch(_away, Verdicts("shop", Providers(meter_provider=provider)), Plan(), state)
    before = _in_force(reader)
    look = watch.evaluate()
    after = _in_force(reader)
    provider.shutdown()

    assert look.error == "Prometheus does not answer"
    assert before == after == [("pages", "critical")]


def test_an_alarm_that_is_over_is_told_with_a_change_that_is_known() -> None:
    key = SeriesKey(catalog.L2_DURATION.name)
    state, _ = hysteresis.step({}, Report((Finding(key, "mean", "critical", 0.5),), "critical"), 1)
    coarse, better = Finding(key, "p50", "inconclusive"), Finding(key, "mean", "ok", -0.1)

    _, (over,) = hysteresis.step(state, Report((coarse, better), "ok"), 1)

    assert (over.after, over.finding) == ("ok", better)
