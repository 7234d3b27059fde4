"""What a benchmark measures is what the cache did."""

from __future__ import annotations

import asyncio
import gc
import itertools
import tracemalloc
from typing import Any

import pytest

from otcache import (
    BenchmarkConfig,
    CacheInterface,
    CachePerformanceBenchmark,
    GenericRedisCache,
    InfrastructureError,
    InMemoryCache,
    ValidationError,
)
from otcache.benchmarks._run.summary import summarised
from otcache.benchmarks._run.worker import report, reported
from otcache.benchmarks.config import OPERATIONS
from tests.benchmarks.examples import Failing, Own, Slow
from tests.servers import RedisServer

QUIET = BenchmarkConfig(warmup_iterations=5, rounds=4, progress=False)


def benchmark(cache: CacheInterface, **options: Any) -> CachePerformanceBenchmark:
    return CachePerformanceBenchmark(cache, BenchmarkConfig(**{**QUIET.to_dict(), **options}))


@pytest.fixture(params=["memory", "redis", "own"])
async def cache(request: pytest.FixtureRequest, prefix: str, redis_server: RedisServer) -> Any:
    if request.param == "own":
        yield Own()
        return
    far: dict[str, Any] = {"redis_url": redis_server.url, "enable_l1_cache": False}
    async with (
        GenericRedisCache(name="measured", key_prefix=prefix, **far)
        if request.param == "redis"
        else InMemoryCache(name="measured") as cache
    ):
        yield cache


# --- figures --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["get", "set", "delete", "get_miss", "mixed"])
async def test_the_figures_of_a_result_agree_with_each_other(cache: CacheInterface, operation: str) -> None:
    result = await benchmark(cache).run_single_benchmark(operation, 101, data_size=64)

    assert (result.operation, result.iterations, result.error_count, result.success_rate) == (operation, 101, 0, 1.0)
    assert 0 < result.min_duration_ms <= result.avg_duration_ms <= result.max_duration_ms
    assert result.min_duration_ms <= result.p95_duration_ms <= result.p99_duration_ms <= result.max_duration_ms
    assert result.total_duration_ms == pytest.approx(101 * result.avg_duration_ms)
    assert result.operations_per_second == pytest.approx(101 / (result.total_duration_ms / 1000))
    assert 0 <= result.memory_usage_mb <= result.memory_peak_mb
    assert result.metadata["preparation_errors"] == 0


async def test_a_round_is_the_median_of_its_operations(cache: CacheInterface) -> None:
    one, four = [await benchmark(cache, rounds=rounds).run_single_benchmark("set", 100) for rounds in (1, 4)]

    (whole,), (parts,) = one.metadata["runs"], four.metadata["runs"]
    assert [second * 1000 for second in whole["rounds"]] == [pytest.approx(one.metadata["median_duration_ms"])]
    assert len(parts["rounds"]) == 4
    assert min(parts["rounds"]) * 1000 <= four.metadata["median_duration_ms"] <= max(parts["rounds"]) * 1000
    assert parts["at"] == four.timestamp


async def test_there_are_no_more_rounds_than_operations() -> None:
    result = await benchmark(InMemoryCache(name="measured")).run_single_benchmark("get", 3)

    assert len(result.metadata["runs"][0]["rounds"]) == 3


async def test_a_batch_is_one_operation(redis_server: RedisServer, prefix: str) -> None:
    async with GenericRedisCache(
        name="measured", key_prefix=prefix, redis_url=redis_server.url, enable_l1_cache=False
    ) as cache:
        results = [await benchmark(cache).run_single_benchmark(name, 20) for name in ("get_many", "set_many")]

    assert [result.iterations for result in results] == [20, 20]
    assert [result.cache_hit_rate for result in results] == [1.0, None]


@pytest.mark.parametrize(("operation", "rate"), [("get", 1.0), ("get_miss", 0.0), ("set", None), ("delete", None)])
async def test_the_hit_rate_is_what_the_caller_saw(cache: CacheInterface, operation: str, rate: float | None) -> None:
    result = await benchmark(cache).run_single_benchmark(operation, 50)

    assert result.cache_hit_rate == rate


async def test_a_cache_that_forgets_every_other_entry_has_half_the_hit_rate() -> None:
    class Forgetful(Own):
        async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
            if int(key.rpartition("w")[2]) % 2:
                await super().set(key, value)

    result = await benchmark(Forgetful(), key_count=2, batch_size=1).run_single_benchmark("get", 1000)

    assert result.cache_hit_rate == pytest.approx(0.5, abs=0.1)


