"""L1 get and set at 100, 10 000 and 1 000 000 entries: no operation does O(n) work.

A hot key costs the same at every size. Random keys cost more in a large dictionary, because its
entries are no longer in the processor's caches: the bare dictionary beside it shows how much.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from benchmarks.harness import Case, Timing, measure, spread, table
from otcache import InMemoryCache

SIZES = (100, 10_000, 1_000_000)
OPERATIONS = 2_000


def _names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}:{number}" for number in range(count)]


async def _filled(size: int) -> InMemoryCache:
    cache = InMemoryCache(memory_cache_size=size, default_ttl=3600, name=f"size-{size}")
    for key in _names("user", size):
        await cache.set(key, key)
    return cache


def _getting(cache: InMemoryCache, keys: list[str]) -> Case:
    async def case() -> None:
        get = cache.get
        for key in keys:
            await get(key)

    return case


def _setting(cache: InMemoryCache, keys: Iterator[str]) -> Case:
    async def case() -> None:
        put = cache.set
        for _ in range(OPERATIONS):
            await put(next(keys), 1)

    return case


def _bare_get(entries: dict[str, Any], keys: list[str]) -> Case:
    async def get(key: str) -> Any:
        return entries.get(key)

    async def case() -> None:
        for key in keys:
            await get(key)

    return case


def _bare_set(entries: OrderedDict[str, int], keys: Iterator[str]) -> Case:
    async def put(key: str) -> None:
        entries[key] = 1
        entries.popitem(last=False)

    async def case() -> None:
        for _ in range(OPERATIONS):
            await put(next(keys))

    return case


def _endless(prefix: str) -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"{prefix}:{number}"


def _cases_of(size: int, cache: InMemoryCache) -> dict[str, Case]:
    draw = random.Random(size)
    keys = _names("user", size)
    some = [draw.choice(keys) for _ in range(OPERATIONS)]
    entries: dict[str, Any] = {key: (key, 0) for key in keys}
    return {
        f"get, one hot key|{size}": _getting(cache, [keys[size // 2]] * OPERATIONS),
        f"get, random keys|{size}": _getting(cache, some),
        f"bare dict, random keys|{size}": _bare_get(entries, some),
        f"set, one hot key|{size}": _setting(cache, iter(lambda: keys[0], None)),
        f"set, new keys, evicting|{size}": _setting(cache, _endless(f"new-{size}")),
        f"OrderedDict set + popitem|{size}": _bare_set(OrderedDict.fromkeys(keys, 1), _endless(f"n-{size}")),
    }


def _row(name: str, timings: dict[str, Timing]) -> tuple[str, ...]:
    base = timings[f"{name}|{SIZES[0]}"]
    found = [spread(timings[f"{name}|{size}"].ratio_to(base)) for size in SIZES[1:]]
    return (name, f"{base.median_ns:.0f} ns", *found)


async def run(rounds: int = 31) -> str:
    """The table: cost at 100 entries, and as a ratio to it at the larger sizes."""
    # each case has a cache of its own: evicting keys must not empty the one that is read
    cases: dict[str, Case] = {}
    for size in SIZES:
        reading, writing = await _filled(size), await _filled(size)
        found = _cases_of(size, reading)
        found[f"set, new keys, evicting|{size}"] = _setting(writing, _endless(f"new-{size}"))
        cases |= found
    timings = await measure(cases, OPERATIONS, rounds)
    names = list(dict.fromkeys(name.split("|")[0] for name in cases))
    columns = ("operation", "at 100", *(f"x at {size:,}" for size in SIZES[1:]))
    return table(
        "L1 at three sizes (median of rounds, 10th to 90th percentile)", columns, [_row(n, timings) for n in names]
    )
