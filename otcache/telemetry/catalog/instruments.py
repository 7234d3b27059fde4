"""Every metric that otcache emits."""

from __future__ import annotations

from typing import Final, get_args

from otcache.telemetry.catalog import attributes as a
from otcache.telemetry.catalog import buckets as b
from otcache.telemetry.catalog.kinds import EACH, MS, NS, Instrument
from otcache.telemetry.catalog.values import ResponseResult

OPERATIONS = Instrument("otcache.operations", "counter", "{operation}",
    "Cache API calls completed; a batch call counts once.", (a.CACHE, a.OPERATION, a.RESULT), (a.ERROR_TYPE,),
    present="always", zero=((("get", "get_or_set"), "miss"), ("set", "ok")))  # fmt: skip
OPERATION_DURATION = Instrument("otcache.operation.duration", "histogram", "s",
    "Duration of a cache API call as its caller sees it.", (a.CACHE, a.OPERATION, a.RESULT, a.TIER), (a.ERROR_TYPE,),
    b.B_OP, scale=NS, lean=(a.CACHE, a.RESULT, a.TIER))  # fmt: skip
LOOKUPS = Instrument("otcache.lookups", "counter", "{lookup}",
    "Keys looked up, one per key; the only source of a hit ratio.", (a.CACHE, a.RESULT, a.TIER, a.MISS_REASON),
    (a.STALE_REASON,), present="always",
    zero=(("miss", "none", ("absent", "expired", "backend_unavailable")), ("stale", ("l1", "l2"), "none", EACH)),
    zero_l2=(("hit", "l2", "none"),))  # fmt: skip
WRITES = Instrument("otcache.writes", "counter", "{entry}", "Entries stored, per tier; l2 only after the "
    "server's OK, none for a loaded value that can't be kept.",
    (a.CACHE, a.TIER, a.WRITE_REASON), present="always",
    zero=(("l1", ("set", "load", "refresh")), ("none", "refused")),
    zero_l2=(("l1", "backfill"), ("l2", "set")))  # fmt: skip
EVICTIONS = Instrument("otcache.evictions", "counter", "{entry}",
    "Entries removed from L1 without the application asking.", (a.CACHE, a.TIER, a.EVICTION_REASON), present="always",
    zero=(("l1", EACH),))  # fmt: skip
ENTRY_AGE = Instrument("otcache.hit.age", "histogram", "s", "Age of a value when L2 answered with it.",
    (a.CACHE, a.RESULT), (), b.B_AGE, scale=MS, lean="dropped")  # fmt: skip
STALE_AGE = Instrument("otcache.stale.age", "histogram", "s",
    "How long past its time to live a stale value was when it was served.", (a.CACHE, a.STALE_REASON), (), b.B_STALE,
    scale=MS, lean="dropped")  # fmt: skip
LOADS = Instrument("otcache.loads", "counter", "{load}", "Runs of loaders that have ended.", (a.CACHE, a.TRIGGER),
    (a.ERROR_TYPE,), present="always", zero=((EACH,),))  # fmt: skip
LOADER_DURATION = Instrument("otcache.loader.duration", "histogram", "s", "Duration of one run of a loader.",
    (a.CACHE, a.TRIGGER), (a.ERROR_TYPE,), b.B_LOAD, scale=NS)  # fmt: skip
LOADER_ACTIVE = Instrument("otcache.loader.active", "updowncounter", "{load}", "Loaders running now.", (a.CACHE,),
    present="always", zero=((),))  # fmt: skip
COALESCE_REQUESTS = Instrument("otcache.coalesce.requests", "counter", "{request}",
    "Callers that waited for another caller's load instead of running their own.",
    (a.CACHE, a.COALESCE_SCOPE, a.COALESCE_OUTCOME), present="always", zero=((EACH, EACH),))  # fmt: skip
COALESCE_WAIT_DURATION = Instrument("otcache.coalesce.wait.duration", "histogram", "s",
    "Time that such a caller waited.", (a.CACHE, a.COALESCE_SCOPE, a.COALESCE_OUTCOME), (), b.B_WAIT, scale=NS,
    lean="dropped")  # fmt: skip
COALESCE_WAITING = Instrument("otcache.coalesce.waiting", "updowncounter", "{request}",
    "Callers waiting now for another caller's load.", (a.CACHE,), present="always", zero=((),))  # fmt: skip
CHANGED_OBJECTS = Instrument("otcache.l1.changed.objects", "counter", "{object}",
    "Shared objects that a caller was found to have changed.", (a.CACHE,), present="always", zero=((),))  # fmt: skip
L1_COUNT = Instrument("otcache.l1.entry.count", "updowncounter", "{entry}", "Entries in L1.", (a.CACHE,),
    present="always")  # fmt: skip
L1_LIMIT = Instrument("otcache.l1.entry.limit", "updowncounter", "{entry}", "Most entries L1 may hold.", (a.CACHE,))
PAYLOAD_SIZE = Instrument("otcache.payload.size", "histogram", "By",
    "Size of one stored payload on the wire, after compression.", (a.CACHE, a.IO_DIRECTION), (), b.B_BYTES,
    lean="dropped")  # fmt: skip
