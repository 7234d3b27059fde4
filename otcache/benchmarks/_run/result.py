"""What one benchmark found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from otcache.exceptions import ValidationError


@dataclass
class BenchmarkResult:
    """What one benchmark found. Durations are of single operations that did not raise.

    Attributes:
        operation: Which operation.
        iterations: Operations that were measured, those that raised included.
        total_duration_ms: Sum of all durations.
        avg_duration_ms: Mean duration.
        min_duration_ms: Shortest duration.
        max_duration_ms: Longest duration.
        p95_duration_ms: Duration that 95 % of the operations did not exceed.
        p99_duration_ms: The same for 99 %.
        operations_per_second: Operations per second of `total_duration_ms`, one after the other.
        cache_hit_rate: Share of look-ups that the caller got a value from, 0..1; `None` where nothing is looked up.
        memory_usage_mb: Python memory that was still held at the end, in MB of 1 000 000 bytes.
        memory_peak_mb: The most that was held at any moment, above the start.
        success_rate: Share of operations that did not raise, 0..1.
        error_count: Operations that raised.
        timestamp: When it began, seconds since the epoch.
        metadata: What else is known: raw rounds, sizes, the machine; docs/benchmarks.md lists it.
    """

    operation: str
    iterations: int
    total_duration_ms: float
    avg_duration_ms: float
    min_duration_ms: float
    max_duration_ms: float
    p95_duration_ms: float
    p99_duration_ms: float
    operations_per_second: float
    cache_hit_rate: float | None
    memory_usage_mb: float
    memory_peak_mb: float
    success_rate: float
    error_count: int
    timestamp: float
    metadata: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Every field; what is in it can be changed without changing this object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BenchmarkResult:
        """The result that `to_dict` wrote. Raises ValidationError: a field is missing, unknown or of the wrong type."""
        if not isinstance(values, Mapping):
            raise ValidationError(f"a result is {type(values).__name__}, not a mapping")
        for problem in _problems(values):
            raise ValidationError(f"not a benchmark result: {problem}")
        return cls(**values)


_TEXT = {"operation": str, "metadata": dict}
_COUNTS = ("iterations", "error_count")


def _problems(values: Mapping[str, Any]) -> list[str]:
    names = [field.name for field in fields(BenchmarkResult)]
    missing = [f"{name} is missing" for name in names if name not in values]
    unknown = [f"{str(name)[:40]!r} is no field of it" for name in values if name not in names]
    wrong = (name for name in names if name in values and not _fits(name, values[name]))
    return missing + unknown or [f"{name} is {type(values[name]).__name__}" for name in wrong]


def _fits(name: str, value: Any) -> bool:
    if name in _TEXT:
        return isinstance(value, _TEXT[name])
    if value is None:
        return name == "cache_hit_rate"
    return isinstance(value, int if name in _COUNTS else int | float) and not isinstance(value, bool)
