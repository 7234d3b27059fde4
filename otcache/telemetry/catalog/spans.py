"""Every span that otcache emits."""

from __future__ import annotations

from typing import Final

from otcache.telemetry.catalog import attributes as a
from otcache.telemetry.catalog.kinds import SpanType

OPERATION_SPAN = SpanType(
    "otcache.operation", "cache.{otcache.operation.name} {otcache.cache.name}", "INTERNAL", "Every call of a cache.",
    (a.CACHE, a.OPERATION),
    (a.RESULT, a.TIER, a.MISS_REASON, a.KEY_HASH, a.KEY_TEMPLATE, a.KEY, a.AGE, a.TTL, a.SIZE, a.BATCH_SIZE,
     a.BATCH_HITS, a.DEGRADED, a.DEGRADED_REASON, a.NEGATIVE, a.STALE_REASON, a.COALESCE_ROLE, a.COALESCE_WAITERS,
     a.COALESCE_WAIT, a.CALLBACK_ERRORS, a.AI_OPERATION, a.AI_TEXT_TIER, a.ERROR_TYPE), links=(a.LINK_TYPE,),
)  # fmt: skip
LOAD_SPAN = SpanType("otcache.load", "cache.load {otcache.cache.name}", "INTERNAL",
    "Each run of a loader; what the application does in it is below.", (a.CACHE, a.TRIGGER, a.LOADER),
    (a.DETACHED, a.ERROR_TYPE))  # fmt: skip
REFRESH_SPAN = SpanType("otcache.refresh", "cache.refresh {otcache.cache.name}", "INTERNAL",
    "Each load in the background, as a trace of its own that links to the operation's.", (a.CACHE, a.TRIGGER, a.LOADER),
    (a.ERROR_TYPE,), links=(a.LINK_TYPE,))  # fmt: skip
REDIS_SPAN = SpanType("otcache.redis.client", "{db.operation.name}", "CLIENT", "Each call to L2.",
    (a.DB_SYSTEM, a.DB_OPERATION, a.CACHE, a.PURPOSE, a.SERVER_ADDRESS, a.SERVER_PORT, a.DB_NAMESPACE),
    (a.DB_BATCH_SIZE, a.DB_STATUS, a.ERROR_TYPE), scope="otcache.redis")  # fmt: skip
CALLBACK_SPAN = SpanType("otcache.callback", "cache.callback {otcache.callback.event}", "INTERNAL",
    "Each run of an asynchronous callback, as a trace of its own that links to the operation's.",
    (a.CACHE, a.CALLBACK_EVENT, a.CALLBACK_NAME), (a.ERROR_TYPE,), links=(a.LINK_TYPE,), opt_in=True)  # fmt: skip

SPANS: Final = tuple(each for each in list(globals().values()) if isinstance(each, SpanType))
