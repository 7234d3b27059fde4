"""A stale response is served at once, and refreshed by a background run with new dependencies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
import pytest
from fastapi import Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from otcache import GenericRedisCache, InMemoryCache
from otcache.http import cached_endpoint
from tests.http.app import Shop, status_of
from tests.servers import RedisServer
from tests.telemetry.scenario import PATIENT, until

OPTIONS: Final[dict[str, Any]] = {"name": "web", "early_refresh": 0.0, "stale_retry_seconds": 0.0}


@pytest.fixture(params=["memory", "redis"])
async def shop(request: pytest.FixtureRequest, redis_server: RedisServer, prefix: str) -> AsyncIterator[Shop]:
    """An application whose responses are refreshed only when they are stale; in memory, and in Redis alone."""
    there = {"redis_url": redis_server.url, "key_prefix": prefix, "timeout": PATIENT, "enable_l1_cache": False}
    alone: dict[str, Any] = {**OPTIONS, **there, "single_flight": "process"}  # the quickest way to the loader
    shop = Shop(InMemoryCache(**OPTIONS) if request.param == "memory" else GenericRedisCache(**alone))
    await shop.cache.connect()  # what is loaded while it begins to hear other processes is not kept
    yield shop
    await shop.cache.close()


async def stale(client: httpx.AsyncClient, **more: Any) -> httpx.Response:
    """The first answer that is past its time."""
    async with asyncio.timeout(20):
        while True:
            answer = await client.get("/", **more)
            if status_of(answer).get("ttl", 0) < 0:
                return answer
            await asyncio.sleep(0.01)


async def test_a_stale_response_is_served_at_once_and_refreshed(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=1, stale_ttl=60)
    async def endpoint() -> int:
        return shop.run()

    await client.get("/")
    old = await stale(client)
    await until(lambda: shop.runs["endpoint"] > old.json())
    while status_of(new := await client.get("/")).get("ttl", 0) < 0:
        await asyncio.sleep(0.01)

    assert old.json() < new.json()
    assert int(old.headers["age"]) >= 1
    assert (status_of(old)["hit"], status_of(old)["detail"]) == (True, "revalidating")
    assert old.headers["cache-control"] == "private, max-age=1, stale-while-revalidate=60, stale-if-error=60"
    assert old.headers["etag"] != new.headers["etag"]


async def test_the_run_in_the_background_has_dependencies_of_its_own(shop: Shop, client: httpx.AsyncClient) -> None:
    sessions: list[dict[str, Any]] = []
    go_on = asyncio.Event()

    async def session(request: Request) -> AsyncIterator[dict[str, Any]]:
        sessions.append(one := {"open": True, "user": request.headers["x-user"]})
        try:
            yield one
        finally:
            one["open"] = False

    @shop.app.get("/")
    @cached_endpoint(ttl=1, stale_ttl=60, shared=True)
    async def endpoint(session: dict[str, Any] = Depends(session)) -> dict[str, Any]:
        if shop.run() > 1:
            await go_on.wait()
        return {**session, "run": shop.runs["endpoint"]}

    await client.get("/", headers={"x-user": "ada"})
    await stale(client, headers={"x-user": "bob"})
    await until(lambda: shop.runs["endpoint"] == 2)
    still_open = [each["user"] for each in sessions if each["open"]]
    go_on.set()
    await until(lambda: not any(each["open"] for each in sessions))
    answer = await client.get("/", headers={"x-user": "eve"})

    assert still_open == ["bob"]
    assert answer.json() == {"open": True, "user": "bob", "run": 2}


@pytest.mark.parametrize("failure", ["raised", "503", "returned"])
async def test_while_the_endpoint_fails_the_old_answer_stays(
    shop: Shop, client: httpx.AsyncClient, failure: str
) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=1, stale_ttl=60)
    async def endpoint() -> Any:
        if shop.run() == 1:
            return "good"
        if failure == "raised":
            raise RuntimeError("?")
        if failure == "503":
            raise HTTPException(503)
        return JSONResponse("bad", 500)

    await client.get("/")
    await stale(client)
    await until(lambda: shop.runs["endpoint"] >= 2)
    answer = await client.get("/")

    assert (answer.status_code, answer.json()) == (200, "good")
    assert status_of(answer)["ttl"] < 0


async def test_an_answer_that_is_gone_is_deleted(shop: Shop, client: httpx.AsyncClient) -> None:
    gone = asyncio.Event()

    @shop.app.get("/")
    @cached_endpoint(ttl=1, stale_ttl=60)
    async def endpoint() -> Any:
        if gone.is_set():
            raise HTTPException(410)
        return "there"

    await stale(client)
    gone.set()
    async with asyncio.timeout(20):
        while (await client.get("/")).status_code != 410:
            await asyncio.sleep(0.01)

    assert (await client.get("/")).status_code == 410


async def test_a_run_in_the_background_passes_the_authorisation_too(shop: Shop, client: httpx.AsyncClient) -> None:
    valid = {"ticket"}

    async def check(request: Request) -> None:
        shop.run("check")
        if request.headers.get("x-ticket") not in valid:
            raise HTTPException(403)
        if shop.runs["endpoint"]:
            asyncio.get_running_loop().call_soon(valid.clear) if shop.runs["last"] else None

    @shop.app.get("/", dependencies=[Depends(check)])
    @cached_endpoint(ttl=1, stale_ttl=60, respect_request=True, shared=True)
    async def endpoint() -> int:
        return shop.run()

    await client.get("/", headers={"x-ticket": "ticket"})
    async with asyncio.timeout(20):
        while (await client.get("/", headers={"x-ticket": "ticket", "cache-control": "only-if-cached"})).is_success:
            await asyncio.sleep(0.01)
    shop.run("last")
    checks = shop.runs["check"]
    answer = await client.get("/", headers={"x-ticket": "ticket"})
    await until(lambda: shop.runs["check"] == checks + 2)

    assert (answer.status_code, status_of(answer)["ttl"] < 0) == (200, True)
    assert shop.runs["endpoint"] == 1


async def test_who_wants_no_stale_answer_gets_a_new_one(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=1, stale_ttl=60, respect_request=True)
    async def endpoint() -> int:
        return shop.run()

    await client.get("/")
    async with asyncio.timeout(20):
        while (await client.get("/", headers={"cache-control": "only-if-cached"})).is_success:
            await asyncio.sleep(0.01)
    answer = await client.get("/", headers={"cache-control": "max-age=30"})

    assert answer.json() > 1
    assert status_of(answer)["fwd"] == "stale"


async def test_who_asks_for_a_new_answer_is_not_served_an_old_one(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=60, stale_ttl=60, respect_request=True)
    async def endpoint() -> Any:
        if shop.run() > 1:
            raise HTTPException(503)
        return "good"

    await client.get("/")
    forced = await client.get("/", headers={"cache-control": "no-cache"})
    later = await client.get("/")

    assert (forced.status_code, later.status_code, later.json()) == (503, 200, "good")


async def test_an_answer_that_forbids_it_is_not_given_stale(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/")
    @cached_endpoint(stale_ttl=60)
    async def endpoint(response: Response) -> int:
        response.headers["cache-control"] = "max-age=1, must-revalidate"
        return shop.run()

    answers = [await client.get("/")]
    async with asyncio.timeout(20):
        while answers[-1].json() == 1:
            answers.append(await client.get("/"))
            await asyncio.sleep(0.01)

    assert min(status_of(each)["ttl"] for each in answers) >= 0
