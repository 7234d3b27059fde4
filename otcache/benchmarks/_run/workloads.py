"""What each operation does to a cache, as calls that are made before the clock runs."""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

from otcache.base import CacheInterface
from otcache.benchmarks.config import BenchmarkConfig
from otcache.exceptions import ValidationError

LIFE_SECONDS: Final = 3600
"""How long entries live that a killed run could not remove."""
_BATCH: Final = 500
_MIX: Final = ("get",) * 7 + ("set",) * 2 + ("delete",)


class Call(NamedTuple):
    """One operation, ready to be awaited: how many keys it looks up, and how many of them an answer holds."""

    method: Callable[..., Awaitable[Any]]
    arguments: tuple[Any, ...]
    lookups: int = 0
    hits: Callable[[Any], int] = bool


class Space:
    """The keys and values of one pass, under a prefix of their own.

    Values are texts of `data_size` ASCII letters and digits, each another one: a cache that keeps them holds as
    many bytes, and compression gains what it gains on such a text.
    """

    def __init__(self, config: BenchmarkConfig, data_size: int) -> None:
        self.prefix = f"otcache-bench:{uuid.uuid4().hex}:"
        self.batch_size = config.batch_size
        self.working = [f"{self.prefix}w{number}" for number in range(config.key_count)]
        self.draw = random.Random(config.seed)  # noqa: S311  which key comes next
        self._size = data_size
        self._text = "".join(self.draw.choices(string.ascii_letters + string.digits, k=data_size))

    def key(self, number: int) -> str:
        """A key that no other number has."""
        return f"{self.prefix}k{number}"

    def value(self, number: int) -> str:
        """A value of its own for `number`."""
        return (f"{number:08x}" + self._text)[: self._size]

    def batch(self, number: int) -> dict[str, str]:
        """The entries of one `set_many`."""
        first = number * self.batch_size
        return {self.key(at): self.value(at) for at in range(first, first + self.batch_size)}


Plan = Callable[[Any, Space, Iterable[int]], list[Call]]


@dataclass(frozen=True, slots=True)
class Workload:
    """One operation.

    Attributes:
        plan: The calls of some numbers; each number is used once in a pass.
        working: Whether it looks among the working keys, which are stored before.
        stored_first: Whether what a number's call works on is stored before.
        written: The keys that the call of a number may leave, beside the working ones.
        needs: Methods beyond the contract of a cache.
    """

    plan: Plan
    working: bool = False
    stored_first: bool = False
    written: Callable[[Space, int], Iterable[str]] | None = None
    needs: tuple[str, ...] = ()


# --- the operations -------------------------------------------------------------------------------------


def _found(answer: Any) -> int:
    return int(answer is not None)


def _found_many(answer: Any) -> int:
    if not isinstance(answer, Mapping):
        raise ValidationError(f"get_many gives {type(answer).__name__}, not a mapping of keys to values")
    return sum(value is not None for value in answer.values())


def _get(cache: Any, space: Space, numbers: Iterable[int]) -> list[Call]:
    return [Call(cache.get, (space.draw.choice(space.working),), 1, _found) for _ in numbers]


def _get_miss(cache: Any, space: Space, numbers: Iterable[int]) -> list[Call]:
    return [Call(cache.get, (space.key(number),), 1, _found) for number in numbers]


def _set(cache: Any, space: Space, numbers: Iterable[int]) -> list[Call]:
    return [Call(cache.set, (space.key(number), space.value(number), LIFE_SECONDS)) for number in numbers]


def _delete(cache: Any, space: Space, numbers: Iterable[int]) -> list[Call]:
    return [Call(cache.delete, (space.key(number),)) for number in numbers]


def _get_many(cache: Any, space: Space, numbers: Iterable[int]) -> list[Call]:
    size = space.batch_size
    return [Call(cache.get_many, (space.draw.sample(space.working, size),), size, _found_many) for _ in numbers]


