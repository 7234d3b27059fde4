"""Redis and resilience: for those who run Redis."""

from __future__ import annotations

from dashboards.board import Board, Row
from dashboards.common import (
    CIRCUIT_STATES,
    COMMAND_COLORS,
    COMPONENT_STATES,
    DIRECTION_COLORS,
    REASON_TO_DEGRADE_COLORS,
    WARNINGS,
    circuit_state,
    component_state,
    evidence,
    per_second,
)
from dashboards.foreign import (
    REDIS_CONNECTIONS,
    REDIS_CREATED,
    REDIS_DURATION,
    REDIS_ERROR_CATEGORY,
    REDIS_ERRORS,
)
from dashboards.overview import NO_REDIS
from dashboards.panels import Limits, Query, lines, names, stat, traces_link
from dashboards.promql import (
    Expr,
    increase,
    mean,
    one_of,
    or_zero,
    present,
    quantile,
    rate,
    ratio,
    series,
    sum_by,
)
from otcache.telemetry import catalog
from otcache.telemetry.catalog import (
    BACKEND,
    CACHE,
    CIRCUIT_STATE,
    CONNECTION_LIMIT,
    CONNECTION_STATE,
    CONNECTIONS,
    DB_OPERATION,
    DEGRADED_REASON,
    ERROR_TYPE,
    IO_DIRECTION,
    L2_DURATION,
    L2_OPERATIONS,
)

LATENCY = Limits("redis_latency_warning", "redis_latency_critical")
POOL = Limits("pool_warning", "pool_critical")
ERRORS = Limits("error_ratio_warning", "error_ratio_critical")
CIRCUIT_COLORS = {"closed": "green", "half_open": "yellow", "open": "red"}
CONNECTION_COLORS = {"used": "blue", "idle": "green"}


def _pool(by_cache: bool) -> Expr:
    by = (CACHE,) if by_cache else ()
    used = sum_by(series(CONNECTIONS, one_of(CONNECTION_STATE, "used")), *by)
    return ratio(used, sum_by(series(CONNECTION_LIMIT), *by))


def _now() -> Row:
    failed, made = per_second(L2_OPERATIONS, present(ERROR_TYPE)), per_second(L2_OPERATIONS)
    return Row("now", "Is Redis there?", [
        stat("redis-state", "Redis state",
             "The worst that a chosen instance sees. If unavailable: check the server, then its network; otcache "
             "reconnects by itself.",
             Query(component_state(), names(BACKEND)), "short", states=COMPONENT_STATES, none=NO_REDIS, width=5,
             height=5),
        stat("breaker-state", "Circuit breaker state",
             "Of the worst instance. Open: Redis failed several times in a row; otcache skips it until a probe "
             "succeeds.",
             Query(circuit_state(), names(BACKEND)), "short", states=CIRCUIT_STATES, none=NO_REDIS, width=5, height=5),
        stat("round-trips", "Round trips per second",
             "Commands and pipelines sent to Redis. 0 with traffic: the breaker "
             "is open, or L1 answers every lookup.",
             Query(made, "round trips"), "ops", none=NO_REDIS, width=4, height=5),
        stat("round-trips-failed", "Failed round trips",
             "Round trips that ended with an error. If red: see “Failed round trips by error” below for the type.",
             Query(ratio(or_zero(failed), made), "failed"), "percentunit", limits=ERRORS, none="no round trips",
             width=5, height=5),
        stat("round-trip-p99", "Round trip p99",
             "p99 of round trips. If red: a slow command below, a busy server, or the network.",
             Query(quantile(0.99, L2_DURATION), "p99"), "s", limits=LATENCY, none="no round trips", width=5, height=5),
    ])  # fmt: skip


def _round_trips() -> Row:
    command = f'span.{DB_OPERATION.name} = "${{__field.labels.{DB_OPERATION.name.replace(".", "_")}}}"'
    link = traces_link(
        "Traces of slower round trips", f'{{ instrumentation:name = "otcache.redis" && {command} && '
        "duration > ${__value.raw}s }",
    )  # fmt: skip
    by = (DB_OPERATION,)
    return Row("round-trips", "What is sent to Redis?", [
        lines("round-trips-by-command", "Round trips by command",
              "Round trips per second by command; a pipeline is one.",
              [Query(per_second(L2_OPERATIONS, by=by), names(DB_OPERATION))], "ops", stacked=True, none=NO_REDIS,
              colors=COMMAND_COLORS, width=12),
        lines("round-trips-failed-by-error", "Failed round trips by error",
              "Failed round trips per second by type. TimeoutError: a busy server or the network. ConnectionError: "
              "it is gone. OOM: it is full. READONLY: it is a replica. WRONGPASS, NOAUTH: credentials.",
              [Query(per_second(L2_OPERATIONS, present(ERROR_TYPE), by=(ERROR_TYPE,)), names(ERROR_TYPE))], "ops",
              none="no errors", width=12),
        lines("round-trip-median-by-command", "Round trip median by command",
              "Median by command. All up together: the server or the "
              "network. One alone: its values have grown.",
              [Query(quantile(0.5, L2_DURATION, by=by), names(DB_OPERATION), exemplar=True)], "s", log=True,
              links=[link], colors=COMMAND_COLORS, none=NO_REDIS),
        lines("round-trip-p99-by-command", "Round trip p99 by command",
              "p99 by command. Click a point for traces of round trips at "
              "least as slow.",
              [Query(quantile(0.99, L2_DURATION, by=by), names(DB_OPERATION), exemplar=True)], "s", log=True,
              limits=LATENCY, links=[link], colors=COMMAND_COLORS, none=NO_REDIS),
        lines("bytes-by-direction", "Payload bytes by direction",
              "Payload bytes per second, without the protocol's. A jump means larger values.",
              [Query(per_second(catalog.L2_IO, by=(IO_DIRECTION,)), names(IO_DIRECTION))], "Bps",
              colors=DIRECTION_COLORS, none=NO_REDIS),
    ])  # fmt: skip


