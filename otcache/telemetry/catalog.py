"""The telemetry contract as data: every attribute, span, instrument and event that otcache emits.

Code, documentation tables and tests read this file; no other file spells an `otcache.` name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

from otcache.telemetry.outcome import DegradedReason, MissReason, Operation, Purpose, Result, Tier

SCHEMA_VERSION: Final = "0.1.0"

Scope = Literal["otcache", "otcache.redis", "otcache.ai"]
OTHER: Final = "_OTHER"
"""What an attribute's value is folded to once its cap is reached (telemetry.md, 2.5)."""


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """One attribute.

    Attributes:
        name: Its full name.
        type: Its type in the OpenTelemetry data model.
        brief: What it says, one sentence.
        values: The closed set of its values, or `None`.
        cap: Distinct values per process on metrics before the rest is folded to `_OTHER`.
        opt_in: Whether it is left out by default.
    """

    name: str
    type: Literal["string", "int", "double", "boolean"]
    brief: str
    values: tuple[str, ...] | None = None
    cap: int | None = None
    opt_in: bool = False


Kind = Literal["counter", "updowncounter", "histogram"]
Presence = Literal["always", "far", "use"]


@dataclass(frozen=True, slots=True, eq=False)
class Instrument:
    """One metric.

    Attributes:
        name: Its full name.
        kind: Its kind; every counter and up-down counter is observable, every histogram bridged.
        unit: UCUM; `{annotation}` for counts.
        brief: What it counts, one sentence.
        attributes: Present on every series, in the order of the cells' values.
        conditional: Present where they apply (absent on success: `error.type`).
        buckets: Explicit boundaries of a histogram, in its unit.
        scope: The instrumentation scope.
        present: From when on it is exported: always, with a far tier, or from its first use on.
        lean: What the profile `lean` keeps of a histogram: all of it, only these attributes, or nothing.
    """

    name: str
    kind: Kind
    unit: str
    brief: str
    attributes: tuple[Attribute, ...]
    conditional: tuple[Attribute, ...] = ()
    buckets: tuple[float, ...] = ()
    scope: Scope = "otcache"
    present: Presence = "use"
    lean: tuple[Attribute, ...] | Literal["whole", "dropped"] = "whole"

    @property
    def keys(self) -> tuple[Attribute, ...]:
        """All its attributes: the fixed ones, then the conditional ones."""
        return self.attributes + self.conditional

    @property
    def prometheus(self) -> str:
        """Its name on a /metrics page; histograms add `_bucket`, `_sum` and `_count`."""
        unit = {"s": "_seconds", "By": "_bytes"}.get(self.unit, "")
        total = "_total" if self.kind == "counter" else ""
        return self.name.replace(".", "_") + unit + total


