"""A gateway whose one cached endpoint forwards to the origin of the HTTP cache test suite.

The suite wants a proxy before its origin, and a cached endpoint is no proxy: this is the smallest application that
makes one of it. `uvicorn tests.http.cache_suite.app:app`, with `CACHE_SUITE_ORIGIN` naming the origin.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

import httpx
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from otcache import InMemoryCache
from otcache.http import cached_endpoint

ORIGIN: Final = os.environ["CACHE_SUITE_ORIGIN"]
CACHE: Final = InMemoryCache(name="cache-suite", memory_cache_size=10_000, spans="off")
TTL: Final = 1
"""Seconds that a response without times of its own is kept; shorter than the suite's pauses of 3 s."""
STATUSES: Final = (200, 203, 204, 299, 300, 301, 302, 303, 307, 308, 400, 404, 405, 410, 414, 499)
_HOP_BY_HOP: Final = frozenset((b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade"))
_OTHERS: Final = ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "M-SEARCH"]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    await CLIENT.aclose()
    await CACHE.close()


# a connection of its own for each: the suite's origin closes idle ones, and some tests make it close them
LIMITS: Final = httpx.Limits(max_keepalive_connections=0)
CLIENT: Final = httpx.AsyncClient(base_url=ORIGIN, timeout=10, trust_env=False, limits=LIMITS)
app: Final = FastAPI(lifespan=lifespan)


def _end_to_end(headers: Iterable[tuple[bytes, bytes]], *more: bytes) -> list[tuple[bytes, bytes]]:
    """Without the headers of one connection, those that Connection names included (RFC 9110, 7.6.1)."""
    found = [(name.lower(), value) for name, value in headers]
    listed = {each.strip().lower() for name, value in found if name == b"connection" for each in value.split(b",")}
    return [(name, value) for name, value in found if name not in _HOP_BY_HOP | listed | set(more)]


async def forward(request: Request, *without: bytes) -> Response:
    """What the origin answers, as it is."""
    target = httpx.URL(
        raw_path=request.scope["raw_path"] + b"?" * bool(request.url.query) + request.scope["query_string"]
    )
    headers = _end_to_end(request.headers.raw, b"host", b"content-length", *without)
    asked = CLIENT.build_request(request.method, target, headers=headers, content=await request.body())
    answered = await CLIENT.send(asked, stream=True)
    try:
        body = b"".join([part async for part in answered.aiter_raw()])
    finally:
        await answered.aclose()
    response = Response(body, answered.status_code)
    response.raw_headers[:] = _end_to_end(answered.headers.raw, b"date")  # the server adds its own
    return response


@app.api_route("/config/{uuid}", methods=["PUT"])
@app.api_route("/state/{uuid}", methods=["GET"])
async def control(request: Request, uuid: str) -> Response:
    """What the suite tells and asks its origin beside the tests."""
    return await forward(request)


def _cache() -> InMemoryCache:
    return CACHE


@app.api_route("/{path:path}", methods=["GET", "HEAD"])
@cached_endpoint(
    ttl=TTL,
    shared=True,
    public=True,
    tags=("{path}",),
    vary=("foo",),
    statuses=dict.fromkeys(STATUSES),
    respect_request=True,
    cache=_cache,
)
async def read(request: Request, path: str) -> Response:
    """The cached endpoint."""
    return await forward(request)


@app.api_route("/{path:path}", methods=_OTHERS)
async def write(request: Request, path: str) -> Response:
    """What an application does after a write: it invalidates what it has written."""
    response = await forward(request)
    if response.status_code < 400 and request.method != "OPTIONS":
        await CACHE.invalidate_tag(path)
    return response
