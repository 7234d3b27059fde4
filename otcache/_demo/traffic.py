"""The demo's own clients: several at once; popular keys are requested more often."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from itertools import accumulate
from time import perf_counter_ns
from typing import Any, Final, NamedTuple

import httpx

from otcache._demo.backends import BEST_SELLERS, PRODUCTS, article
from otcache.telemetry._instrumentation.metrics import GRID, observe

CLIENTS: Final = 32
ARTICLES: Final = 80


class Request(NamedTuple):
    """One request of a client."""

    method: str
    path: str
    json: dict[str, Any] | None = None


class Mix:
    """What clients ask for, number k in proportion to 1 / k ** 0.9. The same seed asks for the same."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311  traffic, not secrets
        self._weights = {size: list(accumulate(k**-0.9 for k in range(1, size + 1))) for size in (PRODUCTS, ARTICLES)}
        self._texts = {number: article(number) for number in range(1, ARTICLES + 1)}

    def next(self) -> Request:
        """The next request."""
        kind = self._rng.choices(("products", "pages", "stock", "summary", "price"), (76, 5, 10, 6, 3))[0]
        if kind == "summary":
            return Request("POST", "/summaries", {"text": self._texts[self._pick(ARTICLES)]})
        product = self._pick(PRODUCTS)
        if kind == "price":
            product = product % (PRODUCTS - BEST_SELLERS) + BEST_SELLERS + 1  # those keep their price
            return Request("PUT", f"/products/{product}/price", {"price": round(self._rng.uniform(5, 150), 2)})
        return Request("GET", f"/{kind}/{product % 40 + 1 if kind == 'stock' else product}")

    def _pick(self, size: int) -> int:
        return self._rng.choices(range(1, size + 1), cum_weights=self._weights[size])[0]


class Traffic:
    """Clients that send `rate` requests per second together, until `stop`; `seed` decides what they ask for.

    Attributes:
        changes_prices: Whether they change prices now, beside their reads; `changing` are under way.
        errors: How many requests failed so far: no answer, or a status of 400 and above.
        durations: Cell of a histogram over `GRID` of all requests, as the clients see them.
    """

    def __init__(self, http: httpx.AsyncClient, rate: float, seed: int = 1) -> None:
        self._http = http
        self._rate = rate
        self._mix = Mix(seed)
        self._stopped = asyncio.Event()
        self.changes_prices, self.changing = True, 0
        self.errors = 0
        self.last_error: str | None = None
        self.durations = [0] * (len(GRID) + 2)

    async def run(self) -> None:
        """Send requests until `stop`; returns when the last answer is there."""
        async with asyncio.TaskGroup() as clients:
            for _ in range(CLIENTS):
                clients.create_task(self._client())

    def stop(self) -> None:
        """Send no more requests."""
        self._stopped.set()

    async def _client(self) -> None:
        """Keeps its own appointments: an answer that was slow does not slow down the next request."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._stopped.is_set():
            due = max(due + random.expovariate(self._rate / CLIENTS), loop.time() - 0.2)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), max(0.0, due - loop.time()))
            request = self._mix.next()
            if not self._stopped.is_set() and (self.changes_prices or request.method != "PUT"):
                self.changing += request.method == "PUT"
                await self._ask(request)
                self.changing -= request.method == "PUT"

    async def _ask(self, request: Request) -> None:
        started = perf_counter_ns()
        try:
            response = await self._http.request(request.method, request.path, json=request.json)
            failure = None if response.is_success else f"{request.path}: status {response.status_code}"
        except httpx.HTTPError as exc:
            failure = f"{request.path}: {type(exc).__name__}"
        observe(self.durations, GRID, perf_counter_ns() - started)
        if failure is not None:
            self.errors += 1
            self.last_error = failure
