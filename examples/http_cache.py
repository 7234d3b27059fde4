"""Cached responses of a FastAPI application, and what their headers say: `python examples/http_cache.py`."""

from __future__ import annotations

import asyncio

import httpx
from fastapi import FastAPI

from otcache import install_cache
from otcache.http import cached_endpoint

app = FastAPI(title="products")
install_cache(app)


@app.get("/products/{product_id}")
@cached_endpoint(ttl=60, tags=("product:{product_id}",))
async def read_product(product_id: int, currency: str = "EUR") -> dict[str, str]:
    """One product; what takes its time is done once a minute."""
    await asyncio.sleep(0.05)
    return {"name": f"product {product_id}", "currency": currency}


async def main() -> None:
    """A miss, a hit, a 304, a request that wants a new answer, and one with credentials."""
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        tag = (await client.get("/products/7")).headers["etag"]
        asked: list[dict[str, str]] = [
            {},
            {"If-None-Match": tag},
            {"Cache-Control": "no-cache"},
            {"Authorization": "Bearer secret"},
        ]
        for headers in asked:
            answer = await client.get("/products/7?utm_source=letter", headers=headers)
            print(answer.status_code, answer.headers["cache-status"], answer.headers["server-timing"], sep=" | ")


if __name__ == "__main__":
    asyncio.run(main())
