"""The demo from its first request to its summary: what happens when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import httpx

from otcache._demo.screen import HEADING, duration, line, tell, totals
from otcache._demo.servers import AppServer, DemoError, RedisServer
from otcache._demo.slowdown import SlowDown
from otcache._demo.snapshot import Snapshot, Window, count, together, total
from otcache._demo.stampede import CALLERS, Stampede, stampede
from otcache._demo.traces import fetch, new_trace
from otcache._demo.traffic import Traffic

_COLD_PRODUCT: Final = 249  # hardly ever requested: its page is a miss, and its best sellers are hits
_OUTAGE: Final = 3.0


class Process(NamedTuple):
    """One process of the application, its pages, and how to reach it."""

    app: AppServer
    urls: Mapping[str, str]
    http: httpx.AsyncClient


class Play:
    """Everything that happens between the first request and the last.

    Args:
        seconds: How long; `None` until Ctrl-C.
        redis: The server that will be killed, or `None`, and in words what L2 is.
        rate: Requests per second of all clients together.
    """

    def __init__(
        self, seconds: float | None, redis: tuple[RedisServer | None, str], processes: Sequence[Process], rate: float,
        slow_down: SlowDown | None,
    ) -> None:  # fmt: skip
        self._seconds = seconds
        self._redis, self._l2 = redis
        self._processes = processes
        self._slow_down = slow_down
        self._clients = [process.http for process in processes]
        rates = rate / len(processes)
        self._traffic = [Traffic(http, rates, seed) for seed, http in enumerate(self._clients, 1)]
        self._stampede: Stampede | None = None
        self._away: float | None = None
        self._recovered: float | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Run until the time is over or `stop` is set, and tell it."""
        self._first = self._newest = await self._look()
        urls = [url for process in self._processes for url in process.urls.values()]
        tell(f"Redis: {self._l2}", *urls, HEADING)
        async with asyncio.TaskGroup() as tasks:
            traffic = [tasks.create_task(each.run()) for each in self._traffic]
            acting = [tasks.create_task(act) for act in self._acts()]
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._seconds)
            for act in acting:
                act.cancel()
            for each in self._traffic:
                each.stop()
            await asyncio.wait(traffic)
        self._newest = await self._look()

    def _acts(self) -> Iterator[Coroutine[Any, Any, None]]:
        """What happens beside the traffic."""
        yield self._show()
        yield self._trace_a_page()
        if self._slow_down is not None:
            yield self._slow_down.run(self._say)
            yield self._slow_down.follow(self._say)
        else:
            yield self._crowd()

    def _say(self, what: str) -> None:
        tell(f"{time.monotonic() - self._first.at:3.0f} s  {what}")

    async def _look(self) -> Snapshot:
        """What has been counted by now."""
        snapshots = await asyncio.gather(*map(self._read, self._processes))
        return together(snapshots, total(each.durations for each in self._traffic))

    async def _read(self, process: Process) -> Snapshot:
        try:
            return Snapshot(**(await process.http.get("/demo/state")).raise_for_status().json())
        except httpx.HTTPError as exc:
            raise DemoError(f"the application is gone ({type(exc).__name__}):\n{process.app.log_tail()}") from exc

    async def _show(self) -> None:
        while True:
            await asyncio.sleep(1)
            second = Window(self._newest, await self._look())
            self._newest = second.new
            tell(line(second.new.at - self._first.at, second))

    async def _trace_a_page(self) -> None:
        """One request of our own, traced: its page is a miss, the best sellers on it are hits."""
        await asyncio.sleep(1.5)
        trace_id, header = new_trace()
        await self._clients[0].get(f"/pages/{_COLD_PRODUCT}", headers={"traceparent": header})
        tell(await fetch(self._clients[0], trace_id))

    async def _until(self, share: float, start: float) -> None:
        """Wait for a share of the time, or `start` seconds where there is no end."""
        due = share * self._seconds if self._seconds else start
        await asyncio.sleep(self._first.at + due - time.monotonic())

    async def _crowd(self) -> None:
        """Let many callers request the same cold key at the same time; after them comes the outage."""
        await self._until(0.2, 6.0)
        self._say(f"{CALLERS} callers want one cold key")
        # an invalidation by tag overtakes every load under way, and this is about the crowd alone
        for each in self._traffic:
            each.changes_prices = False
        while any(each.changing for each in self._traffic):  # noqa: ASYNC110  tasks of others
            await asyncio.sleep(0.05)
        self._stampede = made = await stampede(self._clients)
        for each in self._traffic:
            each.changes_prices = True
        self._say(f"{made.loads} load, {made.waited} callers waited for it")
        tell(*made.traces)
        if self._redis is not None:
            await self._break(self._redis)

    async def _break(self, redis: RedisServer) -> None:
        """Kill Redis, wait, start it again, and see how long the caches need to notice."""
        await self._until(0.4, 15.0)
        killed = time.monotonic()
        try:
            await redis.kill()
            self._say("Redis is killed: memory, stale values and the loaders answer")
            await asyncio.sleep(min(_OUTAGE, 0.3 * (self._seconds or _OUTAGE * 4)))
            await redis.start()
        finally:  # also when the demo ends before
            self._away = time.monotonic() - killed
        self._say("Redis is back: the caches probe it")
        back = time.monotonic()
        while not (await self._look()).is_whole:  # noqa: ASYNC110  another process changes it
            await asyncio.sleep(0.02)
        self._recovered = time.monotonic() - back
        self._say(f"Redis is used again, {self._recovered:.2f} s after it came back")

    @property
    def errors(self) -> int:
        """Requests that failed, as clients see it."""
        return sum(each.errors for each in self._traffic)

    def summary(self) -> dict[str, str]:
        """What has happened, as rows of a name and a fact."""
        whole = Window(self._first, self._newest)
        requests, said = count(whole.cell("requests")), next(filter(None, (t.last_error for t in self._traffic)), None)
        return {
            "L2": self._l2,
            "requests": f"{requests} in {whole.seconds:.1f} s, {len(self._processes)} process(es)",
            "client errors": f"{self.errors} (last: {said})" if said else "0",
            **totals(whole),
            **dict(self._trouble()),
            **(self._slow_down.summary() if self._slow_down is not None else {}),
        }

    def _trouble(self) -> Iterator[tuple[str, str]]:
        if (made := self._stampede) is not None:
            where = f"{CALLERS} callers of one cold key in {len(self._processes)} process(es)"
            slowest = f"the slowest took {duration(made.slowest)}"
            yield "stampede", f"{where}: {made.loads} load(s), {made.waited} waited for it, {slowest}"
        yield "outages", "0" if self._away is None else f"1 ({self._away:.1f} s)"
        if self._away is not None:
            yield "recovered after", "not before the end" if self._recovered is None else f"{self._recovered:.2f} s"
