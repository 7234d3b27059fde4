"""One store of a new key in a full memory: each drops an entry, whatever the number of entries."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final

from benchmarks.harness import Case
from benchmarks.setting import Setting
from benchmarks.workloads import Group
from otcache.stores.memory import NEVER, Entry, MemoryStore

ORDERED: Final = "OrderedDict and popitem, 10 000 entries"
OTCACHE: Final = "otcache's memory, 10 000 entries"
ORDERED_LARGE: Final = "OrderedDict and popitem, full size"
OTCACHE_LARGE: Final = "otcache's memory, full size"
_OPERATIONS = 2_000
Put = Callable[[str, Any, int, int], Any]


class Ordered:
    """The same entries in an OrderedDict, the oldest of which goes."""

    def __init__(self, limit: int) -> None:
        self.entries: OrderedDict[str, Entry] = OrderedDict()
        self.limit = limit

    def put(self, key: str, value: Any, expires: int, now: int) -> bool:
        """As `MemoryStore.put`."""
        if expires <= now:
            return False
        if key not in self.entries and len(self.entries) >= self.limit:
            self.entries.popitem(last=False)
        self.entries[key] = Entry(value, expires, None, None)
        return True


def names(prefix: str) -> Iterator[str]:
    """Keys without end, each new."""
    return (f"{prefix}:{number}" for number in itertools.count())


def putting(put: Put, limit: int) -> Case:
    """New keys, after enough of them to be full. Their names are made before the clock starts."""
    endless = names("user")
    for key in itertools.islice(endless, limit):
        put(key, 1, NEVER, 0)
    keys: list[str] = []

    async def prepare() -> None:
        keys[:] = itertools.islice(endless, _OPERATIONS)

    async def run() -> None:
        for key in keys:
            put(key, 1, NEVER, 0)

    return Case(run, _OPERATIONS, prepare)


async def build(setting: Setting) -> dict[str, Case]:
    """The cases."""
    small, large = 10_000, setting.large
    return {
        ORDERED: putting(Ordered(small).put, small),
        OTCACHE: putting(MemoryStore(small, [0], [0]).put, small),
        ORDERED_LARGE: putting(Ordered(large).put, large),
        OTCACHE_LARGE: putting(MemoryStore(large, [0], [0]).put, large),
    }


GROUP: Final = Group("eviction", "A store that evicts", ORDERED, build)
