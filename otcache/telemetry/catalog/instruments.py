"""Every metric that otcache emits."""

from __future__ import annotations

from typing import Final

from otcache.telemetry.catalog.attributes import (
    AI_DISPOSITION,
    AI_ESTIMATE,
    AI_OPERATION,
    AI_TEXT_TIER,
    BACKEND,
    BENCHMARK,
    BENCHMARK_STATISTIC,
    CACHE,
    CALLBACK_EVENT,
    CALLBACK_NAME,
    CIRCUIT_STATE,
    COALESCE_OUTCOME,
    COALESCE_SCOPE,
    CODEC_NAME,
    CODEC_OPERATION,
    COMPONENT,
    COMPONENT_STATE,
    COMPRESSION_ALGORITHM,
    COMPRESSION_STAGE,
    CONNECTION_STATE,
    DB_OPERATION,
    DEGRADED_REASON,
    DROP_REASON,
    ERROR_TYPE,
    EVICTION_REASON,
    INDICATOR,
    INVALIDATION_SOURCE,
    INVALIDATION_TARGET,
    IO_DIRECTION,
    MISS_REASON,
    NEWS_DIRECTION,
    NEWS_KIND,
    OPERATION,
    PYTHON_VERSION,
    REDIS_CLIENT_VERSION,
    RESULT,
    SCHEMA,
    SERIES,
    SIGNAL,
    STALE_REASON,
    STATISTIC,
    TARGET,
    TIER,
    TOKEN_TYPE,
    TRIGGER,
    VERDICT,
    VERSION,
    WRITE_REASON,
)
from otcache.telemetry.catalog.buckets import (
    B_AGE,
    B_BYTES,
    B_CB,
    B_CHARS,
    B_CODEC,
    B_EVALUATION,
    B_L2,
    B_LAG,
    B_LOAD,
    B_OP,
    B_STALE,
    B_WAIT,
)
from otcache.telemetry.catalog.kinds import MS, NS, Instrument

