"""One call's wish for a value: where it is, how it is made, and how long one may wait for it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from otcache.loads.answer import Loaded
from otcache.loads.policy import LoadPolicy


@dataclass(frozen=True, slots=True)
class Request:
    """What one caller wants.

    Attributes:
        key: Where the value is.
        loader: What makes it.
        policy: How its load behaves.
        kind: The declared type of the value, if it needs one.
        tags: Of the value.
        forced: Whether it has to be made anew.
        template: The shape of the key, for telemetry.
    """

    key: str
    loader: Callable[[], Any]
    policy: LoadPolicy
    kind: Any = None
    tags: tuple[str, ...] = ()
    forced: bool = False
    template: str | None = None


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
