"""A program: a cache that is built before a fork, and two children that share its entries.

One child has a copy of an entry; the other writes it. What the first one reads some seconds later is printed.

    python -m tests.cases.forked URL PREFIX
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from otcache import GenericRedisCache

_PATIENCE = 4.0


async def read(cache: GenericRedisCache, has_copy: int, is_written: int) -> None:
    await cache.set("price", "old", ttl=3600)
    os.write(has_copy, b".")
    await asyncio.to_thread(os.read, is_written, 1)
    until = time.monotonic() + _PATIENCE
    while (seen := await cache.get("price")) != "new" and time.monotonic() < until:
        await asyncio.sleep(0.05)
    sys.stdout.write(f"{seen}\n")
    sys.stdout.flush()
    await cache.close()


async def write(cache: GenericRedisCache, has_copy: int, is_written: int) -> None:
    await asyncio.to_thread(os.read, has_copy, 1)
    await cache.set("price", "new", ttl=3600)
    os.write(is_written, b".")
    await asyncio.sleep(_PATIENCE)
    await cache.close()


def main(url: str, prefix: str) -> None:
    # what was copied is trusted for so long that only a message can tell that it is old
    cache = GenericRedisCache(redis_url=url, key_prefix=prefix, name="shop", timeout=5.0, max_staleness=30.0)
    from_reader, from_writer = os.pipe(), os.pipe()
    for child, ends in ((read, (from_reader[1], from_writer[0])), (write, (from_reader[0], from_writer[1]))):
        if os.fork() == 0:
            asyncio.run(child(cache, *ends))
            os._exit(0)
    for _ in range(2):
        os.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
