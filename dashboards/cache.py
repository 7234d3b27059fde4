"""Cache detail: for the owner of one cache."""

from __future__ import annotations

from dashboards.board import Board, Row
from dashboards.common import (
    ANSWERED,
    ASKED,
    CODEC_COLOURS,
    FOUND,
    OPERATION_COLOURS,
    REASON_COLOURS,
    REASON_TEXTS,
    RESULT_COLOURS,
    WARNINGS,
    evidence,
    hit_ratio,
    per_second,
    slow_traces,
)
from dashboards.overview import HIT_RATIO, LATENCY, NO_REDIS
from dashboards.panels import Limits, Query, heat, lines, names, stat, traces_link
from dashboards.promql import INSTANCE, LE, mean, none_of, one_of, quantile, rate, ratio, series, sum_by
from otcache.telemetry.catalog import (
    CACHE,
    CODEC_DURATION,
    CODEC_OPERATION,
    COMPRESSION_ALGORITHM,
    COMPRESSION_IO,
    COMPRESSION_STAGE,
    ENTRY_AGE,
    EVICTION_REASON,
    EVICTIONS,
    IO_DIRECTION,
    KEY_HASH,
    L1_COUNT,
    L1_LIMIT,
    LOOKUPS,
    MISS_REASON,
    OPERATION,
    OPERATION_DURATION,
    OPERATIONS,
    PAYLOAD_SIZE,
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
        stat("hit-ratio", "Lookups answered",
             "Hits and stale answers of all keys looked up in this cache. Compare with last week's below.",
             Query(hit_ratio(), "hit ratio"), "percentunit", limits=HIT_RATIO, decimals=1, none="no lookups",
             width=6),
        stat("lookups", "Lookups per second", "Keys looked up in this cache. 0: nothing asks it.",
             Query(per_second(LOOKUPS), "lookups"), "ops", width=6),
        stat("call-p99", "Slowest 1 % of calls", "p99 of all calls that load nothing. If red: see which calls, below.",
             Query(quantile(0.99, OPERATION_DURATION, ANSWERED), "p99"), "s", limits=LATENCY, none="no calls", width=6),
        stat("l1-fill", "How full is L1?",
             "Entries of what L1 may hold, all instances together. Full is normal; it matters only with many "
             "evictions per write.",
             Query(ratio(entries, limit), "full"), "percentunit", decimals=0, none="no limit", width=6),
    ])  # fmt: skip


def _hits() -> Row:
    l1 = ratio(per_second(LOOKUPS, one_of(TIER, "l1"), FOUND), per_second(LOOKUPS, ASKED))
    l2 = ratio(per_second(LOOKUPS, one_of(TIER, "l2"), FOUND), per_second(LOOKUPS, none_of(TIER, "l1"), ASKED))
    misses = per_second(LOOKUPS, one_of(RESULT, "miss"), by=(MISS_REASON,))
    return Row("hits", "Does it find what is asked for?", [
        lines("hit-ratio-by-tier", "What share does each tier find?",
              "L1 of all lookups; Redis of those that L1 did not answer. Low in both: TTLs are too short, or keys are "
              "hardly ever asked for twice.",
              [Query(l1, "memory (L1)"), Query(l2, "Redis (L2)")], "percentunit", most=1,
              colours={"memory (L1)": "green", "Redis (L2)": "blue"}),
        lines("hit-ratio-last-week", "Is it as good as last week?",
              "Hit ratio now and at the same time a week ago. A gap that starts at a deployment is that deployment's.",
              [Query(hit_ratio(), "now"), Query(hit_ratio(offset=WEEK), "a week ago")], "percentunit", most=1,
              dashed="a week ago", colours={"now": "green"}),
        lines("misses-by-reason", "Why do lookups miss?",
              "Misses per second by reason. Evicted: raise the size of L1. Expired: raise the TTL. Redis did not "
              "answer: see Redis and resilience. Could not be decoded: two versions share one Redis.",
              [Query(misses, names(MISS_REASON))], "ops", stacked=True, colours=REASON_COLOURS, texts=REASON_TEXTS),
    ])  # fmt: skip


def _latency() -> Row:
    link = traces_link("Traces of slower calls", slow_traces())
    by_operation = quantile(0.99, OPERATION_DURATION, by=(OPERATION,))
    hits_and_misses = mean(OPERATION_DURATION, one_of(RESULT, "hit", "miss"), ANSWERED, by=(RESULT,))
    spread = sum_by(rate(series(OPERATION_DURATION, part="_bucket")), LE)
    return Row("durations", "How long do calls take?", [
        lines("call-p99-by-operation", "Which calls are slow?",
              "p99 by operation. Click a point for traces of calls at least as slow.",
              [Query(by_operation, names(OPERATION), exemplar=True)], "s", log=True, links=[link],
              colours=OPERATION_COLOURS),
        lines("call-mean-by-result", "What does a hit cost, and a miss?",
              "Mean of calls that hit, and that missed without loading (for loads see Loading and coherence). A miss "
              "far above a hit means Redis was asked in vain.",
              [Query(hits_and_misses, names(RESULT))], "s", log=True, colours=RESULT_COLOURS),
        heat("call-heatmap", "How are the times of calls spread?",
             "Darker is more calls. Bands are tiers: microseconds for L1, around a millisecond for Redis. A new band "
             "above is where to look.",
             Query(spread, f"{{{{{LE}}}}}"), "s", width=8),
    ])  # fmt: skip


