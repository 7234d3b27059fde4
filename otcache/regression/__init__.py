"""The regression detector: it compares two sets of exported metrics or of benchmark runs, and answers with a verdict.

Names are loaded on first use: `WindowReader` needs the SDK, the others need nothing but otcache.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otcache._exports.read import SourceError
    from otcache.regression._detector import compare
    from otcache.regression._hysteresis import Transition, step
    from otcache.regression._model import (
        CounterWindow,
        Explicit,
        Exponential,
        Finding,
        GaugeWindow,
        HistogramWindow,
        MetricSpec,
        Report,
        Run,
        SeriesKey,
    )
    from otcache.regression._reporting.metrics import Verdicts
    from otcache.regression._runs import BENCHMARK, compare_runs, compare_values
    from otcache.regression._sources import Matcher, Reading, Selection, open_source
    from otcache.regression._sources.prometheus import Prometheus
    from otcache.regression._sources.prometheus_api import Access
    from otcache.regression._sources.sdk import WindowReader
    from otcache.regression._specs import DEFAULT_SPECS
    from otcache.regression._statistics.change_points import ChangePoint, find_steps
    from otcache.regression._watch import Evaluation, Plan, StateFile, Watch

_HOMES = {
    "_exports.read": ("SourceError",),
    "regression._detector": ("compare",),
    "regression._hysteresis": ("Transition", "step"),
    "regression._model": (
        "CounterWindow", "Explicit", "Exponential", "Finding", "GaugeWindow", "HistogramWindow", "MetricSpec", "Report",
        "Run", "SeriesKey",
    ),
    "regression._reporting.metrics": ("Verdicts",),
    "regression._runs": ("BENCHMARK", "compare_runs", "compare_values"),
    "regression._sources": ("Matcher", "Reading", "Selection", "open_source"),
    "regression._sources.prometheus": ("Prometheus",),
    "regression._sources.prometheus_api": ("Access",),
    "regression._sources.sdk": ("WindowReader",),
    "regression._specs": ("DEFAULT_SPECS",),
    "regression._statistics.change_points": ("ChangePoint", "find_steps"),
    "regression._watch": ("Evaluation", "Plan", "StateFile", "Watch"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BENCHMARK", "DEFAULT_SPECS", "Access", "ChangePoint", "CounterWindow", "Evaluation", "Explicit", "Exponential",
    "Finding", "GaugeWindow", "HistogramWindow", "Matcher", "MetricSpec", "Plan", "Prometheus", "Reading", "Report",
    "Run", "Selection", "SeriesKey", "SourceError", "StateFile", "Transition", "Verdicts", "Watch", "WindowReader",
    "compare", "compare_runs", "compare_values", "find_steps", "open_source", "step",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'otcache.regression' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"otcache.{home}"), name)
    return value
