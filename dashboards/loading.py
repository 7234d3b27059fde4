"""Loading and coherence: what reaches the origin, which callers wait for it, and whether processes agree."""

from __future__ import annotations

from dataclasses import replace

from dashboards.board import Board, Row
from dashboards.common import (
    ASKED,
    FOUND,
    RESULT_COLORS,
    WARNINGS,
    colored,
    component_state,
    evidence,
    hit_ratio,
    per_second,
)
from dashboards.overview import NO_REDIS
from dashboards.panels import FAIR, GOOD, Column, Limits, Query, State, lines, logs, names, stat, table, traces_link
from dashboards.promql import (
    INSTANCE,
    RANGE,
    Expr,
    increase,
    mean,
    none_of,
    one_of,
    only,
    or_zero,
    present,
    product,
    quantile,
    ratio,
    rest,
    series,
    shown,
    sum_by,
)
from otcache.telemetry import catalog
from otcache.telemetry.catalog import (
    BACKEND,
    CACHE,
    COALESCE_OUTCOME,
    COALESCE_REQUESTS,
    COALESCE_SCOPE,
    COALESCE_WAIT,
    COMPONENT_STATE,
    DISAGREEMENT,
    ERROR_TYPE,
    HTTP_RESPONSES,
    HTTP_ROUTE,
    INVALIDATION_SOURCE,
    INVALIDATION_TARGET,
    INVALIDATIONS,
    LOADER_DURATION,
    LOADS,
    LOOKUPS,
    MESSAGE_DIRECTION,
    MESSAGE_KIND,
    RESULT,
    STALE_REASON,
    TRIGGER,
    Attribute,
)

LATENCY = Limits("load_latency_warning")
ERRORS = Limits("load_error_warning")
STALE = Limits("stale_warning")
LAG = Limits("lag_warning")
NO_LOADS = "nothing is loaded"
NO_WAITERS = "no waiters"
TRIGGER_COLORS = colored(*(TRIGGER.values or ()))
TRIGGER_TEXTS = {
    "miss": "a miss", "revalidate": "stale, in the background", "eager": "early, in the background",
    "forced": "forced by the application",
}  # fmt: skip
STALE_COLORS = colored(*(STALE_REASON.values or ()))
STALE_TEXTS = {
    "revalidating": "during a refresh", "loader_error": "the loader failed",
    "loader_timeout": "the loader is slow", "backend_unavailable": "Redis did not answer",
}  # fmt: skip
OUTCOME_COLORS = colored(*(COALESCE_OUTCOME.values or ()))
BACKPLANE_COLORS = {"available": "green", "degraded": "yellow", "unavailable": "orange"}
BACKPLANE_STATES = (
    State(0, "connected", GOOD), State(1, "degraded", FAIR), State(2, "DOWN", FAIR),
    State(3, "DOWN, not everywhere", FAIR),
)  # fmt: skip
_AT_ONCE = one_of(TRIGGER, "miss", "forced")
"""Loads that a caller waits for."""
_INVOLUNTARY = none_of(STALE_REASON, "revalidating")
"""Stale because the load failed or is slow, or Redis is away: not by `stale_ttl` with a refresh in the background."""


def _loading(of: Expr) -> Expr:
    """Only caches that have loaded in the chosen time: others are filled by `set`."""
    return only(of, shown(sum_by(increase(series(LOADS), RANGE), CACHE)))


def offload() -> Expr:
    """The share of lookups for which no caller waited for a load."""
    asked = sum_by(_loading(per_second(LOOKUPS, by=(CACHE,))))
    return rest(ratio(per_second(LOADS, _AT_ONCE), asked))


def time_avoided(*by: Attribute) -> Expr:
    """Seconds of loaders per second that hits made unnecessary: hits x mean duration, cache by cache."""
    hits = per_second(LOOKUPS, FOUND, by=(CACHE,))
    return sum_by(product(hits, mean(LOADER_DURATION, by=(CACHE,), window=RANGE)), *by)


def callers_per_load(*by: Attribute) -> Expr:
    """How many callers wait for another's load, per load."""
    return ratio(per_second(COALESCE_REQUESTS, by=by), per_second(LOADS, by=by))