def _traffic() -> Row:
    evicted = per_second(EVICTIONS, one_of(TIER, "l1"), one_of(EVICTION_REASON, "capacity"))
    age = {q: quantile(q, ENTRY_AGE) for q in (0.5, 0.95)}
    return Row("traffic", "What is called, stored and thrown out?", [
        lines("calls-by-operation", "What is called?", "Calls per second by operation; a batch counts once.",
              [Query(per_second(OPERATIONS, by=(OPERATION,)), names(OPERATION))], "ops", stacked=True,
              colours=OPERATION_COLOURS),
        lines("writes-by-tier", "What is stored, and where?",
              "Entries per second by tier and reason; backfill is a copy of a Redis hit into L1. L2 below L1 in an "
              "outage: what Redis did not take is lost on a restart.",
              [Query(per_second(WRITES, by=(TIER, WRITE_REASON)), names(TIER, WRITE_REASON))], "ops"),
        lines("l1-evictions-by-reason", "What leaves L1 unasked?",
              "Entries per second. Capacity: L1 is full. Expired: their time was over.",
              [Query(per_second(EVICTIONS, by=(EVICTION_REASON,)), names(EVICTION_REASON))], "ops"),
        lines("l1-entries-by-instance", "How many entries does L1 hold?", "By instance, and what each may hold.",
              [Query(sum_by(series(L1_COUNT), INSTANCE), names(INSTANCE)),
               Query(sum_by(series(L1_LIMIT), INSTANCE), f"limit of {names(INSTANCE)}")],
              "short", dashed="limit", decimals=0),
        lines("l1-evictions-per-write", "Is L1 too small?",
              "Evictions for want of room per entry written into L1. Near 1, every write throws out another entry: "
              "raise memory_cache_size.",
              [Query(ratio(evicted, per_second(WRITES, one_of(TIER, "l1"))), "evictions per write")], "percentunit",
              limits=CHURN, none="no writes"),
        lines("l2-entry-age", "How old are answers from Redis?",
              "Age of values when Redis answered with them. Close to the TTL: it could be longer.",
              [Query(age[0.5], "median"), Query(age[0.95], "p95")], "s", none=NO_REDIS),
    ])  # fmt: skip


def _payload() -> Row:
    stage = {s: per_second(COMPRESSION_IO, one_of(COMPRESSION_STAGE, s), by=(COMPRESSION_ALGORITHM,))
             for s in ("output", "input")}  # fmt: skip
    size = {q: quantile(q, PAYLOAD_SIZE, by=(IO_DIRECTION,)) for q in (0.5, 0.95)}
    return Row("payload", "What does it carry?", [
        lines("payload-size", "How large are values on the wire?",
              "After compression. A jump in p95 of writes means that something new is cached.",
              [Query(size[0.5], f"{names(IO_DIRECTION)} median"), Query(size[0.95], f"{names(IO_DIRECTION)} p95")],
              "bytes", none=NO_REDIS),
        lines("compression-ratio", "What does compression leave?",
              "Bytes out of the compressor per byte into it. Near 100 %: switch it off, or raise its minimum size.",
              [Query(ratio(stage["output"], stage["input"]), names(COMPRESSION_ALGORITHM))], "percentunit",
              none="nothing is compressed"),
        lines("codec-duration", "How long does encoding take?",
              "Mean per value. If it nears the time of a round trip, values are too large or compressed too hard.",
              [Query(mean(CODEC_DURATION, by=(CODEC_OPERATION,)), names(CODEC_OPERATION))], "s", log=True,
              colours=CODEC_COLOURS, none=NO_REDIS),
    ])  # fmt: skip


def board() -> Board:
    """The dashboard."""
    mine = f'span.{CACHE.name} = "$cache"'
    missed = f'{mine} && span.{RESULT.name} = "miss"'
    traces = evidence(
        ("traces-slow-requests", "Misses that hurt requests", "Requests of over 500 ms in which this cache missed.",
         f'{{ kind = server && duration > 500ms }} >> {{ instrumentation:name = "otcache" && {missed} }}'),
        ("traces-by-key", "Which keys miss most?",
         "By keyed hash: no key is shown. One that leads by far is never stored.",
         f"{{ {missed} }} | rate() by (span.{KEY_HASH.name}) | topk(10)"),
        logql=f'{WARNINGS} | {CACHE.name.replace(".", "_")} = "$cache"',
    )  # fmt: skip
    says = "For the owner of one cache: does it find what is asked for, how fast, and is it the right size?"
    rows = [_now(), _hits(), _latency(), _traffic(), _payload(), traces]
    return Board("cache", "otcache / Cache detail", says, rows, one_cache=True)
