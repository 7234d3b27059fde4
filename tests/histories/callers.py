"""A process with many callers of one cold key, who start together with those of other processes."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan

from otcache import GenericRedisCache, Providers
from otcache.telemetry import catalog
from tests.histories.ground import Phone
from tests.histories.lag import Lag
from tests.histories.watch import Watch
from tests.leaks import no_leaks

KEY: Final = "cold"
CALLERS: Final = 250


def main() -> None:
    """The program of the process: its number, Redis, the ground's socket, a file, options of the cache."""
    number, url, ground, path, options = sys.argv[1:]
    asyncio.run(_main(int(number), url, ground, Path(path), json.loads(options)))


async def _main(number: int, url: str, ground: str, path: Path, options: dict[str, Any]) -> None:
    watch, reader = Watch(number), InMemoryMetricReader()
    providers = Providers(watch.provider, MeterProvider([reader], shutdown_on_exit=False))
    with closing(await Phone(ground).open()) as phone, closing(await Phone(ground).open()) as loads:
        async with no_leaks(), GenericRedisCache(redis_url=url, providers=providers, **options) as cache:
            callers = Callers(number, cache, watch, loads)
            await phone.ask("ready")
            asking = asyncio.ensure_future(callers.ask_all())
            while not asking.done() and not (callers.waiting(reader) >= CALLERS - 1 and watch.has_asked("lock")):
                await asyncio.sleep(0.01)
            lag = Lag()
            lagging = lag.start()
            await phone.ask("begun")
            answers = await asking
            lagging.cancel()
            part = path.with_suffix(".part")
            part.write_text(json.dumps({"answers": answers, "lag": lag.worst, "spans": callers.spans}))
            part.rename(path)


class Callers:
    """The callers of one process.

    Args:
        number: Of the process.
        cache: The cache.
        watch: What its telemetry says.
        phone: Where loads are counted.

    Attributes:
        spans: What their calls left, as plain data.
    """

    def __init__(self, number: int, cache: GenericRedisCache, watch: Watch, phone: Phone) -> None:
        self.spans: list[dict[str, Any]] = []
        self._number = number
        self._cache = cache
        self._watch = watch
        self._phone = phone

    async def ask_all(self) -> list[str]:
        """What every one of them got."""
        return await asyncio.gather(*(self._ask() for _ in range(CALLERS)))

    async def _ask(self) -> str:
        with self._watch.call() as call:
            value: str = await self._cache.get_or_set(KEY, self._load)
        self.spans += [_plain(span) for span in call.spans]
        return value

    async def _load(self) -> str:
        return str(await self._phone.ask("load", key=KEY, process=self._number))

    def waiting(self, reader: InMemoryMetricReader) -> int:
        """How many wait for another's load, by the cache's own metric."""
        data = reader.get_metrics_data()
        metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics] if data else []
        (waiting,) = [metric for metric in metrics if metric.name == catalog.COALESCE_WAITING.name]
        return sum(int(getattr(point, "value", 0)) for point in waiting.data.data_points)


def _plain(span: ReadableSpan) -> dict[str, Any]:
    assert span.context is not None
    return {
        "name": span.name,
        "trace": span.context.trace_id,
        "span": span.context.span_id,
        "seconds": ((span.end_time or 0) - (span.start_time or 0)) / 1e9,
        "attributes": dict(span.attributes or {}),
        "links": [[link.context.trace_id, link.context.span_id, dict(link.attributes or {})] for link in span.links],
    }
