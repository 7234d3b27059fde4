"""Invented verdicts and benchmarks, reported as the detector and the benchmarks report theirs; and a last week."""

from __future__ import annotations

import random
import time
from typing import Final

from otcache.telemetry import catalog
from otcache.telemetry.metrics import Metrics

TARGET: Final = "otcache-demo"
TURN: Final = 12
"""From this act on something is worse."""
JUDGED: Final = {
    ("read_duration", "default", "l1", "p95"): (2.1e-6, 0.0, "ok"),
    ("read_duration", "default", "l2", "p95"): (4.2e-4, 0.34, "critical"),
    ("l2_duration", "default", "l2", "mean"): (3.1e-4, 0.16, "warning"),
    ("hit_ratio", "default", "none", "ratio"): (0.93, 0.04, "minor"),
    ("error_ratio", "default", "none", "ratio"): (0.001, 0.0, "inconclusive"),
    ("write_duration", "default", "l2", "mean"): (5.0e-4, -0.12, "improved"),
}
"""The baseline, and what becomes of it: the change and the verdict."""
BENCHMARKS: Final = {"get/l1": 1.9e-6, "get/l2": 2.4e-4, "set/l2": 3.6e-4, "get_many/l2/100": 1.9e-3}


def report(metrics: Metrics, act: int, chance: random.Random) -> None:
    """What would be said in one pass of the detector, and after one run of the benchmarks."""
    for (indicator, cache, tier, statistic), (baseline, change, verdict) in JUDGED.items():
        judged = (TARGET, indicator, cache, tier, statistic)
        worse = (change if act >= TURN else 0.0) + chance.uniform(-0.01, 0.01)
        _judge(metrics, judged, baseline, worse, verdict if act >= TURN else "ok")
    metrics.add(catalog.EVALUATIONS, 1, TARGET, "l2_duration", "inconclusive", "SourceError" if act % 5 == 0 else None)
    metrics.record(catalog.EVALUATION_DURATION, chance.randrange(20_000_000, 60_000_000), TARGET)
    for name, seconds in BENCHMARKS.items():
        _measure(metrics, name, seconds * chance.uniform(0.97, 1.03))


def _judge(metrics: Metrics, judged: tuple[str, ...], baseline: float, worse: float, verdict: str) -> None:
    for each in catalog.VERDICT.values or ():
        metrics.set(catalog.REGRESSION_STATUS, each == verdict, *judged, each)
    metrics.add(catalog.EVALUATIONS, 1, judged[0], judged[1], verdict, None)
    metrics.set(catalog.REGRESSION_CHANGE, worse, *judged)
    share = judged[-1] == "ratio"
    sign = -1 if judged[1] == "hit_ratio" else 1
    metrics.set(catalog.CURRENT_RATIO if share else catalog.CURRENT_DURATION, baseline * (1 + sign * worse), *judged)
    metrics.set(catalog.BASELINE_RATIO if share else catalog.BASELINE_DURATION, baseline, *judged)


def _measure(metrics: Metrics, name: str, seconds: float) -> None:
    for statistic, factor in {"mean": 1.0, "min": 0.8, "max": 6.0, "p95": 1.5, "p99": 2.2}.items():
        metrics.set(catalog.BENCHMARK_DURATION, seconds * factor, name, statistic)
    metrics.set(catalog.BENCHMARK_THROUGHPUT, 1 / seconds, name)
    metrics.set(catalog.BENCHMARK_MEMORY, 3_000_000 + 40_000 * len(name), name)


WEEK: Final = 7 * 24 * 3600


def last_week(job: str, port: int, cache: str, seconds: float) -> str:
    """Look-ups at this time a week ago, as OpenMetrics with timestamps: nine of ten were hits."""
    name = catalog.LOOKUPS.prometheus
    where = f'job="{job}",instance="127.0.0.1:{port}",otcache_cache_name="{cache}",otcache_tier="l1"'
    start = time.time() - WEEK - 60
    samples = [
        f'{name}{{{where},otcache_miss_reason="none",otcache_result="{result}"}} {each * step} {start + step * 2:.3f}'
        for result, each in (("hit", 180), ("miss", 20))
        for step in range(int(seconds + 120) // 2)
    ]
    return "\n".join([f"# TYPE {name.removesuffix('_total')} counter", *samples, "# EOF", ""])