def _set_many(cache: Any, space: Space, numbers: Iterable[int]) -> list[Call]:
    return [Call(cache.set_many, (space.batch(number), LIFE_SECONDS)) for number in numbers]


def _mixed(cache: Any, space: Space, numbers: Iterable[int]) -> list[Call]:
    return [_any(cache, space, number) for number in numbers]


def _any(cache: Any, space: Space, number: int) -> Call:
    kind, key = space.draw.choice(_MIX), space.draw.choice(space.working)
    if kind == "get":
        return Call(cache.get, (key,), 1, _found)
    return Call(cache.delete, (key,)) if kind == "delete" else Call(cache.set, (key, space.value(number), LIFE_SECONDS))


def _own_key(space: Space, number: int) -> Iterable[str]:
    return (space.key(number),)


WORKLOADS: Final[Mapping[str, Workload]] = {
    "get": Workload(_get, working=True),
    "set": Workload(_set, written=_own_key),
    "delete": Workload(_delete, stored_first=True, written=_own_key),
    "get_miss": Workload(_get_miss),
    "get_many": Workload(_get_many, working=True, needs=("get_many",)),
    "set_many": Workload(_set_many, written=Space.batch, needs=("set_many",)),
    "mixed": Workload(_mixed, working=True),
}
"""How each operation is measured; `mixed` is 7 get, 2 set and 1 delete of 10, in a random order."""


def is_possible(operation: str, cache: CacheInterface) -> bool:
    """Whether `cache` has the methods that `operation` needs."""
    return all(callable(getattr(cache, name, None)) for name in WORKLOADS[operation].needs)


def require_possible(operation: str, cache: CacheInterface) -> None:
    """Refuse an operation that `cache` has no method for. Raises ValidationError: it has none."""
    if not is_possible(operation, cache):
        raise ValidationError(
            f"operation={operation!r} needs {', '.join(WORKLOADS[operation].needs)}, which {type(cache).__name__} "
            "does not have",
            {"field": "operation"},
        )


# --- before and after -----------------------------------------------------------------------------------


async def load_working(cache: CacheInterface, space: Space, workload: Workload) -> int:
    """Store what the operation looks up; how many entries could not be stored."""
    entries = ((key, space.value(number)) for number, key in enumerate(space.working))
    return await _store(cache, entries) if workload.working else 0


async def load_own(cache: CacheInterface, space: Space, workload: Workload, numbers: Iterable[int]) -> int:
    """Store what the calls of `numbers` work on; how many entries could not be stored."""
    entries = ((space.key(number), space.value(number)) for number in numbers)
    return await _store(cache, entries) if workload.stored_first else 0


async def _store(cache: CacheInterface, entries: Iterable[tuple[str, str]]) -> int:
    failed = 0
    for key, value in entries:
        try:
            await cache.set(key, value, LIFE_SECONDS)
        except Exception:  # noqa: BLE001  the cache's own code: its errors are counted, here too
            failed += 1
    return failed


async def remove_all(cache: CacheInterface, space: Space, workload: Workload, numbers: Iterable[int]) -> int:
    """Remove every key that the pass may have left; how many calls to do so failed."""
    failed = 0
    remove_many = getattr(cache, "delete_many", None)
    for keys in in_parts(_left(space, workload, numbers), _BATCH):
        calls: list[tuple[Callable[..., Awaitable[Any]], Any]] = [(cache.delete, key) for key in keys]
        if callable(remove_many):
            calls = [(remove_many, keys)]
        for remove, argument in calls:
            try:
                await remove(argument)
            except Exception:  # noqa: BLE001  as above; what is left expires
                failed += 1
    return failed


def _left(space: Space, workload: Workload, numbers: Iterable[int]) -> Iterator[str]:
    if workload.working:
        yield from space.working
    if workload.written is not None:
        for number in numbers:
            yield from workload.written(space, number)


def in_parts(items: Iterable[Any], size: int) -> Iterator[Sequence[Any]]:
    """`items` in lists of `size`, the last one shorter."""
    remaining = iter(items)
    while part := list(islice(remaining, size)):
        yield part
