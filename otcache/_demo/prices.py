"""Prices that are changed in one process and asked for in another: how long until the old one is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import httpx

from otcache._demo.backends import BEST_SELLERS

_PAUSE: Final = 0.01
_FIRST: Final = 200.0
"""Above what the clients of the demo ever ask for."""


@dataclass(frozen=True, slots=True)
class PriceChange:
    """One change.

    Attributes:
        old_answers: Requests to the other process, sent after the change was acknowledged, that got the old price.
        old_for: Seconds after the acknowledgement at which the last of them was sent; 0 if there was none.
        known_after: Seconds after the acknowledgement at which the other process had answered with the new price.
        in_outage: Whether Redis was away.
    """

    old_answers: int
    old_for: float
    known_after: float
    in_outage: bool


class Prices:
    """Changes prices that nobody else changes: those of the best sellers.

    Args:
        clients: One per process, two or more.
        is_out: Whether Redis is away now.

    Attributes:
        changes: All that are over.
        one: Held while one is made: who holds it keeps prices as they are.
    """

    def __init__(self, clients: Sequence[httpx.AsyncClient], is_out: Callable[[], bool]) -> None:
        self._clients = clients
        self._is_out = is_out
        self.one = asyncio.Lock()
        self.changes: list[PriceChange] = []

    async def change(self) -> None:
        """Change a price in one process, the next time in the next, and ask another until it knows."""
        async with self.one:
            was_out = self._is_out()
            old_answers, old_for, known_after = await self._change(len(self.changes))
            change = PriceChange(old_answers, old_for, known_after, was_out or self._is_out())
            self.changes.append(change)

    async def prepare(self) -> None:
        """Let the process that the next change is hidden from have a copy."""
        path, _, reader = self._parts(len(self.changes))
        await reader.get(path)

    def _parts(self, number: int) -> tuple[str, httpx.AsyncClient, httpx.AsyncClient]:
        """What is changed, where, and who is asked."""
        writer, reader = (self._clients[(number + more) % len(self._clients)] for more in (0, 1))
        return f"/products/{number % BEST_SELLERS + 1}", writer, reader

    async def _change(self, number: int) -> tuple[int, float, float]:
        path, writer, reader = self._parts(number)
        price = _FIRST + number
        await self.prepare()
        (await writer.put(f"{path}/price", json={"price": price})).raise_for_status()
        acknowledged, old_answers, old_for = perf_counter(), 0, 0.0
        while True:
            sent = perf_counter() - acknowledged
            if (await reader.get(path)).raise_for_status().json()["price"] == price:
                break
            old_answers, old_for = old_answers + 1, sent
            await asyncio.sleep(_PAUSE)
        return old_answers, old_for, perf_counter() - acknowledged
