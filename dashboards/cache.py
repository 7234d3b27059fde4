"""Cache detail: for the owner of one cache."""

from __future__ import annotations

from dashboards.board import Board, Row
from dashboards.common import (
    ANSWERED,
    ASKED,
    CODEC_COLORS,
    FOUND,
    OPERATION_COLORS,
    REASON_COLORS,
    REASON_TEXTS,
    RESULT_COLORS,
    WARNINGS,
    evidence,
    hit_ratio,
    per_second,
    slow_traces,
)
from dashboards.overview import HIT_RATIO, LATENCY, NO_REDIS
from dashboards.panels import Limits, Query, heat, lines, names, stat, traces_link
from dashboards.promql import INSTANCE, LE, mean, none_of, one_of, quantile, rate, ratio, series, sum_by
from otcache.telemetry import catalog
from otcache.telemetry.catalog import (
    CACHE,
    CODEC_OPERATION,
    COMPRESSION_ALGORITHM,
    EVICTION_REASON,
    EVICTIONS,
    IO_DIRECTION,
    L1_COUNT,
    L1_LIMIT,
    LOOKUPS,
    MISS_REASON,
    OPERATION,
    OPERATION_DURATION,
    RESULT,
    TIER,
    WRITE_REASON,
    WRITES,
)

CHURN = Limits("churn_warning")
WEEK = "1w"


def _now() -> Row:
    entries, limit = sum_by(series(L1_COUNT)), sum_by(series(L1_LIMIT))
    return Row("now", "How is this cache?", [
        stat("hit-ratio", "Hit ratio",
             "Hits and stale answers of all keys looked up in this cache. Compare with last week's below.",
             Query(hit_ratio(), "hit ratio"), "percentunit", limits=HIT_RATIO, decimals=1, none="no lookups",
             width=6),
        stat("lookups", "Lookups per second", "Keys looked up in this cache. 0: no request reaches it.",
             Query(per_second(LOOKUPS), "lookups"), "ops", width=6),
        stat("call-p99", "Call duration p99 (without loads)",
             "p99 of calls that load nothing. If red: see which operation, below.",
             Query(quantile(0.99, OPERATION_DURATION, ANSWERED), "p99"), "s", limits=LATENCY, none="no calls", width=6),
        stat("l1-fill", "L1 fill level",
             "Entries of what L1 may hold, all instances together. Full is normal; it matters only with many "
             "evictions per write.",
             Query(ratio(entries, limit), "full"), "percentunit", decimals=0, none="no limit", width=6),
    ])  # fmt: skip


def _hits() -> Row:
    l1 = ratio(per_second(LOOKUPS, one_of(TIER, "l1"), FOUND), per_second(LOOKUPS, ASKED))
    l2 = ratio(per_second(LOOKUPS, one_of(TIER, "l2"), FOUND), per_second(LOOKUPS, none_of(TIER, "l1"), ASKED))
    misses = per_second(LOOKUPS, one_of(RESULT, "miss"), by=(MISS_REASON,))
    return Row("hits", "Does the cache hit?", [
        lines("hit-ratio-by-tier", "Hit ratio by tier",
              "L1: of all lookups; Redis: of those that L1 did not answer. Low in both: TTLs are too short, or keys "
              "are hardly ever requested twice.",
              [Query(l1, "memory (L1)"), Query(l2, "Redis (L2)")], "percentunit", most=1,
              colors={"memory (L1)": "green", "Redis (L2)": "blue"}),
        lines("hit-ratio-last-week", "Hit ratio: now and a week ago",
              "If a gap starts at a deployment (a blue line), look at what it changed: keys, TTLs, size of L1.",
              [Query(hit_ratio(), "now"), Query(hit_ratio(offset=WEEK), "a week ago")], "percentunit", most=1,
              dashed="a week ago", colors={"now": "green"}),
        lines("misses-by-reason", "Misses by reason",
              "Misses per second by reason. Evicted: raise the size of L1. Expired: raise the TTL. Redis did not "
              "answer: see Redis and resilience. Could not be decoded: two versions share one Redis.",
              [Query(misses, names(MISS_REASON))], "ops", stacked=True, colors=REASON_COLORS, texts=REASON_TEXTS),
    ])  # fmt: skip


def _latency() -> Row:
    link = traces_link("Traces of slower calls", slow_traces())
    by_operation = quantile(0.99, OPERATION_DURATION, by=(OPERATION,))
    hits_and_misses = mean(OPERATION_DURATION, one_of(RESULT, "hit", "miss"), ANSWERED, by=(RESULT,))
    spread = sum_by(rate(series(OPERATION_DURATION, part="_bucket")), LE)
    return Row("durations", "How long do calls take?", [
        lines("call-p99-by-operation", "Call duration p99 by operation",
              "If one rises: click a point for traces of calls at least as slow.",
              [Query(by_operation, names(OPERATION), exemplar=True)], "s", log=True, links=[link],
              colors=OPERATION_COLORS),
        lines("call-mean-by-result", "Mean call duration by result",
              "Hits, and misses without a load (for loads see Loading and coherence). A miss far above a hit: the cost "
              "is the round trip to Redis.",
              [Query(hits_and_misses, names(RESULT))], "s", log=True, colors=RESULT_COLORS),
        heat("call-heatmap", "Call duration distribution",
             "Darker is more calls. Bands are tiers: microseconds for L1, around a millisecond for Redis. A new band "
             "above is where to look.",
             Query(spread, f"{{{{{LE}}}}}"), "s", width=8),
    ])  # fmt: skip


