"""Time limits that all have one length: one timer serves every call in flight."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any


class Deadlines:
    """The deadlines of one length in one event loop.

    Deadlines of equal length end in the order in which they began, so one timer waits for the oldest. A timer per
    call, as `asyncio.timeout` has it, costs five times as much (docs/performance.md).

    Args:
        seconds: The length.
        loop: The event loop.
    """

    __slots__ = ("loop", "running", "seconds", "timer")

    def __init__(self, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self.seconds = seconds
        self.loop = loop
        self.running: deque[Deadline] = deque()
        self.timer: asyncio.TimerHandle | None = None

    def arm(self) -> None:
        """Start the timer for the oldest deadline."""
        self.timer = self.loop.call_at(self.running[0].due, self._expire)

    def _expire(self) -> None:
        """Stop every late block; then wait for the oldest that is left."""
        self.timer, now, running = None, self.loop.time(), self.running
        while running and (running[0].task is None or running[0].due <= now):
            running.popleft().stop()
        if running:
            self.arm()


class Deadline:
    """A context manager: once its time is over it cancels the task, and the block raises `TimeoutError`.

    Args:
        line: The deadlines of this length.

    Attributes:
        task: The task that runs the block; `None` once the block has ended.
        due: When the block must have ended, by the event loop's clock.
        expired: Whether the deadline has cancelled the task.
    """

    __slots__ = ("_cancelling", "_line", "due", "expired", "task")

    def __init__(self, line: Deadlines) -> None:
        task: asyncio.Task[Any] | None = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        self.task: asyncio.Task[Any] | None = task
        self.due = line.loop.time() + line.seconds
        self.expired = False
        self._line = line
        self._cancelling = task.cancelling()

    def stop(self) -> None:
        """Cancel the block, if it still runs."""
        if self.task is not None:
            self.expired = True
            self.task.cancel()

    def __enter__(self) -> Deadline:
        line = self._line
        line.running.append(self)
        # The timer is left running when its deadline ends early: to cancel it per call would cost what it saves.
        if line.timer is None:
            line.arm()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self.task, running = self.task, None, self._line.running
        # Blocks end in any order; only the front is removed, so that ending costs O(1). The others go with it later.
        while running and running[0].task is None:
            running.popleft()
        # `uncancel` takes our own cancellation back. If more than ours were requested, somebody else cancelled the
        # task as well: that cancellation goes on, and must not turn into a TimeoutError.
        ours = self.expired and task is not None and task.uncancel() <= self._cancelling
        if ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error
