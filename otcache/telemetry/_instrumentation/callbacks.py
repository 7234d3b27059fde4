"""The application's callbacks: told what happened, unable to change it."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from otcache.exceptions import ValidationError
from otcache.telemetry.catalog import CALLBACK_EVENT

EVENTS: Final = CALLBACK_EVENT.values or ()
MOST_FAILURES: Final = 10
"""Failures in a row after which a callback is skipped for a while."""
SLOW_NS: Final = 50_000_000
"""An inline run longer than this holds up every request of the process."""
MOST_SLOW: Final = 20
"""Slow runs within `SLOW_WINDOW_NS` after which a callback is skipped for a while."""
SLOW_WINDOW_NS: Final = 60_000_000_000
QUARANTINE_NS: Final = 60_000_000_000
CLOSE_WITHIN: Final = 1.0
"""Seconds that asynchronous callbacks under way have to end."""

_inside: ContextVar[bool] = ContextVar("otcache_inside_callback", default=False)


class Observer(Protocol):
    """Who is told of the callbacks themselves."""

    def callback_ran(self, event: str, name: str, duration_ns: int, error: BaseException | None, key: str) -> None:
        """One run is over; what it raised may show the `key`."""

    def callback_task(self, event: str, name: str, key: str) -> AbstractContextManager[None]:
        """Around one run of an asynchronous callback."""

    def callback_quarantined(self, event: str, name: str) -> None:
        """One callback is skipped for a while."""


@dataclass(slots=True, eq=False)
class _Registered:
    """One callback, and how it behaves."""

    event: str
    function: Callable[..., Any]
    name: str
    failures: int = 0
    skipped_until: int = 0
    slow: deque[int] = field(default_factory=lambda: deque(maxlen=MOST_SLOW))

    def misbehaves(self, now: int, duration: int, failed: bool, inline: bool) -> bool:
        """Note one run; whether it was one too many."""
        self.failures = self.failures + 1 if failed else 0
        if inline and duration > SLOW_NS:
            self.slow.append(now)
        too_slow = len(self.slow) == MOST_SLOW and now - self.slow[0] <= SLOW_WINDOW_NS
        if self.failures < MOST_FAILURES and not too_slow:
            return False
        self.failures = 0
        self.slow.clear()
        self.skipped_until = now + QUARANTINE_NS
        return True


class Callbacks:
    """The callbacks of one cache; the observer is told of every run, the clock is ns, monotonic."""

    def __init__(self, observer: Observer, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self.active = False
        self._observer = observer
        self._clock = clock
        self._registered: dict[str, list[_Registered]] = {event: [] for event in EVENTS}
        self._tasks: set[asyncio.Future[Any]] = set()

    def register(self, event: str, callback: Callable[..., Any]) -> None:
        """Call `callback` at each `event`.

        Raises:
            ValidationError: There is no such event, or the callback can't be called.
        """
        _check(event)
        if not callable(callback):
            raise ValidationError(f"callback is {type(callback).__name__}, which can't be called")
        # a new list: one that is being gone through stays as it is
        self._registered[event] = [*self._registered[event], _Registered(event, callback, _name(callback))]
        self.active = True

    def unregister(self, event: str, callback: Callable[..., Any]) -> None:
        """Call `callback` no more; nothing happens if it was not registered."""
        _check(event)
        self._registered[event] = [each for each in self._registered[event] if each.function != callback]
        self.active = any(self._registered.values())

    def has(self, event: str) -> bool:
        """Whether anybody wants to hear of `event`."""
        return bool(self._registered[event])

    def fire(self, event: str, *args: Any) -> int:
        """Call everybody who wants to hear of `event`; how many raised.

        Cache calls made by a callback fire none.
        """
        if not self._registered[event] or _inside.get():
            return 0
        token = _inside.set(True)
        try:
            return sum([self._run(each, args) for each in self._registered[event]])
        finally:
            _inside.reset(token)

    def _run(self, each: _Registered, args: tuple[Any, ...]) -> bool:
        """One run; whether it raised."""
        started = self._clock()
        if started < each.skipped_until:
            return False
        key, error = str(args[0]), None
        try:
            answer = each.function(*args)
            if inspect.isawaitable(answer):
                self._follow(each, answer, started, key)
                return False
        except Exception as exc:  # noqa: BLE001  the application's function
            error = exc
        self._note(each, started, error, key, inline=True)
        return error is not None

    def _follow(self, each: _Registered, answer: Awaitable[Any], started: int, key: str) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            if inspect.iscoroutine(answer):
                answer.close()  # or the interpreter warns of one that nobody awaited
            raise
        task = loop.create_task(self._finish(each, answer, started, key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, each: _Registered, answer: Awaitable[Any], started: int, key: str) -> None:
        error: Exception | None = None
        try:
            with self._observer.callback_task(each.event, each.name, key):
                await answer
        except Exception as exc:  # noqa: BLE001  the application's function
            error = exc
        self._note(each, started, error, key, inline=False)

    def _note(self, each: _Registered, started: int, error: Exception | None, key: str, *, inline: bool) -> None:
        now = self._clock()
        self._observer.callback_ran(each.event, each.name, now - started, error, key)
        if each.misbehaves(now, now - started, error is not None, inline):
            self._observer.callback_quarantined(each.event, each.name)

    async def aclose(self) -> None:
        """Give asynchronous callbacks a moment to end, then cancel them."""
        loop = asyncio.get_running_loop()
        under_way = [task for task in self._tasks if task.get_loop() is loop and task is not asyncio.current_task()]
        if not under_way:
            return
        _, late = await asyncio.wait(under_way, timeout=CLOSE_WITHIN)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=CLOSE_WITHIN)


def _check(event: str) -> None:
    if event not in EVENTS:
        raise ValidationError(f"event={event!r} is not one of {', '.join(EVENTS)}")


def _name(callback: Callable[..., Any]) -> str:
    """The qualified name; never a `repr`, which may show an address or data."""
    inner = getattr(callback, "func", callback)  # functools.partial
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    return str(name)[:128]
