"""Histories of loads and of the backplane: trouble that fires an alert, and what must fire none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from otcache.telemetry import catalog
from otcache.telemetry.catalog import BACKEND, CACHE, ERROR_TYPE, LOADER_DURATION, RESULT, TRIGGER
from tests.alerts.promtool import Case, Firing, Segment, Series, grows, shows

HOUR: Final = 60.0
DAY: Final = 24 * HOUR
PAST: Final = 4 * HOUR
WEB: Final = {"job": "shop", "otcache_cache_name": "web"}
AWAY: Final = "shop.DatabaseAway"
LATE: Final = "otcache.exceptions.LoadTimeout"

# --- what is scraped ------------------------------------------------------------------------------------


def loaded(*segments: Segment, error: str = "", restart: float | None = None) -> Series:
    """Loads of the cache `web`."""
    labels = {CACHE: "web", TRIGGER: "miss", **({ERROR_TYPE: error} if error else {})}
    return grows(catalog.LOADS, labels, *segments, restart=restart)


def refused(*segments: Segment) -> Series:
    """Loaded values of the cache `web` that can't be kept."""
    return grows(catalog.WRITES, {CACHE: "web", catalog.TIER: "none", catalog.WRITE_REASON: "refused"}, *segments)


def took(*segments: tuple[float, float, float], error: str = "", restart: float | None = None) -> Iterator[Series]:
    """Durations of loads: per second, seconds each, for how many minutes."""
    labels = {CACHE: "web", TRIGGER: "miss", **({ERROR_TYPE: error} if error else {})}
    counts = tuple((per_second, minutes) for per_second, _, minutes in segments)
    sums = tuple((per_second * seconds, minutes) for per_second, seconds, minutes in segments)
    yield grows(LOADER_DURATION, labels, *counts, part="_count", restart=restart)
    yield grows(LOADER_DURATION, labels, *sums, part="_sum", restart=restart)


def waited(outcome: str, *segments: Segment, restart: float | None = None) -> Series:
    """Callers that waited for another's load."""
    labels = {CACHE: "web", catalog.COALESCE_SCOPE: "process", catalog.COALESCE_OUTCOME: outcome}
    return grows(catalog.COALESCE_REQUESTS, labels, *segments, restart=restart)


def called(result: str, *segments: Segment, error: str = "", operation: str = "get_or_set") -> Series:
    """Calls that may load."""
    labels = {CACHE: "web", catalog.OPERATION: operation, RESULT: result, **({ERROR_TYPE: error} if error else {})}
    return grows(catalog.OPERATIONS, labels, *segments)


def answered(result: str, *segments: Segment, stale: str = "") -> Series:
    """Lookups of the cache `web`."""
    labels = {CACHE: "web", RESULT: result, catalog.TIER: "l1", catalog.MISS_REASON: "none"}
    return grows(catalog.LOOKUPS, labels | ({catalog.STALE_REASON: stale} if stale else {}), *segments)


def component(name: str, *segments: tuple[str, float], instance: str = "shop:1") -> Iterator[Series]:
    """The state of L2 (`l2`), or of the backplane."""
    for state in ("available", "degraded", "unavailable"):
        shown = tuple((float(state == now), minutes) for now, minutes in segments)
        labels = {BACKEND: "redis", catalog.COMPONENT: name, catalog.COMPONENT_STATE: state}
        yield shows(catalog.COMPONENT_STATUS, labels, *shown, instance=instance)


def emptied(*segments: Segment, target: str = "all", source: str = "backplane") -> Series:
    """Invalidations of the cache `web`."""
    return grows(
        catalog.INVALIDATIONS,
        {CACHE: "web", catalog.INVALIDATION_TARGET: target, catalog.INVALIDATION_SOURCE: source},
        *segments,
    )


def heard(per_second: float, minutes: float, late: float = 0.0, restart: float | None = None) -> Iterator[Series]:
    """Invalidation messages, of which the share `late` comes between half a second and a second after the write."""
    labels = {BACKEND: "redis", catalog.MESSAGE_DIRECTION: "receive", catalog.MESSAGE_KIND: "key"}
    yield grows(catalog.MESSAGES, labels, (per_second, minutes), restart=restart)
    for le, share in (("0.001", 1 - late), ("0.5", 1 - late), ("1", 1.0), ("+Inf", 1.0)):
        yield grows(catalog.MESSAGE_LAG, {BACKEND: "redis"}, (per_second * share, minutes), part="_bucket", le=le,
                    restart=restart)  # fmt: skip


def healthy_loads(per_second: float, minutes: float, restart: float | None = None) -> tuple[Series, ...]:
    """An application of `per_second` calls whose loads and invalidation messages do well."""
    return (
        loaded((per_second * 0.1, minutes), restart=restart), loaded((0, minutes), error=AWAY),
        *took((per_second * 0.1, 0.2, minutes), restart=restart),
        refused((0, minutes)),
        waited("value", (per_second * 0.1, minutes), restart=restart), waited("timeout", (0, minutes)),
        *component("backplane", ("available", minutes)), emptied((0, minutes)),
        *heard(per_second * 0.2, minutes, restart=restart),
    )  # fmt: skip


