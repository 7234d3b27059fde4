"""Telemetry itself: missing, lost, folded; and the application's callbacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from otcache.alerts._model import Alert, Rules
from otcache.alerts._promql import JOB, number, one_of, over, present
from otcache.alerts._query import AMOUNT, DAY, MINUTE, SHARE, TIMES, Query, its, share
from otcache.telemetry import catalog

ALERTS: Final = Rules()


@ALERTS.add
def _missing(q: Query) -> Iterator[Alert]:
    lasting = over("max_over_time", q.series(catalog.BUILD_INFO, lasting=True), q.time(DAY))
    now = q.total(q.series(catalog.BUILD_INFO), how="group")
    yield Alert(
        "OtcacheTelemetryMissing",
        "warning",
        "otcache-telemetry",
        f"{q.total(lasting, how='group')}\nunless {q.on()} {now}",
        15 * MINUTE,
        "A job stopped exporting cache metrics.",
        f"{its(JOB)} exported cache metrics within the last {q.time(DAY)} and exports none now: no other alert can "
        "fire for it. Check that it runs and is scraped.",
    )


@ALERTS.add
def _dropped(q: Query) -> Iterator[Alert]:
    window, why = 15 * MINUTE, one_of(catalog.DROP_REASON, "recording_error")
    yield Alert(
        "OtcacheTelemetryDropped",
        "warning",
        "otcache-telemetry",
        f"{q.increase(catalog.DROPPED, window, why, by=(catalog.SIGNAL,))} > 0",
        0,
        "Telemetry was lost because the SDK, a processor or an exporter raised.",
        f"{TIMES} records of {its(catalog.SIGNAL)} were lost in {its(JOB)} within {q.time(window)}. Look at its "
        "processors and exporters.",
    )


@ALERTS.add
def _cardinality(q: Query) -> Iterator[Alert]:
    # a level, no increase: the series begins with the first fold, and a cap holds until the process ends
    folded = q.total(q.series(catalog.DROPPED, one_of(catalog.DROP_REASON, "cardinality")))
    yield Alert(
        "OtcacheTelemetryCardinality",
        "info",
        "otcache-telemetry",
        f"{folded} > 0",
        0,
        "A metric attribute has more values than its cap.",
        f"{its(JOB)} folded {AMOUNT} values into _OTHER: breakdowns are incomplete, totals are right. Find the "
        "attribute in its log.",
    )


@ALERTS.add
def _callback(q: Query) -> Iterator[Alert]:
    by = (catalog.CALLBACK_NAME,)
    raised = q.rate(catalog.CALLBACKS, 10 * MINUTE, present(catalog.ERROR_TYPE), by=by)
    every = q.rate(catalog.CALLBACKS, 10 * MINUTE, by=by)
    yield Alert(
        "OtcacheCallbackFailing",
        "info",
        "otcache-telemetry",
        f"{share(raised, every, q.parameters.callback_floor)}\n> {number(q.parameters.callback_share)}",
        10 * MINUTE,
        "A callback of the application raises.",
        f"{its(catalog.CALLBACK_NAME)} raises in {SHARE} of its runs in {its(JOB)}; cache operations go on. Look at "
        "its errors by type.",
    )
