"""The backplane: hears what other processes change, and says how long L1 may serve copies (docs/coherence.md).

Every write publishes its message in the command that makes it. The answer to a PING on the subscribing connection
comes after every message that was published before the PING. So L1 lags by at most the time since an answered PING.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from contextvars import Context
from typing import Final, NoReturn

from otcache._concurrency.tasks import cancel, quiet
from otcache._engine.invalidation_log import InvalidationLog
from otcache._engine.l1 import L1
from otcache._engine.messages import Message, Messages
from otcache._engine.neighbours import Neighbours
from otcache.exceptions import StoreError
from otcache.stores.base import ChangeChannel, Subscription
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.probe import Probe
from otcache.telemetry._instrumentation.signals import clock
from otcache.telemetry.catalog import Instrument

BEATS: Final = 4
"""Heartbeats per `max_staleness`: three may fail before the L1 lease ends."""
PATIENCE: Final = 5
"""Failed heartbeats in a row after which a connection that seems to stand is given up."""

CatchUp = Callable[[], Awaitable[None]]
"""Learns and repairs what messages alone don't carry; part of every heartbeat."""


class Backplane:
    """The subscription of one cache.

    Args:
        channel: Where the messages are.
        messages: Parses them.
        log: Invalidations that this process knows.
        l1: The copies that the messages are about.
        probe: What it reports through.
        neighbours: What is announced with a heartbeat; `None` for nothing.
        max_staleness: Seconds that L1 may lag behind the newest acknowledged write.

    Attributes:
        is_open: Whether the subscription stands.
    """

    def __init__(
        self,
        channel: ChangeChannel,
        messages: Messages,
        log: InvalidationLog,
        l1: L1,
        probe: Probe,
        neighbours: Neighbours | None = None,
        *,
        max_staleness: float,
    ) -> None:
        self.is_open = False
        self._neighbours = neighbours
        self._channel = channel
        self._messages = messages
        self._log = log
        self._l1 = l1
        self._report = probe.coherence
        self._metrics = probe.metrics
        self._lease = int(max_staleness * 1e9)
        self._beat = max_staleness / BEATS
        self._lease_ends = 0
        self._task: asyncio.Task[None] | None = None
        self._subscription: Subscription | None = None
        self._attempted = asyncio.Event()
        self._broken = asyncio.Event()
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._closed = self._heard_before = False
        self._error: StoreError | None = None
        probe.metrics.watch(self)

    # --- messages -----------------------------------------------------------------------------------

    def _receive(self, payload: bytes) -> None:
        try:
            message = self._messages.parse(payload)
        except (ValueError, TypeError) as exc:  # damaged, or not sent by otcache
            self._report.received("unknown", None, exc)
            return
        self._apply(message)
        self._report.received(message.kind, self._messages.lag_ms(message), None)

    def _apply(self, message: Message) -> None:
        if message.kind == "key":
            if not message.is_own:
                self._l1.changed_elsewhere(message.keys)
            self._wake(message.keys)
        elif message.kind == "lock":
            self._wake(message.keys)
        elif message.kind == "tag":
            is_complete = self._log.follow(message.target, message.version)
            if not message.is_own:
                self._l1.invalidated_elsewhere([message.target])
            if not is_complete:  # a version before it is missing: the next heartbeat, now, asks the store
                self._broken.set()

    def lock_message(self, key: str) -> bytes:
        """Make the message that the lock of `key` is free."""
        return self._messages.unlocked(key)

    # --- waiting for a key --------------------------------------------------------------------------

    def wait(self, key: str) -> asyncio.Future[None]:
        """Return a future that ends with the next message about `key`; cancel it to wait no more."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, set()).add(future)
        future.add_done_callback(lambda done: self._left(key, done))
        return future

    def _left(self, key: str, future: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(key)
        if waiting is not None:
            waiting.discard(future)
            if not waiting:
                self._waiting.pop(key, None)

    def _wake(self, keys: Iterable[str]) -> None:
        for key in keys if self._waiting else ():
            for future in self._waiting.pop(key, ()):
                _finish(future)

    def _wake_all(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for futures in waiting.values():
            for future in futures:
                _finish(future)

    # --- the L1 lease -------------------------------------------------------------------------------

    @property
    def is_live(self) -> bool:
        """Whether copies of L2 may be kept and served now."""
        return clock() < self._lease_ends

    async def ready(self, catch_up: CatchUp) -> None:
        """Listen in this event loop; return when the first attempt to subscribe is over."""
        self.start(catch_up)
        await self._attempted.wait()

    def start(self, catch_up: CatchUp) -> None:
        """Listen in this event loop, in the background; `catch_up` becomes part of every heartbeat."""
        loop = asyncio.get_running_loop()
        task = self._task
        if self._closed or (task is not None and task.get_loop() is loop and not task.done()):
            return
        if task is not None:
            cancel(task)
        # Events and futures belong to one event loop: none of the last loop's is of use in this one.
        self._attempted, self._broken, self._waiting = asyncio.Event(), asyncio.Event(), {}
        # Empty context: keep the listener out of the request's trace.
        self._task = quiet(loop.create_task(self._listen(catch_up), name="otcache-backplane", context=Context()))

    async def close(self) -> None:
        """Stop listening. Idempotent."""
        self._closed = True
        self._metrics.forget(self)
        self._attempted.set()
        task, self._task = self._task, None
        if task is not None and cancel(task) and task.get_loop() is asyncio.get_running_loop():
            await asyncio.wait([task])
        elif self._subscription is not None:  # its event loop is gone, so its task can't close it any more
            await self._subscription.close()
        self._wake_all()

    async def _listen(self, catch_up: CatchUp) -> NoReturn:
        failures, left_open = 0, self._subscription
        if left_open is not None:  # of another event loop
            await left_open.close()
        while True:
            subscription = self._subscription = self._channel.subscribe(self._receive, self._lost)
            try:
                await self._open(subscription, catch_up)
                failures = 0
                await self._follow(subscription, catch_up)
            except StoreError as exc:
                self._down(exc)
            except asyncio.CancelledError:
                # Not in a `finally`: when the event loop is closed under the task (GeneratorExit), nothing can be
                # awaited any more.
                await subscription.close()
                raise
            await subscription.close()
            failures += 1
            await asyncio.sleep(min(0.05 * 2**failures, self._beat) * random.uniform(0.5, 1.0))  # noqa: S311  jitter

    async def _open(self, subscription: Subscription, catch_up: CatchUp) -> None:
        """Subscribe, and drop the copies that were made while nothing was heard: they may have missed messages."""
        try:
            self._broken.clear()
            await self._bounded(subscription.open)
            # After `open`, not before: what is copied from here on is covered by the subscription. Calls wait for the
            # first attempt, so before it nothing has been read and no load has begun.
            self._l1.restart(disturb=self._heard_before or self._attempted.is_set())
            if self._heard_before:
                self._report.applied("all", "backplane")
            self._heard_before = True
            if self._neighbours is not None:
                self._neighbours.begin()
            await self._heartbeat(subscription, catch_up)
            self._up()
        finally:
            self._attempted.set()

    async def _follow(self, subscription: Subscription, catch_up: CatchUp) -> NoReturn:
        """Renew the L1 lease until the connection is lost."""
        failures = 0
        while failures < PATIENCE:
            with suppress(TimeoutError):
                # Not `wait_for`: before CPython 3.12 it can swallow a cancellation that comes with the result.
                async with asyncio.timeout(self._beat):
                    await self._broken.wait()
            if self._error is not None:
                raise self._error
            self._broken.clear()
            try:
                await self._heartbeat(subscription, catch_up)
                failures = 0
                self._up()
            except StoreError as exc:
                if exc.reason != "timeout":
                    raise
                failures += 1
                if not self.is_live:
                    self._down(exc)
        raise StoreError("timeout", "TimeoutError", counts=False)

    async def _heartbeat(self, subscription: Subscription, catch_up: CatchUp) -> None:
        began = clock()  # before the PING: only messages published before it are sure to have arrived
        await self._bounded(subscription.ping)
        await catch_up()
        self._lease_ends = began + self._lease
        self._l1.renew_lease(self._lease_ends)
        if self._neighbours is not None and self._neighbours.is_due:
            with suppress(StoreError):  # it says nothing of the connection that messages come on
                await self._bounded(self._neighbours.tell)

    async def _bounded(self, function: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(2 * self._beat):
                await function()
        except TimeoutError as exc:
            raise StoreError("timeout", "TimeoutError", counts=False) from exc

    def _lost(self, error: StoreError) -> None:
        self._error = error
        self._broken.set()

    def _up(self) -> None:
        self._error = None
        if not self.is_open:
            self.is_open = True
            self._report.moved("available")

    def _down(self, error: StoreError) -> None:
        """No message arrives: waiters go and look for themselves, and the L1 lease ends by itself."""
        self._error = None
        if self.is_open:
            self.is_open = False
            self._report.moved("unavailable", error)
        self._wake_all()

    # --- state --------------------------------------------------------------------------------------

    def gauges(self) -> Iterable[tuple[Instrument, int, tuple[str, ...]]]:
        """The state metric of the backplane; like a breaker's it is good until the first attempt has failed."""
        status = "available" if self.is_open or not self._attempted.is_set() else "unavailable"
        for state in catalog.COMPONENT_STATE.values or ():
            yield catalog.COMPONENT_STATUS, int(state == status), (self._report.backend, "backplane", state)


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
