"""Background tasks that may be left to their end with their event loop."""

from __future__ import annotations

import asyncio
from typing import TypeVar

T = TypeVar("T")


def quiet(task: asyncio.Task[T]) -> asyncio.Task[T]:
    """`task`; if its event loop is closed under it, asyncio does not complain: there is nothing to be done about it."""
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  asyncio's own way for such tasks
    return task
