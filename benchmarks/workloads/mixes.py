"""Reads and writes as applications mix them, in memory: a hit-heavy Zipf, a scan, and mostly writes.

Every operation is a look-up, and a store if it finds nothing or if it is a write. Where a peer keeps no limit of
entries it finds everything that it ever saw, so it takes part in the Zipf and the writes, but not in the scan.
"""

from __future__ import annotations

import itertools
import random
from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from benchmarks.harness import Case
from benchmarks.peers import Client
from benchmarks.setting import Setting
from benchmarks.workloads import Group

OTCACHE: Final = "otcache, metered, span sampled out"
BARE: Final = "bare async OrderedDict, least recently used goes"
LIMIT: Final = 1_000
OPERATIONS: Final = 1_000
_SEED: Final = 7
Step = tuple[bool, str]
"""Whether it writes, and the key."""


def zipf(seed: int = _SEED, keys: int = 2_000, exponent: float = 1.3) -> list[Step]:
    """Look-ups of `keys` keys, the n-th most popular one with a weight of n to the power of minus `exponent`."""
    draw = random.Random(seed)
    weights = [rank**-exponent for rank in range(1, keys + 1)]
    return [(False, f"user:{rank}") for rank in draw.choices(range(keys), weights, k=20 * OPERATIONS)]


def scan(keys: int = 3 * LIMIT) -> list[Step]:
    """Every key after the other: each is gone again when its turn comes."""
    return [(False, f"user:{number}") for number in range(keys)]


def writes(seed: int = _SEED, keys: int = 500, share: float = 0.8) -> list[Step]:
    """Mostly writes, on keys that are there."""
    draw = random.Random(seed)
    return [(draw.random() < share, f"user:{draw.randrange(keys)}") for _ in range(20 * OPERATIONS)]


def bare(limit: int) -> Client:
    """What a bounded cache can't be cheaper than."""
    entries: OrderedDict[str, Any] = OrderedDict()

    async def get(key: str) -> Any:
        value = entries.get(key)
        if value is not None:
            entries.move_to_end(key)
        return value

    async def put(key: str, value: Any) -> None:
        entries[key] = value
        entries.move_to_end(key)
        if len(entries) > limit:
            entries.popitem(last=False)

    return Client(get, put, limit=True)


async def _play(client: Client, steps: Iterator[Step], operations: int) -> None:
    get, put = client.get, client.set
    for writing, key in itertools.islice(steps, operations):
        if writing or await get(key) is None:
            await put(key, key)


def playing(client: Client, steps: list[Step], operations: int = OPERATIONS) -> Case:
    """The next steps of an endless round through `steps`."""
    endless = itertools.cycle(steps)
    return Case(partial(_play, client, endless, operations), operations)


async def build(steps: list[Step], bounded: bool, setting: Setting) -> dict[str, Case]:
    """The cases, each cache filled by its warm-up."""
    ours = setting.memory_cache(memory_cache_size=LIMIT)
    clients = {BARE: bare(LIMIT), OTCACHE: Client(ours.get, ours.set, limit=True)}
    clients |= await setting.peers("memory", LIMIT)
    taking_part = {name: client for name, client in clients.items() if client.limit or not bounded}
    for client in taking_part.values():
        await _play(client, iter(steps), len(steps))
    return {name: playing(client, steps) for name, client in taking_part.items()}


GROUPS: Final = (
    Group("zipf", "Hit-heavy Zipf, 2000 keys, 1000 entries", BARE, partial(build, zipf(), False), quick=False),
    Group("scan", "Scan: nothing is found, every store evicts", BARE, partial(build, scan(), True), quick=False),
    Group("writes", "Four writes to one look-up, 500 keys", BARE, partial(build, writes(), False), quick=False),
)