def disagreeing(*segments: Segment, option: str = "signing") -> Series:
    """Whether processes of the cache `web` disagree."""
    return shows(catalog.DISAGREEMENTS, {CACHE: "web", catalog.DISAGREEMENT: option}, *segments)


# --- nothing fires --------------------------------------------------------------------------------------

QUIET: Final = (
    Case("values that are refreshed in the background are no stale serving",
         (answered("hit", (50, HOUR)), answered("stale", (50, HOUR), stale="revalidating")), HOUR),
    Case("stale values of an outage of Redis are told as the outage alone",
         (answered("hit", (50, HOUR)), answered("stale", (50, HOUR), stale="backend_unavailable")), HOUR),
    Case("a few callers behind each load are what coalescing is for",
         (loaded((1, HOUR)), waited("value", (9, HOUR))), HOUR),
    Case("loads of now and then are not judged",
         (loaded((0.02, HOUR)), loaded((0.02, HOUR), error=AWAY), waited("timeout", (0.04, HOUR))), HOUR),
    Case("one failed load of fifty fires nothing",
         (loaded((0.98, HOUR)), loaded((0.02, HOUR), error=AWAY)), HOUR),
    Case("a value that can't be kept once in a while fires nothing",
         (loaded((1, HOUR)), refused((0.005, HOUR))), HOUR),
    Case("loaders that fail for some minutes fire nothing",
         (loaded((1, HOUR)), loaded((0, 30), (1, 4), (0, 26), error=AWAY)), HOUR),
    Case("a loader that was always slow fires nothing", tuple(took((1, 5.0, PAST + HOUR))), PAST + HOUR, step=5),
    Case("loaders of milliseconds may double",
         tuple(took((1, 0.01, PAST), (1, 0.04, HOUR))), PAST + HOUR, step=5),
    Case("loads that fail after a long time are no slower loader",
         (*took((1, 0.2, PAST + HOUR)), *took((0.01, 0.1, PAST), (0.01, 30.0, HOUR), error=LATE)), PAST + HOUR,
         step=5),
    Case("a subscription that is lost with Redis for a minute fires nothing",
         (*component("l2", ("available", 30), ("unavailable", 1), ("available", 30)),
          *component("backplane", ("available", 30), ("unavailable", 2), ("available", 29)),
          emptied((0, 31), (1 / 60, 1), (0, 29))), 61),
    Case("other processes that invalidate keys and tags empty no L1",
         (emptied((5, HOUR), target="key"), emptied((1, HOUR), target="tag"), emptied((1, HOUR), source="local")),
         HOUR),
    Case("options that differ during a deployment, or never, fire nothing",
         (disagreeing((0, 30), (1, 10), (0, 20)), disagreeing((0, HOUR), option="codec")), HOUR),
    Case("messages that are late once in a while fire nothing", tuple(heard(0.05, HOUR, late=0.5)), HOUR),
)  # fmt: skip

# --- what fires -----------------------------------------------------------------------------------------

BACKPLANE_DOWN: Final = Firing(
    "OtcacheBackplaneDown",
    "shop:1 of shop has had no backplane on redis for 5m: its L1 serves no Redis entries, and Redis gets every read. "
    "Look for the reason in its log.",
    {"job": "shop", "instance": "shop:1", "otcache_backend_name": "redis"},
)
LOADER_ERRORS: Final = "{} of the loads of cache web in shop fail. Look at them by error."

