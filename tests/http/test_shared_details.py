"""What an exception handler does to an error is that request's own, cached or not."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse

from otcache.http import cached_endpoint
from tests.http.app import Shop


async def name_the_caller(request: Request, error: Any) -> JSONResponse:
    """A handler as many applications have it: it completes the detail in place."""
    error.detail["callers"].append(request.headers["x-caller"])
    return JSONResponse(error.detail, error.status_code)


async def ask(client: httpx.AsyncClient, caller: str) -> list[str]:
    found: list[str] = (await client.get("/items/1", headers={"x-caller": caller})).json()["callers"]
    return found


async def test_no_caller_is_named_to_another(shop: Shop, client: httpx.AsyncClient) -> None:
    async def item() -> None:
        await asyncio.sleep(0)
        raise HTTPException(404, {"callers": []})

    shop.get("/items/1", cached_endpoint(ttl=60, statuses={404: 60})(item))
    shop.app.add_exception_handler(HTTPException, name_the_caller)

    waited = await asyncio.gather(*(ask(client, f"waiter {number}") for number in range(4)))
    hit = [await ask(client, f"caller {number}") for number in range(3)]

    assert waited == [[f"waiter {number}"] for number in range(4)]
    assert hit == [[f"caller {number}"] for number in range(3)]
