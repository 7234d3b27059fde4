"""One benchmark in this process: warmed up, timed operation by operation, then run again to weigh its memory."""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import time
import tracemalloc
import uuid
from array import array
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
from typing import Final, TypeVar

from otcache.base import CacheInterface
from otcache.benchmarks._run import workloads as work
from otcache.benchmarks.config import BenchmarkConfig
from otcache.exceptions import InfrastructureError

_IMPORTED: Final = uuid.uuid4().hex[:8]
_CLEAN_SECONDS: Final = 30.0
_CLEAN_SECONDS_PER_KEY: Final = 0.001
"""How long removing keys may take: enough for a slow server, an end with one that hangs."""
Step = Callable[[], None]
Value = TypeVar("Value", int, float)


@dataclass
class Measurement:
    """What one benchmark in one process measured.

    Attributes:
        operation: Which operation.
        data_size: Bytes of a value.
        iterations: Operations that were measured.
        durations: Nanoseconds of each that did not raise, in their order.
        rounds: Seconds per operation, the median of each round: on a busy machine it finds a change that the mean
            of a round hides (docs/benchmarks.md).
        rounds_p95: Seconds that 95 % of the operations of each round did not exceed.
        rounds_p99: The same for 99 %.
        lookups: Keys that were looked up.
        hits: How many of them the caller got a value for.
        errors: Operations that raised, by the name of the exception's class.
        preparation_errors: Entries that could not be stored before, or calls that could not remove them afterwards.
        usage_bytes: Memory held at the end of the second run.
        peak_bytes: The most that was held during it.
        process: Which process, unlike any other's name.
        at: When it began, seconds since the epoch.
        facts: The fingerprint of the machine and the versions.
    """

    operation: str
    data_size: int
    iterations: int
    durations: list[int] | array[int] = field(default_factory=lambda: array("q"))
    rounds: list[float] = field(default_factory=list)
    rounds_p95: list[float] = field(default_factory=list)
    rounds_p99: list[float] = field(default_factory=list)
    lookups: int = 0
    hits: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    preparation_errors: int = 0
    usage_bytes: int = 0
    peak_bytes: int = 0
    process: str = field(default_factory=lambda: f"{os.getpid()}-{_IMPORTED}")
    at: float = field(default_factory=time.time)
    facts: dict[str, str] = field(default_factory=dict)


async def measure(
    cache: CacheInterface, operation: str, iterations: int, data_size: int, config: BenchmarkConfig, step: Step
) -> Measurement:
    """Measure `operation`; `step` is called after each round and after the weighing.

    Raises:
        InfrastructureError: Too many operations raised, or it took longer than `config.timeout`.
    """
    found = Measurement(operation, data_size, iterations)
    workload = work.WORKLOADS[operation]
    try:
        async with asyncio.timeout(config.timeout) as limit:
            async with _space(cache, config, found, workload) as space:
                await _time(cache, space, found, config, step)
            async with _space(cache, config, found, workload) as space:
                await _weigh(cache, space, found, config)
            step()
    except TimeoutError as exc:
        if not limit.expired():
            raise
        done = len(found.durations) + sum(found.errors.values())
        raise InfrastructureError(
            f"benchmark {operation} did not end within timeout={config.timeout:g} s: "
            f"{done} of {iterations} operations were timed"
        ) from exc
    return found


@asynccontextmanager
async def _space(
    cache: CacheInterface, config: BenchmarkConfig, found: Measurement, workload: work.Workload
) -> AsyncIterator[work.Space]:
    """The keys of one pass; every one that may be left is removed afterwards, however it ends."""
    space = work.Space(config, found.data_size)
    try:
        yield space
    finally:
        numbers = range(found.iterations + config.warmup_iterations)
        most = _CLEAN_SECONDS + _CLEAN_SECONDS_PER_KEY * len(numbers)
        with suppress(TimeoutError):  # what is left expires
            removing = work.remove_all(cache, space, workload, numbers)
            found.preparation_errors += await asyncio.wait_for(removing, most)


# --- time -----------------------------------------------------------------------------------------------


async def _time(
    cache: CacheInterface, space: work.Space, found: Measurement, config: BenchmarkConfig, step: Step
) -> None:
    workload = work.WORKLOADS[found.operation]
    found.preparation_errors += await work.load_working(cache, space, workload)
    async for calls in _calls(cache, space, found, config, _warm_up(found, config)):
        await _only_run(calls)
    gc.collect()
    for numbers in _rounds(found.iterations, config.rounds):
        await _round(cache, space, found, config, numbers)
        step()
        await asyncio.sleep(0)
    if not found.durations:
        raise _too_many(found)


