"""A program: processes that were forked after their cache was built read and write a few keys, and keep a log.

    python -m tests.cases.history URL PREFIX DIRECTORY SEED

The clock is the monotonic one, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from otcache import GenericRedisCache

_PROCESSES = 3
_SECONDS = 8.0
_KEYS = 4


class Operation(NamedTuple):
    """One read or write of a key that has succeeded; `value` is what was written or read, `None` for nothing."""

    began: float
    ended: float
    kind: str
    key: str
    value: str | None


def stale_reads(operations: Sequence[Operation], *, grace: float) -> list[tuple[Operation, Operation]]:
    """The reads of values whose successor had been written for more than `grace` seconds, with that successor."""
    writes = [each for each in operations if each.kind == "write"]
    by_value = {each.value: each for each in writes}
    return [
        (read, later)
        for read in operations
        if read.kind == "read" and read.value is not None
        for later in writes
        if later.key == read.key and later.began > by_value[read.value].ended and later.ended < read.began - grace
    ]


async def work(cache: GenericRedisCache, number: int, chance: random.Random) -> list[Operation]:
    """What one process does until its time is over."""
    log: list[Operation] = []
    until = time.monotonic() + _SECONDS
    while (began := time.monotonic()) < until:
        key = f"key:{chance.randrange(_KEYS)}"
        if chance.random() < 0.05:
            value: str | None = f"{number}.{len(log)}"
            await cache.set(key, value, ttl=300)
            log.append(Operation(began, time.monotonic(), "write", key, value))
        else:
            value = await cache.get(key)
            log.append(Operation(began, time.monotonic(), "read", key, value))
        await asyncio.sleep(chance.random() * 0.05)
    await cache.close()
    return log


def main(url: str, prefix: str, directory: str, seed: str) -> None:
    # what was copied is trusted for so long that only messages can tell that it is old
    cache = GenericRedisCache(redis_url=url, key_prefix=prefix, name="history", timeout=5.0, max_staleness=30.0)
    for number in range(_PROCESSES):
        if os.fork() == 0:
            log = asyncio.run(work(cache, number, random.Random(f"{seed}.{number}")))
            (Path(directory) / f"{number}.json").write_text(json.dumps(log))
            os._exit(0)
    for _ in range(_PROCESSES):
        os.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
