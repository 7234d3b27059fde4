"""The documented data classes: one result, a suite of them, and what a comparison of two suites says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from otcache.benchmarks._run.comparison import ComparisonResult, Entries, Overall
from otcache.benchmarks._run.result import BenchmarkResult
from otcache.benchmarks._run.verdict import HIT_RATE, MEMORY, TIMING, Thresholds, compare, entry
from otcache.exceptions import ConfigurationError, ValidationError
from otcache.regression._sources.bench_json import KIND, SCHEMA_VERSION

__all__ = ["BenchmarkResult", "BenchmarkSuite", "ComparisonResult"]

_NOT_BRIEF: Final = ("operation", "timestamp", "metadata")


@dataclass
class BenchmarkSuite:
    """Results that belong together.

    Attributes:
        results: In the order they were added.
    """

    results: list[BenchmarkResult] = field(default_factory=list)

    def add_result(self, result: BenchmarkResult) -> None:
        """Add a result. Of two of the same operation and data size the later one is compared.

        Raises:
            ValidationError: It is no `BenchmarkResult`.
        """
        if not isinstance(result, BenchmarkResult):
            raise ValidationError(f"result is {type(result).__name__}, not a BenchmarkResult", {"field": "result"})
        self.results.append(result)

    def get_summary(self) -> dict[str, Any]:
        """The figures one compares by eye, by operation: every field of the result but when it was and its metadata.

        An operation that was measured with several data sizes has an entry for each: `get 100 B`.
        """
        plain = {name: each.to_dict() for name, each in self._named().items()}
        return {name: {key: each[key] for key in each if key not in _NOT_BRIEF} for name, each in plain.items()}

    def compare_with(
        self, other: BenchmarkSuite, warning_threshold: float = 10.0, critical_threshold: float = 25.0
    ) -> ComparisonResult:
        """This suite against a baseline: timing, memory and hit rate of every operation that both have.

        Args:
            other: The baseline.
            warning_threshold: Percent, above 0.
            critical_threshold: Percent, above `warning_threshold`.

        Raises:
            ValidationError: A threshold can't be used, `other` is no suite, or raw rounds are malformed.
        """
        if not isinstance(other, BenchmarkSuite):
            raise ValidationError(f"other is {type(other).__name__}, not a BenchmarkSuite", {"field": "other"})
        thresholds = Thresholds(warning_threshold, critical_threshold)
        old, new = other._named(), self._named()
        both = [name for name in new if name in old]
        found = ComparisonResult(
            operations=both,
            only_in_baseline=[name for name in old if name not in new],
            only_in_current=[name for name in new if name not in old],
        )
        for name in both:
            _sort_into(found, old[name], new[name], thresholds)
        found.verdict = _worst(found)
        return found

    def _named(self) -> dict[str, BenchmarkResult]:
        """The results by operation; with their data size where one operation was measured with several."""
        sizes: dict[str, set[Any]] = {}
        for each in self.results:
            sizes.setdefault(each.operation, set()).add(each.metadata.get("data_size"))
        return {
            each.operation if len(sizes[each.operation]) == 1 else f"{each.operation} {_size(each)}": each
            for each in self.results
        }

    def to_dict(self) -> dict[str, Any]:
        """What `save` writes."""
        facts: Mapping[str, str] = next(
            (each.metadata["fingerprint"] for each in self.results if "fingerprint" in each.metadata), {}
        )
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": KIND,
            "fingerprint": facts,
            "results": [each.to_dict() for each in self.results],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BenchmarkSuite:
        """The suite that `to_dict` wrote.

        Raises:
            ValidationError: It is something else, or of a version that is not known here.
        """
        if not isinstance(values, Mapping) or values.get("kind") != KIND:
            raise ValidationError(f"not a benchmark suite: its kind is not {KIND}")
        if values.get("schema_version") != SCHEMA_VERSION:
            raise ValidationError(f"schema_version={values.get('schema_version')!r} is not {SCHEMA_VERSION}")
        results = values.get("results")
        if not isinstance(results, list):
            raise ValidationError(f"results is {type(results).__name__}, not a list")
        return cls([BenchmarkResult.from_dict(each) for each in results])

    def save(self, path: str | Path) -> None:
        """Write the suite as JSON; docs/benchmarks.md describes it.

        Raises:
            ConfigurationError: The file can't be written.
            ValidationError: Something in the metadata has no JSON form, or a number is NaN or infinite.
        """
        try:
            text = json.dumps(self.to_dict(), indent=2, allow_nan=False)
        except (TypeError, ValueError) as exc:
            raise ValidationError(f"the suite can't be written as JSON: {exc}") from exc
        try:
            Path(path).write_text(text + "\n", encoding="utf-8")
        except OSError as exc:
            raise ConfigurationError(f"{path} can't be written: {exc.strerror}") from exc

    @classmethod
    def load(cls, path: str | Path) -> BenchmarkSuite:
        """Read a suite that `save` or `otcache bench --save` wrote.

        Raises:
            ConfigurationError: The file can't be read.
            ValidationError: It is not a suite of this version.
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except OSError as exc:
            raise ConfigurationError(f"{path} can't be read: {exc.strerror}") from exc
        except ValidationError as exc:
            raise ValidationError(f"{path}: {exc.message}") from exc
        except ValueError as exc:
            raise ValidationError(f"{path} is not JSON: {exc}") from exc


def _size(result: BenchmarkResult) -> str:
    size = result.metadata.get("data_size")
    return "of unknown size" if size is None else f"{size} B"


def _sort_into(found: ComparisonResult, old: BenchmarkResult, new: BenchmarkResult, thresholds: Thresholds) -> None:
    places: dict[str, Entries] = {
        "ok": found.unchanged,
        "minor": found.minor,
        "warning": found.regressions,
        "critical": found.regressions,
        "improved": found.improvements,
        "inconclusive": found.inconclusive,
    }
    looked_up = None not in (old.cache_hit_rate, new.cache_hit_rate)
    for metric in (*TIMING, *MEMORY, *((HIT_RATE,) if looked_up else ())):
        finding = compare(old, new, metric, thresholds)
        places[finding.verdict].append(entry(finding, metric, thresholds))


def _worst(found: ComparisonResult) -> Overall:
    if not found.operations:
        return "inconclusive"
    severities: Iterable[str] = {each["severity"] for each in found.regressions}
    for severity in ("critical", "warning"):
        if severity in severities:
            return "critical" if severity == "critical" else "warning"
    return "inconclusive" if found.inconclusive else "ok"
