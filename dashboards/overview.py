"""Overview: is the cache helping, and is anything wrong?"""

from __future__ import annotations

from typing import Final

from dashboards.board import Board, Row
from dashboards.common import (
    ANSWERED,
    ASKED,
    CIRCUIT_STATES,
    COMPONENT_STATES,
    REASON_COLORS,
    REASON_TEXTS,
    RESULT_COLORS,
    TIER_COLORS,
    TIER_TEXTS,
    WARNINGS,
    circuit_state,
    component_state,
    evidence,
    hit_ratio,
    operations_share,
    per_second,
    slow_traces_by_tier,
)
from dashboards.foreign import ALERT_NAME, ALERT_STATE, ALERTS, SEVERITY
from dashboards.panels import (
    Column,
    Limits,
    Query,
    alarm,
    board_link,
    lines,
    names,
    stat,
    table,
    traces_link,
)
from dashboards.promql import Matcher, count_by, one_of, or_zero, quantile, ratio, series, sum_by
from otcache.telemetry import catalog
from otcache.telemetry.catalog import BACKEND, CACHE, LOOKUPS, MISS_REASON, OPERATION_DURATION, RESULT, TIER

HIT_RATIO: Final = Limits("hit_ratio_warning", "hit_ratio_critical", low_is_bad=True)
LATENCY: Final = Limits("latency_warning", "latency_critical")
ERRORS: Final = Limits("error_ratio_warning", "error_ratio_critical")
DEGRADED: Final = Limits("degraded_warning", "degraded_critical")
NO_REDIS: Final = "no Redis in use"
_OURS: Final = Matcher(ALERT_NAME, "=~", "Otcache.+")


def _helping() -> Row:
    failed, all_calls = operations_share(one_of(RESULT, "error"))
    degraded = per_second(catalog.DEGRADED_OPERATIONS)
    p99 = quantile(0.99, OPERATION_DURATION, ANSWERED)
    firing = count_by(series(ALERTS, _OURS, one_of(ALERT_STATE, "firing"), scoped=False))
    return Row("helping", "Is the cache helping?", [
        stat("hit-ratio", "Hit ratio",
             "Hits and stale answers, of all keys looked up. Low right after a deployment or `clear()`: wait. "
             "Otherwise see “Misses by reason” below, then the cache in “All caches now”.",
             Query(hit_ratio(), "hit ratio"), "percentunit", limits=HIT_RATIO, decimals=1, none="no lookups"),
        stat("lookups", "Lookups per second",
             "Keys looked up; a batch counts each of its keys. If this falls to 0, requests do not reach the cache.",
             Query(per_second(LOOKUPS), "lookups"), "ops"),
        stat("call-p99", "Call duration p99 (without loads)",
             "p99 of calls that load nothing. If red: see “Call duration p99 by tier” below for the tier, "
             "then Redis and resilience. Loads have their own dashboard.",
             Query(p99, "p99"), "s", limits=LATENCY, none="no calls"),
        stat("calls-failed", "Calls that raise",
             "Calls that ended with an exception in the application. If not 0: open “Traces of calls that raised” at "
             "the bottom. A loader that raises is one: see Loading and coherence. An unreachable Redis is none: that "
             "is degraded.",
             Query(ratio(or_zero(failed), all_calls), "raised"), "percentunit", limits=ERRORS, none="no calls"),
        stat("calls-degraded", "Calls without Redis",
             "Calls that needed Redis and did without. If red: check whether Redis is up, then Redis and resilience. "
             "The application still works, with fewer hits.",
             Query(ratio(or_zero(degraded), all_calls), "degraded"), "percentunit", limits=DEGRADED, none="no calls"),
        stat("alerts-firing", "Alerts firing",
             "Alerts of otcache's rules, of all services. If not 0: read them in “Firing alerts by name”.",
             Query(or_zero(firing), "alerts"), "short", steps=alarm(), decimals=0),
    ])  # fmt: skip


def _wrong() -> Row:
    shown = series(ALERTS, _OURS, one_of(ALERT_STATE, "firing"), scoped=False)
    return Row("wrong", "Is anything wrong?", [
        stat("redis-state", "Redis state",
             "The worst that a chosen instance sees. If unavailable: check the server, then its network; otcache "
             "reconnects by itself.",
             Query(component_state(), names(BACKEND)), "short", states=COMPONENT_STATES, none=NO_REDIS,
             width=6, height=6),
        stat("breaker-state", "Circuit breaker state",
             "Of the worst instance. Open: Redis failed several times in a row; otcache skips it until a probe "
             "succeeds.",
             Query(circuit_state(), names(BACKEND)), "short", states=CIRCUIT_STATES, none=NO_REDIS,
             width=6, height=6),
        table("alerts-by-name", "Firing alerts by name",
              "otcache's alerts that fire now. Each has a runbook link in its notification; start with the most "
              "severe.",
              [Column("Alert", of=ALERT_NAME), Column("Severity", of=SEVERITY, width=120),
               Column("Series", "short", query=count_by(shown, ALERT_NAME, SEVERITY), width=90)],
              none="none is firing", width=12, height=6),
    ])  # fmt: skip


