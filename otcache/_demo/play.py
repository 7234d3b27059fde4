"""The demo from its first request to its summary: what happens when."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import httpx
from rich.console import Console, RenderableType
from rich.live import Live

from otcache._demo.screen import View, alarm, event, heading, line, live
from otcache._demo.servers import AppServer, DemoError, RedisServer
from otcache._demo.slowdown import Slowing
from otcache._demo.snapshot import Snapshot, Window, together, with_requests
from otcache._demo.stampede import CALLERS, Stampede, stampede
from otcache._demo.summary import Outage, Summary
from otcache._demo.trace_trees import forest, tree
from otcache._demo.traces import fetch, new_trace
from otcache._demo.traffic import Traffic

_REFRESH: Final = 0.5
_RECENT: Final = 3.0
_COLD_PRODUCT: Final = 249
"""Hardly ever requested: its page is a miss, and its best sellers are hits."""
_LAST_CHANGES: Final = 0.3
"""Seconds in which the changes that are under way end."""
_MINUTE: Final = 60.0
"""After this it all happens again, where there is no end."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says.

    Attributes:
        seconds: How long; `None` until Ctrl-C.
        rate: Requests per second.
        port: Of the application; 0 for a free one.
        plain: A line per second instead of a live table.
        regression: Whether the network to Redis slows down on the way, and the detector watches.
    """

    seconds: float | None = None
    rate: float = 200.0
    port: int = 0
    plain: bool = False
    regression: bool = False


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the application.

    Attributes:
        app: The process.
        urls: Its pages.
        http: How to reach it.
    """

    app: AppServer
    urls: Mapping[str, str]
    http: httpx.AsyncClient


def stampedes(seconds: float | None) -> Iterator[float]:
    """When a crowd comes, in seconds."""
    if seconds is not None:
        yield 0.2 * seconds
        return
    start = 6.0
    while True:
        yield start
        start += _MINUTE


def outages(seconds: float | None) -> Iterator[tuple[float, float]]:
    """When Redis is killed, and for how long it is gone, both in seconds."""
    if seconds is not None:
        yield 0.4 * seconds, min(3.0, 0.3 * seconds)
        return
    start = 15.0
    while True:
        yield start, 3.0
        start += _MINUTE


