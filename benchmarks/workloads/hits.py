"""One hit in memory: bare, by otcache in each state of observation, by the others, and by the tutorial way."""

from __future__ import annotations

import time
from typing import Any, Final

from benchmarks.harness import Case
from benchmarks.peers import TTL
from benchmarks.setting import SAMPLED, Get, Setting, getting, tutorial
from benchmarks.workloads import Group
from otcache import Providers

BARE: Final = "bare async dict with a time to live"
METERED: Final = "otcache, metered, no tracing"
UNSAMPLED_HIT: Final = "otcache, metered, span sampled out"
RECORDED_HIT: Final = "otcache, metered, span recorded"
ONE_ADD: Final = "one `counter.add()` with three attributes"
TUTORIAL: Final = "the tutorial way, sampled out"
TUTORIAL_RECORDED: Final = "the tutorial way, recorded"
_SHORT, _LONG = 200, 2_000


def bare() -> Get:
    """An async dictionary with a time to live: what a hit can't be cheaper than."""
    entries = {"key": ("value", time.perf_counter_ns() + TTL * 10**9)}

    async def get(key: str) -> Any:
        entry = entries.get(key)
        if entry is not None and entry[1] > time.perf_counter_ns():
            return entry[0]
        return None

    return get


def one_add(setting: Setting) -> Get:
    """One call of the SDK."""
    counter = setting.meters.get_meter("adds").create_counter("adds")
    attributes = {"cache": "users", "operation": "get", "result": "hit"}

    async def get(_: str) -> None:
        counter.add(1, attributes)

    return get


async def build(setting: Setting) -> dict[str, Case]:
    """The cases."""
    cache, untraced = setting.memory_cache(), setting.memory_cache(Providers(meter_provider=setting.meters))
    for each in (cache, untraced):
        await each.set("key", "value")
    by_hand = tutorial(setting, bare())
    cases = {
        BARE: getting(bare(), "key", _LONG),
        METERED: getting(untraced.get, "key", _LONG),
        UNSAMPLED_HIT: getting(cache.get, "key", _LONG),
        RECORDED_HIT: getting(cache.get, "key", _SHORT, SAMPLED),
        ONE_ADD: getting(one_add(setting), "key", _SHORT),
        TUTORIAL: getting(by_hand, "key", _SHORT),
        TUTORIAL_RECORDED: getting(by_hand, "key", _SHORT, SAMPLED),
    }
    for name, client in (await setting.peers("memory", 1000)).items():
        await client.set("key", "value")
        cases[name] = getting(client.get, "key", _SHORT if name == "aiocache" else _LONG)
    return cases


GROUP: Final = Group("hit", "One hit in memory", BARE, build)
