"""Loads, whole responses and one invalidation for both, in a FastAPI application: `python examples/load_through.py`.

Redis is where `OTCACHE_REDIS_URL` or `REDIS_URL` says; with one, several processes load once and forget together.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI

from otcache import CacheInterface, cached, get_cache_service, install_cache
from otcache.http import cached_endpoint

app = FastAPI(title="shop")
install_cache(app)

Cache = Annotated[CacheInterface, Depends(get_cache_service)]
PRICES = {7: 12.5}
QUERIES: list[int] = []


@cached("price:{product_id}", cache=get_cache_service, ttl=60, stale_ttl=600, tags=("product:{product_id}",))
async def price_of(product_id: int) -> float:
    """What takes its time: a database, another service."""
    QUERIES.append(product_id)
    price = PRICES[product_id]
    await asyncio.sleep(0.05)
    return price


@app.get("/products/{product_id}")
@cached_endpoint(ttl=30, tags=("product:{product_id}",), cache=get_cache_service)
async def read_product(product_id: int) -> dict[str, float]:
    """A product; the response is kept whole, in the same cache, so that one tag reaches both."""
    return {"id": product_id, "price": await price_of(product_id)}


@app.put("/products/{product_id}/price", status_code=204)
async def change_price(product_id: int, price: float, cache: Cache) -> None:
    """First the database, then every process forgets what was made of it."""
    PRICES[product_id] = price
    await cache.invalidate_tag(f"product:{product_id}")


async def main() -> None:
    """Twenty at once cost one query; a new price is seen by the next."""
    transport = httpx.ASGITransport(app)
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://shop") as client,
        app.router.lifespan_context(app),
    ):
        answers = await asyncio.gather(*(client.get("/products/7") for _ in range(20)))
        waited = sum("collapsed" in answer.headers["cache-status"] for answer in answers)
        print(f"{len(answers)} requests, queries: {len(QUERIES)}, waited: {waited}")

        print((await client.get("/products/7")).headers["cache-status"])
        await client.put("/products/7/price?price=13.5")
        answer = await client.get("/products/7")
        print(answer.json(), answer.headers["cache-status"])


if __name__ == "__main__":
    asyncio.run(main())
