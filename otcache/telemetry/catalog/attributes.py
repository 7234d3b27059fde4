"""Every attribute that otcache emits, its values or the cap on them."""

from __future__ import annotations

from typing import Final, get_args

from otcache.telemetry.catalog import values as v
from otcache.telemetry.catalog.kinds import Attribute

CACHE = Attribute("otcache.cache.name", "string", "The cache's name.", cap=200)
OPERATION = Attribute("otcache.operation.name", "string", "The operation.", values=get_args(v.Operation))
RESULT = Attribute("otcache.result", "string", "How it ended.", values=get_args(v.Result))
TIER = Attribute("otcache.tier", "string", "The tier that answered.", values=get_args(v.Tier))
MISS_REASON = Attribute("otcache.miss.reason", "string", "Why a lookup missed; `none` unless it did.",
                        values=get_args(v.MissReason))  # fmt: skip
STALE_REASON = Attribute("otcache.stale.reason", "string", "Why a stale value was served.",
                         values=get_args(v.StaleReason))  # fmt: skip
TRIGGER = Attribute("otcache.loader.trigger", "string", "Why a loader ran.", values=get_args(v.LoadTrigger))
LOADER = Attribute("code.function.name", "string", "The loader's full name.")
DETACHED = Attribute("otcache.loader.detached", "boolean", "True when the call that started it did not wait for it.")
NEGATIVE = Attribute("otcache.entry.negative", "boolean", "True when the value that was found is `None`.")
COALESCE_ROLE = Attribute("otcache.coalesce.role", "string", "Its part where calls shared a load.",
                          values=get_args(v.CoalesceRole))  # fmt: skip
COALESCE_SCOPE = Attribute("otcache.coalesce.scope", "string", "Whether the load was this process's.",
                           values=get_args(v.CoalesceScope))  # fmt: skip
COALESCE_OUTCOME = Attribute("otcache.coalesce.outcome", "string", "What waiting for another's load came to.",
                             values=get_args(v.CoalesceOutcome))  # fmt: skip
COALESCE_WAITERS = Attribute("otcache.coalesce.waiters", "int", "Other calls that its load served.")
COALESCE_WAIT = Attribute("otcache.coalesce.wait", "double", "Seconds that it waited for another call's load.")
ERROR_TYPE = Attribute("error.type", "string", "What was raised, or what the server answered; absent on success.",
                       cap=32)  # fmt: skip
KEY_HASH = Attribute("otcache.key.hash", "string", "Keyed hash of the key, 16 hex characters.")
KEY_TEMPLATE = Attribute("otcache.key.template", "string", "The key's shape as the source code declares it.")
KEY = Attribute("otcache.key", "string", "The key itself, after the redactor.", opt_in=True)
LINK_TYPE = Attribute("otcache.link.type", "string", "On a link: what it leads to: the span that stored the value, the "
                      "operation that a callback is told of, the one that a refresh was begun by, the load that was "
                      "waited for, or the remote call of several reads whose span is below another one.",
                      values=("writer", "callback_trigger", "refresh_trigger", "coalesced_leader", "batch"),
                      opt_in=True)  # fmt: skip
AGE = Attribute("otcache.entry.age", "double", "Seconds since the value was stored.")
TTL = Attribute(
    "otcache.entry.ttl", "double", "Time to live given at a write, in seconds; 0: not kept; absent: for ever."
)
SIZE = Attribute("otcache.entry.size", "int", "Stored bytes of the value.")
BATCH_SIZE = Attribute("otcache.operation.batch.size", "int", "Keys in a batch call.")
BATCH_HITS = Attribute("otcache.operation.batch.hits", "int", "Keys of a batch read that were answered.")
DEGRADED = Attribute("otcache.degraded", "boolean", "True when a tier that should have taken part did not.")
DEGRADED_REASON = Attribute("otcache.degraded.reason", "string", "Why it did not.", values=get_args(v.DegradedReason))
CALLBACK_ERRORS = Attribute("otcache.callback.errors", "int", "User callbacks that raised during the operation.")
WRITE_REASON = Attribute("otcache.write.reason", "string", "Why an entry was stored: by `set`, copied up on a hit, or "
                         "loaded.", values=get_args(v.WriteReason))  # fmt: skip
