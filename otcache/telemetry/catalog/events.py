"""Every event that otcache emits: a log record with a name."""

from __future__ import annotations

from typing import Final

from otcache.telemetry.catalog import attributes as a
from otcache.telemetry.catalog.kinds import Event

OPERATION_EXCEPTION = Event("otcache.operation.exception", "WARN", "An operation raised to its caller.",
                            (a.CACHE, a.OPERATION, a.ERROR_TYPE, a.EXCEPTION_TYPE, a.EXCEPTION_MESSAGE))  # fmt: skip
LOADER_EXCEPTION = Event("otcache.loader.exception", "WARN", "A loader raised or timed out; the caller may have got a "
                         "stale value.", (a.CACHE, a.TRIGGER, a.ERROR_TYPE, a.EXCEPTION_TYPE,
                                                 a.EXCEPTION_MESSAGE, a.STALE_REASON))  # fmt: skip
STAMPEDE = Event("otcache.stampede.detected", "WARN", "Many callers wait for one load.",
                 (a.CACHE, a.TRIGGER, a.COALESCE_WAITERS))  # fmt: skip
STALE_SERVED = Event("otcache.stale.served", "INFO", "A stale value was served: its load failed or was slow, or L2 is "
                     "unavailable.", (a.CACHE, a.STALE_REASON))  # fmt: skip
REDIS_EXCEPTION = Event("db.client.operation.exception", "WARN", "A command of Redis failed.",
                        (a.CACHE, a.DB_OPERATION, a.ERROR_TYPE))  # fmt: skip
CIRCUIT_CHANGED = Event("otcache.circuit.state_changed", "WARN", "The breaker changed state (INFO unless it opened).",
                        (a.CACHE, a.BACKEND, a.CIRCUIT_STATE, a.CIRCUIT_PREVIOUS))  # fmt: skip
COMPONENT_CHANGED = Event("otcache.component.state_changed", "WARN", "A tier changed state (INFO when it recovered).",
                          (a.CACHE, a.BACKEND, a.COMPONENT, a.COMPONENT_STATE, a.DEGRADED_REASON))  # fmt: skip
CALL_BYPASSED = Event("otcache.call.bypassed", "WARN", "A cached function ran without the cache, as no key or tag can "
                      "hold its arguments; once per function and reason.", (a.CACHE, a.KEY_TEMPLATE))  # fmt: skip
TAG_OMITTED = Event("otcache.tag.omitted", "WARN", "An entry was stored without a tag, as the tag names something that "
                    "is None; once per function and tag.", (a.CACHE, a.KEY_TEMPLATE))  # fmt: skip
INVALIDATED = Event("otcache.invalidation.applied", "INFO", "A tag, a prefix or everything was invalidated.",
                    (a.CACHE, a.INVALIDATION_TARGET, a.INVALIDATION_SOURCE))  # fmt: skip
JOURNAL_FULL = Event("otcache.journal.full", "WARN", "The repair journal is full; all entries become invalid when L2 "
                     "is back.", (a.CACHE, a.LIMIT))  # fmt: skip
CALLBACK_EXCEPTION = Event("otcache.callback.exception", "WARN", "A user callback raised.",
    (a.CALLBACK_EVENT, a.CALLBACK_NAME, a.ERROR_TYPE, a.EXCEPTION_TYPE, a.EXCEPTION_MESSAGE))  # fmt: skip
CALLBACK_QUARANTINED = Event("otcache.callback.quarantined", "WARN", "A user callback failed or was slow too often; it "
                             "is skipped for 60 s.", (a.CALLBACK_EVENT, a.CALLBACK_NAME))  # fmt: skip
CAPPED = Event("otcache.telemetry.capped", "WARN", "An attribute reached its cap; further values are `_OTHER`.",
               (a.ATTRIBUTE_NAME, a.LIMIT))  # fmt: skip
STARTED = Event("otcache.started", "INFO", "A cache is ready; its effective configuration without secrets.", (a.CACHE,))
REGRESSION_DETECTED = Event("otcache.regression.detected", "WARN", "A regression was detected.",
                            (a.TARGET, a.INDICATOR, a.SERIES, a.CACHE, a.TIER, a.STATISTIC, a.VERDICT, a.CHANGE,
                             a.CHANGE_LOW, a.CHANGE_HIGH))  # fmt: skip
REGRESSION_RESOLVED = Event("otcache.regression.resolved", "INFO", "A regression has been resolved.",
                            (a.TARGET, a.INDICATOR, a.SERIES, a.CACHE, a.TIER, a.STATISTIC, a.VERDICT, a.CHANGE,
                             a.CHANGE_LOW, a.CHANGE_HIGH))  # fmt: skip
BENCHMARK_COMPLETED = Event("otcache.benchmark.completed", "INFO", "A benchmark has measured one operation.",
                            (a.BENCHMARK, a.ITERATIONS, a.REVISION))  # fmt: skip

EVENTS: Final = tuple(each for each in list(globals().values()) if isinstance(each, Event))
