"""How well a cache does its work: hit ratio, latency by tier, evictions, what the AI cache saves.

Rules compare a number with the same cache yesterday and at this hour a week ago: a fixed limit is wrong for half of
all caches. A new service has only yesterday to compare with.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from otcache.alerts._model import Alert, Recording, Rules
from otcache.alerts._promql import JOB, Expr, Matcher, Part, label, none_of, number, one_of
from otcache.alerts._query import HOUR, MINUTE, SHARE, TIME, TIMES, Query, base, its, part_of, percent, share
from otcache.alerts._rules.callers import degraded_share
from otcache.telemetry import catalog
from otcache.telemetry.catalog import AI_TOKENS, CACHE, LOOKUPS, OPERATION, OPERATION_DURATION, RESULT, TIER

ALERTS: Final = Rules()
_WINDOW: Final = 30 * MINUTE
_AI_WINDOW: Final = HOUR

# --- recordings -----------------------------------------------------------------------------------------


def recordings(q: Query) -> Iterator[Recording]:
    """Traffic, hit ratio, mean latency, tokens saved.

    None reads another, so that `promtool tsdb create-blocks-from rules` can write the past of all of them at once.
    """
    answered = _lookups(q, one_of(RESULT, "hit", "stale", "miss"))
    hits = _lookups(q, one_of(RESULT, "hit", "stale"))
    used, saved = _used(q, "saved", "spent"), _used(q, "saved")
    reads = _reads(q, "_count")
    yield Recording(_traffic(q), answered.text)
    yield Recording(_hit_ratio(q), part_of(hits, answered).text)
    yield Recording(_hits(q), reads.text)
    yield Recording(_latency(q), share(_reads(q, "_sum"), reads, 0).text)
    yield Recording(_tokens(q), used.text)
    yield Recording(_saved(q), part_of(saved, used).text)


def _lookups(q: Query, results: Matcher) -> Expr:
    # without misses because Redis is away: one alert per outage, OtcacheRedisDown
    return q.rate(LOOKUPS, _WINDOW, results, none_of(catalog.MISS_REASON, "backend_unavailable"), by=(CACHE,))


def _reads(q: Query, part: Part) -> Expr:
    """By operation and tier, without batches: a change of the mix would look like a change of latency.

    A profile that leaves the operation out of histograms is judged by all hits.
    """
    where = one_of(OPERATION, "get", "get_or_set", ""), one_of(RESULT, "hit"), one_of(TIER, "l1", "l2")
    return q.rate(OPERATION_DURATION, _WINDOW, *where, by=(CACHE, OPERATION, TIER), part=part)


def _used(q: Query, *dispositions: str) -> Expr:
    return q.rate(AI_TOKENS, _AI_WINDOW, one_of(catalog.AI_DISPOSITION, *dispositions), by=(CACHE,))


def _traffic(q: Query) -> str:
    return f"job_cache:{base(LOOKUPS)}:rate{q.time(_WINDOW)}"


def _hit_ratio(q: Query) -> str:
    return f"job_cache:{base(LOOKUPS)}_hit:ratio_rate{q.time(_WINDOW)}"


def _hits(q: Query) -> str:
    return f"job_cache_operation_tier:{base(OPERATION_DURATION)}_hit:rate{q.time(_WINDOW)}"


def _latency(q: Query) -> str:
    return f"job_cache_operation_tier:{base(OPERATION_DURATION)}_hit:mean{q.time(_WINDOW)}"


def _tokens(q: Query) -> str:
    return f"job_cache:{base(AI_TOKENS)}:rate{q.time(_AI_WINDOW)}"


def _saved(q: Query) -> str:
    return f"job_cache:{base(AI_TOKENS)}_saved:ratio_rate{q.time(_AI_WINDOW)}"


# --- alerts ---------------------------------------------------------------------------------------------


@ALERTS.add
def _hit_ratio_drop(q: Query) -> Iterator[Alert]:
    ratio, left = _hit_ratio(q), number(1 - q.parameters.hit_ratio_drop)
    yield Alert(
        "OtcacheHitRatioDrop",
        "warning",
        "otcache-cache",
        f"(\n  {ratio}\n    < {left} * {q.yesterday(ratio)}\n  unless\n"
        f"  {ratio}\n    >= {left} * {q.last_week(ratio)}\n)\n"
        f"and {_traffic(q)} > {number(q.parameters.lookup_floor)}",
        15 * MINUTE,
        "The hit ratio of a cache fell below its own past.",
        f"The hit ratio of cache {its(CACHE)} in {its(JOB)} is {SHARE}, over {percent(q.parameters.hit_ratio_drop)} "
        "below yesterday's and last week's. Look at the misses by reason.",
    )


@ALERTS.add
def _latency_regression(q: Query) -> Iterator[Alert]:
    mean, factor, tier = _latency(q), number(q.parameters.latency_factor), label(TIER)
    yield Alert(
        "OtcacheLatencyRegression",
        "warning",
        "otcache-cache",
        f"(\n  {mean}\n    > {factor} * {q.yesterday(mean)}\n  unless\n"
        f"  {mean}\n    <= {factor} * {q.last_week(mean)}\n)\n"
        f'and ({mean}{{{tier}="l1"}} > {number(q.parameters.latency_floor_l1)}'
        f' or {mean}{{{tier}="l2"}} > {number(q.parameters.latency_floor_l2)})\n'
        f"and {_hits(q)} > {number(q.parameters.lookup_floor)}",
        15 * MINUTE,
        "Hits in one tier of a cache take longer than in its own past.",
        f"A hit in {its(TIER)} of cache {its(CACHE)} in {its(JOB)} takes {TIME} on average, over {factor} times "
        "yesterday's and last week's. Look at the call durations by operation.",
    )


@ALERTS.add
def _eviction_storm(q: Query) -> Iterator[Alert]:
    l1 = one_of(TIER, "l1")
    evicted = q.rate(catalog.EVICTIONS, 10 * MINUTE, l1, one_of(catalog.EVICTION_REASON, "capacity"), by=(CACHE,))
    written = q.rate(catalog.WRITES, 10 * MINUTE, l1, by=(CACHE,))
    yield Alert(
        "OtcacheEvictionStorm",
        "warning",
        "otcache-cache",
        f"{share(evicted, written, q.parameters.write_floor)}\n> {number(q.parameters.eviction_share)}",
        15 * MINUTE,
        "L1 evicts most of what it stores.",
        f"{SHARE} of the L1 writes to cache {its(CACHE)} in {its(JOB)} evict an entry that had not expired. Compare "
        "its entries with memory_cache_size.",
    )


@ALERTS.add
def _object_changed(q: Query) -> Iterator[Alert]:
    # one is enough: production looks at one object in a hundred
    yield Alert(
        "OtcacheObjectChanged",
        "warning",
        "otcache-cache",
        f"{q.increase(catalog.CHANGED_OBJECTS, HOUR, by=(CACHE,))} > 0",
        0,
        "Code changes objects that the cache shares between callers.",
        f"{TIMES} changed objects were found in cache {its(CACHE)} of {its(JOB)} within {q.time(HOUR)}; other callers "
        "may have got changed ones. Find the key template in its log, and change a copy there.",
    )


@ALERTS.add
def _savings_drop(q: Query) -> Iterator[Alert]:
    # not while Redis is away: OtcacheRedisDown tells of that, and savings come back with Redis
    saved, left = _saved(q), number(1 - q.parameters.ai_savings_drop)
    yield Alert(
        "OtcacheAISavingsDrop",
        "warning",
        "otcache-ai",
        f"{saved}\n  < {left} * {q.yesterday(saved, without=2 * HOUR)}\n"
        f"and {_tokens(q)} > {number(q.parameters.ai_token_floor)}\n"
        f"unless {q.on(CACHE)}\n{degraded_share(q, _AI_WINDOW)}\n> {number(q.parameters.degraded_share)}",
        30 * MINUTE,
        "Cached AI responses save far fewer tokens than yesterday.",
        f"{SHARE} of the tokens of cache {its(CACHE)} in {its(JOB)} are saved by cached responses, over "
        f"{percent(q.parameters.ai_savings_drop)} less than yesterday. Look at the hit ratio by operation.",
    )
