"""From what was measured, in one process or in several, to the documented result."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from otcache.benchmarks._run.measurement import Measurement, at_share
from otcache.benchmarks._run.result import BenchmarkResult
from otcache.benchmarks.config import BenchmarkConfig

_MS: Final = 1_000_000
"""Nanoseconds."""
_MB: Final = 1_000_000
"""Bytes."""


def summarised(measured: Sequence[Measurement], config: BenchmarkConfig) -> BenchmarkResult:
    """The result of one operation: of all operations of all processes together; of memory the median process."""
    first = measured[0]
    durations = sorted(duration for each in measured for duration in each.durations)
    total, iterations = sum(durations), sum(each.iterations for each in measured)
    lookups = sum(each.lookups for each in measured)
    return BenchmarkResult(
        operation=first.operation,
        iterations=iterations,
        total_duration_ms=total / _MS,
        avg_duration_ms=total / len(durations) / _MS,
        min_duration_ms=durations[0] / _MS,
        max_duration_ms=durations[-1] / _MS,
        p95_duration_ms=at_share(durations, 0.95) / _MS,
        p99_duration_ms=at_share(durations, 0.99) / _MS,
        operations_per_second=len(durations) / (total / 1e9) if total else 0.0,
        cache_hit_rate=sum(each.hits for each in measured) / lookups if lookups else None,
        memory_usage_mb=statistics.median(each.usage_bytes for each in measured) / _MB,
        memory_peak_mb=statistics.median(each.peak_bytes for each in measured) / _MB,
        success_rate=len(durations) / iterations,
        error_count=iterations - len(durations),
        timestamp=first.at,
        metadata=_metadata(measured, durations, config),
    )


def _metadata(measured: Sequence[Measurement], durations: Sequence[int], config: BenchmarkConfig) -> dict[str, Any]:
    first = measured[0]
    return {
        "data_size": first.data_size,
        "batch_size": config.batch_size if first.operation.endswith("_many") else 1,
        "key_count": config.key_count,
        "warmup_iterations": config.warmup_iterations,
        "seed": config.seed,
        "median_duration_ms": statistics.median(durations) / _MS,
        "stddev_duration_ms": statistics.pstdev(durations) / _MS,
        "errors": dict(sum((Counter(each.errors) for each in measured), Counter())),
        "preparation_errors": sum(each.preparation_errors for each in measured),
        "runs": [{"process": each.process, "rounds": list(each.rounds), "at": each.at} for each in measured],
        "tails": [_tails(each) for each in measured],
        "fingerprint": dict(first.facts),
    }


def _tails(measured: Measurement) -> dict[str, Any]:
    """Quantiles of one process in seconds, so that they can be compared process by process.

    Of the quantiles of its rounds, the one that a quarter of them do not exceed: what slows the code down is in every
    round, what the machine does beside it in some (docs/benchmarks.md).
    """
    rounds = {"p95": measured.rounds_p95, "p99": measured.rounds_p99}
    return {"process": measured.process} | {name: at_share(sorted(each), 0.25) for name, each in rounds.items()}