def _now() -> Row:
    failed = ratio(or_zero(per_second(LOADS, present(ERROR_TYPE))), per_second(LOADS))
    stale = ratio(or_zero(per_second(LOOKUPS, one_of(RESULT, "stale"), _INVOLUNTARY)), per_second(LOOKUPS, ASKED))
    return Row("now", "Does loading work?", [
        stat("lookups-without-load", "Lookups without a load",
             "Share of lookups answered without a load, in caches that load. Low: TTLs are too short, or keys are "
             "hardly ever requested twice.",
             Query(offload(), "without a load"), "percentunit", decimals=1, none=NO_LOADS),
        stat("loader-time-avoided", "Loader time avoided",
             "Loader seconds per second that hits made unnecessary: hits times the mean load. If it falls with the "
             "same traffic, the origin gets that load.",
             Query(time_avoided(), "avoided"), "short", decimals=1, none=NO_LOADS),
        stat("loads-failed", "Failed loads",
             "Share of loads that raised or timed out. If yellow: see “Failed loads by cache and error” below. The "
             "error is the application's own.",
             Query(failed, "failed"), "percentunit", limits=ERRORS, none=NO_LOADS),
        stat("load-p99", "Load duration p99",
             "p99 of loads. If yellow: the origin is slow; see which cache, below.",
             Query(quantile(0.99, LOADER_DURATION), "p99"), "s", limits=LATENCY, none=NO_LOADS),
        stat("stale-answers", "Stale answers (load failed or slow, Redis away)",
             "Share of lookups answered with an expired value because the load failed or is slow, or Redis is away. "
             "Callers get old data, no errors. If yellow: see the reasons below.",
             Query(stale, "stale"), "percentunit", limits=STALE, none="no lookups"),
        stat("backplane-state", "Backplane state",
             "Of the worst instance. Down: L1 serves no Redis entries there, and Redis gets every read; see “Caches by "
             "backplane state” below.",
             Query(component_state("backplane"), names(BACKEND)), "short", states=BACKPLANE_STATES, none=NO_REDIS),
    ])  # fmt: skip


def _loads() -> Row:
    failed = per_second(LOADS, present(ERROR_TYPE), by=(CACHE, ERROR_TYPE))
    return Row("loads", "What is loaded?", [
        lines("loads-by-trigger", "Loads by trigger",
              "Loads per second. Callers wait for `miss` and `forced`; the others run in the background. If `miss` "
              "dominates: a stale_ttl with soft_timeout=0 moves loads into the background.",
              [Query(per_second(LOADS, by=(TRIGGER,)), names(TRIGGER))], "ops", stacked=True, colors=TRIGGER_COLORS,
              texts=TRIGGER_TEXTS, none=NO_LOADS),
        lines("loads-failed-by-error", "Failed loads by cache and error",
              "Failed loads per second by the class raised. LoadTimeout: it took longer than the cache's timeout. Any "
              "other is the application's.",
              [Query(failed, names(CACHE, ERROR_TYPE))], "ops", none="none fails"),
        lines("loads-running", "In-flight loads by cache",
              "All chosen instances together. A line that only climbs: loaders hang.",
              [Query(sum_by(series(catalog.LOADER_ACTIVE), CACHE), names(CACHE))], "short", decimals=0, none=NO_LOADS),
        lines("loader-time-avoided-by-cache", "Loader time avoided by cache",
              "Loader seconds per second that hits made unnecessary. If the largest falls, open that cache first.",
              [Query(time_avoided(CACHE), names(CACHE))], "short", stacked=True, none=NO_LOADS, width=12),
        lines("loads-by-cache", "Loads by cache",
              "Loads per second. A jump without more traffic: an invalidation, a shorter TTL, or a key with a value "
              "that differs in every call.",
              [Query(per_second(LOADS, by=(CACHE,)), names(CACHE))], "ops", none=NO_LOADS, width=12),
    ])  # fmt: skip


def _durations() -> Row:
    mine = f'span.{CACHE.name} = "${{__field.labels.{CACHE.name.replace(".", "_")}}}"'
    link = traces_link("Traces of slower loads of this cache",
                       f'{{ name =~ "cache[.]load .+" && {mine} && duration > ${{__value.raw}}s }}')  # fmt: skip
    by = (CACHE,)
    return Row("durations", "How long do loads take?", [
        lines("load-median-by-cache", "Load duration median by cache",
              "All up together: check the origin they share. One alone: check its query.",
              [Query(quantile(0.5, LOADER_DURATION, by=by), names(CACHE), exemplar=True)], "s", log=True,
              links=[link], none=NO_LOADS),
        lines("load-p99-by-cache", "Load duration p99 by cache",
              "If one rises: click a point for traces of loads at least as slow; the origin's spans are in them.",
              [Query(quantile(0.99, LOADER_DURATION, by=by), names(CACHE), exemplar=True)], "s", log=True,
              limits=LATENCY, links=[link], none=NO_LOADS),
        lines("load-mean-by-trigger", "Mean load duration by trigger",
              "Exact. `eager` above `miss` is normal: early refresh starts earlier for slow loads.",
              [Query(mean(LOADER_DURATION, by=(TRIGGER,)), names(TRIGGER))], "s", log=True, colors=TRIGGER_COLORS,
              texts=TRIGGER_TEXTS, none=NO_LOADS),
    ])  # fmt: skip