def _connections() -> Row:
    return Row("connections", "Are there enough connections?", [
        lines("connections-by-state", "Connections by state, and limit",
              "By state, all chosen instances together, and how many there may be.",
              [Query(sum_by(series(CONNECTIONS), CONNECTION_STATE), names(CONNECTION_STATE)),
               Query(sum_by(series(CONNECTION_LIMIT)), "limit")], "short", decimals=0,
              colors=CONNECTION_COLORS, dashed="limit", none=NO_REDIS, width=12),
        lines("pool-use-by-cache", "Share of the connection limit in use by cache",
              "By cache. At 100 % further calls fail at once: raise max_connections, or find what holds them.",
              [Query(_pool(by_cache=True), names(CACHE))], "percentunit", limits=POOL, none="no limit", width=12),
    ])  # fmt: skip


def _resilience() -> Row:
    dropped = per_second(catalog.OPERATIONS, one_of(catalog.RESULT, "dropped"), by=(CACHE,))
    unanswered = per_second(catalog.LOOKUPS, one_of(catalog.MISS_REASON, "backend_unavailable"), by=(CACHE,))
    transitions = sum_by(increase(series(catalog.CIRCUIT_TRANSITIONS)), CIRCUIT_STATE)
    return Row("resilience", "What happens while Redis fails?", [
        lines("breakers-by-state", "Circuit breakers by state",
              "One breaker per cache and instance. One open alone: check its network. All: check the server.",
              [Query(sum_by(series(catalog.CIRCUIT_STATUS), CIRCUIT_STATE), names(CIRCUIT_STATE))], "short", steps=True,
              stacked=True, decimals=0, colors=CIRCUIT_COLORS, none=NO_REDIS),
        lines("breaker-transitions", "Circuit breaker transitions by state",
              "Changes by the state entered, around each point. Open and half open in turns: probes of a Redis that "
              "is still away.",
              [Query(transitions, names(CIRCUIT_STATE))], "short", bars=True, colors=CIRCUIT_COLORS, none=NO_REDIS),
        lines("calls-degraded-by-reason", "Calls without Redis by reason",
              "Calls per second that needed Redis and did without. `circuit_open` follows the reason that opened the "
              "breaker: look for that one.",
              [Query(per_second(catalog.DEGRADED_OPERATIONS, by=(DEGRADED_REASON,)), names(DEGRADED_REASON))], "ops",
              stacked=True, colors=REASON_TO_DEGRADE_COLORS, none="none does"),
        lines("misses-redis-away", "Misses because Redis is away by cache",
              "Keys per second that Redis might have had. They go to "
              "the origin: watch its load.",
              [Query(unanswered, names(CACHE))], "ops", none="none", width=12),
        lines("writes-dropped", "Dropped writes by cache",
              "Calls of `set` per second whose value no tier stored. If it lasts: switch L1 on, so that an outage "
              "costs less.",
              [Query(dropped, names(CACHE))], "ops", none="none", width=12),
    ])  # fmt: skip


def _native() -> Row:
    opened = sum_by(rate(series(REDIS_CREATED, part="_count")))
    errors = per_second(REDIS_ERRORS, by=(REDIS_ERROR_CATEGORY,))
    return Row("redis-py", "redis-py's own metrics (opt-in)", [
        lines("redis-py-connections", "redis-py connections by state",
              "As redis-py counts them, for comparison with the ones above.",
              [Query(sum_by(series(REDIS_CONNECTIONS), CONNECTION_STATE), names(CONNECTION_STATE))], "short",
              stacked=True, colors=CONNECTION_COLORS, width=6),
        lines("redis-py-opened", "redis-py connections opened per second",
              "Far above 0 all the time: connections do not live long; look for an "
              "idle timeout on the way.", [Query(opened, "opened")], "ops", width=6),
        lines("redis-py-errors", "redis-py errors by category", "Errors of the client, retried or not.",
              [Query(errors, names(REDIS_ERROR_CATEGORY))], "ops", width=6),
        lines("redis-py-command-mean", "redis-py mean command duration",
              "As redis-py measures it: commands that failed are not in it.",
              [Query(mean(REDIS_DURATION), "mean")], "s", width=6),
    ], optional=True)  # fmt: skip


def board() -> Board:
    """The dashboard."""
    failed = '{ instrumentation:name = "otcache.redis" && status = error }'
    traces = evidence(
        ("traces-failed", "Traces of failed round trips",
         "Each with the command and the error; the call above it usually did not raise.",
         f"{failed} | select(span.{DB_OPERATION.name}, span.{ERROR_TYPE.name})"),
        ("traces-degraded", "Traced calls without Redis by reason", "Traced calls per second by reason.",
         f"{{ span.{catalog.DEGRADED.name} = true }} | rate() by (span.{DEGRADED_REASON.name})"),
        logql=WARNINGS,
    )  # fmt: skip
    says = "Is Redis there, how fast does it answer, are there enough connections, and what happens while it fails?"
    rows = [_now(), _round_trips(), _connections(), _resilience(), _native(), traces]
    return Board("redis", "otcache / Redis and resilience", says, rows)
