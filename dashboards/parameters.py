"""The numbers that colours change at: each has a name, so that `otcache dashboards export` can set it."""

from __future__ import annotations

from typing import Final


class Threshold(float):
    """A number that knows what it is called.

    Attributes:
        name: Of the parameter.
        unit: `share` of 1, `s`, or `change` (a share of a baseline).
        minimum: Smallest value that makes sense.
        maximum: Largest.
        meaning: One sentence.
    """

    name: str
    unit: str
    minimum: float
    maximum: float
    meaning: str

    @classmethod
    def make(cls, name: str, default: float, unit: str, limits: tuple[float, float], meaning: str) -> Threshold:
        """A threshold with its default value."""
        made = cls(default)
        made.name, made.unit, made.meaning = name, unit, meaning
        made.minimum, made.maximum = limits
        return made


SHARE: Final = (0.0, 1.0)
SECONDS: Final = (1e-7, 3600.0)
_make: Final = Threshold.make

HIT_RATIO_WARNING = _make("hit_ratio_warning", 0.8, "share", SHARE, "A hit ratio below it is yellow.")
HIT_RATIO_CRITICAL = _make("hit_ratio_critical", 0.5, "share", SHARE, "A hit ratio below it is red.")
LATENCY_WARNING = _make("latency_warning", 0.05, "s", SECONDS, "A p99 of cache calls from it on is yellow.")
LATENCY_CRITICAL = _make(
    "latency_critical", 0.25, "s", SECONDS, "A p99 of cache calls that is red; a call may take that long."
)
ERROR_RATIO_WARNING = _make("error_ratio_warning", 0.001, "share", SHARE, "A share of failed calls that is yellow.")
ERROR_RATIO_CRITICAL = _make("error_ratio_critical", 0.01, "share", SHARE, "A share of failed calls that is red.")
DEGRADED_WARNING = _make("degraded_warning", 0.001, "share", SHARE, "A share of calls without Redis that is yellow.")
DEGRADED_CRITICAL = _make("degraded_critical", 0.05, "share", SHARE, "A share of calls without Redis that is red.")
CHURN_WARNING = _make("churn_warning", 0.5, "share", SHARE, "Evictions per write from it on are yellow.")
L2_LATENCY_WARNING = _make("redis_latency_warning", 0.01, "s", SECONDS, "A p99 of round trips that is yellow.")
L2_LATENCY_CRITICAL = _make("redis_latency_critical", 0.1, "s", SECONDS, "A p99 of round trips that is red.")
LOAD_ERROR_WARNING = _make("load_error_warning", 0.05, "share", SHARE, "A share of failed loads that is yellow.")
LOAD_LATENCY_WARNING = _make("load_latency_warning", 1.0, "s", SECONDS, "A p99 of loads from it on is yellow.")
STALE_WARNING = _make("stale_warning", 0.05, "share", SHARE, "A share of answers stale for want of a load: yellow.")
LAG_WARNING = _make("lag_warning", 0.5, "s", SECONDS, "A p99 of the lag between processes that is yellow.")
POOL_WARNING = _make("pool_warning", 0.8, "share", SHARE, "A share of the connection limit in use that is yellow.")
POOL_CRITICAL = _make("pool_critical", 0.95, "share", SHARE, "A share of the connection limit in use that is red.")
CHANGE_WARNING = _make("change_warning", 0.1, "change", (0.0, 100.0), "A worsening that is yellow; the detector's own.")
CHANGE_CRITICAL = _make("change_critical", 0.25, "change", (0.0, 100.0), "A worsening that is red; the detector's own.")
MEASURED_WARNING = _make("measured_warning", 0.5, "share", SHARE, "A share of measured tokens below it is yellow.")
CALLBACK_WARNING = _make("callback_warning", 0.05, "s", SECONDS, "A p99 of callbacks that is yellow.")

THRESHOLDS: Final = tuple(each for each in list(globals().values()) if isinstance(each, Threshold))
