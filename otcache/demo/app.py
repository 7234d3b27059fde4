"""The demo's application: an ordinary FastAPI service that caches by otcache's dependencies, as any other would."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel, Field

from otcache import (
    AIMemoryCache,
    AIResponseCache,
    GenericRedisCache,
    InMemoryCache,
    get_ai_cache_service,
    get_cache_service,
    install_cache,
)
from otcache.demo.backends import BEST_SELLERS, Database, Model

router = APIRouter()

# --- dependencies -----------------------------------------------------------------------------------

Cache = Annotated[GenericRedisCache | InMemoryCache, Depends(get_cache_service)]
AICache = Annotated[AIResponseCache | AIMemoryCache, Depends(get_ai_cache_service)]


def get_database(request: Request) -> Database:
    """The application's database."""
    database: Database = request.app.state.database
    return database


def get_model(request: Request) -> Model:
    """The application's model."""
    model: Model = request.app.state.model
    return model


Products = Annotated[Database, Depends(get_database)]
Summarizer = Annotated[Model, Depends(get_model)]

# --- products: a slow loader behind the cache -------------------------------------------------------


async def load_product(product_id: int, cache: GenericRedisCache | InMemoryCache, database: Database) -> dict[str, Any]:
    """One product, from the cache or the database."""
    key = f"product:{product_id}"
    product: dict[str, Any] | None = await cache.get(key)
    if product is None:
        product = await database.product(product_id)
        if product is None:
            raise HTTPException(404, f"there is no product {product_id}")
        await cache.set(key, product, ttl=300)
    return product


@router.get("/products/{product_id}")
async def read_product(product_id: int, cache: Cache, database: Products) -> dict[str, Any]:
    """One product."""
    return await load_product(product_id, cache, database)


@router.get("/pages/{product_id}")
async def read_page(product_id: int, cache: Cache, database: Products) -> dict[str, Any]:
    """A product with the best sellers beside it: the best sellers are one batch read."""
    product = await load_product(product_id, cache, database)
    best = {f"product:{number}": number for number in range(1, BEST_SELLERS + 1)}
    found = await cache.get_many(best)
    missing = [number for key, number in best.items() if key not in found]
    if missing:
        rows = await database.products(missing)
        loaded = {f"product:{number}": row for number, row in rows.items()}
        await cache.set_many(loaded, ttl=300)
        found.update(loaded)
    return {**product, "best_sellers": [{"id": row["id"], "name": row["name"]} for row in found.values()]}


@router.get("/stock/{product_id}")
async def read_stock(product_id: int, cache: Cache, database: Products) -> dict[str, int]:
    """Pieces left, at most two seconds old."""
    key = f"stock:{product_id}"
    left = await cache.get(key)
    if left is None:
        left = await database.stock(product_id)
        await cache.set(key, left, ttl=2)
    return {"id": product_id, "left": left}


class Price(BaseModel):
    """A new price."""

    price: float = Field(gt=0)


@router.put("/products/{product_id}/price", status_code=204)
async def change_price(product_id: int, body: Price, cache: Cache, database: Products) -> None:
    """Change a price: first the database, then the cache forgets the product."""
    await database.set_price(product_id, body.price)
    await cache.delete(f"product:{product_id}")


# --- summaries: an AI response by text, operation and options ---------------------------------------


class Text(BaseModel):
    """What to summarize, and in how many words."""

    text: str = Field(min_length=1)
    words: int = Field(default=12, ge=1, le=200)


@router.post("/summaries")
async def summarize(body: Text, cache: AICache, model: Summarizer) -> dict[str, Any]:
    """A summary. The same text with the same options is paid for once."""
    options = {"words": body.words}
    kept: dict[str, Any] | None = await cache.get_cached_response(body.text, "summarize", options)
    if kept is not None:
        return kept
    made = await model.summarize(body.text, body.words)
    response = {"summary": made.text, "usage": made.usage}
    paid: dict[str, Any] = {"usage": made.usage, "generation_seconds": made.seconds, "model": model.name}
    await cache.cache_response(body.text, "summarize", options, response, **paid)
    return response


def create_app() -> FastAPI:
    """The application; `install_cache` is all that it takes to cache and observe it."""
    app = FastAPI(title="otcache demo", description="Products and summaries behind a cache.")
    app.state.database, app.state.model = Database(), Model()
    app.include_router(router)
    install_cache(app, health_path="/health")
    return app