OPERATIONS = Instrument(
    "otcache.operations", "counter", "{operation}", "Cache API calls completed; a batch call counts once.",
    (CACHE, OPERATION, RESULT), (ERROR_TYPE,), present="always",
)  # fmt: skip
OPERATION_DURATION = Instrument(
    "otcache.operation.duration", "histogram", "s", "Duration of a cache API call as its caller sees it.",
    (CACHE, OPERATION, RESULT, TIER), (ERROR_TYPE,), B_OP, scale=NS, lean=(CACHE, RESULT, TIER),
)  # fmt: skip
LOOKUPS = Instrument(
    "otcache.lookups", "counter", "{lookup}", "Keys looked up, one per key; the only source of a hit ratio.",
    (CACHE, RESULT, TIER, MISS_REASON), (STALE_REASON,), present="always",
)  # fmt: skip
WRITES = Instrument(
    "otcache.writes", "counter", "{entry}", "Entries stored, per tier; l2 only after the server's OK.",
    (CACHE, TIER, WRITE_REASON), present="always",
)  # fmt: skip
EVICTIONS = Instrument(
    "otcache.evictions", "counter", "{entry}", "Entries removed from L1 without the application asking.",
    (CACHE, TIER, EVICTION_REASON), present="always",
)  # fmt: skip
ENTRY_AGE = Instrument(
    "otcache.hit.age", "histogram", "s", "Age of a value when the far tier answered with it.",
    (CACHE, RESULT), (), B_AGE, scale=MS, lean="dropped",
)  # fmt: skip
STALE_AGE = Instrument(
    "otcache.stale.age", "histogram", "s", "How long past its time to live a value was when it was given.",
    (CACHE, STALE_REASON), (), B_STALE, scale=MS, lean="dropped",
)  # fmt: skip
LOADS = Instrument(
    "otcache.loads", "counter", "{load}", "Runs of loaders that have ended.", (CACHE, TRIGGER), (ERROR_TYPE,),
    present="always",
)  # fmt: skip
LOADER_DURATION = Instrument(
    "otcache.loader.duration", "histogram", "s", "Duration of one run of a loader.",
    (CACHE, TRIGGER), (ERROR_TYPE,), B_LOAD, scale=NS,
)  # fmt: skip
LOADER_ACTIVE = Instrument(
    "otcache.loader.active", "updowncounter", "{load}", "Loaders that run now.", (CACHE,), present="always"
)
COALESCE_REQUESTS = Instrument(
    "otcache.coalesce.requests", "counter", "{request}",
    "Callers that waited for another caller's load instead of running their own.",
    (CACHE, COALESCE_SCOPE, COALESCE_OUTCOME), present="always",
)  # fmt: skip
COALESCE_WAIT_DURATION = Instrument(
    "otcache.coalesce.wait.duration", "histogram", "s", "Time that such a caller waited.",
    (CACHE, COALESCE_SCOPE, COALESCE_OUTCOME), (), B_WAIT, scale=NS, lean="dropped",
)  # fmt: skip
COALESCE_WAITING = Instrument(
    "otcache.coalesce.waiting", "updowncounter", "{request}", "Callers that wait for another's load now.", (CACHE,),
    present="always",
)  # fmt: skip
L1_COUNT = Instrument(
    "otcache.l1.entry.count", "updowncounter", "{entry}", "Entries in L1.", (CACHE,), present="always"
)
L1_LIMIT = Instrument("otcache.l1.entry.limit", "updowncounter", "{entry}", "Most entries L1 may hold.", (CACHE,))
PAYLOAD_SIZE = Instrument(
    "otcache.payload.size", "histogram", "By", "Size of one stored payload on the wire, after compression.",
    (CACHE, IO_DIRECTION), (), B_BYTES, lean="dropped",
)  # fmt: skip
COMPRESSION_IO = Instrument(
    "otcache.compression.io", "counter", "By", "Bytes into and out of the compressor; ratio = output / input.",
    (CACHE, COMPRESSION_STAGE, COMPRESSION_ALGORITHM),
)  # fmt: skip
CODEC_DURATION = Instrument(
    "otcache.codec.duration", "histogram", "s", "Time to turn one value into bytes, or bytes into a value.",
    (CACHE, CODEC_OPERATION, CODEC_NAME), (ERROR_TYPE,), B_CODEC, scale=NS, lean="dropped",
)  # fmt: skip
DEGRADED_OPERATIONS = Instrument(
    "otcache.degraded.operations", "counter", "{operation}",
    "Operations completed without a tier they should have used.", (CACHE, DEGRADED_REASON), present="far",
)  # fmt: skip
COMPONENT_STATUS = Instrument(
    "otcache.component.status", "updowncounter", "1", "1 for the state the component is in, 0 for the others.",
    (BACKEND, COMPONENT, COMPONENT_STATE), present="far",
)  # fmt: skip
CIRCUIT_STATUS = Instrument(
    "otcache.circuit.status", "updowncounter", "1", "1 for the state the breaker is in, 0 for the others.",
    (BACKEND, COMPONENT, CIRCUIT_STATE), present="far",
)  # fmt: skip
CIRCUIT_TRANSITIONS = Instrument(
    "otcache.circuit.transitions", "counter", "{transition}", "Transitions of the breaker, by the state entered.",
    (BACKEND, COMPONENT, CIRCUIT_STATE), present="far",
)  # fmt: skip
CALLBACKS = Instrument(
    "otcache.callbacks", "counter", "{invocation}", "Invocations of user callbacks.",
    (CALLBACK_EVENT, CALLBACK_NAME), (ERROR_TYPE,),
)  # fmt: skip
CALLBACK_DURATION = Instrument(
    "otcache.callback.duration", "histogram", "s", "Time spent in a user callback.",
    (CALLBACK_EVENT, CALLBACK_NAME), (), B_CB, scale=NS, lean="dropped",
)  # fmt: skip
DROPPED = Instrument(
    "otcache.telemetry.dropped", "counter", "{item}", "Telemetry that otcache itself refused, folded or lost.",
    (SIGNAL, DROP_REASON), present="always",
)  # fmt: skip
BUILD_INFO = Instrument(
    "otcache.build.info", "updowncounter", "", "Always 1; the identity is in its attributes.",
    (VERSION, SCHEMA, PYTHON_VERSION, REDIS_CLIENT_VERSION), present="always",
)  # fmt: skip
L2_OPERATIONS = Instrument(
    "otcache.l2.operations", "counter", "{operation}", "Round trips to Redis made for a cache.",
    (CACHE, DB_OPERATION), (ERROR_TYPE,), scope="otcache.redis",
)  # fmt: skip
L2_DURATION = Instrument(
    "otcache.l2.operation.duration", "histogram", "s", "Duration of one round trip; the CLIENT span's.",
    (CACHE, DB_OPERATION), (ERROR_TYPE,), B_L2, scope="otcache.redis", scale=NS,
)  # fmt: skip
L2_IO = Instrument(
    "otcache.l2.io", "counter", "By", "Payload bytes read from and written to Redis.",
    (CACHE, IO_DIRECTION), scope="otcache.redis", present="far",
)  # fmt: skip
CONNECTIONS = Instrument(
    "otcache.l2.connection.count", "updowncounter", "{connection}", "Open connections to Redis.",
    (CACHE, CONNECTION_STATE), scope="otcache.redis", present="far",
)  # fmt: skip
CONNECTION_LIMIT = Instrument(
    "otcache.l2.connection.limit", "updowncounter", "{connection}", "Most connections that there may be.",
    (CACHE,), scope="otcache.redis", present="far",
)  # fmt: skip
AI_LOOKUPS = Instrument(
    "otcache.ai.lookups", "counter", "{lookup}", "Lookups of the AI response cache.",
    (CACHE, AI_OPERATION, AI_TEXT_TIER, RESULT), scope="otcache.ai",
)  # fmt: skip
_AI_USE: Final = (CACHE, AI_OPERATION, AI_TEXT_TIER, AI_DISPOSITION, AI_ESTIMATE)
AI_TOKENS = Instrument(
    "otcache.ai.tokens", "counter", "{token}", "Tokens that the model used up, or that a kept response saved.",
    (*_AI_USE, TOKEN_TYPE), scope="otcache.ai",
)  # fmt: skip
AI_COST = Instrument(
    "otcache.ai.cost", "counter", "{USD}", "US dollars spent or saved, by the configured prices.",
    _AI_USE, scope="otcache.ai", scale=NS,
)  # fmt: skip
AI_TIME = Instrument(
    "otcache.ai.time", "counter", "s", "Seconds that the model took, or that a kept response saved.",
    _AI_USE, scope="otcache.ai", scale=NS,
)  # fmt: skip
AI_TEXT_SIZE = Instrument(
    "otcache.ai.text.size", "histogram", "{character}", "Length of the texts that responses were asked for.",
    (CACHE, AI_OPERATION), (), B_CHARS, scope="otcache.ai",
)  # fmt: skip

