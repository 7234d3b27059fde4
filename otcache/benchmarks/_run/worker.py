"""One benchmark as a process: a job as JSON on stdin, what was measured as JSON on stdout."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from otcache.benchmarks._run.measurement import Measurement
from otcache.benchmarks.config import BenchmarkConfig
from otcache.benchmarks.core import CachePerformanceBenchmark
from otcache.config import CacheConfig
from otcache.exceptions import CacheError
from otcache.factory import open_cache

FAILED = 1
INTERRUPTED = 130
"""Exit statuses; 0 is success."""


def job(operation: str, config: BenchmarkConfig, redis_url: str | None) -> str:
    """What a worker reads. The URL may hold a password: it goes by stdin, where no list of processes shows it."""
    return json.dumps({"operation": operation, "config": config.to_dict(), "redis_url": redis_url})


def cache_config(redis_url: str | None) -> CacheConfig:
    """The cache that is measured: memory alone, or Redis alone, so that every operation is a round trip."""
    if redis_url is None:
        return CacheConfig(name="bench")
    return CacheConfig(name="bench", redis_url=redis_url, enable_l1_cache=False, fail_on_connection_error=True)


def report(measured: Measurement) -> str:
    """What a worker writes."""
    return json.dumps({**asdict(measured), "durations": list(measured.durations)})


def reported(text: str) -> Measurement:
    """What a worker wrote."""
    return Measurement(**json.loads(text))


async def _measure(wanted: Mapping[str, Any]) -> Measurement:
    config = BenchmarkConfig(**wanted["config"])
    async with await open_cache(cache_config(wanted["redis_url"])) as cache:
        benchmark = CachePerformanceBenchmark(cache, config)
        return await benchmark.measure(wanted["operation"], config.iterations, config.data_size, lambda: None)


def main() -> int:
    """Do the job; the exit status."""
    try:
        measured = asyncio.run(_measure(json.load(sys.stdin)))
    except CacheError as exc:
        sys.stderr.write(f"{exc}\n")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    sys.stdout.write(report(measured))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
