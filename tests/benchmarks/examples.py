"""Results, runs and caches that the tests of the benchmarks are about."""

from __future__ import annotations

import random
from typing import Any

from otcache import BenchmarkResult, CacheInterface


def a_result(operation: str = "get", ms: float = 1.0, **fields: Any) -> BenchmarkResult:
    """A result written by hand, every duration `ms`, without raw rounds unless `metadata` has them."""
    values: dict[str, Any] = {
        "operation": operation,
        "iterations": 1000,
        "total_duration_ms": ms * 1000,
        "avg_duration_ms": ms,
        "min_duration_ms": ms,
        "max_duration_ms": ms,
        "p95_duration_ms": ms,
        "p99_duration_ms": ms,
        "operations_per_second": 1000 / ms if ms else 0.0,
        "cache_hit_rate": None,
        "memory_usage_mb": 10.0,
        "memory_peak_mb": 20.0,
        "success_rate": 1.0,
        "error_count": 0,
        "timestamp": 1_700_000_000.0,
        "metadata": {},
    }
    return BenchmarkResult(**(values | fields))


def processes(seconds: float, count: int, *, spread: float = 0.02, seed: int = 1, **facts: Any) -> dict[str, Any]:
    """Metadata with raw rounds of `count` processes around `seconds` per operation."""
    draw = random.Random(seed)

    def figure() -> float:
        return seconds * draw.lognormvariate(0, spread)

    names = [f"{seed}-{number}" for number in range(count)]
    return {
        "runs": [{"process": name, "rounds": [figure() for _ in range(20)], "at": 0.0} for name in names],
        "tails": [{"process": name, "p95": 2 * figure(), "p99": 3 * figure()} for name in names],
        **facts,
    }


class Own(CacheInterface):
    """What a user may write: the contract and nothing else."""

    def __init__(self) -> None:
        self.entries: dict[str, Any] = {}

    async def get(self, key: str) -> Any:
        return self.entries.get(key)

    async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        self.entries[key] = value

    async def delete(self, key: str) -> None:
        self.entries.pop(key, None)


class Slow(Own):
    """Does work on each `get` that `Own` does not."""

    async def get(self, key: str) -> Any:
        sum(range(2000))
        return await super().get(key)


class Failing(Own):
    """Raises at every n-th `get`."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every, self.calls = every, 0

    async def get(self, key: str) -> Any:
        self.calls += 1
        if self.calls % self.every == 0:
            raise ConnectionError(key)
        return await super().get(key)
