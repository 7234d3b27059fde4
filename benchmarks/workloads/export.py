"""One collection: what handing the cells over and reporting them costs, per series, in the reader's thread."""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from benchmarks.harness import Case
from benchmarks.setting import Setting, getting
from benchmarks.workloads import Group
from benchmarks.workloads.hits import ONE_ADD, one_add
from otcache import InMemoryCache, Providers

PER_SERIES: Final = "a collection of 20 caches, per series"
IDLE: Final = "the same with nothing counted since, per series"
_CACHES = 20


class Collected:
    """Caches of one provider, and the reader that collects it."""

    def __init__(self, setting: Setting) -> None:
        self.reader = InMemoryMetricReader()
        provider = MeterProvider([self.reader])
        setting.stack.callback(provider.shutdown)
        self._caches = [
            setting.memory_cache(Providers(setting.tracers, provider), name=f"c{number}") for number in range(_CACHES)
        ]

    async def use(self) -> None:
        """Let every series have something new."""
        for cache in self._caches:
            await use(cache)

    async def collect(self) -> None:
        """As a periodic reader does; the exporter's part is not in it."""
        self.reader.collect()

    async def series(self) -> int:
        """How many series one collection has."""
        await self.use()
        return count(self.reader.get_metrics_data())


async def use(cache: InMemoryCache) -> None:
    """One of each operation."""
    await cache.set("key", 1)
    await cache.get("key")
    await cache.get("absent")
    await cache.get_many(["key", "absent"])
    await cache.touch("key")
    await cache.exists("key")
    await cache.delete("key")


def count(data: Any) -> int:
    """Data points of a collection."""
    scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
    return sum(len(metric.data.data_points) for scope in scopes for metric in scope.metrics)


async def build(setting: Setting) -> dict[str, Case]:
    """The cases."""
    busy, idle = Collected(setting), Collected(setting)
    await busy.series()
    series = await busy.series()
    await idle.series()
    return {
        ONE_ADD: getting(one_add(setting), "key", 200),
        PER_SERIES: Case(busy.collect, series, busy.use),
        IDLE: Case(idle.collect, series),
    }


GROUP: Final = Group("export", "What is exported, per series and collection", ONE_ADD, build)
