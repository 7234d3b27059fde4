"""A cache in a process of its own that changes everything it can: `python -m tests.contract.neighbour OPTIONS`."""

from __future__ import annotations

import asyncio
import json
import sys

from otcache import GenericRedisCache
from otcache.stores import open_store


async def main() -> None:
    """Read the keys, then overwrite, delete, invalidate and sweep, hold a lock, and write down what was read."""
    async with GenericRedisCache(timeout=20.0, **json.loads(sys.argv[1])) as cache:
        found = {key: await cache.get(key) for key in ("set", "deleted", "tagged", "users:1", "kept")}
        await cache.set("set", "theirs")
        await cache.delete("deleted")
        await cache.invalidate_tag("tag")
        await cache.invalidate_prefix("users:")
        await cache.clear()
        await cache.purge()
        store = open_store(cache.config)
        assert store.locks is not None
        await store.locks.lock("locked", b"theirs", 60_000)
        await store.store.close()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
