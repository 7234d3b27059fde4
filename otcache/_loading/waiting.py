"""Waiting for a future that others wait for, too."""

from __future__ import annotations

import asyncio
from typing import Any


async def done_within(future: asyncio.Future[Any], seconds: float | None = None) -> bool:
    """Wait for `future`, at most for `seconds`; return whether it is done.

    Unlike `await future`, a waiter that is cancelled doesn't cancel the future, and no result or error is raised here.
    """
    if not future.done():
        await asyncio.wait([future], timeout=seconds)
    return future.done()