def _traffic() -> Row:
    evicted = per_second(EVICTIONS, one_of(TIER, "l1"), one_of(EVICTION_REASON, "capacity"))
    age = {q: quantile(q, catalog.ENTRY_AGE) for q in (0.5, 0.95)}
    return Row("traffic", "What is called, stored and evicted?", [
        lines("calls-by-operation", "Calls by operation", "Calls per second by operation; a batch counts once.",
              [Query(per_second(catalog.OPERATIONS, by=(OPERATION,)), names(OPERATION))], "ops", stacked=True,
              colors=OPERATION_COLORS),
        lines("writes-by-tier", "Writes by tier and reason",
              "Entries per second by tier and reason; backfill is a copy of a Redis hit into L1. L2 below L1 in an "
              "outage: what Redis did not take is lost on a restart. `none refused`: loaded values that can't be kept.",
              [Query(per_second(WRITES, by=(TIER, WRITE_REASON)), names(TIER, WRITE_REASON))], "ops"),
        lines("l1-evictions-by-reason", "L1 evictions by reason",
              "Entries per second. `capacity`: L1 is full, raise memory_cache_size. `expired`: their TTL ended.",
              [Query(per_second(EVICTIONS, by=(EVICTION_REASON,)), names(EVICTION_REASON))], "ops"),
        lines("l1-entries-by-instance", "L1 entries and limit by instance",
              "Full is normal. If full with many evictions per write: raise memory_cache_size.",
              [Query(sum_by(series(L1_COUNT), INSTANCE), names(INSTANCE)),
               Query(sum_by(series(L1_LIMIT), INSTANCE), f"limit of {names(INSTANCE)}")],
              "short", dashed="limit", decimals=0),
        lines("l1-evictions-per-write", "L1 evictions per write",
              "Evictions at capacity per entry written into L1. Near 1, every write evicts another entry: raise "
              "memory_cache_size.",
              [Query(ratio(evicted, per_second(WRITES, one_of(TIER, "l1"))), "evictions per write")], "percentunit",
              limits=CHURN, none="no writes"),
        lines("changed-objects", "L1 objects that callers changed",
              "Per second, found at a hit. If any: the log names the key template; change a copy there, or set "
              "l1_isolation to copy.",
              [Query(per_second(catalog.CHANGED_OBJECTS), "changed objects")], "ops"),
        lines("l2-entry-age", "Age of L2 hits",
              "Age of values when Redis returned them. Close to the TTL: a longer TTL gives more hits.",
              [Query(age[0.5], "median"), Query(age[0.95], "p95")], "s", none=NO_REDIS),
    ])  # fmt: skip


def _payload() -> Row:
    stage = {s: per_second(catalog.COMPRESSION_IO, one_of(catalog.COMPRESSION_STAGE, s), by=(COMPRESSION_ALGORITHM,))
             for s in ("output", "input")}  # fmt: skip
    size = {q: quantile(q, catalog.PAYLOAD_SIZE, by=(IO_DIRECTION,)) for q in (0.5, 0.95)}
    return Row("payload", "What does the cache carry?", [
        lines("payload-size", "Payload size by direction",
              "After compression. A jump in p95 of writes means that something new is cached.",
              [Query(size[0.5], f"{names(IO_DIRECTION)} median"), Query(size[0.95], f"{names(IO_DIRECTION)} p95")],
              "bytes", none=NO_REDIS),
        lines("compression-ratio", "Compression ratio by algorithm",
              "Bytes out of the compressor per byte into it. Near 100 %: switch it off, or raise its minimum size.",
              [Query(ratio(stage["output"], stage["input"]), names(COMPRESSION_ALGORITHM))], "percentunit",
              none="nothing is compressed"),
        lines("codec-duration", "Mean codec duration by operation",
              "Mean per value. If it nears the time of a round trip, values are too large or compressed too hard.",
              [Query(mean(catalog.CODEC_DURATION, by=(CODEC_OPERATION,)), names(CODEC_OPERATION))], "s", log=True,
              colors=CODEC_COLORS, none=NO_REDIS),
    ])  # fmt: skip


def board() -> Board:
    """The dashboard."""
    mine = f'span.{CACHE.name} = "$cache"'
    missed = f'{mine} && span.{RESULT.name} = "miss"'
    traces = evidence(
        ("traces-slow-requests", "Traces of slow requests with a miss",
         "Requests of over 500 ms in which this cache missed.",
         f'{{ kind = server && duration > 500ms }} >> {{ instrumentation:name = "otcache" && {missed} }}'),
        ("traces-by-key", "Misses by key hash",
         "By keyed hash: no key is shown. One that leads by far is never stored.",
         f"{{ {missed} }} | rate() by (span.{catalog.KEY_HASH.name}) | topk(10)"),
        logql=f'{WARNINGS} | {CACHE.name.replace(".", "_")} = "$cache"',
    )  # fmt: skip
    says = "For the owner of one cache: does it find what is asked for, how fast, and is it the right size?"
    rows = [_now(), _hits(), _latency(), _traffic(), _payload(), traces]
    return Board("cache", "otcache / Cache detail", says, rows, one_cache=True)
