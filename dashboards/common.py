"""Quantities that several dashboards show, each defined once, and the colors that mean the same everywhere."""

from __future__ import annotations

from typing import Final, Literal

from dashboards.board import Row
from dashboards.panels import BAD, FAIR, GOOD, State, logs, traces
from dashboards.promql import (
    Expr,
    Label,
    Matcher,
    max_by,
    none_of,
    one_of,
    plus,
    rate,
    ratio,
    series,
    some,
    sum_by,
)
from otcache.telemetry import catalog
from otcache.telemetry.catalog import BACKEND, OPERATIONS, RESULT, TIER, Instrument

FOUND: Final = one_of(RESULT, "hit", "stale")
ASKED: Final = one_of(RESULT, "hit", "stale", "miss")
"""What a hit ratio counts; `bypass` is in neither."""
ANSWERED: Final = none_of(TIER, "loader")
"""Calls that neither ran a loader nor waited for one: their time is the cache's own."""

_SHADES: Final = [
    f"{shade}{color}" for shade in ("", "super-light-", "semi-dark-", "dark-")
    for color in ("green", "blue", "orange", "purple", "yellow")
]  # fmt: skip
"""Without red, which Grafana's own palette has: red means something here."""


def colored(*values: str) -> dict[str, str]:
    """A color for each value, the same on every panel."""
    return dict(zip(values, _SHADES, strict=False))


OPERATION_COLORS: Final = colored(*(catalog.OPERATION.values or ()))
COMMAND_COLORS: Final = colored(
    "GET", "SET", "MGET", "UNLINK", "PIPELINE SET", "PING", "TIME", "EVAL", "EXISTS", "PTTL", "SCAN"
)
DIRECTION_COLORS: Final = {"read": "green", "write": "blue"}
REASON_TO_DEGRADE_COLORS: Final = colored(*(catalog.DEGRADED_REASON.values or ()))
CODEC_COLORS: Final = colored(*(catalog.CODEC_OPERATION.values or ()))
RESULT_COLORS: Final = {"hit": "green", "stale": "yellow", "miss": "blue", "bypass": "purple"}
TIER_COLORS: Final = {"l1": "green", "l2": "blue", "loader": "purple", "none": "orange"}
TIER_TEXTS: Final = {"l1": "memory (L1)", "l2": "Redis (L2)", "loader": "loaded", "none": "none: a miss"}
REASON_COLORS: Final = {
    "absent": "blue", "expired": "green", "evicted": "yellow", "deleted": "purple", "decode_error": "orange",
    "invalidated": "super-light-purple", "backend_unavailable": "red", "changed": "dark-orange",
}  # fmt: skip
REASON_TEXTS: Final = {
    "absent": "absent: never stored, or removed", "expired": "expired", "evicted": "evicted: L1 is full",
    "deleted": "deleted by the application", "decode_error": "could not be decoded",
    "invalidated": "invalidated: its tag, its prefix or everything", "backend_unavailable": "Redis did not answer",
    "changed": "a caller had changed the shared object",
}  # fmt: skip
COMPONENT_STATES: Final = (
    State(0, "available", GOOD), State(1, "degraded", FAIR), State(2, "UNAVAILABLE", BAD),
    State(3, "UNAVAILABLE, not everywhere", BAD),
)  # fmt: skip
CIRCUIT_STATES: Final = (
    State(0, "closed: Redis is used", GOOD), State(1, "half open: probing", FAIR),
    State(2, "OPEN: Redis is skipped", BAD), State(3, "OPEN, not everywhere", BAD),
)  # fmt: skip


def per_second(row: Instrument, *matchers: Matcher, by: tuple[Label, ...] = ()) -> Expr:
    """A counter's rate, summed."""
    return sum_by(rate(series(row, *matchers)), *by)


def hit_ratio(
    *matchers: Matcher, by: tuple[Label, ...] = (), row: Instrument = catalog.LOOKUPS, offset: str = ""
) -> Expr:
    """(hit + stale) / (hit + stale + miss), per key."""
    found = sum_by(rate(series(row, FOUND, *matchers, offset=offset)), *by)
    return ratio(found, sum_by(rate(series(row, ASKED, *matchers, offset=offset)), *by))


def component_state(component: Literal["l2", "backplane"] = "l2") -> Expr:
    """0 available, 1 degraded, 2 unavailable in the worst instance, 3 both in different ones; per L2."""
    of = one_of(catalog.COMPONENT, component)
    degraded, unavailable = (
        max_by(some(series(catalog.COMPONENT_STATUS, of, one_of(catalog.COMPONENT_STATE, state))), BACKEND)
        for state in ("degraded", "unavailable")
    )
    return plus(degraded, unavailable, times=2)


def circuit_state() -> Expr:
    """0 closed, 1 half open, 2 open in the worst instance, 3 both in different ones; per L2."""
    half_open, is_open = (
        max_by(some(series(catalog.CIRCUIT_STATUS, one_of(catalog.CIRCUIT_STATE, state))), BACKEND)
        for state in ("half_open", "open")
    )
    return plus(half_open, is_open, times=2)


def operations_share(*matchers: Matcher) -> tuple[Expr, Expr]:
    """Calls that `matchers` select, and all."""
    return per_second(OPERATIONS, *matchers), per_second(OPERATIONS)


def slow_traces() -> str:
    """TraceQL behind a latency panel: calls that took at least as long as the point that was clicked."""
    return '{ instrumentation:name = "otcache" && duration > ${__value.raw}s }'


def slow_traces_by_tier() -> str:
    """The same for the tier of the series."""
    tier = f'span.{TIER.name} = "${{__field.labels.{TIER.name.replace(".", "_")}}}"'
    return f'{{ instrumentation:name = "otcache" && {tier} && duration > ${{__value.raw}}s }}'


def evidence(*found: tuple[str, str, str, str], logql: str) -> Row:
    """The closed row with traces, each a slug, a title, a description and TraceQL, and what the logs say."""
    tiles = [traces(*each) for each in found]
    says = "Warnings and errors of otcache's own events. Open a line for its trace id and its attributes."
    tiles.append(logs("logs-warnings", "Log events: warnings and errors", says, logql))
    return Row("evidence", "Traces and logs (needs Tempo and Loki)", tiles, optional=True)


WARNINGS: Final = (
    '{service_name=~"$service"} | event_name =~ "(otcache|db.client)[.].+" | severity_text =~ "WARN|ERROR"'
)
"""LogQL for every event that is a warning."""
