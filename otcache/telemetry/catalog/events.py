"""Every event that otcache emits: a log record with a name."""

from __future__ import annotations

from typing import Final

from otcache.telemetry.catalog.attributes import (
    ATTRIBUTE_NAME,
    BACKEND,
    BENCHMARK,
    CACHE,
    CALLBACK_EVENT,
    CALLBACK_NAME,
    CHANGE,
    CHANGE_HIGH,
    CHANGE_LOW,
    CIRCUIT_PREVIOUS,
    CIRCUIT_STATE,
    COALESCE_WAITERS,
    COMPONENT,
    COMPONENT_STATE,
    DB_OPERATION,
    DEGRADED_REASON,
    ERROR_TYPE,
    EXCEPTION_MESSAGE,
    EXCEPTION_TYPE,
    INDICATOR,
    INVALIDATION_SOURCE,
    INVALIDATION_TARGET,
    ITERATIONS,
    LIMIT,
    OPERATION,
    REVISION,
    SERIES,
    STALE_REASON,
    STATISTIC,
    TARGET,
    TIER,
    TRIGGER,
    VERDICT,
)
from otcache.telemetry.catalog.kinds import Event

OPERATION_EXCEPTION = Event("otcache.operation.exception", "WARN", "An operation raised to its caller.",
                            (CACHE, OPERATION, ERROR_TYPE, EXCEPTION_TYPE, EXCEPTION_MESSAGE))  # fmt: skip
LOADER_EXCEPTION = Event("otcache.loader.exception", "WARN", "A loader raised, or was given up; a stale value may have "
                         "been given instead.", (CACHE, TRIGGER, ERROR_TYPE, EXCEPTION_TYPE, EXCEPTION_MESSAGE,
                                                 STALE_REASON))  # fmt: skip
STAMPEDE = Event("otcache.stampede.detected", "WARN", "Many callers wait for one load.",
                 (CACHE, TRIGGER, COALESCE_WAITERS))  # fmt: skip
STALE_SERVED = Event("otcache.stale.served", "INFO", "A value past its time to live was given: no new one was to be "
                     "had.", (CACHE, STALE_REASON))  # fmt: skip
REDIS_EXCEPTION = Event("db.client.operation.exception", "WARN", "A command of Redis failed.",
                        (CACHE, DB_OPERATION, ERROR_TYPE))  # fmt: skip
CIRCUIT_CHANGED = Event("otcache.circuit.state_changed", "WARN", "The breaker changed state (INFO unless it opened).",
                        (CACHE, BACKEND, CIRCUIT_STATE, CIRCUIT_PREVIOUS))  # fmt: skip
COMPONENT_CHANGED = Event("otcache.component.state_changed", "WARN", "A tier changed state (INFO when it recovered).",
                          (CACHE, BACKEND, COMPONENT, COMPONENT_STATE, DEGRADED_REASON))  # fmt: skip
INVALIDATED = Event("otcache.invalidation.applied", "INFO", "A tag, a prefix or everything was invalidated.",
                    (CACHE, INVALIDATION_TARGET, INVALIDATION_SOURCE))  # fmt: skip
JOURNAL_FULL = Event("otcache.journal.full", "WARN", "Too many writes failed; on recovery everything is made invalid.",
                     (CACHE, LIMIT))  # fmt: skip
CALLBACK_EXCEPTION = Event("otcache.callback.exception", "WARN", "A user callback raised.",
                           (CALLBACK_EVENT, CALLBACK_NAME, ERROR_TYPE, EXCEPTION_TYPE,
                            EXCEPTION_MESSAGE))  # fmt: skip
CALLBACK_QUARANTINED = Event("otcache.callback.quarantined", "WARN", "A user callback failed too often and is skipped.",
                             (CALLBACK_EVENT, CALLBACK_NAME))  # fmt: skip
CAPPED = Event("otcache.telemetry.capped", "WARN", "An attribute reached its cap; further values are `_OTHER`.",
               (ATTRIBUTE_NAME, LIMIT))  # fmt: skip
REGRESSION_DETECTED = Event("otcache.regression.detected", "WARN", "A regression is in force from now on.",
                            (TARGET, INDICATOR, SERIES, CACHE, TIER, STATISTIC, VERDICT, CHANGE, CHANGE_LOW,
                             CHANGE_HIGH))  # fmt: skip
REGRESSION_RESOLVED = Event("otcache.regression.resolved", "INFO", "A regression is over.",
                            (TARGET, INDICATOR, SERIES, CACHE, TIER, STATISTIC, VERDICT, CHANGE, CHANGE_LOW,
                             CHANGE_HIGH))  # fmt: skip
BENCHMARK_COMPLETED = Event("otcache.benchmark.completed", "INFO", "A benchmark has measured one operation.",
                            (BENCHMARK, ITERATIONS, REVISION))  # fmt: skip
STARTED = Event("otcache.started", "INFO", "A cache is ready; its effective configuration without secrets.", (CACHE,))

EVENTS: Final = (
    OPERATION_EXCEPTION, LOADER_EXCEPTION, STAMPEDE, STALE_SERVED, REDIS_EXCEPTION, CIRCUIT_CHANGED,
    COMPONENT_CHANGED, INVALIDATED, JOURNAL_FULL, CALLBACK_EXCEPTION, CALLBACK_QUARANTINED, CAPPED, STARTED,
    REGRESSION_DETECTED, REGRESSION_RESOLVED, BENCHMARK_COMPLETED,
)  # fmt: skip
