"""The demo's own clients: several at once; popular keys are requested more often."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from time import perf_counter_ns
from typing import Any, Final

import httpx

from otcache._demo.backends import BEST_SELLERS, PRODUCTS, article
from otcache.telemetry._instrumentation.metrics import GRID, observe

CLIENTS: Final = 32
ARTICLES: Final = 80


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a client."""

    method: str
    path: str
    json: dict[str, Any] | None = None


class Zipf:
    """Numbers from 1 to `size`; number k is picked in proportion to 1 / k ** `exponent`."""

    def __init__(self, size: int, exponent: float) -> None:
        self._numbers: Sequence[int] = range(1, size + 1)
        self._weights = list(accumulate(k**-exponent for k in self._numbers))

    def pick(self, rng: random.Random) -> int:
        """One number."""
        return rng.choices(self._numbers, cum_weights=self._weights)[0]


class Mix:
    """What clients ask for. The same seed asks for the same."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)  # noqa: S311  traffic, not secrets
        self._products = Zipf(PRODUCTS, 0.9)
        self._articles = Zipf(ARTICLES, 0.9)
        self._texts = {number: article(number) for number in range(1, ARTICLES + 1)}
        self._kinds = (self._product, self._page, self._stock, self._summary, self._price)

    def next(self) -> Request:
        """The next request."""
        return self._rng.choices(self._kinds, (76, 5, 10, 6, 3))[0]()

    def gap(self, rate: float) -> float:
        """Seconds until a client that makes `rate` requests per second makes its next."""
        return self._rng.expovariate(rate)

    def _product(self) -> Request:
        return Request("GET", f"/products/{self._products.pick(self._rng)}")

    def _page(self) -> Request:
        return Request("GET", f"/pages/{self._products.pick(self._rng)}")

    def _stock(self) -> Request:
        return Request("GET", f"/stock/{self._products.pick(self._rng) % 40 + 1}")

    def _summary(self) -> Request:
        return Request("POST", "/summaries", {"text": self._texts[self._articles.pick(self._rng)]})

    def _price(self) -> Request:
        price = round(self._rng.uniform(5, 150), 2)
        product = (
            self._products.pick(self._rng) % (PRODUCTS - BEST_SELLERS) + BEST_SELLERS + 1
        )  # those keep their price
        return Request("PUT", f"/products/{product}/price", {"price": price})


class Traffic:
    """Clients that send requests until `stop`.

    Args:
        http: How they reach the application.
        rate: Requests per second of all clients together.
        seed: What they ask for.

    Attributes:
        requests: Answered or failed so far.
        errors: How many of them failed: no answer, or a status of 400 and above.
        last_error: What the last failed one said.
        changes_prices: Whether they change prices now, beside their reads.
        durations: Cell of a histogram over `GRID`, as the clients see them.
    """

    def __init__(self, http: httpx.AsyncClient, rate: float, seed: int = 1) -> None:
        self._http = http
        self._rate = rate
        self._mix = Mix(seed)
        self._stopped = asyncio.Event()
        self.changes_prices = True
        self.requests = 0
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
            due = max(due + self._mix.gap(self._rate / CLIENTS), loop.time() - 0.2)
            await self._pause(due - loop.time())
            request = self._mix.next()
            if not self._stopped.is_set() and (self.changes_prices or request.method != "PUT"):
                await self._ask(request)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopped.wait(), max(0.0, seconds))
        except TimeoutError:
            return

    async def _ask(self, request: Request) -> None:
        started = perf_counter_ns()
        try:
            response = await self._http.request(request.method, request.path, json=request.json)
            failure = None if response.is_success else f"{request.path}: status {response.status_code}"
        except httpx.HTTPError as exc:
            failure = f"{request.path}: {type(exc).__name__}"
        observe(self.durations, GRID, perf_counter_ns() - started)
        self.requests += 1
        if failure is not None:
            self.errors += 1
            self.last_error = failure
