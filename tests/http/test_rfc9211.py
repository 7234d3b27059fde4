"""What RFC 9211 says of Cache-Status, asked of a running application; each row names its section."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import http_sf
import httpx
from fastapi import HTTPException, Response
from fastapi.responses import JSONResponse

from otcache import InMemoryCache
from otcache.http import cached_endpoint
from tests.http.app import Shop, status_of
from tests.rows import every

REASONS: Final = {"bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"}
"""2.2: the values of `fwd`."""
Ask = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


def get(path: str, **headers: str) -> Ask:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda client: client.get(path, headers=sent)


def post(path: str) -> Ask:
    return lambda client: client.post(path)


def shop_of() -> Shop:
    """An application whose routes do what the rows ask for."""
    shop = Shop(InMemoryCache(name="web", early_refresh=0.0, stale_retry_seconds=0.0))
    cached = cached_endpoint(ttl=60, respect_request=True)
    shop.app.api_route("/plain", methods=["GET", "POST", "HEAD"])(cached(lambda: 1))
    shop.get("/vary", cached_endpoint(ttl=60, vary=("accept",))(lambda: 1))
    shop.get("/off", cached_endpoint(ttl=0)(lambda: 1))
    shop.get("/for-ever", cached_endpoint(ttl=31_536_000)(lambda: 1))
    shop.get("/stale", cached_endpoint(ttl=0.05, stale_ttl=60)(lambda: 1))
    shop.get("/strict", cached_endpoint(ttl=0.05, stale_ttl=60)(_must_revalidate))
    shop.get("/missing", cached_endpoint(ttl=60)(_missing))
    shop.get("/cookie", cached_endpoint(ttl=60)(_cookie))
    shop.get("/upstream", cached_endpoint(ttl=60)(_upstream))
    return shop


def _missing() -> None:
    raise HTTPException(404)


def _cookie(response: Response) -> int:
    response.set_cookie("a", "1")
    return 1


def _must_revalidate() -> Response:
    return JSONResponse(1, headers={"cache-control": "max-age=1, must-revalidate"})


def _upstream(response: Response) -> int:
    response.headers.append("cache-status", "Origin; hit; ttl=5")
    response.headers.append("cache-status", '"Middle one"; fwd=stale; stored')
    return 1


ROWS: list[tuple[str, list[Ask], Mapping[str, Any]]] = [
    ("2.2: uri-miss, and 2.5: stored", [get("/plain")], {"fwd": "uri-miss", "stored": True, "ttl": 60}),
    ("2.1: hit", [get("/plain")] * 2, {"hit": True, "ttl": 59}),
    ("2.2: miss where headers count too", [get("/vary")], {"fwd": "miss", "stored": True, "ttl": 60}),
    ("2.2: bypass by its method", [post("/plain")], {"fwd": "bypass", "detail": "method"}),
    ("2.2: bypass by the route", [get("/off")], {"fwd": "bypass", "detail": "ttl"}),
    ("2.2: request", [get("/plain"), get("/plain", cache_control="no-cache")],
     {"fwd": "request", "stored": True, "ttl": 60}),
    ("2.2: bypass by the request", [get("/plain", cache_control="no-store")], {"fwd": "bypass", "detail": "no-store"}),
    ("2: neither hit nor fwd", [get("/plain", cache_control="only-if-cached")], {"detail": "only-if-cached"}),
    ("2.5: not stored, its status", [get("/missing")], {"fwd": "uri-miss", "detail": "status"}),
    ("2.5: not stored, its cookie", [get("/cookie")], {"fwd": "uri-miss", "detail": "set-cookie"}),
    ("2.1: a hit is a hit with If-None-Match", [get("/plain"), get("/plain", if_none_match="*")],
     {"hit": True, "ttl": 59}),
    ("2.4: a long ttl", [get("/for-ever")], {"fwd": "uri-miss", "stored": True, "ttl": 31_536_000}),
]  # fmt: skip


@every("section, requests, said", ROWS, ids=lambda each: each if isinstance(each, str) else "")
async def test_cache_status_says_what_was_done(section: str, requests: list[Ask], said: Mapping[str, Any]) -> None:
    shop = shop_of()

    async with shop.client() as client:
        answer = [await ask(client) for ask in requests][-1]

    shown = status_of(answer)
    if said.get("ttl") == 59:
        shown["ttl"] = min(59, shown["ttl"])  # 60 in the first moment
    assert shown == said
    assert shown.get("fwd", "miss") in REASONS
    assert not {"hit", "fwd"} <= shown.keys()  # 2.2: never both
    await shop.cache.close()


async def test_a_stale_hit_has_a_negative_ttl() -> None:
    """Section 2.4."""
    shop = shop_of()

    async with shop.client() as client:
        await client.get("/stale")
        await asyncio.sleep(0.1)
        answer = await client.get("/stale")

    assert status_of(answer) == {"hit": True, "ttl": -1, "detail": "revalidating"}
    await shop.cache.close()


@every("name", ["otcache", "my shop", 'a "quoted" \\ name', "1st"])
async def test_members_of_caches_nearer_to_the_origin_stand_first(name: str) -> None:
    """Section 2: a list; the first member is the cache closest to the origin."""
    shop = Shop()
    shop.get("/", cached_endpoint(ttl=60, cache_status=name)(_upstream))

    async with shop.client() as client:
        loaded, hit = [await client.get("/") for _ in range(2)]

    names = [[str(each[0]) for each in _members(answer)] for answer in (loaded, hit)]
    assert names == [["Origin", "Middle one", name], [name]]
    await shop.cache.close()


def _members(answer: httpx.Response) -> list[Any]:
    members: Any = http_sf.parse(", ".join(answer.headers.get_list("cache-status")).encode(), tltype="list")
    return list(members)


@every("path", ["/plain", "/vary", "/missing", "/cookie", "/off", "/stale"])
async def test_without_details_a_stranger_sees_hit_or_the_reason_alone(path: str) -> None:
    """Section 6: what it tells an attacker."""
    shop = Shop()
    routes = {route.path: route.endpoint for route in shop_of().app.routes if hasattr(route, "dependant")}  # type: ignore[attr-defined]
    shop.get(path, cached_endpoint(ttl=60, details=False)(routes[path].__wrapped__))

    async with shop.client() as client:
        answers = [await client.get(path) for _ in range(2)]

    assert all(set(status_of(each)) in ({"hit"}, {"fwd"}) for each in answers)
    assert not any("server-timing" in each.headers for each in answers)
    await shop.cache.close()
