"""Tasks and futures: waiting for one that others wait for, too, and leaving one to its end with its event loop."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


def quiet(task: asyncio.Task[T]) -> asyncio.Task[T]:
    """Return `task`; asyncio does not complain if the event loop is closed under it: the task holds nothing."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  asyncio's own way for such tasks
    return task


def cancel(task: asyncio.Task[None]) -> bool:
    """Cancel a task of any event loop, from any thread; return whether its event loop still runs."""
    loop = task.get_loop()
    if task.done() or loop.is_closed():
        return False
    if loop is _running():
        task.cancel()
    else:
        # The loop may close between the question above and this call.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(task.cancel)
    return True


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def is_cancelled() -> bool:
    """Whether the running task is to end, rather than something that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def done_within(future: asyncio.Future[Any], seconds: float | None = None) -> bool:
    """Wait for `future`, at most for `seconds`; return whether it is done.

    Unlike `await future`, a waiter that is cancelled doesn't cancel the future, and no result or error is raised here.
    """
    if not future.done():
        await asyncio.wait([future], timeout=seconds)
    return future.done()