async def test_the_mix_is_seven_gets_two_sets_and_a_delete() -> None:
    counts = {"get": 0, "set": 0, "delete": 0}

    class Counting(Own):
        async def get(self, key: str) -> Any:
            counts["get"] += 1
            return await super().get(key)

    result = await benchmark(Counting()).run_single_benchmark("mixed", 1000)

    assert counts["get"] == pytest.approx(2 * 700, rel=0.1)  # timed, then weighed
    assert result.cache_hit_rate == pytest.approx(2 / 3, abs=0.15)  # two sets to a delete, with room for chance


async def test_the_same_seed_makes_the_same_keys_come_in_the_same_order() -> None:
    class Recording(Own):
        def __init__(self) -> None:
            super().__init__()
            self.asked: list[str] = []

        async def get(self, key: str) -> Any:
            self.asked.append(key.rpartition(":")[2])
            return await super().get(key)

    caches = [Recording() for _ in range(3)]
    for cache, seed in zip(caches, (7, 7, 8), strict=True):
        await benchmark(cache, seed=seed).run_single_benchmark("get", 50)

    assert caches[0].asked == caches[1].asked != caches[2].asked


async def test_a_slow_cache_is_slower() -> None:
    fast, slow = [await benchmark(cache).run_single_benchmark("get", 400) for cache in (Own(), Slow())]

    assert slow.min_duration_ms > fast.min_duration_ms
    assert slow.metadata["median_duration_ms"] > fast.metadata["median_duration_ms"]


# --- memory ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("iterations", "data_size"), list(itertools.product((100, 400), (1000, 10_000))))
async def test_memory_is_what_the_entries_hold(iterations: int, data_size: int) -> None:
    result = await benchmark(Own()).run_single_benchmark("set", iterations, data_size)

    held = iterations * data_size / 1e6
    assert held <= result.memory_usage_mb <= held * 1.5 + 0.1
    assert result.memory_peak_mb >= result.memory_usage_mb


async def test_a_get_holds_nothing() -> None:
    result = await benchmark(Own()).run_single_benchmark("get", 200, data_size=10_000)

    assert result.memory_usage_mb < 0.1


async def test_memory_is_not_traced_while_time_is_taken() -> None:
    traced: list[bool] = []

    class Watching(Own):
        async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
            traced.append(tracemalloc.is_tracing())

    await benchmark(Watching(), warmup_iterations=0).run_single_benchmark("set", 10)

    assert traced == [False] * 10 + [True] * 10
    assert not tracemalloc.is_tracing()


async def test_the_garbage_collector_rests_in_a_round_and_is_left_as_it_was() -> None:
    collecting: list[bool] = []

    class Watching(Own):
        async def delete(self, key: str) -> None:
            collecting.append(gc.isenabled())

    await benchmark(Watching(), warmup_iterations=0).run_single_benchmark("delete", 10)

    assert collecting[:10] == [False] * 10
    assert gc.isenabled()


# --- keys -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_no_key_is_left_and_no_other_is_touched(redis_server: RedisServer, prefix: str, operation: str) -> None:
    async with GenericRedisCache(
        name="measured", key_prefix=prefix, redis_url=redis_server.url, enable_l1_cache=False
    ) as cache:
        await cache.set("k0", "mine")
        await benchmark(cache).run_single_benchmark(operation, 30)

        assert await cache.get("k0") == "mine"
    assert redis_server.command("KEYS", f"{prefix}measured:*") == [f"{prefix}measured:k0".encode()]
    assert redis_server.command("KEYS", f"{prefix}*@*") == [f"{prefix}measured@2:stamps".encode()]


async def test_what_is_cancelled_leaves_no_key_either() -> None:
    started = asyncio.Event()

    class Hanging(Own):
        async def get(self, key: str) -> Any:
            started.set()
            await asyncio.Event().wait()

    cache = Hanging()
    running = asyncio.create_task(benchmark(cache).run_single_benchmark("get", 10))
    await started.wait()
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert cache.entries == {}
    assert gc.isenabled()


# --- trouble --------------------------------------------------------------------------------------------


async def test_operations_that_raise_are_counted_and_have_no_duration() -> None:
    cache = Failing(every=4)

    result = await benchmark(cache, warmup_iterations=0).run_single_benchmark("get", 100)

    assert (result.iterations, result.error_count, result.success_rate) == (100, 25, 0.75)
    assert result.metadata["errors"] == {"ConnectionError": 25}
    assert result.total_duration_ms == pytest.approx(75 * result.avg_duration_ms)
    assert result.cache_hit_rate == 1.0


async def test_more_errors_than_allowed_end_the_benchmark() -> None:
    with pytest.raises(InfrastructureError, match=r"get was given up: 51 of 100 operations raised \(ConnectionError\)"):
        await benchmark(Failing(every=1)).run_single_benchmark("get", 100)


async def test_a_benchmark_without_one_success_has_no_result() -> None:
    with pytest.raises(InfrastructureError, match="10 of 10 operations raised"):
        await benchmark(Failing(every=1), max_error_rate=1.0).run_single_benchmark("get", 10)