def _waiting() -> Row:
    wait = {q: quantile(q, catalog.COALESCE_WAIT_DURATION, by=(COALESCE_SCOPE,)) for q in (0.5, 0.95)}
    ends = per_second(COALESCE_REQUESTS, by=(COALESCE_OUTCOME,))
    return Row("waiting", "Who waits for another caller's load?", [
        lines("waiters-per-load", "Waiters per load by cache",
              "High: hot keys expire while many callers want them. Set a stale_ttl with soft_timeout=0: callers get "
              "the stale value.",
              [Query(callers_per_load(CACHE), names(CACHE))], "short", none=NO_LOADS, width=6),
        lines("waiters-by-outcome", "Waiters by outcome",
              "Waiters per second. `timeout` and `error` reach the application; `stale` got an expired value instead.",
              [Query(ends, names(COALESCE_OUTCOME))], "ops", stacked=True, colors=OUTCOME_COLORS,
              none=NO_WAITERS, width=6),
        lines("wait-by-scope", "Wait duration by scope",
              "Median and p95. `process`: for a load in the same process; `distributed`: in another one. Far above the "
              "load duration: locks of processes that died.",
              [Query(wait[0.5], f"{names(COALESCE_SCOPE)} median"), Query(wait[0.95], f"{names(COALESCE_SCOPE)} p95")],
              "s", none=NO_WAITERS, width=6),
        lines("waiters-now", "Waiters now by cache",
              "All chosen instances together. If it only climbs, the loader hangs.",
              [Query(sum_by(series(catalog.COALESCE_WAITING), CACHE), names(CACHE))], "short", decimals=0,
              none=NO_WAITERS, width=6),
    ])  # fmt: skip


def _stale() -> Row:
    given = per_second(LOOKUPS, one_of(RESULT, "stale"), by=(STALE_REASON,))
    age = {q: quantile(q, catalog.STALE_AGE, by=(STALE_REASON,)) for q in (0.5, 0.95)}
    return Row("stale", "How stale are answers?", [
        lines("stale-by-reason", "Stale answers by reason",
              "Keys per second. During a refresh: intended by soft_timeout=0. Any other reason: see loads, or Redis.",
              [Query(given, names(STALE_REASON))], "ops", stacked=True, colors=STALE_COLORS, texts=STALE_TEXTS,
              none="none is", width=12),
        lines("stale-age-by-reason", "Time past expiry by reason",
              "Median and p95. Near the stale_ttl: soon callers get errors instead of stale values.",
              [Query(age[0.5], f"{names(STALE_REASON)} median"), Query(age[0.95], f"{names(STALE_REASON)} p95")], "s",
              none="none is", width=12),
    ])  # fmt: skip


def _coherence() -> Row:
    lag = {q: quantile(q, catalog.MESSAGE_LAG, by=(BACKEND,)) for q in (0.5, 0.99)}
    state = sum_by(series(catalog.COMPONENT_STATUS, one_of(catalog.COMPONENT, "backplane")), COMPONENT_STATE)
    emptied = series(INVALIDATIONS, one_of(INVALIDATION_TARGET, "all"), one_of(INVALIDATION_SOURCE, "backplane"))
    disagree = sum_by(series(catalog.DISAGREEMENTS), CACHE, DISAGREEMENT)
    by = (INVALIDATION_TARGET, INVALIDATION_SOURCE)
    return Row("coherence", "Do processes agree?", [
        lines("invalidations-by-target", "Invalidations by target and source",
              "Per second. `local`: by this process; `backplane`: by another one. Many of tags, prefixes or all cause "
              "misses: find the caller in the log events below.",
              [Query(per_second(INVALIDATIONS, by=by), names(*by))], "ops", none="nothing is"),
        lines("messages-by-kind", "Backplane messages by direction and kind",
              "Messages per second. Every process receives each, so `receive` is `send` times processes. Unknown kind: "
              "another program publishes on the channel.",
              [Query(per_second(catalog.MESSAGES, by=(MESSAGE_DIRECTION, MESSAGE_KIND)),
                     names(MESSAGE_DIRECTION, MESSAGE_KIND))],
              "ops", none=NO_REDIS),
        lines("message-lag", "Backplane lag",
              "Median and p99 from a write to its effect in other processes. High: blocked event loops, or the "
              "network.",
              [Query(lag[0.5], f"{names(BACKEND)} median"), Query(lag[0.99], f"{names(BACKEND)} p99")], "s", log=True,
              limits=LAG, none=NO_REDIS),
        lines("backplane-by-state", "Caches by backplane state",
              "Unavailable: Redis refuses SUBSCRIBE, the connection breaks, or Redis is away. Meanwhile L1 serves no "
              "Redis entries.",
              [Query(state, names(COMPONENT_STATE))], "short", steps=True, stacked=True, decimals=0,
              colors=BACKPLANE_COLORS, none=NO_REDIS),
        lines("l1-emptied", "L1 flushes by instance",
              "Around each point: after a lost subscription, or when another process calls clear(). If it repeats, "
              "find out what breaks the connection.",
              [Query(sum_by(increase(emptied), INSTANCE), names(INSTANCE))], "short", bars=True, none=NO_REDIS),
        lines("options-disagree", "Instances that disagree by cache and option",
              "Above 0: processes that share a namespace are set differently. Compare their options, or give each an "
              "OTCACHE_NAMESPACE of its own.",
              [Query(disagree, names(CACHE, DISAGREEMENT))], "short", steps=True, decimals=0, none=NO_REDIS),
    ])  # fmt: skip