COMPRESSION_IO = Instrument("otcache.compression.io", "counter", "By",
    "Bytes into and out of the compressor; ratio = output / input.",
    (a.CACHE, a.COMPRESSION_STAGE, a.COMPRESSION_ALGORITHM))  # fmt: skip
CODEC_DURATION = Instrument("otcache.codec.duration", "histogram", "s",
    "Time to turn one value into bytes, or bytes into a value.", (a.CACHE, a.CODEC_OPERATION, a.CODEC_NAME),
    (a.ERROR_TYPE,), b.B_CODEC, scale=NS, lean="dropped")  # fmt: skip
DEGRADED_OPERATIONS = Instrument("otcache.degraded.operations", "counter", "{operation}",
    "Operations completed without a tier they should have used.", (a.CACHE, a.DEGRADED_REASON), present="far",
    zero=((EACH,),))  # fmt: skip
COMPONENT_STATUS = Instrument("otcache.component.status", "updowncounter", "1",
    "1 for the state the component is in, 0 for the others.", (a.BACKEND, a.COMPONENT, a.COMPONENT_STATE),
    present="far")  # fmt: skip
CIRCUIT_STATUS = Instrument("otcache.circuit.status", "updowncounter", "1",
    "1 for the state the breaker is in, 0 for the others.", (a.BACKEND, a.COMPONENT, a.CIRCUIT_STATE),
    present="far")  # fmt: skip
CIRCUIT_TRANSITIONS = Instrument("otcache.circuit.transitions", "counter", "{transition}",
    "Transitions of the breaker, by the state entered.", (a.BACKEND, a.COMPONENT, a.CIRCUIT_STATE), present="far",
    zero=(("l2", EACH),))  # fmt: skip
CALLBACKS = Instrument("otcache.callbacks", "counter", "{invocation}", "Invocations of user callbacks.",
    (a.CALLBACK_EVENT, a.CALLBACK_NAME), (a.ERROR_TYPE,))  # fmt: skip
CALLBACK_DURATION = Instrument("otcache.callback.duration", "histogram", "s", "Time spent in a user callback.",
    (a.CALLBACK_EVENT, a.CALLBACK_NAME), (), b.B_CB, scale=NS, lean="dropped")  # fmt: skip
HTTP_RESPONSES = Instrument("otcache.http.responses", "counter", "{response}",
    "HTTP responses that the response cache has decided on.", (a.CACHE, a.HTTP_ROUTE, a.RESULT),
    zero=((get_args(ResponseResult),),))  # fmt: skip
DROPPED = Instrument("otcache.telemetry.dropped", "counter", "{item}",
    "Telemetry that otcache itself refused, folded or lost.", (a.SIGNAL, a.DROP_REASON), present="always",
    zero=((EACH, "recording_error"),))  # fmt: skip
BUILD_INFO = Instrument("otcache.build.info", "updowncounter", "", "Always 1; the identity is in its attributes.",
    (a.VERSION, a.SCHEMA, a.PYTHON_VERSION, a.REDIS_CLIENT_VERSION), present="always")  # fmt: skip
L2_OPERATIONS = Instrument("otcache.l2.operations", "counter", "{operation}", "Calls to L2 made for a cache.",
    (a.CACHE, a.DB_OPERATION), (a.ERROR_TYPE,), scope="otcache.redis")  # fmt: skip
L2_DURATION = Instrument("otcache.l2.operation.duration", "histogram", "s",
    "Duration of one call to L2; the CLIENT span's.", (a.CACHE, a.DB_OPERATION), (a.ERROR_TYPE,), b.B_L2,
    scope="otcache.redis", scale=NS)  # fmt: skip
L2_IO = Instrument("otcache.l2.io", "counter", "By", "Payload bytes read from and written to Redis.",
    (a.CACHE, a.IO_DIRECTION), scope="otcache.redis", present="far", zero=((EACH,),))  # fmt: skip
CONNECTIONS = Instrument("otcache.l2.connection.count", "updowncounter", "{connection}", "Open connections to Redis.",
    (a.CACHE, a.CONNECTION_STATE), scope="otcache.redis", present="far")  # fmt: skip
CONNECTION_LIMIT = Instrument("otcache.l2.connection.limit", "updowncounter", "{connection}",
    "Most connections that there may be.", (a.CACHE,), scope="otcache.redis", present="far")  # fmt: skip
INVALIDATIONS = Instrument("otcache.invalidations", "counter", "{invalidation}",
    "Keys, tags, prefixes and whole caches invalidated in this process.",
    (a.CACHE, a.INVALIDATION_TARGET, a.INVALIDATION_SOURCE), present="always", zero=((EACH, "local"),),
    zero_l2=((EACH, "backplane"),))  # fmt: skip
MESSAGES = Instrument("otcache.backplane.messages", "counter", "{message}",
    "Invalidation messages and lock messages, sent and received.", (a.BACKEND, a.MESSAGE_DIRECTION, a.MESSAGE_KIND),
    (a.ERROR_TYPE,), scope="otcache.backplane", present="far", zero=((EACH, ("key", "tag")),))  # fmt: skip
