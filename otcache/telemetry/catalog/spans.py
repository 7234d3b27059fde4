"""Every span that otcache emits."""

from __future__ import annotations

from typing import Final

from otcache.telemetry.catalog.attributes import (
    AGE,
    AI_OPERATION,
    AI_TEXT_TIER,
    BATCH_HITS,
    BATCH_SIZE,
    CACHE,
    CALLBACK_ERRORS,
    CALLBACK_EVENT,
    CALLBACK_NAME,
    COALESCE_ROLE,
    COALESCE_WAIT,
    COALESCE_WAITERS,
    DB_BATCH_SIZE,
    DB_NAMESPACE,
    DB_OPERATION,
    DB_STATUS,
    DB_SYSTEM,
    DEGRADED,
    DEGRADED_REASON,
    DETACHED,
    ERROR_TYPE,
    KEY,
    KEY_HASH,
    KEY_TEMPLATE,
    LINK_TYPE,
    LOADER,
    MISS_REASON,
    NEGATIVE,
    OPERATION,
    PURPOSE,
    RESULT,
    SERVER_ADDRESS,
    SERVER_PORT,
    SIZE,
    STALE_REASON,
    TIER,
    TRIGGER,
    TTL,
)
from otcache.telemetry.catalog.kinds import SpanType

OPERATION_SPAN = SpanType(
    "otcache.operation", "cache.{otcache.operation.name} {otcache.cache.name}", "INTERNAL", "Every call of a cache.",
    (CACHE, OPERATION),
    (RESULT, TIER, MISS_REASON, KEY_HASH, KEY_TEMPLATE, KEY, AGE, TTL, SIZE, BATCH_SIZE, BATCH_HITS, DEGRADED,
     DEGRADED_REASON, NEGATIVE, STALE_REASON, COALESCE_ROLE, COALESCE_WAITERS, COALESCE_WAIT, CALLBACK_ERRORS,
     AI_OPERATION, AI_TEXT_TIER, ERROR_TYPE), links=(LINK_TYPE,),
)  # fmt: skip
LOAD_SPAN = SpanType(
    "otcache.load", "cache.load {otcache.cache.name}", "INTERNAL",
    "Each run of a loader; what the application does in it is below.",
    (CACHE, TRIGGER, LOADER), (DETACHED, ERROR_TYPE),
)  # fmt: skip
REFRESH_SPAN = SpanType(
    "otcache.refresh", "cache.refresh {otcache.cache.name}", "INTERNAL",
    "Each load that nobody waits for, as a trace of its own that links to the operation's.",
    (CACHE, TRIGGER, LOADER), (ERROR_TYPE,), links=(LINK_TYPE,),
)  # fmt: skip
REDIS_SPAN = SpanType(
    "otcache.redis.client", "{db.operation.name}", "CLIENT", "Each round trip to Redis.",
    (DB_SYSTEM, DB_OPERATION, CACHE, PURPOSE, SERVER_ADDRESS, SERVER_PORT, DB_NAMESPACE),
    (DB_BATCH_SIZE, DB_STATUS, ERROR_TYPE), scope="otcache.redis",
)  # fmt: skip
CALLBACK_SPAN = SpanType(
    "otcache.callback", "cache.callback {otcache.callback.event}", "INTERNAL",
    "Each run of an asynchronous callback, as a trace of its own that links to the operation's.",
    (CACHE, CALLBACK_EVENT, CALLBACK_NAME), (ERROR_TYPE,), links=(LINK_TYPE,), opt_in=True,
)  # fmt: skip
SPANS: Final = (OPERATION_SPAN, LOAD_SPAN, REFRESH_SPAN, REDIS_SPAN, CALLBACK_SPAN)