def _responses() -> Row:
    none, by = "no responses are cached", (HTTP_ROUTE,)
    bypassed = per_second(HTTP_RESPONSES, one_of(RESULT, "bypass"), by=by)
    return Row("responses", "Which HTTP responses come from the cache?", [
        lines("responses-by-result", "HTTP responses by result",
              "Responses per second. Bypass: the request has credentials, a method or a body that otcache doesn't "
              "cache.",
              [Query(per_second(HTTP_RESPONSES, by=(RESULT,)), names(RESULT))], "ops", stacked=True,
              colors=RESULT_COLORS, none=none, width=10),
        table("responses-by-route", "HTTP responses by route",
              "Now. Many bypasses: set private_by= or shared=True on the route.",
              [Column("Route", of=HTTP_ROUTE),
               Column("Responses", "ops", per_second(HTTP_RESPONSES, by=by), width=110),
               Column("From the cache", "percentunit", hit_ratio(by=by, row=HTTP_RESPONSES), decimals=1, width=130),
               Column("Bypassed", "ops", bypassed, width=110)],
              none=none, sort="Responses", width=14, height=9),
    ])  # fmt: skip


def _evidence() -> Row:
    mine = 'resource.service.name =~ "$service" && instrumentation:name = "otcache"'
    load = f'{mine} && name =~ "cache[.]load .+"'
    about = ", ".join(f"span.{each.name}" for each in (CACHE, TRIGGER, catalog.LOADER))
    stale = f'{mine} && span.{STALE_REASON.name} =~ "loader_error|loader_timeout|backend_unavailable"'
    waited = f'span.{catalog.COALESCE_ROLE.name} = "waiter" && span.{COALESCE_WAIT.name} > 0.5'
    row = evidence(
        ("traces-slow", "Traces of slow loads",
         "Loads of over 500 ms, with the loader's name. What took the time is in the spans below each.",
         f"{{ {load} && duration > 500ms }} | select({about})"),
        ("traces-failed", "Traces of failed loads", "With the loader and the class that it raised.",
         f"{{ {load} && status = error }} | select({about}, span.{ERROR_TYPE.name})"),
        ("traces-stale", "Traced stale answers by reason",
         "Traced calls per second whose load failed or is slow, or that could not reach Redis.",
         f"{{ {stale} }} | rate() by (span.{STALE_REASON.name})"),
        ("traces-waiters", "Traces of long waits for a load",
         "Calls that waited for over 500 ms; the span link leads to the load.",
         f"{{ {mine} && {waited} }} | select(span.{CACHE.name}, span.{COALESCE_WAIT.name})"),
        logql=WARNINGS,
    )  # fmt: skip
    stale_served, invalidated = catalog.STALE_SERVED.name, catalog.INVALIDATED.name
    told = f'{{service_name=~"$service"}} | event_name = "{stale_served}" or event_name = "{invalidated}"'
    says = "Stale answers, and invalidations of tags, prefixes and everything, with their source."
    return replace(
        row, tiles=[*row.tiles, logs("logs-stale", "Log events of stale answers and invalidations", says, told)]
    )


def board() -> Board:
    """The dashboard."""
    says = "Which loads reach the origin, how long do they take, who waits, and do processes agree on what is cached?"
    rows = [_now(), _loads(), _durations(), _waiting(), _stale(), _coherence(), _responses(), _evidence()]
    return Board("loading", "otcache / Loading and coherence", says, rows)
