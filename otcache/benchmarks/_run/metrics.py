"""Results of benchmarks as telemetry: gauges of the last one, and an event for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from otcache.benchmarks._run.result import BenchmarkResult
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.events import Events
from otcache.telemetry._instrumentation.metrics import metrics_for
from otcache.telemetry.providers import Providers
from otcache.version import __version__


def emit(results: Iterable[BenchmarkResult], providers: Providers | None = None) -> None:
    """Report results; to the global providers by default."""
    where = providers or Providers()
    metrics = metrics_for(where.meter_provider, __version__)
    events = Events(__version__, where.logger_provider, dropped=metrics.log_dropped)
    for result in results:
        name = _name(result)
        for statistic, milliseconds in _durations(result).items():
            metrics.set(catalog.BENCHMARK_DURATION, milliseconds / 1e3, name, statistic)
        metrics.set(catalog.BENCHMARK_THROUGHPUT, result.operations_per_second, name)
        metrics.set(catalog.BENCHMARK_MEMORY, result.memory_peak_mb * 1e6, name)
        events.emit(
            catalog.BENCHMARK_COMPLETED, f"benchmark {name}: {result.avg_duration_ms:.6g} ms", _facts(result, name)
        )


def _name(result: BenchmarkResult) -> str:
    size = result.metadata.get("data_size")
    return result.operation if size is None else f"{result.operation} {size} B"


def _durations(result: BenchmarkResult) -> dict[str, float]:
    return {
        "mean": result.avg_duration_ms, "min": result.min_duration_ms, "max": result.max_duration_ms,
        "p95": result.p95_duration_ms, "p99": result.p99_duration_ms,
    }  # fmt: skip


def _facts(result: BenchmarkResult, name: str) -> dict[str, Any]:
    known = result.metadata.get("fingerprint")
    revision = known.get("git_sha") if isinstance(known, Mapping) else None
    facts: dict[str, Any] = {catalog.BENCHMARK.name: name, catalog.ITERATIONS.name: result.iterations}
    return facts | ({catalog.REVISION.name: str(revision)} if revision else {})
