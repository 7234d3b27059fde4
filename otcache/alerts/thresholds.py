"""Every number that an alert compares with or a panel changes its color at, once.

A row is read by the rules (`Parameters`), the panels (`dashboards.panels.Limits`), `otcache alerts export`,
`otcache dashboards export` and the tables of docs/alerts.md and docs/dashboards.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, NamedTuple

from otcache.config._nearest import did_you_mean
from otcache.exceptions import ValidationError


@dataclass(frozen=True, slots=True)
class Threshold:
    """One number.

    Attributes:
        name: The option's name, and the field's in `Parameters`.
        default: Its value unless the installation sets another.
        unit: share (of 1), x (a factor), s, /s (per second), or a plain count.
        low: Smallest value allowed.
        high: Largest value allowed.
        meaning: One sentence.
        panel: The option's name of `otcache dashboards export`, where it is another one.
    """

    name: str
    default: float
    unit: str
    low: float
    high: float
    meaning: str
    panel: str

    def check(self, value: float, called: str = "") -> float:
        """Return `value`; `called` is the name in the error.

        Raises:
            ValidationError: It is no number, or outside the range.
        """
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            raise ValidationError(
                f"{called or self.name}={value} is outside {self.low:g}..{self.high:g} {self.unit}".rstrip()
            )
        return value


class Range(NamedTuple):
    """A unit, and what is allowed in it."""

    unit: str
    low: float
    high: float


SHARE: Final = Range("share", 0, 1)
DROP: Final = Range("share", 0.01, 0.99)
CHANGE: Final = Range("share", 0, 100)
FACTOR: Final = Range("x", 1.01, 100)
RATE: Final = Range("/s", 0, 1e6)
SECONDS: Final = Range("s", 1e-7, 3600)
COUNT: Final = Range("", 0, 1e9)
TIMES: Final = Range("", 1, 1e6)


def _row(default: float, allowed: Range, meaning: str, panel: str = "") -> Any:
    """Make a field that is a threshold; `panel` is the option of the dashboards where it has another name."""
    return field(default=default, metadata={**allowed._asdict(), "meaning": meaning, "panel": panel})


def _rows(table: Any) -> tuple[Threshold, ...]:
    """The rows of a table, in its order."""
    defaults = table()
    return tuple(Threshold(each.name, getattr(defaults, each.name), **each.metadata) for each in fields(table))


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertThresholds:
    """What alerts compare with; a panel may change its color at the same number."""

    # --- what callers feel --------------------------------------------------------------------------
    slo: float = _row(0.999, Range("share", 0.5, 0.99999), "Calls that must not raise; the error budget is the rest.")
    slo_calls: float = _row(100.0, COUNT, "Fewer calls in the longer window: the error budget isn't judged.")
    degraded_share: float = _row(0.05, SHARE, "Operations that did without a tier they needed.", "degraded_critical")
    dropped_share: float = _row(0.05, SHARE, "Calls of `set` that no tier stored.")
    operation_floor: float = _row(0.1, RATE, "Less traffic: shares of operations, writes, round trips aren't judged.")

    # --- hit ratio, latency, memory -----------------------------------------------------------------
    hit_ratio_drop: float = _row(0.2, DROP, "Fall of the hit ratio, as a share of its own past.")
    latency_factor: float = _row(1.5, FACTOR, "Mean latency of a tier, as a multiple of its own past.")
    latency_floor_l1: float = _row(0.00002, Range("s", 0, 60), "L1 up to this mean latency isn't judged.")
    latency_floor_l2: float = _row(0.0005, Range("s", 0, 60), "L2 up to this mean latency isn't judged.")
    lookup_floor: float = _row(1.0, RATE, "Fewer lookups: hit ratio and latency aren't judged.")
    eviction_share: float = _row(0.5, SHARE, "L1 writes that evict an entry that had not expired.", "churn_warning")
    write_floor: float = _row(1.0, RATE, "Fewer L1 writes: evictions aren't judged.")

    # --- Redis --------------------------------------------------------------------------------------
    redis_down_share: float = _row(
        0.5, Range("share", 0.01, 1), "L2 tiers without Redis from which Redis counts as down."
    )
    circuit_recoveries: float = _row(3.0, TIMES, "Times that a circuit breaker closes within 15 minutes.")
    redis_error_share: float = _row(0.05, SHARE, "Round trips to Redis that fail.")
    redis_p99: float = _row(
        0.1, SECONDS, "p99 of round trips to Redis; a call's deadline is 0.25 s by default.", "redis_latency_critical"
    )

    # --- loads and coherence ------------------------------------------------------------------------
    load_floor: float = _row(0.05, RATE, "Fewer loads or waiters: their shares and durations aren't judged.")
    stampede_callers: float = _row(10.0, Range("", 0.1, 1e6), "Waiters per load.")
    coalesce_timeout_share: float = _row(0.05, SHARE, "Waiters that time out before the load ends.")
    load_error_share: float = _row(0.05, SHARE, "Loads that fail.", "load_error_warning")
    refused_share: float = _row(0.01, SHARE, "Loads whose value can't be kept.")
    load_factor: float = _row(2.0, FACTOR, "Mean duration of a load, as a multiple of its own past.")
    load_duration_floor: float = _row(0.05, Range("s", 0, 3600), "Loads up to this mean duration aren't judged.")
    stale_share: float = _row(0.05, SHARE, "Lookups answered stale because loads fail or are slow.", "stale_warning")
    backplane_losses: float = _row(3.0, TIMES, "Times that the backplane empties L1 within 15 minutes.")
    backplane_lag: float = _row(0.5, SECONDS, "p99 from a write to its effect in other processes.", "lag_warning")

    # --- callbacks, AI, regressions -----------------------------------------------------------------
    callback_share: float = _row(0.05, SHARE, "Runs of one callback that raise.")
    callback_floor: float = _row(0.02, RATE, "Fewer runs of a callback: it isn't judged.")
    ai_savings_drop: float = _row(0.5, DROP, "Fall of the share of tokens saved, as a share of yesterday's.")
    ai_token_floor: float = _row(1.0, Range("/s", 0, 1e9), "Fewer tokens saved and spent: savings aren't judged.")
    regression_warning: float = _row(
        0.1, CHANGE, "Worsening that is a warning; only shown, set it at the detector.", "change_warning"
    )
    regression_critical: float = _row(
        0.25, CHANGE, "Worsening that is critical; only shown, set it at the detector.", "change_critical"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class PanelThresholds:
    """Where only panels change their color."""

    hit_ratio_warning: float = _row(0.8, SHARE, "Hit ratio below which a panel is yellow.")
    hit_ratio_critical: float = _row(0.5, SHARE, "Hit ratio below which a panel is red.")
    latency_warning: float = _row(0.05, SECONDS, "p99 of cache calls from which a panel is yellow.")
    latency_critical: float = _row(0.25, SECONDS, "p99 of cache calls from which a panel is red: a call's deadline.")
    error_ratio_warning: float = _row(0.001, SHARE, "Failed calls from which a panel is yellow.")
    error_ratio_critical: float = _row(0.01, SHARE, "Failed calls from which a panel is red.")
    degraded_warning: float = _row(0.001, SHARE, "Calls without Redis from which a panel is yellow.")
    redis_latency_warning: float = _row(0.01, SECONDS, "p99 of round trips to Redis from which a panel is yellow.")
    load_latency_warning: float = _row(1.0, SECONDS, "p99 of loads from which a panel is yellow.")
    pool_warning: float = _row(0.8, SHARE, "Connections in use, of the limit, from which a panel is yellow.")
    pool_critical: float = _row(0.95, SHARE, "Connections in use, of the limit, from which a panel is red.")
    measured_warning: float = _row(0.5, SHARE, "Tokens measured, not estimated, below which a panel is yellow.")
    callback_warning: float = _row(0.05, SECONDS, "p99 of callbacks from which a panel is yellow.")


ALERTS: Final = {each.name: each for each in _rows(AlertThresholds)}
"""By the name of the option of `otcache alerts export`."""
PANELS: Final = {each.panel or each.name: each for each in (*ALERTS.values(), *_rows(PanelThresholds))}
"""By the name of the option of `otcache dashboards export`, which knows those that a panel reads."""


def parsed(text: str, known: Mapping[str, Threshold]) -> tuple[str, float]:
    """Return name and value of a `NAME=VALUE`.

    Raises:
        ValidationError: It is not of that form, no threshold is called so, or the value is no number in its range.
    """
    name, sign, value = (part.strip() for part in text.partition("="))
    if not sign:
        raise ValidationError(f"--threshold {text} is not NAME=VALUE")
    if name not in known:
        hint = did_you_mean(name, known, otherwise=f"; there are: {', '.join(known)}", cutoff=0.4)
        raise ValidationError(f"there is no threshold {name!r}{hint}")
    try:
        number = float(value)
    except ValueError:
        raise ValidationError(f"{name}={value} is not a number") from None
    return name, known[name].check(number, name)
