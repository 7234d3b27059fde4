"""What the demo's cache stands in front of: a slow database and a slower model."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterable
from typing import Any, Final

PRODUCTS: Final = 250
BEST_SELLERS: Final = 6
"""The first few products; every page shows them."""
_ADJECTIVES: Final = ("Quiet", "Small", "Blue", "Folding", "Heavy", "Round", "Plain", "Northern")
_NOUNS: Final = ("lamp", "chair", "kettle", "notebook", "radio", "basket", "clock", "blanket")
REPORT_SECONDS: Final = 1.5
"""What a report takes: long enough for a crowd to come for it."""
_TABLES: Final = """
    CREATE TABLE IF NOT EXISTS prices (product INTEGER PRIMARY KEY, price REAL NOT NULL);
    CREATE TABLE IF NOT EXISTS reports (number INTEGER PRIMARY KEY, runs INTEGER NOT NULL);
"""


class Database:
    """Products by number, 20 to 80 ms per query, in a file that several processes may share.

    What a query answers is read when it begins: a price that is changed meanwhile is not in it, as in real life.
    """

    def __init__(self, path: str = ":memory:") -> None:
        self._tables = sqlite3.connect(path, isolation_level=None)
        self._tables.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; {_TABLES}")

    def close(self) -> None:
        """Let go of the file."""
        self._tables.close()

    async def product(self, product_id: int) -> dict[str, Any] | None:
        """One product, or `None` if there is no such number."""
        if not 1 <= product_id <= PRODUCTS:
            return None
        row = self._row(product_id)
        await asyncio.sleep(_latency(product_id))
        return row

    async def products(self, product_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Those of `product_ids` that exist, in one query."""
        wanted = [number for number in product_ids if 1 <= number <= PRODUCTS]
        rows = {number: self._row(number) for number in wanted}
        await asyncio.sleep(max(map(_latency, wanted), default=0.0))
        return rows

    async def stock(self, product_id: int) -> int:
        """Pieces left."""
        await asyncio.sleep(_latency(product_id))
        return product_id * 7 % 40

    async def set_price(self, product_id: int, price: float) -> None:
        """Change a price."""
        await asyncio.sleep(_latency(product_id))
        self._tables.execute("INSERT OR REPLACE INTO prices VALUES (?, ?)", (product_id, price))

    async def report(self, number: int) -> dict[str, int]:
        """A report, and how often this one has been made, by whichever process."""
        counted = "INSERT INTO reports VALUES (?, 1) ON CONFLICT DO UPDATE SET runs = runs + 1 RETURNING runs"
        (runs,) = self._tables.execute(counted, (number,)).fetchone()
        await asyncio.sleep(REPORT_SECONDS)
        return {"number": number, "run": runs}

    def _row(self, number: int) -> dict[str, Any]:
        name = f"{_ADJECTIVES[number % len(_ADJECTIVES)]} {_NOUNS[number // 8 % len(_NOUNS)]}"
        changed = self._tables.execute("SELECT price FROM prices WHERE product = ?", (number,)).fetchone()
        price = changed[0] if changed else round(5 + number % 200 * 0.75, 2)
        # large enough that some payloads are worth compressing
        return {"id": number, "name": name, "price": price, "description": f"{name}. " * (5 + number % 150)}


def _latency(product_id: int) -> float:
    return 0.020 + product_id * 37 % 61 / 1000


MODEL: Final = "demo-model"
PRICES: Final = {f"{MODEL}:input": 2.5, f"{MODEL}:output": 10.0}
"""US dollars per million tokens, as a mid-sized model costs."""


async def summarize(text: str, words: int) -> dict[str, Any]:
    """What a language model would answer, and when: the first words of the text, after 0.1 to 0.5 s."""
    tokens = len(text) // 4
    await asyncio.sleep(min(0.5, 0.1 + tokens / 20_000))
    return {"summary": " ".join(text.split()[:words]), "usage": {"input": tokens, "output": words}}


def article(number: int) -> str:
    """A text to summarize: 300 to 30 000 characters, always the same for a number."""
    rng = random.Random(number)  # noqa: S311  words, not secrets
    length = int(300 * 100 ** rng.random())
    words = [f"{rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)}" for _ in range(length // 12)]
    return f"Article {number}. " + " ".join(words)
