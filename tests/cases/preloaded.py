"""An application whose cache is built at import, before gunicorn forks its workers."""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI

from otcache import GenericRedisCache

# what was copied is trusted for so long that only a message can tell that it is old
cache = GenericRedisCache(
    redis_url=os.environ["CASE_REDIS_URL"],
    key_prefix=os.environ["CASE_PREFIX"],
    name="shop",
    timeout=5.0,
    max_staleness=30.0,
)
app = FastAPI()


@app.get("/price")
async def price() -> dict[str, Any]:
    return {"process": os.getpid(), "value": await cache.get("price")}


@app.post("/price/{value}")
async def change(value: int) -> dict[str, Any]:
    await cache.set("price", value, ttl=3600)
    return {"process": os.getpid(), "value": value}
