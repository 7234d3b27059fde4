"""Histories of installations: trouble that fires an alert, and what must fire none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from otcache.alerts import Parameters
from otcache.alerts._promql import label
from otcache.telemetry import catalog
from otcache.telemetry.catalog import (
    AI_DISPOSITION,
    BACKEND,
    CACHE,
    CALLBACK_EVENT,
    CALLBACK_NAME,
    CALLBACKS,
    COMPONENT,
    DB_OPERATION,
    DROP_REASON,
    DROPPED,
    ERROR_TYPE,
    EVICTION_REASON,
    EVICTIONS,
    INDICATOR,
    L2_DURATION,
    OPERATION,
    OPERATION_DURATION,
    REGRESSION_CHANGE,
    REGRESSION_STATUS,
    RESULT,
    SIGNAL,
    TARGET,
    TIER,
    VERDICT,
    WRITE_REASON,
    WRITES,
)
from tests.alerts.load_cases import healthy_loads
from tests.alerts.promtool import Case, Firing, Labels, Segment, Series, grows, shows

HOUR: Final = 60.0
DAY: Final = 24 * HOUR
WEEK: Final = 7 * DAY
PAST: Final = 4 * HOUR
"""Enough of yesterday to compare with."""
CALLERS_OWN: Final = Parameters().caller_errors[0]
WEB: Final = {"job": "shop", "otcache_cache_name": "web"}

# --- what is scraped ------------------------------------------------------------------------------------


def called(
    result: str, *segments: Segment, error: str = "", operation: str = "get", restart: float | None = None
) -> Series:
    """Calls of the cache `web`."""
    labels = {CACHE: "web", OPERATION: operation, RESULT: result, **({ERROR_TYPE: error} if error else {})}
    return grows(catalog.OPERATIONS, labels, *segments, restart=restart)


def looked_up(
    result: str, *segments: Segment, reason: str = "none", tier: str = "none", restart: float | None = None
) -> Series:
    """Lookups of the cache `web`."""
    return grows(
        catalog.LOOKUPS,
        {CACHE: "web", RESULT: result, TIER: tier, catalog.MISS_REASON: reason},
        *segments,
        restart=restart,
    )


def took(tier: str, *segments: tuple[float, float, float], operation: str = "get") -> Iterator[Series]:
    """Hits of a tier: per second, seconds each, for how many minutes."""
    labels = {CACHE: "web", OPERATION: operation, RESULT: "hit", TIER: tier}
    counts = tuple((per_second, minutes) for per_second, _, minutes in segments)
    sums = tuple((per_second * seconds, minutes) for per_second, seconds, minutes in segments)
    yield grows(OPERATION_DURATION, labels, *counts, part="_count")
    yield grows(OPERATION_DURATION, labels, *sums, part="_sum")


def backend(*segments: tuple[str, float], instance: str = "shop:1") -> Iterator[Series]:
    """The state of L2."""
    for state in ("available", "degraded", "unavailable"):
        shown = tuple((float(state == now), minutes) for now, minutes in segments)
        labels = {BACKEND: "redis", COMPONENT: "l2", catalog.COMPONENT_STATE: state}
        yield shows(catalog.COMPONENT_STATUS, labels, *shown, instance=instance)


def moved(state: str, *segments: Segment) -> Series:
    """Transitions of the breaker."""
    return grows(
        catalog.CIRCUIT_TRANSITIONS, {BACKEND: "redis", COMPONENT: "l2", catalog.CIRCUIT_STATE: state}, *segments
    )


def tripped(*segments: Segment, command: str = "GET", error: str = "") -> Series:
    """Round trips to Redis."""
    return grows(catalog.L2_OPERATIONS, {CACHE: "web", DB_OPERATION: command, **({ERROR_TYPE: error} if error else {})},
                 *segments)  # fmt: skip


def degraded(*segments: Segment, reason: str = "circuit_open") -> Series:
    """Operations without L2."""
    return grows(catalog.DEGRADED_OPERATIONS, {CACHE: "web", catalog.DEGRADED_REASON: reason}, *segments)


def alive(*segments: Segment, job: str = "shop") -> Series:
    """The application itself."""
    return shows(catalog.BUILD_INFO, {}, *segments, job=job)


def tokens(disposition: str, *segments: Segment) -> Series:
    """Tokens of the AI cache `web`."""
    labels = {CACHE: "web", catalog.AI_OPERATION: "summarize", catalog.AI_TEXT_TIER: "small",
              AI_DISPOSITION: disposition, catalog.AI_ESTIMATE: "measured", catalog.TOKEN_TYPE: "output"}  # fmt: skip
    return grows(catalog.AI_TOKENS, labels, *segments)


ABOUT: Final[Labels] = {
    attribute: {CACHE: "web", TIER: "l2", TARGET: "shop"}.get(attribute) or (attribute.values or ("some",))[0]
    for attribute in REGRESSION_CHANGE.attributes
}
"""What a verdict of the detector is about, and its change."""
JUDGED: Final = {"job": "watch"} | {
    label(attribute): value for attribute, value in ABOUT.items() if attribute in REGRESSION_STATUS.attributes
}
_FURTHER: Final = " ".join(
    value for attribute, value in ABOUT.items()
    if attribute in REGRESSION_STATUS.attributes and attribute not in (TARGET, INDICATOR, CACHE, TIER)
)  # fmt: skip
WHEN: Final = "Find the release at which the change began."
WORSE: Final = f"{ABOUT[INDICATOR]} ({_FURTHER}) of cache web, tier l2, in shop is worse by"


def verdict(*segments: tuple[str, float]) -> Iterator[Series]:
    """What the detector says."""
    for state in ("ok", "minor", "warning", "critical", "improved", "inconclusive"):
        shown = tuple((float(state == now), minutes) for now, minutes in segments)
        about = {attribute: value for attribute, value in ABOUT.items() if attribute in REGRESSION_STATUS.attributes}
        yield shows(REGRESSION_STATUS, {**about, VERDICT: state}, *shown, job="watch", instance="watch:1")


def change(*segments: Segment) -> Series:
    """By how much it is worse."""
    return shows(REGRESSION_CHANGE, ABOUT, *segments, job="watch", instance="watch:1")


def evaluated(*segments: Segment, error: str = "", state: str = "ok") -> Series:
    """Evaluations of the detector."""
    labels = {TARGET: "shop", INDICATOR: ABOUT[INDICATOR], VERDICT: state, **({ERROR_TYPE: error} if error else {})}
    return grows(catalog.EVALUATIONS, labels, *segments, job="watch", instance="watch:1")


def healthy(per_second: float, minutes: float, restart: float | None = None) -> tuple[Series, ...]:
    """An application that does well: traffic in every metric that an alert reads."""

    def line(share: float) -> Segment:
        return per_second * share, minutes

    return (
        alive((1, minutes)), *backend(("available", minutes)),
        called("hit", line(0.8), restart=restart), called("miss", line(0.2), restart=restart),
        called("ok", line(0.2), operation="set", restart=restart), degraded((0, minutes)),
        looked_up("hit", line(0.5), tier="l1", restart=restart),
        looked_up("hit", line(0.3), tier="l2", restart=restart),
        looked_up("miss", line(0.2), reason="absent", restart=restart),
        *took("l1", (per_second * 0.5, 2e-6, minutes)), *took("l2", (per_second * 0.3, 4e-4, minutes)),
        grows(WRITES, {CACHE: "web", TIER: "l1", WRITE_REASON: "set"}, line(0.2), restart=restart),
        grows(EVICTIONS, {CACHE: "web", TIER: "l1", EVICTION_REASON: "capacity"}, line(0.02), restart=restart),
        tripped(line(0.5)), tripped(line(0.2), command="SET"), moved("closed", (0, minutes)),
        *(grows(L2_DURATION, {CACHE: "web", DB_OPERATION: "GET"}, line(0.5), part="_bucket", le=le, restart=restart)
          for le in ("0.001", "0.1", "+Inf")),
        grows(L2_DURATION, {CACHE: "web", DB_OPERATION: "GET"}, line(0.5), part="_count", restart=restart),
        grows(CALLBACKS, {CALLBACK_EVENT: "get_miss", CALLBACK_NAME: "told"}, line(0.2), restart=restart),
        grows(DROPPED, {SIGNAL: "traces", DROP_REASON: "recording_error"}, (0, minutes)),
        tokens("saved", line(100)), tokens("spent", line(40)), *healthy_loads(per_second, minutes, restart),
    )  # fmt: skip


# --- nothing fires --------------------------------------------------------------------------------------

_LONGEST: Final = 4 * HOUR
"""Longer than the longest `for`, which is 3 h."""

QUIET: Final = (
    Case("healthy traffic fires nothing", healthy(50, _LONGEST), _LONGEST, step=2),
    Case("hardly any traffic fires nothing", healthy(0.05, _LONGEST), _LONGEST, step=2),
    Case("an idle service fires nothing", healthy(0, _LONGEST), _LONGEST, step=2),
    Case("a deploy with new counters fires nothing", healthy(50, _LONGEST, restart=90), _LONGEST, step=2),
    Case("a cache whose objects stay as they are fires nothing",
         (grows(catalog.CHANGED_OBJECTS, {CACHE: "web"}, (0, 2 * HOUR)),), 2 * HOUR),
    Case("ten minutes without a scrape fire nothing",
         (alive((1, 60), (None, 10), (1, 60)), called("hit", (50, 60), (None, 10), (50, 60), restart=70)), 130),
    Case("a benchmark that is over is not missed", (alive((1, 10), job="otcache-bench"),), _LONGEST, step=2),
    Case("the callers' own errors never page",
         (called("hit", (10, _LONGEST)), called("error", (90, _LONGEST), error=CALLERS_OWN)), _LONGEST, step=2),
    Case("errors that the installation calls the callers' own never page either",
         (called("hit", (10, _LONGEST)), called("error", (90, _LONGEST), error="shop.LoaderError")), _LONGEST, step=2,
         parameters=Parameters(caller_errors=(CALLERS_OWN, "shop.LoaderError"))),
    Case("cancelled calls are no errors",
         (called("hit", (10, _LONGEST)), called("cancelled", (90, _LONGEST))), _LONGEST, step=2),
    Case("a few calls do not stand for an error budget",
         (called("hit", (0.001, _LONGEST)), called("error", (0.001, _LONGEST), error="OSError")), _LONGEST, step=2),
    Case("errors within the budget fire nothing",
         (called("hit", (99.95, _LONGEST)), called("error", (0.05, _LONGEST), error="OSError")), _LONGEST, step=2),
    Case("a short dip of the hit ratio fires nothing",
         (looked_up("hit", (90, PAST), (60, 10), (90, HOUR)),
          looked_up("miss", (10, PAST), (40, 10), (10, HOUR), reason="absent")), PAST + 70, step=5),
    Case("a hit ratio as low as every week at this hour fires nothing",
         (looked_up("hit", (30, 3 * HOUR), (90, WEEK - 3 * HOUR), (30, 2 * HOUR)),
          looked_up("miss", (70, 3 * HOUR), (10, WEEK - 3 * HOUR), (70, 2 * HOUR), reason="absent")),
         WEEK + 90, step=15),
    Case("a cache that never hits has no drop",
         (looked_up("miss", (20, PAST), reason="absent"),), PAST, step=5),
    Case("bypassed lookups are in no hit ratio",
         (looked_up("hit", (90, DAY)), looked_up("miss", (10, DAY), reason="absent"),
          looked_up("bypass", (0, DAY - 2 * HOUR), (900, 2 * HOUR))), DAY, step=10),
    Case("little traffic is not judged by its hit ratio",
         (looked_up("hit", (0.5, PAST), (0, 2 * HOUR)),
          looked_up("miss", (0.1, PAST), (0.6, 2 * HOUR), reason="absent")),
         PAST + 2 * HOUR, step=5),
    Case("more hits from L2 are no slower cache",
         (*took("l1", (90, 2e-6, PAST), (10, 2e-6, 2 * HOUR)), *took("l2", (10, 1e-3, PAST), (90, 1e-3, 2 * HOUR))),
         PAST + 2 * HOUR, step=5),
    Case("more calls that may load are no slower cache",
         (*took("l1", (90, 3e-5, PAST), (10, 3e-5, 2 * HOUR)),
          *took("l1", (10, 6e-5, PAST), (90, 6e-5, 2 * HOUR), operation="get_or_set")), PAST + 2 * HOUR, step=5),
    Case("microseconds are not worth a word",
         (*took("l1", (90, 2e-6, PAST), (90, 9e-6, 2 * HOUR)),), PAST + 2 * HOUR, step=5),
    Case("entries that expire are no storm",
         (grows(WRITES, {CACHE: "web", TIER: "l1", WRITE_REASON: "set"}, (20, HOUR)),
          grows(EVICTIONS, {CACHE: "web", TIER: "l1", EVICTION_REASON: "expired"}, (20, HOUR)),
          grows(EVICTIONS, {CACHE: "web", TIER: "l1", EVICTION_REASON: "capacity"}, (2, HOUR))), HOUR),
    Case("one blink of Redis fires nothing",
         (*backend(("available", 30), ("unavailable", 1), ("available", 30)), moved("closed", (0, 30), (1 / 60, 1),
          (0, 30))), 61),
    Case("three recoveries in a quarter of an hour are none too many",
         (moved("closed", (0, 30), (3 / 900, 15), (0, 30)),), 75),
    Case("failing probes are no failing round trips",
         (tripped((2, HOUR), command="PING", error="ConnectionError"), tripped((0.5, HOUR))), HOUR),
    Case("slow probes are no slow round trips",
         (grows(L2_DURATION, {CACHE: "web", DB_OPERATION: "PING"}, (2, HOUR), part="_bucket", le="+Inf"),
          grows(L2_DURATION, {CACHE: "web", DB_OPERATION: "PING"}, (2, HOUR), part="_count")), HOUR),
    Case("deletes that Redis did not take are made up for",
         (called("dropped", (5, HOUR), operation="delete"), called("ok", (5, HOUR), operation="set")), HOUR),
    Case("a callback that fails now and then fires nothing",
         (grows(CALLBACKS, {CALLBACK_EVENT: "get_miss", CALLBACK_NAME: "told"}, (9.9, HOUR)),
          grows(CALLBACKS, {CALLBACK_EVENT: "get_miss", CALLBACK_NAME: "told", ERROR_TYPE: "ValueError"}, (0.1, HOUR)),
          ), HOUR),
    Case("a rate limit of logs is no loss",
         (grows(DROPPED, {SIGNAL: "logs", DROP_REASON: "rate_limited"}, (5, HOUR)),), HOUR),
    Case("a verdict of ok, minor, improved or inconclusive fires nothing",
         (*verdict(("ok", 20), ("minor", 20), ("improved", 20), ("inconclusive", 20)), change((0.04, 80)),
          evaluated((1 / 60, 80))), 80),
    Case("a warning that is gone after three minutes fires nothing",
         (*verdict(("ok", 20), ("warning", 3), ("ok", 20)), change((0.12, 43)), evaluated((1 / 60, 43))), 43),
    Case("a detector that works fires nothing", (evaluated((1 / 300, DAY)), alive((1, DAY), job="watch")), DAY, step=5),
)  # fmt: skip

# --- what fires -----------------------------------------------------------------------------------------


def burning(share: str, *windows: tuple[str, str, str, str, str]) -> tuple[Firing, ...]:
    """Budgets that burn: severity, long, short, factor, and the share if it is another."""
    said = (
        "{} of the cache calls of shop raised in the last {}, {} times what an objective of 99.9% allows. "
        "Look at the errors by type."
    )
    return tuple(
        Firing("OtcacheErrorBudgetBurn", said.format(other or share, long, factor),
               {"job": "shop", "severity": severity, "long": long, "short": short})
        for severity, long, short, factor, other in windows
    )  # fmt: skip


BURN_1H: Final = ("critical", "1h", "5m", "14.4", "")
BURN_6H: Final = ("critical", "6h", "30m", "6", "")
BURN_1D: Final = ("warning", "1d", "2h", "3", "")
BURN_3D: Final = ("warning", "3d", "6h", "1", "")

REDIS_DOWN: Final = Firing(
    "OtcacheRedisDown",
    "100% of the L2 tiers of shop can't reach redis: L1 misses go to the origin. Protect the origin, then restore "
    "Redis.",
    {"job": "shop", "otcache_backend_name": "redis"},
)
REDIS_DEGRADED: Final = Firing(
    "OtcacheRedisDegraded",
    "redis has been degraded or unavailable for 10m at shop:1 of shop. Compare the instance with the others.",
    {"job": "shop", "instance": "shop:1", "otcache_backend_name": "redis", "otcache_component": "l2"},
)

LOUD: Final = (
    Case("two percent of errors burn the budget fast",
         (called("hit", (98, HOUR)), called("error", (2, HOUR), error="OSError")), HOUR,
         burning("2%", BURN_1H, BURN_6H)),
    Case("two percent of errors for hours are told by every window",
         (called("hit", (98, _LONGEST)), called("error", (2, _LONGEST), error="OSError")), _LONGEST,
         burning("2%", BURN_1H, BURN_6H, BURN_1D, BURN_3D)),
    Case("a fifth of a percent is told by the slowest window alone",
         (called("hit", (99.8, DAY)), called("error", (0.2, DAY), error="OSError")), DAY,
         burning("0.2%", BURN_3D), step=10),
    Case("errors beside the callers' own still page",
         (called("hit", (68, HOUR)), called("error", (2, HOUR), error="OSError"),
          called("error", (30, HOUR), error=CALLERS_OWN)), HOUR, burning("2%", BURN_1H, BURN_6H)),
    Case("writes that no tier stores fire an alert",
         (called("ok", (3, HOUR), operation="set"), called("dropped", (1, HOUR), operation="set")), HOUR,
         (Firing("OtcacheWritesDropped",
                 "25% of the writes to cache web in shop were stored by no tier. Look at the errors of Redis.", WEB),)),
    Case("values that can't be read fire an alert",
         (called("miss", (10, HOUR)), degraded((1, HOUR), reason="codec")), HOUR,
         (Firing("OtcacheDegradedTraffic",
                 "10% of the operations on cache web in shop did without Redis, or could not decode a value. Look at "
                 "the operations by reason.",
                 WEB),)),
    Case("an outage of Redis is told as one, and is no drop of the hit ratio",
         (*backend(("available", 2 * HOUR), ("unavailable", HOUR)),
          looked_up("hit", (70, 2 * HOUR), (1, HOUR), tier="l1"),
          looked_up("miss", (30, 2 * HOUR), (0.4, HOUR), reason="absent"),
          looked_up("miss", (0, 2 * HOUR), (98.6, HOUR), reason="backend_unavailable"),
          called("hit", (70, 2 * HOUR), (1, HOUR)), called("miss", (30, 2 * HOUR), (99, HOUR)),
          degraded((0, 2 * HOUR), (99, HOUR)), moved("open", (0, 2 * HOUR), (2, HOUR)),
          moved("half_open", (0, 2 * HOUR), (2, HOUR)),
          moved("closed", (0, 3 * HOUR)), tripped((30, 2 * HOUR), (0, HOUR)),
          tripped((0, 2 * HOUR), (2, HOUR), command="PING", error="ConnectionError")), 3 * HOUR,
         (REDIS_DOWN, REDIS_DEGRADED,
          Firing("OtcacheDegradedTraffic",
                 "99% of the operations on cache web in shop did without Redis, or could not decode a value. Look at "
                 "the operations by reason.",
                 WEB))),
    Case("one of three instances without Redis is degraded, not down",
         (*backend(("unavailable", 30)), *backend(("available", 30), instance="shop:2"),
          *backend(("available", 30), instance="shop:3")), 30, (REDIS_DEGRADED,)),
    Case("keys that were never repaired are degraded", tuple(backend(("degraded", 30))), 30, (REDIS_DEGRADED,)),
    Case("a breaker that closes again and again flaps",
         (moved("closed", (5 / 900, 60)), moved("open", (5 / 900, 60))), HOUR,
         (Firing("OtcacheCircuitFlapping", "The breaker of redis at shop:1 of shop closed 5 times in 15m. Look at "
                 "Redis' log at those times.",
                 {"job": "shop", "instance": "shop:1", "otcache_backend_name": "redis", "otcache_component": "l2"}),)),
    Case("round trips that fail fire an alert",
         (tripped((9, HOUR)), tripped((1, HOUR), error="OOM", command="SET")), HOUR,
         (Firing("OtcacheRedisErrors",
                 "10% of the round trips to Redis for cache web in shop fail. Look at them by error type.", WEB),)),
    Case("round trips near the deadline fire an alert",
         (*(grows(L2_DURATION, {CACHE: "web", DB_OPERATION: "GET"}, (per_second, HOUR), part="_bucket", le=le)
            for le, per_second in (("0.05", 90), ("0.1", 90), ("0.25", 100), ("+Inf", 100))),
          grows(L2_DURATION, {CACHE: "web", DB_OPERATION: "GET"}, (100, HOUR), part="_count")), HOUR,
         (Firing("OtcacheRedisSlow",
                 "1% of the round trips to Redis for cache web in shop take longer than 235ms. Look at them by "
                 "command.", WEB),)),
    Case("a hit ratio below its own past fires an alert",
         (looked_up("hit", (90, PAST), (60, HOUR)), looked_up("miss", (10, PAST), (40, HOUR), reason="absent")),
         PAST + HOUR,
         (Firing("OtcacheHitRatioDrop",
                 "The hit ratio of cache web in shop is 60%, over 20% below yesterday's and last week's. Look at the "
                 "misses by reason.",
                 WEB),), step=5),
    Case("a hit ratio below yesterday's and last week's fires an alert",
         (looked_up("hit", (90, WEEK + DAY), (60, HOUR)),
          looked_up("miss", (10, WEEK + DAY), (40, HOUR), reason="absent")), WEEK + DAY + HOUR,
         (Firing("OtcacheHitRatioDrop",
                 "The hit ratio of cache web in shop is 60%, over 20% below yesterday's and last week's. Look at the "
                 "misses by reason.",
                 WEB),), step=15),
    Case("L2 that got slower fires an alert",
         (*took("l1", (90, 2e-6, PAST), (90, 2e-6, HOUR)), *took("l2", (10, 1e-3, PAST), (10, 2e-3, HOUR))),
         PAST + HOUR,
         (Firing("OtcacheLatencyRegression",
                 "A hit in l2 of cache web in shop takes 2ms on average, over 1.5 times yesterday's and last week's. "
                 "Look at the call durations by operation.",
                 {**WEB, "otcache_tier": "l2", "otcache_operation_name": "get"}),), step=5),
    Case("L2 that got slower is told by calls that may load, too",
         tuple(took("l2", (10, 1e-3, PAST), (10, 2e-3, HOUR), operation="get_or_set")), PAST + HOUR,
         (Firing("OtcacheLatencyRegression",
                 "A hit in l2 of cache web in shop takes 2ms on average, over 1.5 times yesterday's and last week's. "
                 "Look at the call durations by operation.",
                 {**WEB, "otcache_tier": "l2", "otcache_operation_name": "get_or_set"}),), step=5),
    Case("L1 that got slower fires an alert",
         (*took("l1", (90, 2e-5, PAST), (90, 4e-5, HOUR)),), PAST + HOUR,
         (Firing("OtcacheLatencyRegression",
                 "A hit in l1 of cache web in shop takes 40us on average, over 1.5 times yesterday's and last week's. "
                 "Look at the call durations by operation.",
                 {**WEB, "otcache_tier": "l1", "otcache_operation_name": "get"}),), step=5),
    Case("a shared object that was changed fires an alert, once is enough",
         (grows(catalog.CHANGED_OBJECTS, {CACHE: "web"}, (0, HOUR), (1 / 60, 1), (0, 30)),), HOUR + 30,
         (Firing("OtcacheObjectChanged",
                 "1 changed objects were found in cache web of shop within 1h; other callers may have got changed "
                 "ones. Find the key template in its log, and change a copy there.", WEB),)),
    Case("an L1 that is too small fires an alert",
         (grows(WRITES, {CACHE: "web", TIER: "l1", WRITE_REASON: "set"}, (10, HOUR)),
          grows(WRITES, {CACHE: "web", TIER: "l1", WRITE_REASON: "backfill"}, (10, HOUR)),
          grows(EVICTIONS, {CACHE: "web", TIER: "l1", EVICTION_REASON: "capacity"}, (15, HOUR))), HOUR,
         (Firing("OtcacheEvictionStorm",
                 "75% of the L1 writes to cache web in shop evict an entry that had not expired. Compare its "
                 "entries with memory_cache_size.", WEB),)),
    Case("AI savings that vanish fire an alert",
         (tokens("saved", (60, PAST), (10, 3 * HOUR)), tokens("spent", (40, PAST), (90, 3 * HOUR)),
          called("hit", (10, PAST + 3 * HOUR)), degraded((0, PAST + 3 * HOUR)),
          grows(catalog.AI_COST, {CACHE: "web", AI_DISPOSITION: "saved"}, (1, PAST))), PAST + 3 * HOUR,
         (Firing("OtcacheAISavingsDrop",
                 "10% of the tokens of cache web in shop are saved by cached responses, over 50% less than yesterday. "
                 "Look at the hit ratio by operation.",
                 WEB),), step=5),
    Case("savings that Redis takes away are not told of twice",
         (tokens("saved", (60, PAST), (1, 3 * HOUR)), tokens("spent", (40, PAST), (99, 3 * HOUR)),
          called("hit", (10, PAST), (0, 3 * HOUR)), called("miss", (0, PAST), (10, 3 * HOUR)),
          degraded((0, PAST), (0.8, 3 * HOUR))), PAST + 3 * HOUR,
         (Firing("OtcacheDegradedTraffic",
                 "8% of the operations on cache web in shop did without Redis, or could not decode a value. Look at "
                 "the operations by reason.",
                 WEB),)),
    Case("a warning of the detector is told once, with its change",
         (*verdict(("ok", 20), ("warning", 20)), change((0.01, 20), (0.124, 20)), evaluated((1 / 60, 40))), 40,
         (Firing("OtcacheRegressionWarning",
                 f"{WORSE} 12.4%; 10% is warning. {WHEN}", JUDGED),)),
    Case("a critical one is told as such",
         (*verdict(("ok", 20), ("critical", 20)), change((0.01, 20), (0.4, 20)), evaluated((1 / 60, 40))), 40,
         (Firing("OtcacheRegressionCritical",
                 f"{WORSE} 40%; 25% is critical. {WHEN}", JUDGED),)),
    Case("a verdict without its change is told all the same",
         (*verdict(("ok", 20), ("critical", 20)), evaluated((1 / 60, 40))), 40,
         (Firing("OtcacheRegressionCritical",
                 f"{WORSE} NaN%; 25% is critical. {WHEN}", JUDGED),)),
    Case("a detector that stands still fires an alert",
         (evaluated((1 / 60, 2 * HOUR), (0, 3 * HOUR)),), 5 * HOUR,
         (Firing("OtcacheRegressionDetectorStalled",
                 "watch has evaluated nothing of shop for 1h: its verdicts are out of date. Look at the evaluations "
                 "by error.",
                 {"job": "watch", "otcache_regression_target": "shop"}),)),
    Case("a detector whose evaluations all fail fires an alert",
         (evaluated((1 / 60, 3 * HOUR), error="SourceError", state="inconclusive"),), 3 * HOUR,
         (Firing("OtcacheRegressionDetectorStalled",
                 "watch has evaluated nothing of shop for 1h: its verdicts are out of date. Look at the evaluations "
                 "by error.",
                 {"job": "watch", "otcache_regression_target": "shop"}),)),
    Case("a detector that is gone fires an alert",
         (evaluated((1 / 60, 2 * HOUR)),), 3 * HOUR,
         (Firing("OtcacheRegressionDetectorMissing",
                 "No metrics of a regression detector arrive from watch: no regression will be found. Check that "
                 "the process runs and is scraped.",
                 {"job": "watch"}),)),
    Case("a detector that never came is told where it is expected",
         (alive((1, HOUR)),), HOUR,
         (Firing("OtcacheRegressionDetectorMissing",
                 "No metrics of a regression detector arrive: no regression will be found. Check that the process "
                 "runs and is scraped.", {}),),
         parameters=Parameters(detector_job="watch")),
    Case("an application whose series are gone fires an alert",
         (alive((1, 2 * HOUR)), called("hit", (10, 2 * HOUR)), alive((1, 4 * HOUR), job="other")), 4 * HOUR,
         (Firing("OtcacheTelemetryMissing",
                 "shop exported cache metrics within the last 1d and exports none now: no other alert can fire for "
                 "it. Check that it runs and is scraped.", {"job": "shop"}),)),
    Case("lost telemetry fires an alert",
         (grows(DROPPED, {SIGNAL: "traces", DROP_REASON: "recording_error"}, (0, 30), (0.02, 30)),), HOUR,
         (Firing("OtcacheTelemetryDropped",
                 "18 records of traces were lost in shop within 15m. Look at its processors and "
                 "exporters.",
                 {"job": "shop", "otcache_telemetry_signal": "traces"}),)),
    Case("folded values fire, though their series begins with them",
         (shows(DROPPED, {SIGNAL: "metrics", DROP_REASON: "cardinality"}, (None, 30), (7, 30)),), HOUR,
         (Firing("OtcacheTelemetryCardinality",
                 "shop folded 7 values into _OTHER: breakdowns are incomplete, totals are right. Find the attribute in "
                 "its log.", {"job": "shop"}),)),
    Case("a callback that keeps raising fires an alert",
         (grows(CALLBACKS, {CALLBACK_EVENT: "get_miss", CALLBACK_NAME: "told"}, (3, HOUR)),
          grows(CALLBACKS, {CALLBACK_EVENT: "get_miss", CALLBACK_NAME: "told", ERROR_TYPE: "ValueError"}, (1, HOUR))),
         HOUR,
         (Firing("OtcacheCallbackFailing",
                 "told raises in 25% of its runs in shop; cache operations go on. Look at its errors by type.",
                 {"job": "shop", "otcache_callback_name": "told"}),)),
)  # fmt: skip