class Play:
    """Everything that happens between the first request and the last.

    Args:
        options: What the command line says.
        redis: The server that will be killed, or `None`.
        l2: What L2 is, in words.
        processes: Of the application.
        slowing: The regression to play, if any.
    """

    def __init__(
        self,
        options: Options,
        redis: RedisServer | None,
        l2: str,
        processes: Sequence[Process],
        slowing: Slowing | None = None,
    ) -> None:
        self._options = options
        self._redis = redis
        self._l2 = l2
        self._processes = processes
        self._slowing = slowing
        clients = [process.http for process in processes]
        rate = options.rate / len(clients)
        self._traffic = [Traffic(http, rate, seed) for seed, http in enumerate(clients, 1)]
        self._stampedes: list[Stampede] = []
        self._snapshots: deque[Snapshot] = deque(maxlen=int(_RECENT / _REFRESH) + 1)
        self._first: Snapshot | None = None
        self._outages: list[Outage] = []
        self._outage: Outage | None = None
        self._now = "starting"
        self._pending: list[RenderableType] = []

    async def run(self, stop: asyncio.Event, console: Console) -> None:
        """Run until the time is over or `stop` is set, showing it on `console`."""
        self._first = await self._look()
        self._say("clients send requests; the caches fill")
        async with asyncio.TaskGroup() as tasks:
            traffic = [tasks.create_task(each.run()) for each in self._traffic]
            acting = [tasks.create_task(self._show(console)), tasks.create_task(self._trace_a_page())]
            acting += [tasks.create_task(act) for act in self._acts()]
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._options.seconds)
            for act in acting:
                act.cancel()
            for each in self._traffic:
                each.stop()
            await asyncio.wait(traffic)
        await self._look()

    def _acts(self) -> Iterator[Coroutine[Any, Any, None]]:
        """What happens beside the traffic."""
        if self._slowing is not None:
            yield self._slowing.run(self._say)
            yield self._slowing.follow()
            return
        yield self._crowd()
        if self._redis is not None:
            yield self._break(self._redis)

    # --- looking ------------------------------------------------------------------------------------

    async def _look(self) -> Snapshot:
        """What has been counted by now, kept for the windows."""
        snapshot = with_requests(await self._read_state(), [each.durations for each in self._traffic])
        self._snapshots.append(snapshot)
        return snapshot

    async def _read_state(self) -> Snapshot:
        return together(await asyncio.gather(*map(self._read_one, self._processes)))

    async def _read_one(self, process: Process) -> Snapshot:
        try:
            return Snapshot(**(await process.http.get("/demo/state")).raise_for_status().json())
        except httpx.HTTPError as exc:
            raise DemoError(f"the application is gone ({type(exc).__name__}):\n{process.app.log_tail()}") from exc

    def _view(self) -> View:
        newest, whole = self._snapshots[-1], self.whole
        slow_down = self._slowing.slow_down if self._slowing is not None else None
        trouble = self._outage is not None or (slow_down is not None and slow_down.is_on)
        return View(
            whole.seconds, self._options.seconds, self._l2, [process.urls for process in self._processes],
            self._now, trouble, Window(self._snapshots[0], newest), whole, sum(each.errors for each in self._traffic),
            slow_down.found if slow_down is not None else None,
        )  # fmt: skip

    @property
    def whole(self) -> Window:
        """From the first request until now."""
        assert self._first is not None
        return Window(self._first, self._snapshots[-1])

    async def _show(self, console: Console) -> None:
        if self._options.plain or not console.is_terminal:
            await self._show_lines(console)
        else:
            await self._show_table(console)

    async def _show_table(self, console: Console) -> None:
        with Live(console=console, auto_refresh=False) as screen:
            while True:
                await self._observe()
                self._tell(screen.console)
                screen.update(live(self._view()), refresh=True)
                await asyncio.sleep(_REFRESH)

    async def _show_lines(self, console: Console) -> None:
        printed, state = "", ""
        urls = [url for process in self._processes for url in process.urls.values()]
        console.print(f"Redis: {self._l2}", *urls, heading(), sep="\n", soft_wrap=True)
        while True:
            for _ in range(2):
                await asyncio.sleep(_REFRESH)
                await self._observe()
            if self._now != printed:
                printed = self._now
                console.print(event(self._view()), style="bold", soft_wrap=True)
            found = self._view().found
            if found is not None and alarm(found) != state:
                state = alarm(found)
                console.print(f"      detector: {state}", style="bold", soft_wrap=True)
            console.print(line(self._view()), soft_wrap=True)
            self._tell(console)

    def _tell(self, console: Console) -> None:
        """Print what stays: in a terminal it goes above the table."""
        while self._pending:
            console.print(self._pending.pop(0))

    async def _observe(self) -> None:
        newest = await self._look()
        if self._outage is not None and len(self._snapshots) > 2:
            self._outage.watch(Window(self._snapshots[-3], newest))

    def _say(self, what: str) -> None:
        self._now = what

    # --- acting -------------------------------------------------------------------------------------

    async def _crowd(self) -> None:
        """Let many callers request the same cold key at the same time."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number, start in enumerate(stampedes(self._options.seconds), 1):
            await asyncio.sleep(began + start - loop.time())
            self._say(f"{CALLERS} callers want one cold key")
            async with self._no_price_changes():
                made = await stampede([process.http for process in self._processes], number)
            self._stampedes.append(made)
            self._say(f"{made.callers} callers of one cold key: {made.loads} load, {made.waited} waited for it")
            if number == 1:
                self._pending.append(forest(made.traces))

    @asynccontextmanager
    async def _no_price_changes(self) -> AsyncIterator[None]:
        """An invalidation by tag overtakes every load under way, and this is about the crowd alone."""
        for each in self._traffic:
            each.changes_prices = False
        await asyncio.sleep(_LAST_CHANGES)
        try:
            yield
        finally:
            for each in self._traffic:
                each.changes_prices = True

    async def _break(self, redis: RedisServer) -> None:
        """Kill Redis, wait, start it again, and see how long the caches need to notice."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for start, length in outages(self._options.seconds):
            await asyncio.sleep(began + start - loop.time())
            self._outage = outage = Outage()
            self._outages.append(outage)
            await self._be_without(redis, length, outage)
            self._say(f"Redis is used again, {outage.recovered_after:.2f} s after it came back")
            self._outage = None

    async def _be_without(self, redis: RedisServer, length: float, outage: Outage) -> None:
        """One outage."""
        loop = asyncio.get_running_loop()
        killed = loop.time()
        try:
            await redis.kill()
            self._say("Redis is killed: memory, stale values and the loaders answer")
            await asyncio.sleep(length)
            await redis.start()
        finally:  # also when the demo ends before
            outage.length = loop.time() - killed
        self._say("Redis is back: the caches probe it")
        await self._recover(outage)

    async def _recover(self, outage: Outage) -> None:
        """Wait until every cache uses it, and its backplane is up."""
        loop = asyncio.get_running_loop()
        back = loop.time()
        while not (await self._read_state()).is_whole:  # noqa: ASYNC110  another process changes it
            await asyncio.sleep(0.02)
        outage.recovered_after = loop.time() - back

    async def _trace_a_page(self) -> None:
        """One request of our own, traced: its page is a miss, the best sellers on it are hits."""
        await asyncio.sleep(1.5)
        trace_id, header = new_trace()
        http = self._processes[0].http
        await http.get(f"/pages/{_COLD_PRODUCT}", headers={"traceparent": header})
        self._pending.append(tree(await fetch(http, trace_id)))

    def summary(self) -> Summary:
        """What has happened."""
        slow_down = self._slowing.slow_down if self._slowing is not None else None
        last_errors = [each.last_error for each in self._traffic if each.last_error is not None]
        return Summary(
            self._l2, len(self._processes), self.whole, sum(each.requests for each in self._traffic),
            sum(each.errors for each in self._traffic), last_errors[-1] if last_errors else None,
            tuple(self._outages), tuple(self._stampedes), slow_down,
        )  # fmt: skip
