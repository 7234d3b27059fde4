"""Time limits that are all of one length: one timer for all the calls that are under way."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any


class Deadlines:
    """Makes time limits of one length, for one event loop.

    As long ones as short ones end in the order in which they began, so one timer waits for the oldest. A timer of
    each call's own, as `asyncio.timeout` has it, costs five times as much (docs/performance.md).

    Args:
        seconds: How long.
        loop: The event loop.
    """

    def __init__(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self._seconds = seconds
        self._loop = loop
        self._open: deque[Deadline] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> Deadline:
        """A limit from now on; use it as a context manager, at once and in the task that it is to stop."""
        task: asyncio.Task[Any] | None = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        deadline = Deadline(self, task, self._loop.time() + self._seconds)
        self._open.append(deadline)
        if self._timer is None:
            self._timer = self._loop.call_at(deadline.due, self._look)
        return deadline

    def tidy(self) -> None:
        """Forget those that are over."""
        still_open = self._open
        while still_open and still_open[0].task is None:
            still_open.popleft()

    def _look(self) -> None:
        """Stop what is late; then wait for the oldest that is left."""
        self._timer, now = None, self._loop.time()
        self.tidy()
        while self._open and self._open[0].due <= now:
            self._open.popleft().stop()
            self.tidy()
        if self._open:
            self._timer = self._loop.call_at(self._open[0].due, self._look)


class Deadline:
    """One of them: after its time the task is cancelled, and the block raises `TimeoutError`.

    Attributes:
        task: Whom it stops; `None` when the block has ended.
        due: When, by the event loop's clock.
        expired: Whether it has.
    """

    __slots__ = ("_cancelling", "_line", "due", "expired", "task")

    def __init__(self, line: Deadlines, task: asyncio.Task[Any], due: float) -> None:
        self.task: asyncio.Task[Any] | None = task
        self.due = due
        self.expired = False
        self._line = line
        self._cancelling = task.cancelling()

    def stop(self) -> None:
        """The time is over."""
        if self.task is not None:
            self.expired = True
            self.task.cancel()

    def __enter__(self) -> Deadline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self.task = self.task, None
        self._line.tidy()
        # a cancellation that somebody else asked for meanwhile goes on
        ours = self.expired and task is not None and task.uncancel() <= self._cancelling
        if ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error