_JUDGED: Final = (TARGET, INDICATOR, SERIES, CACHE, TIER)
REGRESSION_STATUS = Instrument(
    "otcache.regression.status", "updowncounter", "1", "1 for the verdict in force, 0 for the others.",
    (*_JUDGED, VERDICT), scope="otcache.regression",
)  # fmt: skip
REGRESSION_CHANGE = Instrument(
    "otcache.regression.change.ratio", "gauge", "1", "Worsening as a share of the baseline; positive is worse.",
    (*_JUDGED, STATISTIC), scope="otcache.regression", scale=NS,
)  # fmt: skip
CURRENT_DURATION = Instrument(
    "otcache.regression.current.duration", "gauge", "s", "The current value of a duration that is judged.",
    (*_JUDGED, STATISTIC), scope="otcache.regression", scale=NS,
)  # fmt: skip
BASELINE_DURATION = Instrument(
    "otcache.regression.baseline.duration", "gauge", "s", "The baseline that it is compared with.",
    (*_JUDGED, STATISTIC), scope="otcache.regression", scale=NS,
)  # fmt: skip
CURRENT_RATIO = Instrument(
    "otcache.regression.current.ratio", "gauge", "1", "The current value of a share that is judged.",
    (*_JUDGED, STATISTIC), scope="otcache.regression", scale=NS,
)  # fmt: skip
BASELINE_RATIO = Instrument(
    "otcache.regression.baseline.ratio", "gauge", "1", "The baseline that it is compared with.",
    (*_JUDGED, STATISTIC), scope="otcache.regression", scale=NS,
)  # fmt: skip
EVALUATIONS = Instrument(
    "otcache.regression.evaluations", "counter", "{evaluation}", "Evaluations of a series, by what they found.",
    (TARGET, INDICATOR, VERDICT), (ERROR_TYPE,), scope="otcache.regression",
)  # fmt: skip
EVALUATION_DURATION = Instrument(
    "otcache.regression.evaluation.duration", "histogram", "s", "Time of one pass of the detector.",
    (TARGET,), (), B_EVALUATION, scope="otcache.regression", scale=NS,
)  # fmt: skip
BENCHMARK_DURATION = Instrument(
    "otcache.benchmark.duration", "gauge", "s", "Time of one operation in the last benchmark.",
    (BENCHMARK, BENCHMARK_STATISTIC), scope="otcache.regression", scale=NS,
)  # fmt: skip
BENCHMARK_THROUGHPUT = Instrument(
    "otcache.benchmark.throughput", "gauge", "{operation}/s", "Operations per second in the last benchmark.",
    (BENCHMARK,), scope="otcache.regression", scale=MS,
)  # fmt: skip
BENCHMARK_MEMORY = Instrument(
    "otcache.benchmark.memory", "gauge", "By", "Peak memory in the last benchmark.",
    (BENCHMARK,), scope="otcache.regression",
)  # fmt: skip

