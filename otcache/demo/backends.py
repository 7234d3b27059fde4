"""What the demo's cache stands in front of: a slow database and a slower model. Both deterministic."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

PRODUCTS: Final = 250
BEST_SELLERS: Final = 6
"""The first few products; every page shows them."""
_ADJECTIVES: Final = ("Quiet", "Small", "Blue", "Folding", "Heavy", "Round", "Plain", "Northern")
_NOUNS: Final = ("lamp", "chair", "kettle", "notebook", "radio", "basket", "clock", "blanket")


class Database:
    """Products by number, 20 to 80 ms per query."""

    def __init__(self) -> None:
        self._prices: dict[int, float] = {}

    async def product(self, product_id: int) -> dict[str, Any] | None:
        """One product, or `None` if there is no such number."""
        if not 1 <= product_id <= PRODUCTS:
            return None
        await asyncio.sleep(_latency(product_id))
        return self._row(product_id)

    async def products(self, product_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Those of `product_ids` that exist, in one query."""
        wanted = [number for number in product_ids if 1 <= number <= PRODUCTS]
        await asyncio.sleep(max(map(_latency, wanted), default=0.0))
        return {number: self._row(number) for number in wanted}

    async def stock(self, product_id: int) -> int:
        """Pieces left."""
        await asyncio.sleep(_latency(product_id))
        return product_id * 7 % 40

    async def set_price(self, product_id: int, price: float) -> None:
        """Change a price."""
        await asyncio.sleep(_latency(product_id))
        self._prices[product_id] = price

    def _row(self, number: int) -> dict[str, Any]:
        name = f"{_ADJECTIVES[number % len(_ADJECTIVES)]} {_NOUNS[number // 8 % len(_NOUNS)]}"
        price = self._prices.get(number, round(5 + number % 200 * 0.75, 2))
        # large enough that some payloads are worth compressing
        return {"id": number, "name": name, "price": price, "description": f"{name}. " * (5 + number % 150)}


def _latency(product_id: int) -> float:
    return 0.020 + product_id * 37 % 61 / 1000


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answers.

    Attributes:
        text: The answer.
        usage: Tokens by type.
        seconds: How long it took.
    """

    text: str
    usage: dict[str, int]
    seconds: float


class Model:
    """A language model that is none: the first words of the text, after the time a real one would take.

    Attributes:
        name: Whose prices hold.
    """

    name = "demo-model"

    async def summarize(self, text: str, words: int) -> Completion:
        """The first `words` words of `text`, in 0.1 to 0.5 s."""
        tokens = len(text) // 4
        seconds = min(0.5, 0.1 + tokens / 20_000)
        await asyncio.sleep(seconds)
        answer = " ".join(text.split()[:words])
        return Completion(answer, {"input": tokens, "output": words}, seconds)


PRICES: Final = {f"{Model.name}:input": 2.5, f"{Model.name}:output": 10.0}
"""US dollars per million tokens, as a mid-sized model costs."""


def article(number: int) -> str:
    """A text to summarize: 300 to 30 000 characters, always the same for a number."""
    rng = random.Random(number)  # noqa: S311  words, not secrets
    length = int(300 * 100 ** rng.random())
    words = [f"{rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)}" for _ in range(length // 12)]
    return f"Article {number}. " + " ".join(words)
