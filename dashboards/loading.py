"""Loading and coherence: what reaches the origin, who waits for it, and whether processes agree."""

from __future__ import annotations

from dataclasses import replace

from dashboards.board import Board, Row
from dashboards.common import (
    ASKED,
    FOUND,
    RESULT_COLOURS,
    WARNINGS,
    coloured,
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
from otcache.telemetry.catalog import (
    BACKEND,
    CACHE,
    COALESCE_OUTCOME,
    COALESCE_REQUESTS,
    COALESCE_ROLE,
    COALESCE_SCOPE,
    COALESCE_WAIT,
    COALESCE_WAIT_DURATION,
    COALESCE_WAITING,
    COMPONENT,
    COMPONENT_STATE,
    COMPONENT_STATUS,
    ERROR_TYPE,
    HTTP_RESPONSES,
    HTTP_ROUTE,
    INVALIDATED,
    INVALIDATION_SOURCE,
    INVALIDATION_TARGET,
    INVALIDATIONS,
    LOADER,
    LOADER_ACTIVE,
    LOADER_DURATION,
    LOADS,
    LOOKUPS,
    NEWS,
    NEWS_DIRECTION,
    NEWS_KIND,
    NEWS_LAG,
    RESULT,
    STALE_AGE,
    STALE_REASON,
    STALE_SERVED,
    TRIGGER,
    Attribute,
)

LATENCY = Limits("load_latency_warning")
ERRORS = Limits("load_error_warning")
STALE = Limits("stale_warning")
LAG = Limits("lag_warning")
NO_LOADS = "nothing is loaded"
NOBODY_WAITS = "nobody waits"
TRIGGER_COLOURS = coloured(*(TRIGGER.values or ()))
TRIGGER_TEXTS = {
    "miss": "a miss", "revalidate": "past its time, in the background", "eager": "early, in the background",
    "forced": "asked for by the application",
}  # fmt: skip
STALE_COLOURS = coloured(*(STALE_REASON.values or ()))
STALE_TEXTS = {
    "revalidating": "while it is loaded anew", "loader_error": "the loader failed",
    "loader_timeout": "the loader is slow", "backend_unavailable": "Redis did not answer",
}  # fmt: skip
OUTCOME_COLOURS = coloured(*(COALESCE_OUTCOME.values or ()))
HEARD_COLOURS = {"available": "green", "degraded": "yellow", "unavailable": "orange"}
HEARD = (
    State(0, "heard", GOOD), State(1, "heard in part", FAIR), State(2, "NOT HEARD", FAIR),
    State(3, "NOT HEARD everywhere", FAIR),
)  # fmt: skip
_AT_ONCE = one_of(TRIGGER, "miss", "forced")
"""Loads that a caller waits for."""
_FOR_WANT = none_of(STALE_REASON, "revalidating")
"""Stale because no new value was to be had."""


def _loading(of: Expr) -> Expr:
    """Only caches that have loaded in the chosen time: others are filled by `set`."""
    return only(of, shown(sum_by(increase(series(LOADS), RANGE), CACHE)))


def offload() -> Expr:
    """The share of lookups that did not make a caller's load: what the origin is spared."""
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
    stale = ratio(or_zero(per_second(LOOKUPS, one_of(RESULT, "stale"), _FOR_WANT)), per_second(LOOKUPS, ASKED))
    return Row("now", "Does loading work?", [
        stat("lookups-without-load", "Lookups the origin is spared",
             "Share of lookups that no caller's load was needed for, of caches that load. Low: TTLs are too short, or "
             "keys are hardly ever asked for twice.",
             Query(offload(), "spared"), "percentunit", decimals=1, none=NO_LOADS),
        stat("loader-time-avoided", "Loader time avoided",
             "Seconds of loaders per second that hits made unnecessary: hits times the mean of a load. 3 is what three "
             "loaders that never stop would do.",
             Query(time_avoided(), "avoided"), "short", decimals=1, none=NO_LOADS),
        stat("loads-failed", "Loads that fail",
             "Share of loads that raised or took too long. If yellow: see “Which loads fail?” below. The error is the "
             "application's own.",
             Query(failed, "failed"), "percentunit", limits=ERRORS, none=NO_LOADS),
        stat("load-p99", "Slowest 1 % of loads",
             "p99 of loads. If yellow: the origin is slow; see which cache, below.",
             Query(quantile(0.99, LOADER_DURATION), "p99"), "s", limits=LATENCY, none=NO_LOADS),
        stat("stale-answers", "Answers stale for want of a load",
             "Share of lookups answered past their time because the loader failed, is slow, or Redis is away. Callers "
             "get old data, no errors.",
             Query(stale, "stale"), "percentunit", limits=STALE, none="no lookups"),
        stat("backplane-state", "Are other processes heard?",
             "In the worst instance. Not heard: L1 is not used there, and Redis gets every read; see “How are other "
             "processes heard?” below.",
             Query(component_state("backplane"), names(BACKEND)), "short", states=HEARD, none=NO_REDIS),
    ])  # fmt: skip


def _loads() -> Row:
    failed = per_second(LOADS, present(ERROR_TYPE), by=(CACHE, ERROR_TYPE))
    return Row("loads", "What is loaded?", [
        lines("loads-by-trigger", "Why are values loaded?",
              "Loads per second. Misses and what the application asks for make a caller wait; the others happen in the "
              "background.",
              [Query(per_second(LOADS, by=(TRIGGER,)), names(TRIGGER))], "ops", stacked=True, colours=TRIGGER_COLOURS,
              texts=TRIGGER_TEXTS, none=NO_LOADS),
        lines("loads-failed-by-error", "Which loads fail?",
              "Failed loads per second by the class raised. LoadTimeout: it took longer than the cache's timeout. Any "
              "other is the application's.",
              [Query(failed, names(CACHE, ERROR_TYPE))], "ops", none="none fails"),
        lines("loads-running", "How many loads run?",
              "By cache, all chosen instances together. A line that only climbs: loaders that hang.",
              [Query(sum_by(series(LOADER_ACTIVE), CACHE), names(CACHE))], "short", decimals=0, none=NO_LOADS),
        lines("loader-time-avoided-by-cache", "What do caches spare the origin?",
              "Loader seconds per second that hits made unnecessary, by cache. The largest is the cache to look after.",
              [Query(time_avoided(CACHE), names(CACHE))], "short", stacked=True, none=NO_LOADS, width=12),
        lines("loads-by-cache", "Which caches load most?",
              "Loads per second by cache. A jump without more traffic: an invalidation, a shorter TTL, or a key that "
              "is made of data.",
              [Query(per_second(LOADS, by=(CACHE,)), names(CACHE))], "ops", none=NO_LOADS, width=12),
    ])  # fmt: skip


def _durations() -> Row:
    mine = f'span.{CACHE.name} = "${{__field.labels.{CACHE.name.replace(".", "_")}}}"'
    link = traces_link("Traces of slower loads of this cache",
                       f'{{ name =~ "cache[.]load .+" && {mine} && duration > ${{__value.raw}}s }}')  # fmt: skip
    by = (CACHE,)
    return Row("durations", "How long do loads take?", [
        lines("load-median-by-cache", "How long does a typical load take?",
              "Median by cache. All up together: the origin they share. One alone: its own query.",
              [Query(quantile(0.5, LOADER_DURATION, by=by), names(CACHE), exemplar=True)], "s", log=True,
              links=[link], none=NO_LOADS),
        lines("load-p99-by-cache", "How long do slow loads take?",
              "p99 by cache. Click a point for traces of loads at least as slow: the origin's own spans are in them.",
              [Query(quantile(0.99, LOADER_DURATION, by=by), names(CACHE), exemplar=True)], "s", log=True,
              limits=LATENCY, links=[link], none=NO_LOADS),
        lines("load-mean-by-trigger", "What does a load cost on average?",
              "Mean by cause, exact. Early ones that take longer than misses: slow values are loaded earlier, so these "
              "are the slow ones.",
              [Query(mean(LOADER_DURATION, by=(TRIGGER,)), names(TRIGGER))], "s", log=True, colours=TRIGGER_COLOURS,
              texts=TRIGGER_TEXTS, none=NO_LOADS),
    ])  # fmt: skip


def _waiting() -> Row:
    wait = {q: quantile(q, COALESCE_WAIT_DURATION, by=(COALESCE_SCOPE,)) for q in (0.5, 0.95)}
    ends = per_second(COALESCE_REQUESTS, by=(COALESCE_OUTCOME,))
    return Row("waiting", "Who waits for another's load?", [
        lines("waiters-per-load", "How many callers wait per load?",
              "By cache. High: hot keys run out all at once. Give them a stale_ttl with soft_timeout=0, then nobody "
              "waits.",
              [Query(callers_per_load(CACHE), names(CACHE))], "short", none=NO_LOADS, width=6),
        lines("waiters-by-outcome", "What does waiting come to?",
              "Callers per second. Time-outs and errors reach the application; stale is an old value instead.",
              [Query(ends, names(COALESCE_OUTCOME))], "ops", stacked=True, colours=OUTCOME_COLOURS,
              none=NOBODY_WAITS, width=6),
        lines("wait-by-scope", "How long do they wait?",
              "Median and p95; process: for a load of their own process, distributed: for one elsewhere. Much above "
              "the time of a load: locks of processes that died.",
              [Query(wait[0.5], f"{names(COALESCE_SCOPE)} median"), Query(wait[0.95], f"{names(COALESCE_SCOPE)} p95")],
              "s", none=NOBODY_WAITS, width=6),
        lines("waiters-now", "How many wait now?",
              "By cache, all chosen instances together. A climb: the loader hangs.",
              [Query(sum_by(series(COALESCE_WAITING), CACHE), names(CACHE))], "short", decimals=0,
              none=NOBODY_WAITS, width=6),
    ])  # fmt: skip


def _stale() -> Row:
    given = per_second(LOOKUPS, one_of(RESULT, "stale"), by=(STALE_REASON,))
    age = {q: quantile(q, STALE_AGE, by=(STALE_REASON,)) for q in (0.5, 0.95)}
    return Row("stale", "How old is what is given?", [
        lines("stale-by-reason", "Why are answers stale?",
              "Keys per second. While it is loaded anew is what soft_timeout=0 asks for; the rest is for want of a new "
              "value.",
              [Query(given, names(STALE_REASON))], "ops", stacked=True, colours=STALE_COLOURS, texts=STALE_TEXTS,
              none="none is", width=12),
        lines("stale-age-by-reason", "How far past their time are they?",
              "Median and p95 by reason. Near the stale_ttl: soon there is nothing to give, and callers get errors.",
              [Query(age[0.5], f"{names(STALE_REASON)} median"), Query(age[0.95], f"{names(STALE_REASON)} p95")], "s",
              none="none is", width=12),
    ])  # fmt: skip


def _coherence() -> Row:
    lag = {q: quantile(q, NEWS_LAG, by=(BACKEND,)) for q in (0.5, 0.99)}
    state = sum_by(series(COMPONENT_STATUS, one_of(COMPONENT, "backplane")), COMPONENT_STATE)
    emptied = series(INVALIDATIONS, one_of(INVALIDATION_TARGET, "all"), one_of(INVALIDATION_SOURCE, "backplane"))
    by = (INVALIDATION_TARGET, INVALIDATION_SOURCE)
    return Row("coherence", "Do processes agree?", [
        lines("invalidations-by-target", "What is invalidated, and by whom?",
              "Per second: local is by this process, backplane by others. A flood of tags, prefixes or everything "
              "makes misses.",
              [Query(per_second(INVALIDATIONS, by=by), names(*by))], "ops", none="nothing is"),
        lines("messages-by-kind", "What do processes tell each other?",
              "News per second, sent and heard. Each is heard by every process, so heard is sent times processes. "
              "Unknown: somebody else writes on the channel.",
              [Query(per_second(NEWS, by=(NEWS_DIRECTION, NEWS_KIND)), names(NEWS_DIRECTION, NEWS_KIND))], "ops",
              none=NO_REDIS),
        lines("message-lag", "How late is news?",
              "Median and p99 from the write to its effect elsewhere. Late: event loops are blocked, or the network.",
              [Query(lag[0.5], f"{names(BACKEND)} median"), Query(lag[0.99], f"{names(BACKEND)} p99")], "s", log=True,
              limits=LAG, none=NO_REDIS),
        lines("backplane-by-state", "How are other processes heard?",
              "Caches by the state of their subscription. Unavailable: SUBSCRIBE is refused, the connection breaks, or "
              "Redis is away. L1 is not used meanwhile.",
              [Query(state, names(COMPONENT_STATE))], "short", steps=True, stacked=True, decimals=0,
              colours=HEARD_COLOURS, none=NO_REDIS, width=12),
        lines("l1-emptied", "When was L1 emptied?",
              "Times around each point, by instance: when a lost subscription stands again, or another process calls "
              "clear(). Again and again: something breaks its connection.",
              [Query(sum_by(increase(emptied), INSTANCE), names(INSTANCE))], "short", bars=True, none=NO_REDIS,
              width=12),
    ])  # fmt: skip


def _responses() -> Row:
    none, by = "no responses are cached", (HTTP_ROUTE,)
    bypassed = per_second(HTTP_RESPONSES, one_of(RESULT, "bypass"), by=by)
    return Row("responses", "Which HTTP responses come from the cache?", [
        lines("responses-by-result", "What do requests get?",
              "Responses per second by what the cache did. Bypass: a request with credentials, a method or a body that "
              "is not cached.",
              [Query(per_second(HTTP_RESPONSES, by=(RESULT,)), names(RESULT))], "ops", stacked=True,
              colours=RESULT_COLOURS, none=none, width=10),
        table("responses-by-route", "Which routes gain?",
              "One line per route, now. Many that pass by: say whose the answers are, by private_by or shared.",
              [Column("Route", of=HTTP_ROUTE),
               Column("Responses", "ops", per_second(HTTP_RESPONSES, by=by), width=110),
               Column("From the cache", "percentunit", hit_ratio(by=by, row=HTTP_RESPONSES), decimals=1, width=130),
               Column("Passed by", "ops", bypassed, width=110)],
              none=none, sort="Responses", width=14, height=9),
    ])  # fmt: skip


def _evidence() -> Row:
    mine = 'resource.service.name =~ "$service" && instrumentation:name = "otcache"'
    load = f'{mine} && name =~ "cache[.]load .+"'
    about = ", ".join(f"span.{each.name}" for each in (CACHE, TRIGGER, LOADER))
    stale = f'{mine} && span.{STALE_REASON.name} =~ "loader_error|loader_timeout|backend_unavailable"'
    waited = f'span.{COALESCE_ROLE.name} = "waiter" && span.{COALESCE_WAIT.name} > 0.5'
    row = evidence(
        ("traces-slow", "Slow loads",
         "Loads of over 500 ms, with the loader's name. What took the time is in the spans below each.",
         f"{{ {load} && duration > 500ms }} | select({about})"),
        ("traces-failed", "Loads that failed", "With the loader and the class that it raised.",
         f"{{ {load} && status = error }} | select({about}, span.{ERROR_TYPE.name})"),
        ("traces-stale", "What was given stale?", "Traced answers per second for want of a new value, by reason.",
         f"{{ {stale} }} | rate() by (span.{STALE_REASON.name})"),
        ("traces-waiters", "Who waited for another's load?",
         "Calls that waited for over 500 ms; the link of each leads to the load.",
         f"{{ {mine} && {waited} }} | select(span.{CACHE.name}, span.{COALESCE_WAIT.name})"),
        logql=WARNINGS,
    )  # fmt: skip
    told = f'{{service_name=~"$service"}} | event_name = "{STALE_SERVED.name}" or event_name = "{INVALIDATED.name}"'
    says = "Stale answers, and invalidations of tags, prefixes and everything: who did what, when."
    return replace(row, tiles=[*row.tiles, logs("logs-stale", "What was stale, what was invalidated?", says, told)])


def board() -> Board:
    """The dashboard."""
    says = "What reaches the origin, how long does it take, who waits for it, and do processes agree on what is cached?"
    rows = [_now(), _loads(), _durations(), _waiting(), _stale(), _coherence(), _responses(), _evidence()]
    return Board("loading", "otcache / Loading and coherence", says, rows)
