"""The documented benchmark runner and, beside it, the documented detector."""

from __future__ import annotations

from typing import Any

from otcache.base import CacheInterface
from otcache.benchmarks._run.detector import PerformanceRegressionDetector
from otcache.benchmarks._run.fingerprint import fingerprint
from otcache.benchmarks._run.measurement import Measurement, Step, measure
from otcache.benchmarks._run.metrics import emit
from otcache.benchmarks._run.progress import bar
from otcache.benchmarks._run.summary import summarised
from otcache.benchmarks._run.workloads import is_possible, require_possible
from otcache.benchmarks.config import DATA_SIZE, ITERATIONS, OPERATIONS, BenchmarkConfig, check_count, check_operation
from otcache.benchmarks.models import BenchmarkResult, BenchmarkSuite
from otcache.exceptions import ValidationError
from otcache.telemetry.providers import Providers

__all__ = ["CachePerformanceBenchmark", "PerformanceRegressionDetector"]


class CachePerformanceBenchmark:
    """Measures a cache, in this process, with keys of its own that it removes afterwards.

    Args:
        cache: Any cache; its own L1, codec and telemetry are part of what is measured.
        config: How; `None` takes the defaults.
        providers: Where results are reported; the global providers by default.

    Raises:
        ValidationError: `cache` is no `CacheInterface`, or `config` no `BenchmarkConfig`.
    """

    def __init__(
        self, cache: CacheInterface, config: BenchmarkConfig | None = None, *, providers: Providers | None = None
    ) -> None:
        _require("cache", cache, CacheInterface)
        self.cache = cache
        self.config = config or BenchmarkConfig()
        self._providers = providers
        _require("config", self.config, BenchmarkConfig)

    async def run_single_benchmark(self, operation: str, iterations: int, data_size: int = 1000) -> BenchmarkResult:
        """Measure one operation.

        Args:
            operation: get, set, delete, get_miss, get_many, set_many or mixed.
            iterations: Operations that count, 1..10 000 000.
            data_size: Bytes of a value, 1..16 777 216.

        Raises:
            ValidationError: An argument is outside its range, or the cache can't do the operation.
            InfrastructureError: More operations than `config.max_error_rate` raised, or the time was over.
        """
        with bar(str(operation), self.config.rounds + 1, wanted=self.config.progress) as step:
            found = await self.measure(operation, iterations, data_size, step)
        result = summarised([found], self.config)
        emit([result], self._providers)
        return result

    async def run_comprehensive_benchmark(self, iterations_per_operation: int = 1000) -> BenchmarkSuite:
        """Measure every operation of `config.operations`, or all that the cache can do, with `config.data_size`.

        Args:
            iterations_per_operation: Operations that count, of each, 1..10 000 000.

        Raises:
            ValidationError: An argument is outside its range, or the cache can't do an operation that was named.
            InfrastructureError: As for `run_single_benchmark`.
        """
        operations = self.config.operations or tuple(name for name in OPERATIONS if is_possible(name, self.cache))
        for operation in operations:
            require_possible(operation, self.cache)
        suite = BenchmarkSuite()
        steps = len(operations) * (self.config.rounds + 1)
        with bar("benchmarks", steps, wanted=self.config.progress) as step:
            for operation in operations:
                found = await self.measure(operation, iterations_per_operation, self.config.data_size, step)
                suite.add_result(summarised([found], self.config))
        emit(suite.results, self._providers)
        return suite

    async def measure(self, operation: str, iterations: int, data_size: int, step: Step) -> Measurement:
        """The raw figures behind `run_single_benchmark`; `step` is called once per round."""
        require_possible(check_operation(operation), self.cache)
        check_count("iterations", iterations, *ITERATIONS)
        check_count("data_size", data_size, *DATA_SIZE)
        facts = await fingerprint(self.cache)
        found = await measure(self.cache, operation, iterations, data_size, self.config, step)
        found.facts = facts
        return found


def _require(name: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise ValidationError(f"{name} is {type(value).__name__}, not a {kind.__name__}", {"field": name})