def _lookups() -> Row:
    misses = per_second(LOOKUPS, one_of(RESULT, "miss"), by=(MISS_REASON,))
    return Row("results", "How do lookups end?", [
        lines("lookups-by-result", "Lookups by result",
              "Keys per second. If misses grow, the origin gets more load: see why, below.",
              [Query(per_second(LOOKUPS, by=(RESULT,)), names(RESULT))], "ops", stacked=True,
              colors=RESULT_COLORS, width=12),
        lines("lookups-by-tier", "Share of lookups by tier",
              "The tier that answered. L1 falling and Redis rising: L1 is too small, or "
              "processes were restarted.",
              [Query(per_second(LOOKUPS, ASKED, by=(TIER,)), names(TIER))], "ops", shares=True, most=None,
              colors=TIER_COLORS, texts=TIER_TEXTS, width=12),
        lines("hit-ratio-by-cache", "Hit ratio by cache",
              "The same definition as above for each cache. If one falls, open it in “All caches now”.",
              [Query(hit_ratio(by=(CACHE,)), names(CACHE))], "percentunit", limits=HIT_RATIO, most=1, width=12),
        lines("misses-by-reason", "Misses by reason",
              "Misses per second by reason. Evicted: raise the size of L1. Expired: raise the TTL. Redis did not "
              "answer: see Redis and resilience. Could not be decoded: two versions share one Redis.",
              [Query(misses, names(MISS_REASON))], "ops", stacked=True,
              colors=REASON_COLORS, texts=REASON_TEXTS, width=12),
    ])  # fmt: skip


def _latency() -> Row:
    link = traces_link("Traces of slower calls of this tier", slow_traces_by_tier())
    panels = {
        0.5: ("call-median-by-tier", "Call duration median by tier",
              "By the tier that answered. A shift slows every request: open the tier's own dashboard."),
        0.99: ("call-p99-by-tier", "Call duration p99 by tier",
               "By the tier that answered. If one rises: click a point, or a dot, for traces of such calls."),
    }  # fmt: skip
    tiles = [
        lines(slug, title, says, [Query(quantile(q, OPERATION_DURATION, by=(TIER,)), names(TIER), exemplar=True)], "s",
              log=True, colors=TIER_COLORS, texts={**TIER_TEXTS, "none": "no tier: writes and misses"},
              links=[link], width=12)
        for q, (slug, title, says) in panels.items()
    ]  # fmt: skip
    return Row("durations", "How long do calls take?", tiles)


def _caches() -> Row:
    link = board_link("Open this cache", "otcache-cache", cache="${__data.fields.Cache}")
    evicted = per_second(catalog.EVICTIONS, one_of(catalog.EVICTION_REASON, "capacity"), by=(CACHE,))
    return Row("caches", "Which cache?", [
        table("caches-now", "All caches now",
              "One line per cache, now. Click a name for its own dashboard.",
              [Column("Cache", of=CACHE, links=(link,)),
               Column("Hit ratio", "percentunit", hit_ratio(by=(CACHE,)), limits=HIT_RATIO, decimals=1),
               Column("Lookups", "ops", per_second(LOOKUPS, by=(CACHE,))),
               Column("Slowest 1 %", "s", quantile(0.99, OPERATION_DURATION, ANSWERED, by=(CACHE,)), limits=LATENCY),
               Column("Entries in L1", "short", sum_by(series(catalog.L1_COUNT), CACHE)),
               Column("Evictions", "ops", evicted)],
              none="no cache reports", sort="Lookups"),
    ])  # fmt: skip


def board() -> Board:
    """The dashboard."""
    fields = ", ".join(f"span.{each.name}" for each in (CACHE, RESULT, TIER))
    mine = 'resource.service.name =~ "$service" && instrumentation:name = "otcache"'
    traces = evidence(
        ("traces-slow", "Traces of slow calls", "Calls of over 100 ms. What took the time is in the spans below each.",
         f"{{ {mine} && duration > 100ms }} | select({fields})"),
        ("traces-errors", "Traces of calls that raised",
         "Each is an exception in the application; open one for its type and place.",
         f"{{ {mine} && status = error }} | select({fields})"),
        logql=WARNINGS,
    )  # fmt: skip
    says = "Is the cache helping, and is anything wrong? Read from the top; every panel says what to do."
    rows = [_helping(), _wrong(), _lookups(), _latency(), _caches(), traces]
    return Board("overview", "otcache / Overview", says, rows)
