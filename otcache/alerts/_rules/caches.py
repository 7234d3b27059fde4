"""How well a cache does its work: hit ratio, latency by tier, evictions, what the AI cache saves.

A number is compared with what was normal for the same cache yesterday and at this hour a week ago: a fixed
limit is wrong for half of all caches, and a new service is judged by yesterday alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from otcache.alerts._rules.callers import degraded_share
from otcache.alerts.model import Alert, Recording
from otcache.alerts.parameters import Parameters
from otcache.alerts.promql import (
    DAY,
    HOUR,
    MINUTE,
    Is,
    Not,
    Part,
    base,
    by,
    label,
    last_week,
    number,
    part_of,
    percent,
    rate,
    select,
    share,
    summed,
    told,
    yesterday,
)
from otcache.telemetry.catalog import (
    AI_DISPOSITION,
    AI_TOKENS,
    CACHE,
    EVICTION_REASON,
    EVICTIONS,
    LOOKUPS,
    MISS_REASON,
    OPERATION,
    OPERATION_DURATION,
    RESULT,
    TIER,
    WRITES,
)

_WINDOW: Final = 30 * MINUTE
_AI_WINDOW: Final = HOUR

# --- what is recorded -----------------------------------------------------------------------------------


def recordings(parameters: Parameters) -> Iterator[Recording]:
    """Traffic, hit ratio, mean latency, tokens saved.

    None reads another, so that `promtool tsdb create-blocks-from rules` can write the past of all of them at once.
    """
    answered = _lookups(parameters, Is(["hit", "stale", "miss"]))
    hits = _lookups(parameters, Is(["hit", "stale"]))
    used, saved = _used(parameters, Is(["saved", "spent"])), _used(parameters, Is(["saved"]))
    reads = _reads(parameters, "_count")
    yield Recording(_traffic(parameters), answered)
    yield Recording(_hit_ratio(parameters), part_of(hits, answered))
    yield Recording(_hits(parameters), reads)
    yield Recording(_latency(parameters), f"{_reads(parameters, '_sum')}\n/ ({reads} > 0)")
    yield Recording(_tokens(parameters), used)
    yield Recording(_saved(parameters), part_of(saved, used))


def _lookups(parameters: Parameters, results: Is) -> str:
    """Without those that found Redis away: an outage is told of once, by name."""
    where = {RESULT: results, MISS_REASON: Not(["backend_unavailable"])}
    return summed(parameters, rate(parameters, select(parameters, LOOKUPS, where), _WINDOW), [CACHE])


def _reads(parameters: Parameters, part: Part) -> str:
    """Each for itself: with both in one, or batches in it, a change of the mix would look like a change of latency.

    A profile that leaves the operation out of histograms is judged by all hits.
    """
    where = {OPERATION: Is(["get", "get_or_set", ""]), RESULT: Is(["hit"]), TIER: Is(["l1", "l2"])}
    return summed(parameters, rate(parameters, select(parameters, OPERATION_DURATION, where, part), _WINDOW),
                  [CACHE, OPERATION, TIER])  # fmt: skip


def _used(parameters: Parameters, dispositions: Is) -> str:
    where = {AI_DISPOSITION: dispositions}
    return summed(parameters, rate(parameters, select(parameters, AI_TOKENS, where), _AI_WINDOW), [CACHE])


def _traffic(parameters: Parameters) -> str:
    return f"job_cache:{base(LOOKUPS)}:rate{parameters.time(_WINDOW)}"


def _hit_ratio(parameters: Parameters) -> str:
    return f"job_cache:{base(LOOKUPS)}_hit:ratio_rate{parameters.time(_WINDOW)}"


def _hits(parameters: Parameters) -> str:
    return f"job_cache_operation_tier:{base(OPERATION_DURATION)}_hit:rate{parameters.time(_WINDOW)}"


def _latency(parameters: Parameters) -> str:
    return f"job_cache_operation_tier:{base(OPERATION_DURATION)}_hit:mean{parameters.time(_WINDOW)}"


def _tokens(parameters: Parameters) -> str:
    return f"job_cache:{base(AI_TOKENS)}:rate{parameters.time(_AI_WINDOW)}"


def _saved(parameters: Parameters) -> str:
    return f"job_cache:{base(AI_TOKENS)}_saved:ratio_rate{parameters.time(_AI_WINDOW)}"


# --- what is told ---------------------------------------------------------------------------------------


def alerts(parameters: Parameters) -> Iterator[Alert]:
    """Hit ratio, latency, evictions, savings."""
    yield _hit_ratio_drop(parameters)
    yield _latency_regression(parameters)
    yield _eviction_storm(parameters)
    yield _savings_drop(parameters)


def _hit_ratio_drop(parameters: Parameters) -> Alert:
    ratio, left = _hit_ratio(parameters), number(1 - parameters.hit_ratio_drop)
    drop = percent(parameters.hit_ratio_drop)
    return Alert(
        "OtcacheHitRatioDrop",
        "warning",
        "otcache-cache",
        f"(\n  {ratio}\n    < {left} * {yesterday(parameters, ratio)}\n  unless\n"
        f"  {ratio}\n    >= {left} * {last_week(parameters, ratio)}\n)\n"
        f"and {_traffic(parameters)} > {number(parameters.lookup_floor)}",
        15 * MINUTE,
        "The hit ratio of a cache fell well below its own past.",
        told(
            "Hit ratio of cache {cache} in {{ $labels.job }} is "
            f"{{{{ $value | humanizePercentage }}}}, over {drop} below yesterday's, and not what it was a week ago.",
            cache=CACHE,
        ),
    )


def _latency_regression(parameters: Parameters) -> Alert:
    mean, factor, tier = _latency(parameters), number(parameters.latency_factor), label(TIER)
    return Alert(
        "OtcacheLatencyRegression",
        "warning",
        "otcache-cache",
        f"(\n  {mean}\n    > {factor} * {yesterday(parameters, mean)}\n  unless\n"
        f"  {mean}\n    <= {factor} * {last_week(parameters, mean)}\n)\n"
        f'and ({mean}{{{tier}="l1"}} > {number(parameters.latency_floor_l1)}'
        f' or {mean}{{{tier}="l2"}} > {number(parameters.latency_floor_l2)})\n'
        f"and {_hits(parameters)} > {number(parameters.lookup_floor)}",
        15 * MINUTE,
        "A tier of a cache answers slower than it used to.",
        told(
            "A hit in {tier} of cache {cache} in {{ $labels.job }} takes "
            f"{{{{ $value | humanizeDuration }}}} on average, over {factor} times yesterday's, and not what it was a "
            "week ago.",
            cache=CACHE,
            tier=TIER,
        ),
    )


def _eviction_storm(parameters: Parameters) -> Alert:
    live = {TIER: Is(["l1"]), EVICTION_REASON: Is(["capacity"])}
    evicted = rate(parameters, select(parameters, EVICTIONS, live), 10 * MINUTE)
    written = rate(parameters, select(parameters, WRITES, {TIER: Is(["l1"])}), 10 * MINUTE)
    part, whole = summed(parameters, evicted, [CACHE]), summed(parameters, written, [CACHE])
    return Alert(
        "OtcacheEvictionStorm",
        "warning",
        "otcache-cache",
        f"{share(part, whole, parameters.write_floor)}\n> {number(parameters.eviction_share)}",
        15 * MINUTE,
        "L1 throws out most of what it stores.",
        told(
            "{{ $value | humanizePercentage }} of the L1 writes to cache {cache} in "
            "{{ $labels.job }} push out an entry that was still good.",
            cache=CACHE,
        ),
    )


def _savings_drop(parameters: Parameters) -> Alert:
    """Not while Redis is away: that is told of by name, and savings come back with it."""
    saved, left = _saved(parameters), number(1 - parameters.ai_savings_drop)
    return Alert(
        "OtcacheAISavingsDrop",
        "warning",
        "otcache-ai",
        f"{saved}\n  < {left} * avg_over_time({saved}[{parameters.time(DAY)}] offset {parameters.time(2 * HOUR)})\n"
        f"and {_tokens(parameters)} > {number(parameters.ai_token_floor)}\n"
        f"unless on ({by(parameters, CACHE)})\n"
        f"{degraded_share(parameters, _AI_WINDOW)}\n> {number(parameters.degraded_share)}",
        30 * MINUTE,
        "Kept AI responses save far fewer tokens than they used to.",
        told(
            "{{ $value | humanizePercentage }} of the tokens of cache {cache} in "
            "{{ $labels.job }} are saved by kept responses, over "
            f"{percent(parameters.ai_savings_drop)} less than yesterday.",
            cache=CACHE,
        ),
    )