EVICTION_REASON = Attribute("otcache.eviction.reason", "string", "Why an entry left unasked.",
                            values=("capacity", "expired"))  # fmt: skip
IO_DIRECTION = Attribute("otcache.io.direction", "string", "Seen from the cache.", values=("read", "write"))
COMPRESSION_STAGE = Attribute("otcache.compression.stage", "string", "Before or after the compressor.",
                              values=("input", "output"))  # fmt: skip
COMPRESSION_ALGORITHM = Attribute("otcache.compression.algorithm", "string", "The compressor.", values=("zlib", "zstd"))
BACKEND = Attribute("otcache.backend.name", "string", "The name of L2.", cap=32)
COMPONENT = Attribute("otcache.component", "string", "The part concerned: L2, or the backplane that "
                      "carries invalidation messages between processes.", values=("l2", "backplane"))  # fmt: skip
COMPONENT_STATE = Attribute("otcache.component.state", "string", "Its state.",
                            values=("available", "degraded", "unavailable"))  # fmt: skip
INVALIDATION_TARGET = Attribute("otcache.invalidation.target", "string", "What was invalidated.",
                                values=("key", "tag", "prefix", "all"))  # fmt: skip
INVALIDATION_SOURCE = Attribute("otcache.invalidation.source", "string", "Who did it: this process, or another.",
                                values=("local", "backplane"))  # fmt: skip
MESSAGE_DIRECTION = Attribute("otcache.backplane.direction", "string", "Sent or received by this process.",
                           values=("publish", "receive"))  # fmt: skip
MESSAGE_KIND = Attribute("otcache.backplane.message.kind", "string", "What it is about: keys, a numbered invalidation, "
                      "a lock that is free; `unknown` if it can't be read.",
                      values=("key", "tag", "lock", "unknown"))  # fmt: skip
CIRCUIT_STATE = Attribute("otcache.circuit.state", "string", "The breaker's state.",
                          values=("closed", "open", "half_open"))  # fmt: skip
CIRCUIT_PREVIOUS = Attribute("otcache.circuit.previous_state", "string", "The state it left.",
                             values=("closed", "open", "half_open"))  # fmt: skip
CALLBACK_EVENT = Attribute("otcache.callback.event", "string", "The event a callback was called for.",
    values=("get_success", "get_miss", "get_stale", "set_success", "delete_success", "load", "load_error"))  # fmt: skip
CALLBACK_NAME = Attribute("otcache.callback.name", "string", "The callback's qualified name.", cap=32)
SIGNAL = Attribute("otcache.telemetry.signal", "string", "The signal concerned.", values=("traces", "metrics", "logs"))
DROP_REASON = Attribute("otcache.telemetry.drop.reason", "string", "Why it was dropped.",
                        values=("cardinality", "rate_limited", "recording_error"))  # fmt: skip
SUPPRESSED = Attribute("otcache.log.suppressed", "int", "Events of this name dropped by the rate limit before it.")
LIMIT = Attribute("otcache.limit", "int", "The limit that was reached.")
ATTRIBUTE_NAME = Attribute("otcache.attribute", "string", "The attribute whose values were folded.")
VERSION = Attribute("otcache.version", "string", "The package's version.")
SCHEMA = Attribute("otcache.schema.version", "string", "The version of this contract.")
PYTHON_VERSION = Attribute("otcache.python.version", "string", "The interpreter's version.")
REDIS_CLIENT_VERSION = Attribute("otcache.redis_client.version", "string", "The version of redis-py.")
PURPOSE = Attribute("otcache.l2.purpose", "string", "What a call to L2 was for.", values=get_args(v.Purpose))
CODEC_OPERATION = Attribute("otcache.codec.operation", "string", "What was done to the bytes.",
                            values=("serialize", "compress", "decompress", "deserialize"))  # fmt: skip