LOUD: Final = (
    Case("failing loaders fire a warning, however many callers waited for them",
         (called("hit", (10, 4 * HOUR)), called("error", (90, 4 * HOUR), error=AWAY),
          loaded((1, 4 * HOUR)), loaded((1, 4 * HOUR), error=AWAY)), 4 * HOUR,
         (Firing("OtcacheLoaderErrors", LOADER_ERRORS.format("50%"), WEB),), step=2),
    Case("loaders that take too long fire a warning too",
         (called("hit", (10, HOUR)), called("error", (90, HOUR), error=LATE), loaded((0.9, HOUR)),
          loaded((0.1, HOUR), error=LATE)), HOUR,
         (Firing("OtcacheLoaderErrors", LOADER_ERRORS.format("10%"), WEB),)),
    Case("loaded values that can't be kept fire a warning",
         (loaded((1, HOUR)), refused((0.5, HOUR))), HOUR,
         (Firing("OtcacheValuesRefused",
                 "50% of the loads of cache web in shop bring a value that can't be kept, so every call loads it. Look "
                 "for the event otcache.value.refused, which names key and reason.", WEB),)),
    Case("errors of the cache itself still call somebody, beside failing loaders",
         (called("hit", (98, HOUR)), called("error", (2, HOUR), error="TypeError"),
          called("error", (0.3, HOUR), error=AWAY), loaded((9, HOUR)), loaded((0.1, HOUR), error=AWAY)), HOUR,
         tuple(Firing("OtcacheErrorBudgetBurn",
                      f"1.994% of the cache calls of shop raised in the last {long}, {factor} times what an objective "
                      "of 99.9% allows. Look at the errors by type.",
                      {"job": "shop", "severity": "critical", "long": long, "short": short})
               for long, short, factor in (("1h", "5m", "14.4"), ("6h", "30m", "6")))),
    Case("what a loader raises is not taken for another operation's",
         (called("hit", (98, HOUR)), called("error", (2, HOUR), error=AWAY, operation="get_many"),
          loaded((1, HOUR)), loaded((0.01, HOUR), error=AWAY)), HOUR,
         tuple(Firing("OtcacheErrorBudgetBurn",
                      f"2% of the cache calls of shop raised in the last {long}, {factor} times what an objective of "
                      "99.9% allows. Look at the errors by type.",
                      {"job": "shop", "severity": "critical", "long": long, "short": short})
               for long, short, factor in (("1h", "5m", "14.4"), ("6h", "30m", "6")))),
    Case("a loader that got slower fires an alert",
         tuple(took((1, 0.2, PAST), (1, 0.9, HOUR))), PAST + HOUR,
         (Firing("OtcacheLoaderSlow",
                 "A load of cache web in shop takes 900ms on average, over 2 times yesterday's and last week's. Look "
                 "at the slowest traces of loads.", WEB),), step=5),
    Case("many callers behind each load fire an alert",
         (loaded((0.5, HOUR)), waited("value", (10, HOUR))), HOUR,
         (Firing("OtcacheStampede",
                 "20 callers wait for each load of cache web in shop, on average. Set a stale_ttl with soft_timeout=0.",
                 WEB),)),
    Case("waiters that time out fire an alert",
         (loaded((1, HOUR)), waited("value", (0.9, HOUR)), waited("timeout", (0.1, HOUR))), HOUR,
         (Firing("OtcacheCoalesceTimeouts",
                 "10% of the waiters for loads of cache web in shop get LoadTimeout instead of a value. Compare the "
                 "load duration with `timeout`.", WEB),)),
    Case("stale values because loads fail or are slow fire an alert",
         (answered("hit", (80, HOUR)), answered("stale", (15, HOUR), stale="loader_error"),
          answered("stale", (5, HOUR), stale="loader_timeout")), HOUR,
         (Firing("OtcacheStaleServing",
                 "20% of the lookups of cache web in shop get a stale value because the load failed or is slow. Look "
                 "at the failed loads.", WEB),)),
    Case("a subscription that stays away while Redis is there fires, and is no degraded Redis",
         (*component("l2", ("available", HOUR)), *component("backplane", ("available", 30), ("unavailable", 30)),
          *component("l2", ("available", HOUR), instance="shop:2"),
          *component("backplane", ("available", HOUR), instance="shop:2")), HOUR, (BACKPLANE_DOWN,)),
    Case("options that go on to differ fire an alert",
         (disagreeing((0, 30), (1, 30)), disagreeing((0, HOUR), option="codec")), HOUR,
         (Firing("OtcacheOptionsDisagree",
                 "1 caches web of shop disagree in signing with others that share their entries: what one of them "
                 "writes another can't use, or is not told of. Compare their options.",
                 {**WEB, "otcache_disagreement": "signing"}),)),
    Case("a Redis that is away for all is told once, not as a subscription that is lost too",
         (*component("l2", ("available", 30), ("unavailable", 30)),
          *component("backplane", ("available", 30), ("unavailable", 30))), HOUR,
         (Firing("OtcacheRedisDown",
                 "100% of the L2 tiers of shop can't reach redis: L1 misses go to the origin. Protect the origin, then "
                 "restore Redis.",
                 {"job": "shop", "otcache_backend_name": "redis"}),
          Firing("OtcacheRedisDegraded",
                 "redis has been degraded or unavailable for 10m at shop:1 of shop. Compare the instance with the "
                 "others.",
                 {"job": "shop", "instance": "shop:1", "otcache_backend_name": "redis",
                  "otcache_component": "l2"}))),
    Case("an L1 that is emptied again and again fires an alert",
         (emptied((6 / 900, HOUR)), *component("backplane", ("available", HOUR))), HOUR,
         (Firing("OtcacheBackplaneFlapping",
                 "L1 of cache web at shop:1 of shop was emptied 6 times in 15m: its subscription was lost, or other "
                 "processes called clear(). Look at the flushes by instance.", {**WEB, "instance": "shop:1"}),)),
    Case("invalidation messages that are late fire an alert", tuple(heard(5, HOUR, late=0.02)), HOUR,
         (Firing("OtcacheBackplaneLagging",
                 "1% of the invalidation messages that shop receives by redis take longer than 750ms; until then its "
                 "L1 serves the older value. Look at the lag by instance.",
                 {"job": "shop", "otcache_backend_name": "redis"}),)),
)  # fmt: skip
