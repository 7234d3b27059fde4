"""Invented verdicts and benchmarks, reported as the detector and the benchmarks report theirs; and a last week."""

from __future__ import annotations

import random
import time
from typing import Final

from otcache.benchmarks._run.metrics import emit
from otcache.benchmarks._run.result import BenchmarkResult
from otcache.regression._hysteresis import LEVELS, State, identity
from otcache.regression._model import SEVERITY, Finding, Report, SeriesKey, Statistic, Verdict
from otcache.regression._reporting.metrics import Verdicts
from otcache.telemetry import catalog
from otcache.telemetry.catalog import Attribute, Instrument
from otcache.telemetry.providers import Providers

TARGET: Final = "otcache-demo"
TURN: Final = 12
"""From this act on something is worse."""


def _key(row: Instrument, **attributes: str) -> SeriesKey:
    known: dict[str, Attribute] = {
        "tier": catalog.TIER, "operation": catalog.OPERATION, "result": catalog.RESULT, "command": catalog.DB_OPERATION,
    }  # fmt: skip
    named = {known[name].name: value for name, value in attributes.items()}
    return SeriesKey(row.name, frozenset((named | {catalog.CACHE.name: "default"}).items()))


_DURATION: Final = catalog.OPERATION_DURATION
JUDGED: Final[dict[SeriesKey, tuple[Statistic, float, float, Verdict]]] = {
    _key(_DURATION, operation="get", result="hit", tier="l1"): ("p95", 2.1e-6, 0.0, "ok"),
    _key(_DURATION, operation="get", result="hit", tier="l2"): ("p95", 4.2e-4, 0.34, "critical"),
    _key(_DURATION, operation="set", result="ok", tier="none"): ("mean", 5.0e-4, -0.12, "improved"),
    _key(catalog.L2_DURATION, command="GET"): ("mean", 3.1e-4, 0.16, "warning"),
    _key(catalog.LOOKUPS): ("ratio", 0.93, 0.04, "minor"),
    _key(catalog.OPERATIONS, operation="get"): ("ratio", 0.001, 0.0, "inconclusive"),
}
"""Of each series the statistic, the baseline, and what becomes of it: the change and the verdict."""
BENCHMARKS: Final = {"get": 1.9e-6, "get_miss": 2.4e-4, "set": 3.6e-4, "get_many": 1.9e-3}


def report(verdicts: Verdicts, providers: Providers, act: int, chance: random.Random) -> None:
    """What would be said in one pass of the detector, and after one run of the benchmarks."""
    findings = tuple(_finding(key, act, chance) for key in JUDGED)
    worst: Verdict = "critical" if act >= TURN else "ok"
    verdicts.evaluated(Report(findings, worst), _in_force(findings), (), chance.uniform(0.02, 0.06))
    if act % 5 == 0:
        verdicts.failed("otcache.telemetry.source.SourceError", 0.1)
    results = [_result(name, seconds * chance.uniform(0.97, 1.03)) for name, seconds in BENCHMARKS.items()]
    emit(results, providers)


def _finding(key: SeriesKey, act: int, chance: random.Random) -> Finding:
    statistic, baseline, change, verdict = JUDGED[key]
    worse = (change if act >= TURN else 0.0) + chance.uniform(-0.01, 0.01)
    sign = -1 if key.metric == catalog.LOOKUPS.name else 1
    return Finding(
        key, statistic, verdict if act >= TURN else "ok", worse, worse - 0.03, worse + 0.03,
        baseline, baseline * (1 + sign * worse),
    )  # fmt: skip


def _in_force(findings: tuple[Finding, ...]) -> State:
    """As after three passes that said the same."""
    alarms = {identity(each.key): SEVERITY[each.verdict] for each in findings}
    return {key: {"level": level, "recent": [level] * 3} for key, level in alarms.items() if LEVELS[level] != "ok"}


def _result(name: str, seconds: float) -> BenchmarkResult:
    mean = seconds * 1e3
    return BenchmarkResult(
        operation=name,
        iterations=1000,
        total_duration_ms=mean * 1000,
        avg_duration_ms=mean,
        min_duration_ms=mean * 0.8,
        max_duration_ms=mean * 6,
        p95_duration_ms=mean * 1.5,
        p99_duration_ms=mean * 2.2,
        operations_per_second=1 / seconds,
        cache_hit_rate=None,
        memory_usage_mb=0.1,
        memory_peak_mb=3 + len(name) / 25,
        success_rate=1.0,
        error_count=0,
        timestamp=time.time(),
        metadata={"data_size": 1000},
    )


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
