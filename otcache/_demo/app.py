"""The demo's application: an ordinary FastAPI service that caches by otcache's dependencies, as any other would."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, FastAPI, HTTPException

from otcache import (
    AIMemoryCache,
    AIResponseCache,
    GenericRedisCache,
    InMemoryCache,
    cached,
    get_ai_cache_service,
    get_cache_service,
    install_cache,
)
from otcache._demo.backends import BEST_SELLERS, MODEL, Database, summarize
from otcache.http import cached_endpoint

router = APIRouter()

Cache = Annotated[GenericRedisCache | InMemoryCache, Depends(get_cache_service)]
AICache = Annotated[AIResponseCache | AIMemoryCache, Depends(get_ai_cache_service)]


@lru_cache(maxsize=1)
def open_database() -> Database:
    """The database of this process; `DEMO_DATABASE` names the file that it shares with others."""
    return Database(os.environ.get("DEMO_DATABASE", ":memory:"))


async def get_database() -> Database:
    """The application's database. It takes no request, so an answer that is made with it depends on no host."""
    return open_database()


Products = Annotated[Database, Depends(get_database)]


@cached(
    "product:{product_id}", cache=get_cache_service, ttl=60, stale_ttl=600, negative_ttl=5,
    tags=("product:{product_id}",), ignore=("database",),
)  # fmt: skip
async def product_of(product_id: int, database: Database) -> dict[str, Any] | None:
    """One product. Of many callers at once one asks the database; without Redis an old one is better than none."""
    return await database.product(product_id)


@router.get("/products/{product_id}")
async def read_product(product_id: int, database: Products) -> dict[str, Any]:
    """One product, or 404."""
    product: dict[str, Any] | None = await product_of(product_id, database)
    if product is None:
        raise HTTPException(404, f"there is no product {product_id}")
    return product


@router.put("/products/{product_id}/price", status_code=204)
async def change_price(
    product_id: int, price: Annotated[float, Body(embed=True, gt=0)], cache: Cache, database: Products
) -> None:
    """Change a price: first the database, then every process forgets all that was made of the product."""
    await database.set_price(product_id, price)
    await cache.invalidate_tag(f"product:{product_id}")


@router.get("/stock/{product_id}")
async def read_stock(product_id: int, cache: Cache, database: Products) -> dict[str, int]:
    """Pieces left, for two seconds; after them the last number, while the next one is loaded."""
    left = await cache.get_or_set(f"stock:{product_id}", partial(database.stock, product_id), ttl=2, stale_ttl=60)
    return {"id": product_id, "left": left}


@router.get("/pages/{product_id}")
@cached_endpoint(ttl=10, stale_ttl=60, tags=("product:{product_id}",), cache=get_cache_service)
async def read_page(product_id: int, cache: Cache, database: Products) -> dict[str, Any]:
    """A product with the best sellers beside it."""
    product = await read_product(product_id, database)
    return {**product, "best_sellers": await cards(cache, database)}


async def cards(cache: GenericRedisCache | InMemoryCache, database: Database) -> list[dict[str, Any]]:
    """The best sellers in short: one batch read."""
    wanted = {f"card:{number}": number for number in range(1, BEST_SELLERS + 1)}
    found = await cache.get_many(wanted)
    missing = [number for key, number in wanted.items() if key not in found]
    if missing:
        rows = await database.products(missing)
        loaded = {f"card:{number}": {"id": number, "name": row["name"]} for number, row in rows.items()}
        await cache.set_many(loaded, ttl=300)
        found.update(loaded)
    return [found[key] for key in wanted]


@router.get("/reports/{number}")
@cached_endpoint(ttl=300, stale_ttl=600, cache=get_cache_service)
async def read_report(number: int, database: Products) -> dict[str, int]:
    """What takes so long that many callers wait for it: one request makes it, in one of all processes."""
    return await database.report(number)


@router.post("/summaries")
async def read_summary(
    text: Annotated[str, Body()], cache: AICache, words: Annotated[int, Body(ge=1)] = 12
) -> dict[str, Any]:
    """A summary. The same text with the same options is paid for once."""
    options = {"words": words}
    kept: dict[str, Any] | None = await cache.get_cached_response(text, "summarize", options, model=MODEL)
    if kept is not None:
        return kept
    began = time.perf_counter()
    response = await summarize(text, words)
    paid: dict[str, Any] = {"usage": response["usage"], "generation_seconds": time.perf_counter() - began}
    await cache.cache_response(text, "summarize", options, response, model=MODEL, **paid)
    return response


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """The database is open from the first query on, and closed after the last request."""
    yield
    open_database().close()
    open_database.cache_clear()


def create_app() -> FastAPI:
    """The application; `install_cache` is all that it takes to cache and observe it."""
    app = FastAPI(title="otcache demo", description="Products and summaries behind a cache.", lifespan=lifespan)
    app.include_router(router)
    install_cache(app, health_path="/health")
    return app