CODEC_NAME = Attribute("otcache.codec.name", "string", "By which codec; `unknown` where the bytes could not be read.",
                       values=("plain", "tagged", "signed", "zlib", "zstd", "unknown"))  # fmt: skip
CONNECTION_STATE = Attribute("db.client.connection.state", "string", "Whether a connection is in use.",
                             values=("used", "idle"))  # fmt: skip
EXCEPTION_TYPE = Attribute("exception.type", "string", "The exception's class.")
EXCEPTION_MESSAGE = Attribute("exception.message", "string",
    "What one of our own says, redacted; never the words of the application's.")  # fmt: skip
HTTP_ROUTE = Attribute("http.route", "string", "The route's path with its parameters in braces.", cap=200)
AI_OPERATION = Attribute("otcache.ai.operation", "string", "The application's name for the AI operation.", cap=32)
AI_TEXT_TIER = Attribute("otcache.ai.text.tier", "string", "The text's size class.",
                         values=("small", "medium", "large", "xlarge"))  # fmt: skip

AI_DISPOSITION = Attribute("otcache.ai.disposition", "string", "Whether the model used it up, or a cached response "
                           "saved it.", values=("spent", "saved"))  # fmt: skip
AI_ESTIMATE = Attribute("otcache.ai.estimate", "string", "Whether the provider said so, or the length of texts.",
                        values=("measured", "estimated"))  # fmt: skip
TOKEN_TYPE = Attribute("gen_ai.token.type", "string", "Which tokens: input, output, or another kind.", cap=16)

TARGET = Attribute("otcache.regression.target", "string", "The service that is judged.", cap=32)
INDICATOR = Attribute("otcache.regression.indicator", "string", "What of it is judged.",
    values=("operation_duration", "l2_duration", "hit_ratio", "error_ratio", "payload_size"))  # fmt: skip
SERIES = Attribute("otcache.regression.series", "string", "Which series of the indicator: `get hit`, `GET`, `read`; "
                   "`all` where there is but one.", cap=200)  # fmt: skip
STATISTIC = Attribute("otcache.regression.statistic", "string", "By which number.",
                      values=("mean", "p50", "p95", "p99", "ratio"))  # fmt: skip
VERDICT = Attribute("otcache.regression.state", "string", "The verdict on it.",
                    values=("ok", "minor", "warning", "critical", "improved", "inconclusive"))  # fmt: skip
CHANGE = Attribute("otcache.regression.change", "double", "Worsening as a share of the baseline; positive is worse.")
CHANGE_LOW = Attribute("otcache.regression.change.low", "double", "The lower bound of it.")
CHANGE_HIGH = Attribute("otcache.regression.change.high", "double", "The upper bound of it.")
BENCHMARK = Attribute("otcache.benchmark.name", "string", "Which benchmark: its operation and its size.", cap=100)
BENCHMARK_STATISTIC = Attribute("otcache.benchmark.statistic", "string", "Which number of it.",
                                values=("mean", "min", "max", "p95", "p99"))  # fmt: skip
REVISION = Attribute("vcs.ref.head.revision", "string", "The commit that was measured.")
ITERATIONS = Attribute("otcache.benchmark.iterations", "int", "Operations that were measured.")

DB_SYSTEM = Attribute("db.system.name", "string", "What L2 is: redis, or the name of another store.", cap=32)
DB_OPERATION = Attribute("db.operation.name", "string", "The command, as the database conventions write it.", cap=32)
DB_NAMESPACE = Attribute("db.namespace", "string", "Index of the database.")
DB_BATCH_SIZE = Attribute("db.operation.batch.size", "int", "Commands in a pipeline of two or more.")
DB_STATUS = Attribute("db.response.status_code", "string", "The server's error prefix.")
SERVER_ADDRESS = Attribute("server.address", "string", "Host of the server, or path of its socket.")
SERVER_PORT = Attribute("server.port", "int", "Port of the server.")

ATTRIBUTES: Final = tuple(each for each in list(globals().values()) if isinstance(each, Attribute))
