"""Get and set in memory at 100 entries, at 10 000 and at full size: no operation does work that grows with the cache.

A hot key costs the same at every size. Random keys cost more in a large dictionary, because its entries are no longer
in the processor's caches: the bare dictionary beside it shows how much.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from typing import Any, Final

from benchmarks.harness import Case
from benchmarks.setting import Get, Setting
from benchmarks.workloads import Group
from benchmarks.workloads.eviction import names
from benchmarks.workloads.flat import filled

HOT: Final = "get, one hot key"
RANDOM: Final = "get, random keys"
BARE: Final = "bare dict, random keys"
SET: Final = "set, one hot key"
NEW: Final = "set, new keys, evicting"
_OPERATIONS = 1_000


def at(operation: str, size: int) -> str:
    """The name of a case."""
    return f"{operation}, {size:,} entries"


def _reading(get: Get, keys: list[str]) -> Case:
    async def run() -> None:
        for key in keys:
            await get(key)

    return Case(run, len(keys))


def _writing(put: Callable[[str, int], Any], keys: Iterable[str]) -> Case:
    endless = iter(keys)

    async def run() -> None:
        for key in itertools.islice(endless, _OPERATIONS):
            await put(key, 1)

    return Case(run, _OPERATIONS)


def _bare(keys: list[str]) -> Get:
    entries = {key: (key, 0) for key in keys}

    async def get(key: str) -> Any:
        return entries.get(key)

    return get


async def _cases(setting: Setting, size: int) -> dict[str, Case]:
    # evicting keys must not empty the cache that is read
    reading, writing = [await filled(setting, size, f"{what}-{size}") for what in ("reading", "writing")]
    draw, keys = random.Random(size), [f"user:{number}" for number in range(size)]
    some, hot = draw.choices(keys, k=_OPERATIONS), keys[size // 2]
    return {
        at(HOT, size): _reading(reading.get, [hot] * _OPERATIONS),
        at(RANDOM, size): _reading(reading.get, some),
        at(BARE, size): _reading(_bare(keys), some),
        at(SET, size): _writing(reading.set, itertools.repeat(hot)),
        at(NEW, size): _writing(writing.set, names("new")),
    }


async def build(setting: Setting) -> dict[str, Case]:
    """The cases."""
    cases: dict[str, Case] = {}
    for size in (100, 10_000, setting.large):
        cases |= await _cases(setting, size)
    return cases


GROUP: Final = Group("sizes", "Memory at three sizes", at(HOT, 100), build, quick=False)
