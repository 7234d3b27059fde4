"""Read batching: the reads of one turn of the event loop leave as one round trip."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Final

from otcache.exceptions import StoreError
from otcache.telemetry.record import Outcome

MOST_KEYS: Final = 500
"""Keys in one round trip."""
MOST_BYTES: Final = 1 << 20
"""What an answer should not be much larger than: a small value must not wait for a hundred large ones."""

_WEIGHT: Final = 8
"""Answers over which the expected payload size shrinks; it grows at once, because too large an answer costs more."""

One = Callable[[Outcome, str], Awaitable[bytes | None]]
Many = Callable[[list[Outcome], list[str]], Awaitable[list[bytes | None]]]


class _Caller:
    """One read that waits for its answer."""

    __slots__ = ("answer", "call", "key", "outcome")

    def __init__(self, outcome: Outcome, key: str, answer: asyncio.Future[bytes | None]) -> None:
        self.outcome = outcome
        self.key = key
        self.answer = answer
        self.call: _Call | None = None

    async def wait(self) -> bytes | None:
        try:
            return await self.answer
        except asyncio.CancelledError:
            if self.call is not None:
                self.call.leave()
            raise


class _Call:
    """One round trip, and how many still wait for it."""

    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[None], waiting: int) -> None:
        self.task = task
        self.waiting = waiting

    def leave(self) -> None:
        """A caller has given up; when all have, so does the call."""
        self.waiting -= 1
        if not self.waiting:
            self.task.cancel()


class ReadBatcher:
    """Collects reads until the turn of the event loop is over, and asks for all of them at once.

    The first read of a turn waits until the turn is over. If others have come by then, a task of its own asks for all:
    a caller who is cancelled must not take the others' answers along. A key is asked for once, however many want it.

    Args:
        one: Asks for one key.
        many: Asks for several keys of one place, for several records.
        place: Where a key is; keys of two places are never asked for together.
        joining: Called with the record of a read that may share its round trip, in that read's own context.

    Attributes:
        turn: The reads that wait for the end of this turn, if any.
    """

    def __init__(
        self, one: One, many: Many, place: Callable[[str], Hashable], joining: Callable[[Outcome], None]
    ) -> None:
        self._joining = joining
        self._one = one
        self._many = many
        self._place = place
        self._loop: asyncio.AbstractEventLoop | None = None
        self.turn: list[_Caller] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._payload_size = 0.0

    async def read(self, outcome: Outcome, key: str) -> bytes | None:
        """The payload under `key`.

        Raises:
            StoreError: As the round trip that this read was part of.
        """
        loop = asyncio.get_running_loop()
        turn = self.turn
        if turn is None or loop is not self._loop:
            first = _Caller(outcome, key, loop.create_future())
            self._loop, self.turn = loop, [first]
            self._joining(outcome)
            return await self._lead(self.turn, first)
        caller = _Caller(outcome, key, loop.create_future())
        turn.append(caller)
        self._joining(outcome)
        return await caller.wait()

    async def _lead(self, turn: list[_Caller], first: _Caller) -> bytes | None:
        """Wait until the turn is over, and ask for the answers of the whole turn."""
        try:
            await asyncio.sleep(0)
        except BaseException:  # cancelled: the others' reads must leave all the same, without this one
            first.answer.cancel()
            raise
        finally:
            if self.turn is turn:
                self.turn = None
            if len(turn) > 1:
                self._send([caller for caller in turn if not caller.answer.done()])
        if len(turn) == 1:
            return await self._one(first.outcome, first.key)
        return await first.wait()

    def _send(self, callers: list[_Caller]) -> None:
        places: dict[Hashable, list[_Caller]] = {}
        for caller in callers:
            places.setdefault(self._place(caller.key), []).append(caller)
        for together in places.values():
            for some in self._portions(together):
                task = asyncio.get_running_loop().create_task(self._ask(some), name="otcache-read")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
                call = _Call(task, len(some))
                for caller in some:
                    caller.call = call

    def _portions(self, callers: list[_Caller]) -> list[list[_Caller]]:
        size = max(1, min(MOST_KEYS, int(MOST_BYTES / (self._payload_size or 1))))
        return [callers[start : start + size] for start in range(0, len(callers), size)]

    async def _ask(self, callers: list[_Caller]) -> None:
        keys = list(dict.fromkeys(caller.key for caller in callers))
        try:
            payloads = await self._many([caller.outcome for caller in callers], keys)
        except StoreError as exc:
            _fail(callers, exc)
        except BaseException:  # the event loop ends, or every caller has been cancelled
            for caller in callers:
                caller.answer.cancel()
            raise
        else:
            self._learn_size(payloads)
            found = dict(zip(keys, payloads, strict=True))
            for caller in callers:
                if not caller.answer.done():
                    caller.answer.set_result(found[caller.key])

    def _learn_size(self, payloads: Sequence[bytes | None]) -> None:
        mean = sum(len(payload) for payload in payloads if payload is not None) / len(payloads)
        self._payload_size = max(mean, self._payload_size + (mean - self._payload_size) / _WEIGHT)

    async def close(self) -> None:
        """Return when no call is in flight; each ends by itself when its connection is cut."""
        here = [task for task in self._tasks if task.get_loop() is asyncio.get_running_loop()]
        if here:
            await asyncio.wait(here)


def _fail(callers: list[_Caller], error: StoreError) -> None:
    """Give every caller an error of its own: an exception that many raise collects all their tracebacks."""
    for caller in callers:
        if not caller.answer.done():
            own = StoreError(error.reason, error.error_type, counts=error.counts)
            own.__cause__ = error.__cause__
            caller.answer.set_exception(own)
