"""Hears what other processes write and invalidate, and says how long copies in L1 may be trusted (docs/coherence.md).

Every write publishes news in the command that makes it. A PING on the subscribing connection is answered after all
news that were published before it, so from then on L1 is known to lag by no more than the time since the PING.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import Context
from typing import Final

import orjson

from otcache._concurrency.tasks import quiet
from otcache._engine.inflight import Inflight
from otcache._engine.invalidation_log import EVERYTHING
from otcache._engine.l2 import L2
from otcache.exceptions import StoreError
from otcache.stores.base import Subscription
from otcache.stores.memory import MemoryStore
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.probe import Probe
from otcache.telemetry._instrumentation.signals import clock
from otcache.telemetry.catalog import Instrument

BEATS: Final = 4
"""PINGs per `max_staleness`: three may fail before L1 is not trusted any more."""
PATIENCE: Final = 5
"""Failed PINGs in a row after which a connection that seems to stand is given up."""


class Backplane:
    """The subscription of one cache.

    Args:
        far: The far tier, which publishes the news.
        near: The copies that the news are about.
        inflight: What is being read, written and loaded meanwhile.
        probe: What it reports through.
        max_staleness: Seconds that L1 may lag behind the newest acknowledged write.
    """

    def __init__(self, far: L2, near: MemoryStore, inflight: Inflight, probe: Probe, *, max_staleness: float) -> None:
        self.origin = secrets.token_hex(8)
        self.is_open = False
        self._far = far
        self._near = near
        self._inflight = inflight
        self._report = probe.coherence
        self._metrics = probe.metrics
        self._lease = int(max_staleness * 1e9)
        self._beat = max_staleness / BEATS
        self._trusted_until = 0
        self._task: asyncio.Task[None] | None = None
        self._subscription: Subscription | None = None
        self._attempted = asyncio.Event()
        self._broken = asyncio.Event()
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._closed = self._heard_before = False
        self._error: StoreError | None = None
        far.news, far.invalidated, far.listen = self.news, self.forget, self.ready
        far.on_recovery(self.start)
        probe.metrics.watch(self)

    # --- news ---------------------------------------------------------------------------------------

    def news(self, keys: Sequence[str]) -> bytes:
        """What is published with a change of `keys`; without keys, the head of an invalidation."""
        kind = "k" if keys else "s"
        self._report.published("key" if keys else "tag")
        head = f"{kind} {self.origin} {self._far.store.clock.now_ms()} ".encode()
        return head + orjson.dumps(keys) if keys else head

    def lock_news(self, key: str) -> bytes:
        """What is published with the release of the lock of `key`."""
        self._report.published("lock")
        return f"f {self.origin} {self._far.store.clock.now_ms()} ".encode() + key.encode(errors="surrogateescape")

    def _receive(self, payload: bytes) -> None:
        try:
            kind, origin, sent, rest = payload.split(b" ", 3)
            lag = self._far.store.clock.now_ms() - int(sent)
            own = origin == self.origin.encode()
            self._understand(kind, rest, own=own)
        except (ValueError, TypeError) as exc:  # not ours
            self._report.received("unknown", None, exc)
            return
        self._report.received(_KINDS.get(kind, "unknown"), lag, None)

    def _understand(self, kind: bytes, rest: bytes, *, own: bool) -> None:
        if kind == b"k":
            self._changed(orjson.loads(rest), own=own)
        elif kind == b"f":
            self._wake([rest.decode(errors="surrogateescape")])
        elif kind == b"s":
            number, _, name = rest.partition(b" ")
            target = name.decode()
            complete = self._far.stamps.follow(target, int(number))
            if not own:
                self.forget([target])
            if not complete:  # one before it is missing: ask the server
                self._broken.set()

    def _changed(self, keys: list[str], *, own: bool) -> None:
        if not own:
            self._inflight.disturb(keys)
            for key in keys:
                self._near.remove(key)
            self._report.applied("key", "backplane", len(keys))
        self._wake(keys)

    def forget(self, targets: list[str]) -> None:
        """Drop every copy that these invalidations concern."""
        for target in targets:
            forget_near(self._near, self._inflight, target)
            self._report.applied(kind_of(target), "backplane")

    # --- waiting for a key --------------------------------------------------------------------------

    def wait(self, key: str) -> asyncio.Future[None]:
        """A future that ends with the next news about `key`; cancel it to wait no more."""
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

    # --- trust --------------------------------------------------------------------------------------

    @property
    def is_live(self) -> bool:
        """Whether copies of the far tier may be kept and served now."""
        return clock() < self._trusted_until

    async def ready(self) -> None:
        """Listen in this event loop; returns when the first attempt to subscribe is over."""
        self.start()
        await self._attempted.wait()

    def start(self) -> None:
        """Listen in this event loop, in the background."""
        loop = asyncio.get_running_loop()
        task = self._task
        if self._closed or (task is not None and task.get_loop() is loop and not task.done()):
            return
        if task is not None:
            _cancel(task)
        self._attempted, self._broken, self._waiting = asyncio.Event(), asyncio.Event(), {}
        # a context of its own: it belongs to no request's trace
        self._task = quiet(loop.create_task(self._listen(), name="otcache-backplane", context=Context()))

    def retire(self) -> None:
        """Never begin to listen: another one does, in its place."""
        self._closed = True
        self._metrics.forget(self)

    async def close(self) -> None:
        """Listen no more. Idempotent."""
        self.retire()
        self._attempted.set()
        task, self._task = self._task, None
        if task is not None and _cancel(task) and task.get_loop() is asyncio.get_running_loop():
            await asyncio.wait([task])
        elif self._subscription is not None:  # its event loop is gone: nobody else closes it
            await self._subscription.close()
        self._wake_all()

    async def _listen(self) -> None:
        failures, left_open = 0, self._subscription
        if left_open is not None:  # of another event loop
            await left_open.close()
        while True:
            subscription = self._subscription = self._far.channel.subscribe(self._receive, self._lost)
            try:
                await self._open(subscription)
                failures = 0
                await self._follow(subscription)
            except StoreError as exc:
                self._down(exc)
            except asyncio.CancelledError:  # no `finally`: nothing can be awaited when the event loop is gone
                await subscription.close()
                raise
            await subscription.close()
            failures += 1
            await asyncio.sleep(min(0.05 * 2**failures, self._beat) * random.uniform(0.5, 1.0))  # noqa: S311  jitter

    async def _open(self, subscription: Subscription) -> None:
        """Subscribe. What was copied before may have missed news, so it goes."""
        try:
            self._broken.clear()
            await self._bounded(subscription.open)
            if self._heard_before or self._attempted.is_set():
                forget_near(self._near, self._inflight, EVERYTHING)
            else:  # every call waits for this attempt: nothing has been read, nor a load begun
                self._near.remove_prefix("")
            if self._heard_before:
                self._report.applied("all", "backplane")
            self._heard_before = True
            await self._ping(subscription)
            self._up()
        finally:
            self._attempted.set()

    async def _follow(self, subscription: Subscription) -> None:
        """Renew the trust until the connection is lost."""
        failures = 0
        while failures < PATIENCE:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._beat):  # wait_for may swallow a cancellation (CPython 3.11)
                    await self._broken.wait()
            if self._error is not None:
                raise self._error
            self._broken.clear()
            try:
                await self._ping(subscription)
                failures = 0
                self._up()
            except StoreError as exc:
                if exc.reason != "timeout":
                    raise
                failures += 1
                if not self.is_live:
                    self._down(exc)
        raise StoreError("timeout", "TimeoutError", counts=False)

    async def _ping(self, subscription: Subscription) -> None:
        began = clock()
        await self._bounded(subscription.ping)
        await self._far.sync_stamps()
        await self._far.repair()
        self._trusted_until = self._near.trusted_until = began + self._lease

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
        """Nothing is heard: waiters look for themselves, and trust ends by itself."""
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


_KINDS: Final = {b"k": "key", b"s": "tag", b"f": "lock"}


def kind_of(target: str) -> str:
    """`otcache.invalidation.target` of an invalidation."""
    return {"t:": "tag", "p:": "prefix"}.get(target[:2], "all")


def forget_near(near: MemoryStore, inflight: Inflight, target: str) -> int:
    """Drop the near copies that an invalidation concerns; how many."""
    if target[:2] == "t:":
        inflight.changes.tag(target[2:])  # what a loader adds is not known yet: the stamp of its value is too old then
        return near.remove_tagged(target[2:])
    inflight.disturb_all()  # reads whose key a prefix may fit
    return near.remove_prefix(target[2:] if target[:2] == "p:" else "")


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _cancel(task: asyncio.Task[None]) -> bool:
    """Cancel a task of whatever event loop; whether its loop still runs."""
    loop = task.get_loop()
    if task.done() or loop.is_closed():
        return False
    if loop is _running():
        task.cancel()
    else:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(task.cancel)
    return True


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
