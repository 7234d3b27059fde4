"""Running a loader, whatever kind of callable it is."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from otcache.loads.answer import Loaded


async def run(loader: Callable[[], Any]) -> Loaded[Any]:
    """What `loader` makes: in this event loop if it is an async function, else in a worker thread.

    What a plain function returns may be awaitable; it is awaited here. A thread can't be cancelled.
    """
    made = loader() if _is_async(loader) else await asyncio.to_thread(loader)
    if inspect.isawaitable(made):
        made = await made
    return made if isinstance(made, Loaded) else Loaded(made)


def _is_async(loader: Any) -> bool:
    while isinstance(loader, partial):
        loader = loader.func
    return inspect.iscoroutinefunction(loader) or inspect.iscoroutinefunction(getattr(loader, "__call__", None))  # noqa: B004
