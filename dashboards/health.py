"""Telemetry health: is what the other dashboards show to be trusted?"""

from __future__ import annotations

from dashboards.board import Board, Row, events
from dashboards.common import per_second
from dashboards.foreign import QUEUE_SIZE, SPANS_EXPORTED
from dashboards.panels import BAD, FAIR, Column, Limits, Query, alarm, lines, logs, names, stat, table
from dashboards.promql import (
    INSTANCE,
    JOB,
    NAME,
    OVERFLOW,
    RANGE,
    Label,
    Matcher,
    count_by,
    everything,
    increase,
    or_zero,
    present,
    quantile,
    series,
    sum_by,
    top,
)
from otcache.telemetry import catalog
from otcache.telemetry.catalog import (
    BUILD_INFO,
    CALLBACK_EVENT,
    CALLBACK_NAME,
    CALLBACKS,
    DROP_REASON,
    DROPPED,
    ERROR_TYPE,
    SIGNAL,
)

CALLBACK_TIME = Limits("callback_warning")


def _coverage() -> Row:
    folded = everything(Matcher(OVERFLOW, "=", "true"))
    lost = sum_by(increase(series(DROPPED), RANGE))
    return Row("coverage", "Does everything report?", [
        stat("instances", "Instances that report",
             "Processes with otcache. Fewer than are deployed: some don't export.",
             Query(count_by(series(BUILD_INFO)), "instances"), "short", decimals=0, none="none reports", width=6),
        stat("series", "Number of otcache series",
             "Of otcache's metrics. A steady climb: an attribute with too many values; "
             "see the table below.",
             Query(count_by(everything()), "series"), "short", width=6),
        stat("items-lost", "Telemetry items lost in the chosen time",
             "Telemetry that otcache refused, folded or lost. If "
             "not 0: “Telemetry items lost by signal and reason” below.",
             Query(or_zero(lost), "lost"), "short", steps=alarm(FAIR), decimals=0, width=6, window=True),
        stat("series-folded", "Series folded by the SDK",
             "Series beyond the SDK's limit: the SDK adds them up in one. Sums "
             "stay right, parts do not. If not 0: fewer caches per process, or a higher limit.",
             Query(or_zero(count_by(folded)), "folded"), "short", steps=alarm(BAD), decimals=0, width=6),
    ])  # fmt: skip


def _builds() -> Row:
    keys: tuple[Label, ...] = (
        JOB,
        catalog.VERSION,
        catalog.SCHEMA,
        catalog.PYTHON_VERSION,
        catalog.REDIS_CLIENT_VERSION,
    )
    titles = ("Service", "otcache", "Schema", "Python", "redis-py")
    columns = [Column(titles[0], of=keys[0])]
    columns += [Column(title, of=key, width=85) for title, key in zip(titles[1:], keys[1:], strict=True)]
    counted = top(20, count_by(everything(), NAME))
    return Row("builds", "Which versions report, and how much?", [
        table("versions", "Versions by service", "Two versions of one service long after a deployment: it got stuck.",
              [*columns, Column("Instances", "short", count_by(series(BUILD_INFO), *keys), decimals=0, width=95)],
              none="none reports", width=14, height=9),
        table("series-by-metric", "Series by metric",
              "The twenty largest. Histograms lead; a counter up here has an "
              "attribute that explodes.",
              [Column("Metric", of=NAME), Column("Series", "short", counted, width=100)],
              none="none reports", sort="Series", width=10, height=9),
    ])  # fmt: skip


def _losses() -> Row:
    lost = per_second(DROPPED, by=(SIGNAL, DROP_REASON))
    failed = per_second(CALLBACKS, present(ERROR_TYPE), by=(CALLBACK_NAME, ERROR_TYPE))
    called = per_second(CALLBACKS, by=(CALLBACK_NAME, CALLBACK_EVENT))
    slow = quantile(0.99, catalog.CALLBACK_DURATION, by=(CALLBACK_NAME,))
    return Row("losses", "What is lost, and what do callbacks cost?", [
        lines("items-lost-by-reason", "Telemetry items lost by signal and reason",
              "Items per second. Cardinality: values were folded to _OTHER. Rate limited: "
              "too many events of one name. Recording error: a provider raised; its log says why.",
              [Query(lost, names(SIGNAL, DROP_REASON))], "ops", none="nothing", width=24, height=7),
        lines("callback-runs", "Callback runs by callback and event", "Invocations per second.",
              [Query(called, names(CALLBACK_NAME, CALLBACK_EVENT))], "ops", none="no callbacks"),
        lines("callback-errors", "Callback errors by callback and type",
              "Failures per second by type. One that keeps failing is skipped for a while; "
              "operations are not disturbed.",
              [Query(failed, names(CALLBACK_NAME, ERROR_TYPE))], "ops", none="none fails"),
        lines("callback-p99", "Callback duration p99 by callback",
              "p99. They run inside the operation: above the line, make them "
              "asynchronous.",
              [Query(slow, names(CALLBACK_NAME))], "s", limits=CALLBACK_TIME, none="no callbacks"),
    ])  # fmt: skip


def _sdk() -> Row:
    failed = per_second(SPANS_EXPORTED, present(ERROR_TYPE), by=(ERROR_TYPE,))
    waiting = sum_by(series(QUEUE_SIZE), INSTANCE)
    return Row("sdk", "The SDK's own metrics (opt-in)", [
        lines("spans-failed", "Failed span exports by error",
              "Per second by error. The collector does not answer, or refuses.",
              [Query(failed, names(ERROR_TYPE))], "ops", none="all can", width=12),
        lines("spans-queued", "Spans queued for export by instance",
              "By instance. At OTEL_BSP_MAX_QUEUE_SIZE (2048 by default) further ones are lost: sample, or export more "
              "often.",
              [Query(waiting, names(INSTANCE))], "short", decimals=0, none="no queue", width=12),
    ], optional=True)  # fmt: skip


def board() -> Board:
    """The dashboard."""
    said = Row("logs", "Logs (needs Loki)", [
        logs("logs-capped", "Log events of capped attributes",
             "An attribute reached its limit of values; the rest is _OTHER.",
             events(catalog.CAPPED)),
    ], optional=True)  # fmt: skip
    says = "Are the other dashboards to be trusted: does everything report, is anything lost, what does it cost?"
    rows = [_coverage(), _builds(), _losses(), _sdk(), said]
    return Board("telemetry", "otcache / Telemetry health", says, rows, frozenset(("job", "instance")))