async def test_a_cache_that_hangs_is_given_up() -> None:
    class Hanging(Own):
        async def get(self, key: str) -> Any:
            await asyncio.Event().wait()

    with pytest.raises(InfrastructureError, match=r"get did not end within timeout=0\.2 s: 0 of 10 operations"):
        await benchmark(Hanging(), timeout=0.2, warmup_iterations=0).run_single_benchmark("get", 10)


@pytest.mark.parametrize(
    ("operation", "iterations", "size", "said"),
    [
        ("got", 10, 10, "operation='got' is none of get, set, delete"),
        (None, 10, 10, "operation=None is none of"),
        ("get", 0, 10, r"iterations=0 is outside 1\.\.10000000"),
        ("get", 1.5, 10, "iterations is float"),
        ("get", True, 10, "iterations is bool"),
        ("get", 10, 0, r"data_size=0 is outside 1\.\.16777216"),
        ("get_many", 10, 10, "operation='get_many' needs get_many, which Own does not have"),
    ],
)
async def test_a_bad_argument_is_refused_by_name(operation: Any, iterations: Any, size: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        await benchmark(Own()).run_single_benchmark(operation, iterations, size)


@pytest.mark.parametrize("arguments", [({},), (Own(), {"rounds": 1})])
def test_a_benchmark_is_of_a_cache_with_a_configuration(arguments: Any) -> None:
    with pytest.raises(ValidationError, match="is dict, not a"):
        CachePerformanceBenchmark(*arguments)


# --- all operations -------------------------------------------------------------------------------------


async def test_a_comprehensive_benchmark_is_of_all_that_the_cache_can_do(cache: CacheInterface) -> None:
    suite = await benchmark(cache, data_size=10).run_comprehensive_benchmark(20)

    missing = ("get_many", "set_many") if isinstance(cache, Own) else ()
    assert [result.operation for result in suite.results] == [name for name in OPERATIONS if name not in missing]
    assert {(result.iterations, result.metadata["data_size"]) for result in suite.results} == {(20, 10)}


async def test_operations_that_are_named_must_be_possible() -> None:
    with pytest.raises(ValidationError, match="get_many"):
        await benchmark(Own(), operations=("get", "get_many")).run_comprehensive_benchmark(20)


async def test_a_result_says_where_it_was_measured(redis_server: RedisServer, prefix: str) -> None:
    async with GenericRedisCache(name="measured", key_prefix=prefix, redis_url=redis_server.url) as cache:
        result = await benchmark(cache).run_single_benchmark("get", 5)

    facts = result.metadata["fingerprint"]
    known = {"cpu", "cpu_count", "system", "python", "otcache", "redis_py", "opentelemetry_api", "server"}
    assert known <= facts.keys()
    assert facts["server"].startswith("valkey 9.")
    assert all(isinstance(value, str) and value for value in facts.values())


async def test_the_tails_of_a_process_are_those_of_its_quiet_rounds() -> None:
    class Pausing(Own):
        """Works long once in a hundred operations, as a busy machine would make it."""

        calls = 0

        async def get(self, key: str) -> Any:
            self.calls += 1
            if self.calls % 100 == 0:
                sum(range(100_000))
            return await super().get(key)

    result = await benchmark(Pausing(), warmup_iterations=0, rounds=20).run_single_benchmark("get", 400)

    (tails,) = result.metadata["tails"]
    assert tails.keys() == {"process", "p95", "p99"}
    assert tails["p99"] * 1000 < result.max_duration_ms / 10


async def test_what_a_worker_reports_is_what_it_measured() -> None:
    measured = await benchmark(Failing(every=4)).measure("get", 100, 10, lambda: None)

    received = reported(report(measured))

    assert summarised([received], QUIET) == summarised([measured], QUIET)
    assert received.errors == measured.errors
    assert sum(received.errors.values()) > 0


async def test_several_processes_are_one_result() -> None:
    measured = [await benchmark(Own()).measure("get", count, 10, lambda: None) for count in (10, 20, 30)]

    together = summarised(measured, QUIET)

    durations = [duration for each in measured for duration in each.durations]
    assert (together.iterations, together.cache_hit_rate) == (60, 1.0)
    assert together.total_duration_ms == pytest.approx(sum(durations) / 1e6)
    assert (together.min_duration_ms, together.max_duration_ms) == (min(durations) / 1e6, max(durations) / 1e6)
    assert together.p95_duration_ms == sorted(durations)[57 - 1] / 1e6
    assert together.memory_peak_mb == sorted(each.peak_bytes for each in measured)[1] / 1e6
    assert [run["rounds"] for run in together.metadata["runs"]] == [each.rounds for each in measured]