async def _round(
    cache: CacheInterface, space: work.Space, found: Measurement, config: BenchmarkConfig, numbers: Sequence[int]
) -> None:
    before = len(found.durations)
    with _collector_off():
        async for calls in _calls(cache, space, found, config, numbers):
            await _run(calls, found, config)
    if durations := sorted(found.durations[before:]):
        found.rounds.append(statistics.median(durations) / 1e9)
        found.rounds_p95.append(at_share(durations, 0.95) / 1e9)
        found.rounds_p99.append(at_share(durations, 0.99) / 1e9)


def at_share(ordered: Sequence[Value], share: float) -> Value:
    """The smallest of the `ordered` values that `share` of them do not exceed (nearest rank)."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


async def _run(calls: Sequence[work.Call], found: Measurement, config: BenchmarkConfig) -> None:
    clock, add = time.perf_counter_ns, found.durations.append
    for method, arguments, lookups, hits in calls:
        started = clock()
        try:
            answer = await method(*arguments)
        except Exception as exc:  # noqa: BLE001  the cache's own code: its errors are a result
            _count_error(exc, found, config)
            continue
        add(clock() - started)
        if lookups:
            found.lookups += lookups
            found.hits += hits(answer)


def _count_error(exc: Exception, found: Measurement, config: BenchmarkConfig) -> None:
    name = type(exc).__name__
    found.errors[name] = found.errors.get(name, 0) + 1
    if sum(found.errors.values()) > config.max_error_rate * found.iterations:
        raise _too_many(found) from exc


def _too_many(found: Measurement) -> InfrastructureError:
    count, kinds = sum(found.errors.values()), ", ".join(sorted(found.errors))
    return InfrastructureError(
        f"benchmark {found.operation} was given up: {count} of {found.iterations} operations raised ({kinds})",
        {"operation": found.operation, "errors": dict(found.errors)},
    )


def _warm_up(found: Measurement, config: BenchmarkConfig) -> range:
    """Numbers that the measured operations do not have."""
    return range(found.iterations, found.iterations + config.warmup_iterations)


def _rounds(iterations: int, rounds: int) -> list[range]:
    """The numbers of each round; no round is empty, and none has more than one number more than another."""
    count = min(rounds, iterations)
    bounds = [iterations * at // count for at in range(count + 1)]
    return [range(low, high) for low, high in pairwise(bounds)]


async def _calls(
    cache: CacheInterface, space: work.Space, found: Measurement, config: BenchmarkConfig, numbers: Sequence[int]
) -> AsyncIterator[list[work.Call]]:
    """The calls of `numbers`, a part at a time, so that what they work on fits into a small L1."""
    workload = work.WORKLOADS[found.operation]
    for part in work.in_parts(numbers, config.key_count):
        found.preparation_errors += await work.load_own(cache, space, workload, part)
        yield workload.plan(cache, space, part)


@contextmanager
def _collector_off() -> Iterator[None]:
    """A round without garbage collection, and a young one before it: whom one hits would be chance."""
    was_on = gc.isenabled()
    gc.collect(1)
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


# --- memory ---------------------------------------------------------------------------------------------


async def _weigh(cache: CacheInterface, space: work.Space, found: Measurement, config: BenchmarkConfig) -> None:
    """Run all operations once more while Python's allocations are traced, which makes them several times slower."""
    with _tracing():
        found.preparation_errors += await work.load_working(cache, space, work.WORKLOADS[found.operation])
        gc.collect()
        tracemalloc.reset_peak()
        start, _ = tracemalloc.get_traced_memory()
        async for calls in _calls(cache, space, found, config, range(found.iterations)):
            await _only_run(calls)
            del calls
        _, peak = tracemalloc.get_traced_memory()
        gc.collect()
        end, _ = tracemalloc.get_traced_memory()
    found.usage_bytes, found.peak_bytes = max(0, end - start), max(0, peak - start, end - start)


@contextmanager
def _tracing() -> Iterator[None]:
    was_on = tracemalloc.is_tracing()
    if not was_on:
        tracemalloc.start()
    try:
        yield
    finally:
        if not was_on:
            tracemalloc.stop()


async def _only_run(calls: Sequence[work.Call]) -> None:
    for method, arguments, _, _ in calls:
        with suppress(Exception):  # counted where it is timed
            await method(*arguments)
