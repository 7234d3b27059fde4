"""What must not make a hit dearer: entries, other caches, callbacks of other events."""

from __future__ import annotations

from typing import Final

from benchmarks.harness import Case
from benchmarks.setting import Setting, getting
from benchmarks.workloads import Group
from otcache import InMemoryCache

ALONE: Final = "a cache of one entry, alone"
ENTRIES: Final = "a cache full of entries, one hot key"
CACHES: Final = "beside a hundred other caches of one provider"
CALLBACKS: Final = "with fifty callbacks of other events"
_OPERATIONS = 2_000


async def filled(setting: Setting, size: int, name: str) -> InMemoryCache:
    """A cache with `size` entries."""
    cache = setting.memory_cache(memory_cache_size=size, name=name)
    for number in range(size):
        await cache.set(f"user:{number}", number)
    return cache


async def build(setting: Setting) -> dict[str, Case]:
    """The cases."""
    alone, watched = await filled(setting, 1, "alone"), await filled(setting, 1, "watched")
    for event in ("get_miss", "set_success", "delete_success"):
        for _ in range(50 // 3 + 1):
            watched.register_callback(event, lambda *_: None)
    full = await filled(setting, setting.large, "full")
    crowd = [await filled(setting, 1, f"crowd-{number}") for number in range(100)]
    return {
        ALONE: getting(alone.get, "user:0", _OPERATIONS),
        ENTRIES: getting(full.get, f"user:{setting.large // 2}", _OPERATIONS),
        CACHES: getting(crowd[50].get, "user:0", _OPERATIONS),
        CALLBACKS: getting(watched.get, "user:0", _OPERATIONS),
    }


GROUP: Final = Group("flat", "One hit in memory, and what must not make it dearer", ALONE, build)
