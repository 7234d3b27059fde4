"""An existing FastAPI application, cached and observed by two lines: `uvicorn examples.drop_in:app`.

Redis is where `OTCACHE_REDIS_URL` or `REDIS_URL` says; without one everything stays in memory.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import Depends, FastAPI

from otcache import CacheInterface, get_cache_service, install_cache

app = FastAPI(title="products")
install_cache(app)  # lifespan, answers for the cache's errors, /health/cache

Cache = Annotated[CacheInterface, Depends(get_cache_service)]


async def load_product(product_id: int) -> dict[str, Any]:
    """What takes its time: a database, another service."""
    await asyncio.sleep(0.05)
    return {"id": product_id, "name": f"product {product_id}"}


@app.get("/products/{product_id}")
async def read_product(product_id: int, cache: Cache) -> dict[str, Any]:
    """One product, from the cache if it is there."""
    key = f"product:{product_id}"
    found: dict[str, Any] | None = await cache.get(key)
    if found is None:
        found = await load_product(product_id)
        await cache.set(key, found, ttl=300)
    return found
