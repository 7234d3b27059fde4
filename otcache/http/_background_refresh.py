"""Who runs the endpoint: the request while it waits for that, and otherwise a run with dependencies of its own.

What FastAPI has injected lives as long as its request: a session is closed when that is over. A refresh that
nobody waits for would work with closed ones, so it passes through the route again and gets new ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from anyio import CancelScope
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from otcache.base import Loaded
from otcache.exceptions import CacheError
from otcache.http._stored_response import Record

_RERUN: Final = "otcache_rerun"
"""Where in a scope a run of its own waits for what the endpoint gives."""

_TURNS: Final = 16
"""Turns of the event loop in which a request that was given a stale answer leaves: its run is not even begun then."""


@dataclass(slots=True, eq=False)
class Made:
    """What one run of the endpoint gave.

    Attributes:
        response: The response, or `None` where an `HTTPException` was raised.
        error: That exception.
        record: What may be kept of it; `None`: nothing.
        why: Why not.
    """

    response: Response | None
    error: Any
    record: Record | None
    why: str = ""


class RefreshRefusedError(CacheError):
    """A run of its own gave no answer: a dependency spoke instead of the endpoint, or that said it had failed."""


Run = Callable[[], Awaitable[Made]]


class Load:
    """The loader of one request.

    Args:
        here: Runs the endpoint with what was injected for the request.
        again: Runs it with dependencies of its own.
        tags: Of the answer.

    Attributes:
        made: What a run within the request gave.
        error: What it raised.
    """

    def __init__(self, here: Run, again: Run, tags: Iterable[str]) -> None:
        self.made: Made | None = None
        self.error: BaseException | None = None
        self._here = here
        self._again = again
        self._tags = tuple(tags)
        self._waits = True
        self._run: asyncio.Task[Made] | None = None

    async def load(self) -> Loaded[Any]:
        """For the cache: the record, or what may not be kept."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        made = await (self._within() if self._waits else self._again())
        if made.record is None:
            return Loaded(made, store=False)
        return Loaded(made.record.to_value(), made.record.ttl, self._tags)

    async def _within(self) -> Made:
        self._run = asyncio.create_task(self._noted())
        try:
            return await asyncio.shield(self._run)
        except asyncio.CancelledError:
            if self._waits or not self._run.cancelled() or _is_cancelled():
                raise  # the load is given up
        return await self._again()  # the request has gone, and took its run with it; others may wait for this

    async def _noted(self) -> Made:
        try:
            self.made = await self._here()
        except BaseException as exc:
            self.error = exc
            raise
        return self.made

    async def run(self) -> Made:
        """For the request: its own run, begun now unless the cache has."""
        if self._run is None:
            self._run = asyncio.create_task(self._noted())
        return await asyncio.shield(self._run)

    async def leave(self) -> None:
        """The request is answered or given up: no run may use what was injected for it."""
        self._waits = False
        run = self._run
        if run is None:
            return
        if not run.done():
            run.cancel()
            with CancelScope(shield=True):
                await asyncio.wait([run])
        if not run.cancelled():
            run.exception()  # told to whoever asked; nobody may have


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


# --- a run of its own -----------------------------------------------------------------------------------


class Rerun:
    """Where a run of its own leaves what the endpoint gave."""

    made: Made | None = None


def rerun_of(request: Request) -> Rerun | None:
    """The run of its own that this request is, if it is one."""
    found: Rerun | None = request.scope.get(_RERUN)
    return found


async def run_again(request: Request, body: bytes) -> Made:
    """Pass through the route once more, dependencies and all, with nobody at the other end.

    Raises:
        RefreshRefusedError: A dependency raised an `HTTPException`, or the request is not valid any more.
    """
    rerun = Rerun()
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async with AsyncExitStack() as files:
        scope = {**request.scope, _RERUN: rerun, "fastapi_middleware_astack": files}
        scope["state"] = dict(request.scope.get("state", {}))
        scope["fastapi"] = dict(request.scope.get("fastapi", {}))
        await request.scope["route"].handle(scope, receive, send)
    if rerun.made is None:
        raise RefreshRefusedError(f"the route answered {statuses or 'nothing'} before its endpoint")
    return rerun.made
