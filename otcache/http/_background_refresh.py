"""Runs of an endpoint: within the request while it waits, otherwise in the background with new dependencies.

What FastAPI injects lives as long as its request: a database session is closed when the request ends. A background
refresh would work with closed sessions, so it passes through the route again, and FastAPI injects new ones.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from anyio import CancelScope
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from otcache._concurrency.tasks import is_cancelled
from otcache._loading.options import Addressed
from otcache.base import Loaded
from otcache.exceptions import CacheError
from otcache.http._stored_response import StoredResponse

_log: Final = logging.getLogger("otcache.http")
BACKGROUND: Final = "otcache_background_run"
"""The key in a scope under which a background run takes the endpoint's result."""

_TURNS: Final = 16
"""Turns of the event loop that a request needs to leave with a stale response; its own run must not begin then."""


@dataclass(slots=True, eq=False)
class EndpointResult(Addressed):
    """What one run of the endpoint brought.

    Attributes:
        response: The response, or `None` where an `HTTPException` was raised.
        error: That exception.
        stored: What the cache may store of it; `None`: nothing.
        why_not: Why nothing.
    """

    response: Response | None
    error: Any
    stored: StoredResponse | None
    why_not: str = ""

    @property
    def failed(self) -> bool:
        """Whether it is a server error, which takes no place of what was good."""
        answered = self.error if self.response is None else self.response
        return answered is not None and answered.status_code >= 500


class RefreshRefusedError(CacheError):
    """A background run brought no response: a dependency refused the request, or the endpoint failed."""


Run = Callable[[], Awaitable[EndpointResult]]


class ResponseLoader:
    """The loader of one request: `result` or `error` is what a run within the request brought.

    `run_here` runs the endpoint with what was injected for the request, `run_again` with new dependencies.
    """

    def __init__(self, run_here: Run, run_again: Run, tags: Iterable[str]) -> None:
        self.result: EndpointResult | None = None
        self.error: BaseException | None = None
        self._run_here = run_here
        self._run_again = run_again
        self._tags = tuple(tags)
        self._has_request = True
        self._run: asyncio.Task[EndpointResult] | None = None

    async def load(self) -> Loaded[Any]:
        """Load for the cache: return the stored response, or the result as it is if nothing may be stored.

        Then an old response must not be served in its place any longer: a time to live of 0 removes it.
        """
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        result = await (self._run_within() if self._has_request else self._run_again())
        if result.stored is None:
            return Loaded(result, None if result.failed else 0, store=False)
        return Loaded(result.stored.to_value(), result.stored.ttl, self._tags)

    async def _run_within(self) -> EndpointResult:
        self._run = asyncio.create_task(self._note_run())
        try:
            return await asyncio.shield(self._run)
        except asyncio.CancelledError:
            if self._has_request or not self._run.cancelled() or is_cancelled():
                raise  # otcache gives up the load
        # the request has left and its run was cancelled; other requests may wait for this load
        return await self._run_again()

    async def _note_run(self) -> EndpointResult:
        try:
            self.result = await self._run_here()
        except BaseException as exc:
            self.error = exc
            raise
        return self.result

    async def run(self) -> EndpointResult:
        """Return the result of the request's own run, which begins now unless `load` has begun it."""
        if self._run is None:
            self._run = asyncio.create_task(self._note_run())
        return await asyncio.shield(self._run)

    async def leave(self) -> None:
        """End the request's own run: the request leaves, and FastAPI closes what it injected."""
        self._has_request = False
        run = self._run
        if run is None:
            return
        if not run.done():
            run.cancel()
            with CancelScope(shield=True):
                await asyncio.wait([run])
        if not run.cancelled():
            run.exception()  # asyncio would log an exception that no one retrieves, and no one may have


# --- a background run -----------------------------------------------------------------------------------


class BackgroundRun:
    """Takes the endpoint's result of a run that passes through the route in the background.

    Attributes:
        key: The key that the result is for; with new dependencies the request may have another one.
        refused: Why the endpoint did not run.
        result: What it brought.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.refused: str | None = None
        self.result: EndpointResult | None = None


async def run_in_background(request: Request, body: bytes, run: BackgroundRun) -> EndpointResult:
    """Pass through the route once more, dependencies included, and send the response to no client.

    Raises:
        RefreshRefusedError: A dependency raised an `HTTPException`, or the request is not valid any more, or is now
            another one's.
    """
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async with AsyncExitStack() as files:
        scope = {**request.scope, BACKGROUND: run, "fastapi_middleware_astack": files}
        scope["state"] = dict(request.scope.get("state", {}))
        scope["fastapi"] = dict(request.scope.get("fastapi", {}))
        try:
            await request.scope["route"].handle(scope, receive, send)
        except Exception:
            if run.result is None:
                raise
            _log.exception("what follows a response has failed: a background task, or the end of a dependency")
    if run.result is None:
        why = run.refused or f"the route answered {statuses or 'nothing'}"
        raise RefreshRefusedError(f"{why} before its endpoint")
    return run.result
