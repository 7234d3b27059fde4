"""Findings and reports by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from otcache.regression._model import Finding, Report, SeriesKey, Statistic, Verdict
from otcache.telemetry import catalog

DURATION: Final = catalog.OPERATION_DURATION.name
GET: Final = SeriesKey(DURATION, frozenset({(catalog.CACHE.name, "users"), (catalog.OPERATION.name, "get")}))
SET: Final = SeriesKey(DURATION, frozenset({(catalog.CACHE.name, "users"), (catalog.OPERATION.name, "set")}))
ERRORS: Final = SeriesKey(catalog.OPERATIONS.name, frozenset({(catalog.CACHE.name, "users")}))


def finding(
    verdict: Verdict, change: float | None = 0.0, key: SeriesKey = GET, statistic: Statistic = "mean", **more: Any
) -> Finding:
    """One with bounds of one percent around its change."""
    bounds: dict[str, Any] = {} if change is None else {"low": change - 0.01, "high": change + 0.01}
    sides = {"baseline": 0.001, "current": 0.001 * (1 + (change or 0.0)), "n_baseline": 30, "n_current": 28}
    return replace(Finding(key, statistic, verdict, change), **(sides | bounds | more))


def report(verdict: Verdict, *findings: Finding, **more: Any) -> Report:
    """One of the hour before noon against the hour before that."""
    return replace(Report(findings, verdict, baseline="ten", current="eleven"), **more)


ALL: Final = report(
    "critical",
    finding("ok", 0.001, SET),
    finding("critical", 0.30, GET, reason="worse: the change lies between +29.0 % and +31.0 % (critical at +25.0 %)"),
    finding("inconclusive", None, GET, "p99", reason="too little data"),
    finding("warning", 0.029, ERRORS, "ratio", baseline=0.001, current=0.03),
    finding("inconclusive", None, replace(SET, metric=catalog.L2_DURATION.name), reason="too noisy"),
    notes=("1 sample was NaN",),
    skipped={f"{catalog.LOOKUPS.name}{{cache=old}}": "not in the current windows"},
)