MESSAGE_LAG = Instrument("otcache.backplane.lag", "histogram", "s",
    "Time from a write in another process to its effect in this one, by the server's clock.", (a.BACKEND,), (), b.B_LAG,
    scope="otcache.backplane", scale=MS)  # fmt: skip
DISAGREEMENTS = Instrument("otcache.options.disagreement", "updowncounter", "{option}",
    "1 while another process that shares the cache's namespace is set differently.", (a.CACHE, a.DISAGREEMENT),
    scope="otcache.backplane", present="far")  # fmt: skip
AI_LOOKUPS = Instrument("otcache.ai.lookups", "counter", "{lookup}", "Lookups of the AI response cache.",
    (a.CACHE, a.AI_OPERATION, a.AI_TEXT_TIER, a.RESULT), scope="otcache.ai")  # fmt: skip
_AI_USE: Final = (a.CACHE, a.AI_OPERATION, a.AI_TEXT_TIER, a.AI_DISPOSITION, a.AI_ESTIMATE)
AI_TOKENS = Instrument("otcache.ai.tokens", "counter", "{token}",
    "Tokens that the model used up, or that a cached response saved.", (*_AI_USE, a.TOKEN_TYPE),
    scope="otcache.ai")  # fmt: skip
AI_COST = Instrument("otcache.ai.cost", "counter", "{USD}", "US dollars spent or saved, by the configured prices.",
    _AI_USE, scope="otcache.ai", scale=NS)  # fmt: skip
AI_TIME = Instrument("otcache.ai.time", "counter", "s", "Seconds that the model took, or that a cached response saved.",
    _AI_USE, scope="otcache.ai", scale=NS)  # fmt: skip
AI_TEXT_SIZE = Instrument("otcache.ai.text.size", "histogram", "{character}",
    "Length of the texts that responses were asked for.", (a.CACHE, a.AI_OPERATION), (), b.B_CHARS,
    scope="otcache.ai")  # fmt: skip
_JUDGED: Final = (a.TARGET, a.INDICATOR, a.SERIES, a.CACHE, a.TIER)
REGRESSION_STATUS = Instrument("otcache.regression.status", "updowncounter", "1",
    "1 for the verdict in force, 0 for the others.", (*_JUDGED, a.VERDICT), scope="otcache.regression")  # fmt: skip
REGRESSION_CHANGE = Instrument("otcache.regression.change.ratio", "gauge", "1",
    "Worsening as a share of the baseline; positive is worse.", (*_JUDGED, a.STATISTIC), scope="otcache.regression",
    scale=NS)  # fmt: skip
CURRENT_DURATION = Instrument("otcache.regression.current.duration", "gauge", "s",
    "The current value of a duration that is judged.", (*_JUDGED, a.STATISTIC), scope="otcache.regression",
    scale=NS)  # fmt: skip
BASELINE_DURATION = Instrument("otcache.regression.baseline.duration", "gauge", "s",
    "The baseline that it is compared with.", (*_JUDGED, a.STATISTIC), scope="otcache.regression",
    scale=NS)  # fmt: skip
CURRENT_RATIO = Instrument("otcache.regression.current.ratio", "gauge", "1",
    "The current value of a share that is judged.", (*_JUDGED, a.STATISTIC), scope="otcache.regression",
    scale=NS)  # fmt: skip
BASELINE_RATIO = Instrument("otcache.regression.baseline.ratio", "gauge", "1", "The baseline that it is compared with.",
    (*_JUDGED, a.STATISTIC), scope="otcache.regression", scale=NS)  # fmt: skip
EVALUATIONS = Instrument("otcache.regression.evaluations", "counter", "{evaluation}",
    "Evaluations of a series, by what they found.", (a.TARGET, a.INDICATOR, a.VERDICT), (a.ERROR_TYPE,),
    scope="otcache.regression")  # fmt: skip
EVALUATION_DURATION = Instrument("otcache.regression.evaluation.duration", "histogram", "s",
    "Time of one pass of the detector.", (a.TARGET,), (), b.B_EVALUATION, scope="otcache.regression",
    scale=NS)  # fmt: skip
BENCHMARK_DURATION = Instrument("otcache.benchmark.duration", "gauge", "s",
    "Time of one operation in the last benchmark.", (a.BENCHMARK, a.BENCHMARK_STATISTIC), scope="otcache.regression",
    scale=NS)  # fmt: skip
BENCHMARK_THROUGHPUT = Instrument("otcache.benchmark.throughput", "gauge", "{operation}/s",
    "Operations per second in the last benchmark.", (a.BENCHMARK,), scope="otcache.regression", scale=MS)  # fmt: skip
BENCHMARK_MEMORY = Instrument("otcache.benchmark.memory", "gauge", "By", "Peak memory in the last benchmark.",
    (a.BENCHMARK,), scope="otcache.regression")  # fmt: skip

INSTRUMENTS: Final = tuple(each for each in list(globals().values()) if isinstance(each, Instrument))
