"""Bytes per entry of a structure in memory, key and value excluded, each in a process of its own.

`python -m benchmarks.entry_memory STRUCTURE ENTRIES` prints the figure. Counted is what Python allocates from the first
store to the last (`tracemalloc`); keys and values exist before. Every entry is stored by itself, with a time to live.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import subprocess
import sys
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks import peers
from otcache import InMemoryCache

OTCACHE: Final = "otcache"
QUICK: Final = (100_000,)
FULL: Final = (10_000, 100_000, 700_000, 1_000_000)
"""700 000 is just above the number at which Python's dictionaries grow: the dearest of all below 1 400 000."""
Put = Callable[[str, Any], Awaitable[Any]]


async def _otcache(stack: AsyncExitStack, limit: int) -> Put:
    cache = InMemoryCache(memory_cache_size=limit, default_ttl=3600)
    stack.push_async_callback(cache.close)
    return cache.set


async def _peer(name: str, stack: AsyncExitStack, limit: int) -> Put:
    module, missing = peers.load(name)
    if module is None:
        raise SystemExit(missing)
    client: peers.Client = await module.memory(stack, limit)
    return client.set


STRUCTURES: Final = {OTCACHE: _otcache} | {name: partial(_peer, name) for name in peers.MODULES}


async def measure(structure: str, entries: int) -> float:
    """Bytes per entry."""
    keys, value = [f"user:{number:010}" for number in range(entries)], b"value"
    async with AsyncExitStack() as stack:
        put = await STRUCTURES[structure](stack, entries + 1)
        await put("warm", value)
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for key in keys:
            await put(key, value)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return (after - before) / entries


def in_a_process(structure: str, entries: int) -> tuple[float | None, str]:
    """The figure from a fresh process, or `None` and the reason."""
    command = [sys.executable, "-m", "benchmarks.entry_memory", structure, str(entries)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], check=False)
    if done.returncode != 0:
        return None, (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return float(done.stdout), ""


def main() -> None:
    """Print one figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.entry_memory", description=__doc__)
    parser.add_argument("structure", choices=sorted(STRUCTURES))
    parser.add_argument("entries", type=int)
    options = parser.parse_args()
    print(asyncio.run(measure(options.structure, options.entries)))


if __name__ == "__main__":
    main()