@dataclass(frozen=True, slots=True, eq=False)
class SpanType:
    """One type of span: its name's shape, kind, and what it and its links carry."""

    id: str
    name: str
    kind: Literal["INTERNAL", "CLIENT"]
    brief: str
    at_start: tuple[Attribute, ...]
    attributes: tuple[Attribute, ...]
    scope: Scope = "otcache"
    links: tuple[Attribute, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """One event: a log record with a name."""

    name: str
    severity: Literal["INFO", "WARN"]
    brief: str
    attributes: tuple[Attribute, ...] = ()


# --- attributes -------------------------------------------------------------------------------------

CACHE = Attribute("otcache.cache.name", "string", "The cache's name.", cap=200)
OPERATION = Attribute("otcache.operation.name", "string", "The operation.", values=get_args(Operation))
RESULT = Attribute("otcache.result", "string", "How it ended.", values=get_args(Result))
TIER = Attribute("otcache.tier", "string", "The tier that answered.", values=get_args(Tier))
MISS_REASON = Attribute("otcache.miss.reason", "string", "Why a lookup missed; `none` unless it did.",
                        values=get_args(MissReason))  # fmt: skip
ERROR_TYPE = Attribute("error.type", "string", "What was raised, or what the server answered; absent on success.",
                       cap=32)  # fmt: skip
KEY_HASH = Attribute("otcache.key.hash", "string", "Keyed hash of the key, 16 hex characters.")
KEY_TEMPLATE = Attribute("otcache.key.template", "string", "The key's shape as the source code declares it.")
KEY = Attribute("otcache.key", "string", "The key itself, after the redactor.", opt_in=True)
LINK_TYPE = Attribute("otcache.link.type", "string", "On a link: what it leads to; `writer` stored the value.",
                      values=("writer",), opt_in=True)  # fmt: skip
AGE = Attribute("otcache.entry.age", "double", "Seconds since the value was stored.")
TTL = Attribute("otcache.entry.ttl", "double", "Time to live given at a write, in seconds; 0 never expires.")
SIZE = Attribute("otcache.entry.size", "int", "Stored bytes of the value.")
BATCH_SIZE = Attribute("otcache.operation.batch.size", "int", "Keys in a batch call.")
BATCH_HITS = Attribute("otcache.operation.batch.hits", "int", "Keys of a batch read that were answered.")
DEGRADED = Attribute("otcache.degraded", "boolean", "True when a tier that should have taken part did not.")
DEGRADED_REASON = Attribute("otcache.degraded.reason", "string", "Why it did not.", values=get_args(DegradedReason))
CALLBACK_ERRORS = Attribute("otcache.callback.errors", "int", "User callbacks that raised during the operation.")
WRITE_REASON = Attribute("otcache.write.reason", "string", "Why an entry was stored: by `set`, or copied up on a hit.",
                         values=("set", "backfill"))  # fmt: skip
EVICTION_REASON = Attribute("otcache.eviction.reason", "string", "Why an entry left unasked.",
                            values=("capacity", "expired"))  # fmt: skip
IO_DIRECTION = Attribute("otcache.io.direction", "string", "Seen from the cache.", values=("read", "write"))
COMPRESSION_STAGE = Attribute("otcache.compression.stage", "string", "Before or after the compressor.",
                              values=("input", "output"))  # fmt: skip
COMPRESSION_ALGORITHM = Attribute("otcache.compression.algorithm", "string", "The compressor.", values=("zlib", "zstd"))
BACKEND = Attribute("otcache.backend.name", "string", "The far tier's name.", cap=32)
COMPONENT = Attribute("otcache.component", "string", "The part concerned.", values=("l2",))
COMPONENT_STATE = Attribute("otcache.component.state", "string", "Its state.",
                            values=("available", "degraded", "unavailable"))  # fmt: skip
CIRCUIT_STATE = Attribute("otcache.circuit.state", "string", "The breaker's state.",
                          values=("closed", "open", "half_open"))  # fmt: skip
CIRCUIT_PREVIOUS = Attribute("otcache.circuit.previous_state", "string", "The state it left.",
                             values=("closed", "open", "half_open"))  # fmt: skip
CALLBACK_EVENT = Attribute("otcache.callback.event", "string", "The event a callback was called for.",
                           values=("get_success", "get_miss", "set_success", "delete_success"))  # fmt: skip
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
PURPOSE = Attribute("otcache.l2.purpose", "string", "What a round trip was for.", values=get_args(Purpose))
AI_OPERATION = Attribute("otcache.ai.operation", "string", "The application's name for the AI operation.", cap=32)
AI_TEXT_TIER = Attribute("otcache.ai.text.tier", "string", "The text's size class.",
                         values=("small", "medium", "large", "xlarge"))  # fmt: skip

DB_SYSTEM = Attribute("db.system.name", "string", "Always redis.", values=("redis",))
DB_OPERATION = Attribute("db.operation.name", "string", "The command, as the database conventions write it.", cap=32)
DB_NAMESPACE = Attribute("db.namespace", "string", "Index of the database.")
DB_BATCH_SIZE = Attribute("db.operation.batch.size", "int", "Commands in a pipeline of two or more.")
DB_STATUS = Attribute("db.response.status_code", "string", "The server's error prefix.")
SERVER_ADDRESS = Attribute("server.address", "string", "Host of the server, or path of its socket.")
SERVER_PORT = Attribute("server.port", "int", "Port of the server.")

# --- bucket boundaries (telemetry.md 3.8, decision 29) ----------------------------------------------

B_OP: Final = (5e-07, 1e-06, 2.5e-06, 5e-06, 1e-05, 5e-05, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
               0.05, 0.1, 0.25, 1.0, 10.0)  # fmt: skip
B_L2: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
B_CB: Final = (1e-05, 0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0)
B_BYTES: Final = (64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0)

# --- instruments ------------------------------------------------------------------------------------

OPERATIONS = Instrument(
    "otcache.operations", "counter", "{operation}", "Cache API calls completed; a batch call counts once.",
    (CACHE, OPERATION, RESULT), (ERROR_TYPE,), present="always",
)  # fmt: skip
OPERATION_DURATION = Instrument(
    "otcache.operation.duration", "histogram", "s", "Duration of a cache API call as its caller sees it.",
    (CACHE, OPERATION, RESULT, TIER), (ERROR_TYPE,), B_OP, lean=(CACHE, RESULT, TIER),
)  # fmt: skip
LOOKUPS = Instrument(
    "otcache.lookups", "counter", "{lookup}", "Keys looked up, one per key; the only source of a hit ratio.",
    (CACHE, RESULT, TIER, MISS_REASON), present="always",
)  # fmt: skip
WRITES = Instrument(
    "otcache.writes", "counter", "{entry}", "Entries stored, per tier; l2 only after the server's OK.",
    (CACHE, TIER, WRITE_REASON), present="always",
)  # fmt: skip
EVICTIONS = Instrument(
    "otcache.evictions", "counter", "{entry}", "Entries removed from L1 without the application asking.",
    (CACHE, TIER, EVICTION_REASON), present="always",
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
    (CALLBACK_EVENT, CALLBACK_NAME), (), B_CB, lean="dropped",
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
    (CACHE, DB_OPERATION), (ERROR_TYPE,), B_L2, scope="otcache.redis",
)  # fmt: skip
L2_IO = Instrument(
    "otcache.l2.io", "counter", "By", "Payload bytes read from and written to Redis.",
    (CACHE, IO_DIRECTION), scope="otcache.redis", present="far",
)  # fmt: skip
AI_LOOKUPS = Instrument(
    "otcache.ai.lookups", "counter", "{lookup}", "Lookups of the AI response cache.",
    (CACHE, AI_OPERATION, AI_TEXT_TIER, RESULT), scope="otcache.ai",
)  # fmt: skip

INSTRUMENTS: Final = (
    OPERATIONS, OPERATION_DURATION, LOOKUPS, WRITES, EVICTIONS, L1_COUNT, L1_LIMIT, PAYLOAD_SIZE, COMPRESSION_IO,
    DEGRADED_OPERATIONS, COMPONENT_STATUS, CIRCUIT_STATUS, CIRCUIT_TRANSITIONS, CALLBACKS, CALLBACK_DURATION, DROPPED,
    BUILD_INFO, L2_OPERATIONS, L2_DURATION, L2_IO, AI_LOOKUPS,
)  # fmt: skip

# --- spans ------------------------------------------------------------------------------------------

OPERATION_SPAN = SpanType(
    "otcache.operation", "cache.{otcache.operation.name} {otcache.cache.name}", "INTERNAL", "Every call of a cache.",
    (CACHE, OPERATION),
    (RESULT, TIER, MISS_REASON, KEY_HASH, KEY_TEMPLATE, KEY, AGE, TTL, SIZE, BATCH_SIZE, BATCH_HITS, DEGRADED,
     DEGRADED_REASON, CALLBACK_ERRORS, AI_OPERATION, AI_TEXT_TIER, ERROR_TYPE), links=(LINK_TYPE,),
)  # fmt: skip
REDIS_SPAN = SpanType(
    "otcache.redis.client", "{db.operation.name}", "CLIENT", "Each round trip to Redis.",
    (DB_SYSTEM, DB_OPERATION, CACHE, PURPOSE, SERVER_ADDRESS, SERVER_PORT, DB_NAMESPACE),
    (DB_BATCH_SIZE, DB_STATUS, ERROR_TYPE), scope="otcache.redis",
)  # fmt: skip
SPANS: Final = (OPERATION_SPAN, REDIS_SPAN)

# --- events -----------------------------------------------------------------------------------------

OPERATION_EXCEPTION = Event("otcache.operation.exception", "WARN", "An operation raised to its caller.",
                            (CACHE, OPERATION, ERROR_TYPE))  # fmt: skip
REDIS_EXCEPTION = Event("db.client.operation.exception", "WARN", "A command of Redis failed.",
                        (CACHE, DB_OPERATION, ERROR_TYPE))  # fmt: skip
CIRCUIT_CHANGED = Event("otcache.circuit.state_changed", "WARN", "The breaker changed state (INFO unless it opened).",
                        (CACHE, BACKEND, CIRCUIT_STATE, CIRCUIT_PREVIOUS))  # fmt: skip
COMPONENT_CHANGED = Event("otcache.component.state_changed", "WARN", "A tier changed state (INFO when it recovered).",
                          (CACHE, BACKEND, COMPONENT, COMPONENT_STATE, DEGRADED_REASON))  # fmt: skip
JOURNAL_FULL = Event("otcache.journal.full", "WARN", "Too many writes failed; on recovery the prefix is cleared.",
                     (CACHE, LIMIT))  # fmt: skip
CALLBACK_EXCEPTION = Event("otcache.callback.exception", "WARN", "A user callback raised.",
                           (CALLBACK_EVENT, CALLBACK_NAME, ERROR_TYPE))  # fmt: skip
CALLBACK_QUARANTINED = Event("otcache.callback.quarantined", "WARN", "A user callback failed too often and is skipped.",
                             (CALLBACK_EVENT, CALLBACK_NAME))  # fmt: skip
CAPPED = Event("otcache.telemetry.capped", "WARN", "An attribute reached its cap; further values are `_OTHER`.",
               (ATTRIBUTE_NAME, LIMIT))  # fmt: skip
STARTED = Event("otcache.started", "INFO", "A cache is ready; its effective configuration without secrets.", (CACHE,))

EVENTS: Final = (
    OPERATION_EXCEPTION, REDIS_EXCEPTION, CIRCUIT_CHANGED, COMPONENT_CHANGED, JOURNAL_FULL, CALLBACK_EXCEPTION,
    CALLBACK_QUARANTINED, CAPPED, STARTED,
)  # fmt: skip
ATTRIBUTES: Final = tuple(
    {a.name: a for a in globals().values() if isinstance(a, Attribute)}.values()
)  # fmt: skip