INVALIDATIONS = Instrument(
    "otcache.invalidations", "counter", "{invalidation}", "Keys, tags, prefixes and everything, invalidated here.",
    (CACHE, INVALIDATION_TARGET, INVALIDATION_SOURCE), present="always",
)  # fmt: skip
NEWS = Instrument(
    "otcache.backplane.messages", "counter", "{message}", "News of writes and invalidations, sent and heard.",
    (BACKEND, NEWS_DIRECTION, NEWS_KIND), (ERROR_TYPE,), scope="otcache.backplane", present="far",
)  # fmt: skip
NEWS_LAG = Instrument(
    "otcache.backplane.lag", "histogram", "s", "From a write to its effect here, by the server's clock, at least 0.",
    (BACKEND,), (), B_LAG, scope="otcache.backplane", scale=MS,
)  # fmt: skip

INSTRUMENTS: Final = (
    OPERATIONS, OPERATION_DURATION, LOOKUPS, WRITES, EVICTIONS, ENTRY_AGE, STALE_AGE, LOADS, LOADER_DURATION,
    LOADER_ACTIVE, COALESCE_REQUESTS, COALESCE_WAIT_DURATION, COALESCE_WAITING, L1_COUNT, L1_LIMIT, PAYLOAD_SIZE,
    COMPRESSION_IO, CODEC_DURATION, DEGRADED_OPERATIONS, COMPONENT_STATUS, CIRCUIT_STATUS, CIRCUIT_TRANSITIONS,
    CALLBACKS, CALLBACK_DURATION, DROPPED, BUILD_INFO, L2_OPERATIONS, L2_DURATION, L2_IO, CONNECTIONS,
    CONNECTION_LIMIT, INVALIDATIONS, NEWS, NEWS_LAG, AI_LOOKUPS, AI_TOKENS, AI_COST, AI_TIME, AI_TEXT_SIZE,
    REGRESSION_STATUS, REGRESSION_CHANGE, CURRENT_DURATION, BASELINE_DURATION, CURRENT_RATIO, BASELINE_RATIO,
    EVALUATIONS, EVALUATION_DURATION, BENCHMARK_DURATION, BENCHMARK_THROUGHPUT, BENCHMARK_MEMORY,
)  # fmt: skip
