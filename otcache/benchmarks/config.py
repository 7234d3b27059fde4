"""How a benchmark runs: how often, on what, for how long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Final

from otcache.exceptions import ValidationError

OPERATIONS: Final = ("get", "set", "delete", "get_miss", "get_many", "set_many", "mixed")
"""What can be measured: the three of docs/api-reference.md, and four more."""
ITERATIONS: Final = (1, 10_000_000)
DATA_SIZE: Final = (1, 16_777_216)
_RANGES: Final[dict[str, tuple[int, int]]] = {
    "iterations": ITERATIONS,
    "warmup_iterations": (0, 1_000_000),
    "rounds": (1, 10_000),
    "data_size": DATA_SIZE,
    "key_count": (1, 1_000_000),
    "batch_size": (1, 10_000),
    "processes": (1, 1000),
    "seed": (0, 2**63 - 1),
}


@dataclass(frozen=True)
class BenchmarkConfig:
    """How a benchmark runs. Checked when it is made.

    Attributes:
        iterations: Operations of one benchmark, per process, 1..10 000 000: for the command and for
            `run_comprehensive_benchmark(config.iterations)`; the documented methods take their own number.
        warmup_iterations: Operations before the first that counts, 0..1 000 000.
        rounds: Into how many parts the operations are divided, 1..10 000; each is one figure of `metadata["runs"]`.
        data_size: Bytes of a value, 1..16 777 216.
        key_count: Keys that are looked up in turn, 1..1 000 000. More than L1 holds measures evictions.
        batch_size: Keys of one `get_many` or `set_many`, 1..10 000, and no more than `key_count`.
        operations: What a comprehensive benchmark measures; `None` is everything that the cache can do.
        processes: Fresh processes per operation of `otcache bench`, 1..1000; a comparison needs 6.
        timeout: Most seconds for one benchmark, its preparation included, above 0 up to 86 400; removing the keys
            from a cache that hangs is given up after half a minute more.
        max_error_rate: Share of operations that may raise, 0..1; with more of them the benchmark is given up.
        seed: Which keys come in which order, 0..2**63-1.
        progress: Show a progress line on stderr, if that is a terminal.

    Raises:
        ValidationError: A value is of the wrong type, or outside its range.
    """

    iterations: int = 1000
    warmup_iterations: int = 100
    rounds: int = 20
    data_size: int = 1000
    key_count: int = 50
    batch_size: int = 10
    operations: tuple[str, ...] | None = None
    processes: int = 6
    timeout: float = 300.0
    max_error_rate: float = 0.5
    seed: int = 1
    progress: bool = True

    def __post_init__(self) -> None:
        """Check every value."""
        for name, (low, high) in _RANGES.items():
            check_count(name, getattr(self, name), low, high)
        _check_number("timeout", self.timeout, 86_400, " s", zero=False)
        _check_number("max_error_rate", self.max_error_rate, 1, "", zero=True)
        if not isinstance(self.progress, bool):
            raise ValidationError(f"progress is {type(self.progress).__name__}, not a bool", {"field": "progress"})
        if self.batch_size > self.key_count:
            raise ValidationError(
                f"batch_size={self.batch_size} is outside 1..key_count, which is {self.key_count}",
                {"field": "batch_size", "batch_size": self.batch_size, "key_count": self.key_count},
            )
        if self.operations is not None:
            object.__setattr__(self, "operations", check_operations(self.operations))

    def to_dict(self) -> dict[str, Any]:
        """Every field; `BenchmarkConfig(**config.to_dict())` is the same again."""
        return asdict(self)


def check_count(name: str, value: Any, low: int, high: int) -> int:
    """`value`, if it is an integer within low..high.

    Raises:
        ValidationError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValidationError(f"{name} is {type(value).__name__}, not an integer of {low}..{high}", {"field": name})
    if not low <= value <= high:
        raise ValidationError(f"{name}={value} is outside {low}..{high}", {"field": name, "value": value})
    return value


def check_operation(value: Any) -> str:
    """`value`, if it names an operation.

    Raises:
        ValidationError: It does not.
    """
    if not isinstance(value, str) or value not in OPERATIONS:
        raise ValidationError(f"operation={value!r} is none of {', '.join(OPERATIONS)}", {"field": "operation"})
    return value


def check_operations(values: Iterable[Any]) -> tuple[str, ...]:
    """The operations that `values` name, each once.

    Raises:
        ValidationError: One is unknown, or there is none.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValidationError(
            f"operations is {type(values).__name__}, not a sequence of names", {"field": "operations"}
        )
    found = tuple(dict.fromkeys(check_operation(value) for value in values))
    if not found:
        raise ValidationError(f"operations is empty; name some of {', '.join(OPERATIONS)}", {"field": "operations"})
    return found


def _check_number(name: str, value: Any, high: float, unit: str, *, zero: bool) -> None:
    allowed = f"0..{high:g}{unit}" + ("" if zero else ", 0 excluded")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValidationError(f"{name} is {type(value).__name__}, not a number of {allowed}", {"field": name})
    if not isfinite(value) or not 0 <= value <= high or (value == 0 and not zero):
        raise ValidationError(f"{name}={value} is outside {allowed}", {"field": name, "value": value})


_DOCUMENTED: Final = OPERATIONS[:3]


class ConfigPresets:
    """Three configurations to start from."""

    @staticmethod
    def quick() -> BenchmarkConfig:
        """A look during development: seconds, and too few processes for a comparison."""
        return BenchmarkConfig(
            iterations=300, warmup_iterations=30, rounds=10, operations=_DOCUMENTED, processes=2, timeout=60
        )

    @staticmethod
    def standard() -> BenchmarkConfig:
        """What a CI job runs and compares: the documented operations, in six processes each."""
        return BenchmarkConfig(iterations=2000, operations=_DOCUMENTED)

    @staticmethod
    def comprehensive() -> BenchmarkConfig:
        """A detailed analysis: every operation, more rounds, ten processes each."""
        return BenchmarkConfig(iterations=10_000, warmup_iterations=1000, rounds=40, processes=10, timeout=1800)
