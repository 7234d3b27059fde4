"""The demo from its first request to its summary: who acts when."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import httpx
from rich.console import Console
from rich.live import Live

from otcache.demo.measure import Snapshot, Window, with_requests
from otcache.demo.screen import View, alarm, event, heading, line, live, tree
from otcache.demo.servers import AppServer, DemoError, RedisServer
from otcache.demo.slowdown import Slowing
from otcache.demo.summary import Outage, Summary
from otcache.demo.traces import Span, Trace, new_trace
from otcache.demo.traffic import Traffic

_REFRESH: Final = 0.5
_RECENT: Final = 3.0
_COLD_PRODUCT: Final = 249
"""Asked for by hardly anybody: its page is a miss, and its best sellers are hits."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says.

    Attributes:
        seconds: How long; `None` until Ctrl-C.
        rate: Requests per second.
        port: Of the application; 0 for a free one.
        outage: Whether Redis is killed on the way.
        plain: A line per second instead of a live table.
        regression: Whether the network to Redis slows down on the way, and the detector watches.
    """

    seconds: float | None = None
    rate: float = 200.0
    port: int = 0
    outage: bool = True
    plain: bool = False
    regression: bool = False


def outages(seconds: float | None) -> Iterator[tuple[float, float]]:
    """When Redis is killed, and for how long it is gone, both in seconds."""
    if seconds is not None:
        yield 0.4 * seconds, min(3.0, 0.3 * seconds)
        return
    start = 15.0
    while True:
        yield start, 3.0
        start += 60.0


class Play:
    """Everything that happens between the first request and the last.

    Args:
        options: What the command line says.
        redis: The server that will be killed, or `None`.
        far_tier: What the far tier is, in words.
        app: The application's process.
        urls: The application's pages.
        http: How to reach it.
        slowing: The regression to play, if any.
    """

    def __init__(
        self,
        options: Options,
        redis: RedisServer | None,
        far_tier: str,
        app: AppServer,
        urls: Mapping[str, str],
        http: httpx.AsyncClient,
        slowing: Slowing | None = None,
    ) -> None:
        self._options = options
        self._redis = redis
        self._far_tier = far_tier
        self._app = app
        self._urls = urls
        self._http = http
        self._slowing = slowing
        self._traffic = Traffic(http, options.rate)
        self._snapshots: deque[Snapshot] = deque(maxlen=int(_RECENT / _REFRESH) + 1)
        self._first: Snapshot | None = None
        self._outages: list[Outage] = []
        self._outage: Outage | None = None
        self._now = "starting"
        self._trace: Trace | None = None

    async def run(self, stop: asyncio.Event, console: Console) -> None:
        """Run until the time is over or `stop` is set, showing it on `console`."""
        self._first = await self._look()
        self._say("clients ask; the caches fill")
        async with asyncio.TaskGroup() as tasks:
            traffic = tasks.create_task(self._traffic.run())
            helpers = [tasks.create_task(self._show(console)), tasks.create_task(self._ask_for_trace())]
            if self._options.outage and self._redis is not None:
                helpers.append(tasks.create_task(self._break(self._redis)))
            if self._slowing is not None:
                helpers.append(tasks.create_task(self._slowing.run(self._say)))
                helpers.append(tasks.create_task(self._slowing.follow()))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._options.seconds)
            for helper in helpers:
                helper.cancel()
            self._traffic.stop()
            await traffic
        await self._look()

    # --- looking ------------------------------------------------------------------------------------

    async def _look(self) -> Snapshot:
        """What has been counted by now, kept for the windows."""
        snapshot = with_requests(await self._read_state(), self._traffic.durations)
        self._snapshots.append(snapshot)
        return snapshot

    async def _read_state(self) -> Snapshot:
        try:
            return Snapshot(**(await self._http.get("/demo/state")).raise_for_status().json())
        except httpx.HTTPError as exc:
            raise DemoError(f"the application is gone ({type(exc).__name__}):\n{self._app.log_tail()}") from exc

    def _view(self) -> View:
        newest, whole = self._snapshots[-1], self.whole
        slow_down = self._slowing.slow_down if self._slowing is not None else None
        trouble = self._outage is not None or (slow_down is not None and slow_down.is_on)
        return View(
            whole.seconds, self._options.seconds, self._far_tier, self._urls, self._now, trouble,
            Window(self._snapshots[0], newest), whole, self._traffic.errors, self._trace,
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
                screen.update(live(self._view()), refresh=True)
                await asyncio.sleep(_REFRESH)

    async def _show_lines(self, console: Console) -> None:
        told, judged, traced = "", "", False
        console.print(f"Redis: {self._far_tier}", *self._urls.values(), heading(), sep="\n", soft_wrap=True)
        while True:
            for _ in range(2):
                await asyncio.sleep(_REFRESH)
                await self._observe()
            if self._now != told:
                told = self._now
                console.print(event(self._view()), style="bold", soft_wrap=True)
            if (verdict := alarm(self._view())) != judged:
                judged = verdict
                console.print(f"      detector: {verdict}", style="bold", soft_wrap=True)
            console.print(line(self._view()), soft_wrap=True)
            if self._trace is not None and not traced:
                traced = True
                console.print(tree(self._trace))

    async def _observe(self) -> None:
        newest = await self._look()
        if self._outage is not None and len(self._snapshots) > 2:
            self._outage.watch(Window(self._snapshots[-3], newest))

    def _say(self, what: str) -> None:
        self._now = what

    # --- acting -------------------------------------------------------------------------------------

    async def _break(self, redis: RedisServer) -> None:
        """Kill Redis, wait, start it again, and see how long the caches need to notice."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for start, length in outages(self._options.seconds):
            await asyncio.sleep(began + start - loop.time())
            self._outage = outage = Outage()
            self._outages.append(outage)
            killed = loop.time()
            try:
                await redis.kill()
                self._say("Redis is killed: memory and the loaders answer the clients")
                await asyncio.sleep(length)
                await redis.start()
            finally:  # also when the demo ends before
                outage.length = loop.time() - killed
            self._say("Redis is back: the caches probe it")
            await self._recover(outage)
            self._say(f"Redis is used again, {outage.recovered_after:.2f} s after it came back")
            self._outage = None

    async def _recover(self, outage: Outage) -> None:
        loop = asyncio.get_running_loop()
        back = loop.time()
        while (await self._read_state()).breaker != "closed":  # noqa: ASYNC110  another process changes it
            await asyncio.sleep(0.02)
        outage.recovered_after = loop.time() - back

    async def _ask_for_trace(self) -> None:
        """One request of our own, traced: its page is a miss, the best sellers on it are hits."""
        await asyncio.sleep(1.5)
        trace_id, header = new_trace()
        await self._http.get(f"/pages/{_COLD_PRODUCT}", headers={"traceparent": header})
        while self._trace is None:
            found: list[dict[str, Any]] = (await self._http.get(f"/demo/traces/{trace_id}")).json()
            trace = Trace(trace_id, tuple(Span(**span) for span in found))
            if trace.root is not None and trace.root.kind == "SERVER":
                self._trace = trace
            await asyncio.sleep(0.05)

    def summary(self) -> Summary:
        """What has happened."""
        traffic = self._traffic
        slow_down = self._slowing.slow_down if self._slowing is not None else None
        return Summary(
            self._far_tier, self.whole, traffic.requests, traffic.errors, traffic.last_error, tuple(self._outages),
            slow_down,
        )  # fmt: skip
