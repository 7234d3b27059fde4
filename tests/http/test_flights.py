"""Many requests for one response run the endpoint once, and none gets what is for another."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import httpx
import pytest
from fastapi import Depends, HTTPException, Request, Response

from otcache.http import cached_endpoint
from tests.http.app import Shop, status_of
from tests.telemetry.scenario import until

MANY = 30


class Door:
    """Endpoints stop at it until it is opened."""

    def __init__(self) -> None:
        self.inside = 0
        self._open = asyncio.Event()

    async def pass_through(self) -> None:
        self.inside += 1
        await self._open.wait()

    def open(self) -> None:
        self._open.set()


@pytest.fixture
async def door() -> Door:
    """A closed one."""
    return Door()


async def all_at_once(client: httpx.AsyncClient, door: Door, *paths: str) -> list[httpx.Response]:
    """What requests get that all come before the first endpoint may end."""
    asking = [asyncio.create_task(client.get(path)) for path in paths]
    await until(lambda: door.inside > 0)
    for _ in range(50):
        await asyncio.sleep(0)
    door.open()
    return await asyncio.gather(*asking)


async def test_the_endpoint_runs_once_for_all(shop: Shop, client: httpx.AsyncClient, door: Door) -> None:
    @shop.app.get("/{item}")
    @cached_endpoint(ttl=60)
    async def endpoint(item: int) -> int:
        await door.pass_through()
        return shop.run()

    answers = await all_at_once(client, door, *["/1"] * MANY)

    assert {each.json() for each in answers} == {1}
    assert len({each.headers["etag"] for each in answers}) == 1
    assert Counter(status_of(each).get("collapsed", False) for each in answers) == {True: MANY - 1, False: 1}
    assert Counter("load;dur" in each.headers["server-timing"] for each in answers) == {True: 1, False: MANY - 1}


async def test_no_waiter_gets_anothers_cookie(shop: Shop, client: httpx.AsyncClient, door: Door) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=60)
    async def endpoint(response: Response) -> int:
        await door.pass_through()
        response.set_cookie("session", str(shop.run()))
        return 1

    answers = await all_at_once(client, door, *["/"] * MANY)

    cookies = Counter(each.headers["set-cookie"].partition(";")[0] for each in answers)
    assert cookies == {f"session={number}": 1 for number in range(1, MANY + 1)}
    assert Counter(status_of(each)["detail"] for each in answers) == {"set-cookie": 1, "not-shared": MANY - 1}


async def test_a_refusal_is_only_for_who_asked_for_it(shop: Shop, client: httpx.AsyncClient, door: Door) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=60)
    async def endpoint() -> None:
        await door.pass_through()
        raise HTTPException(404, f"not there, number {shop.run()}")

    answers = await all_at_once(client, door, "/", "/", "/")

    assert sorted(each.json()["detail"] for each in answers) == [f"not there, number {number}" for number in (1, 2, 3)]


@pytest.mark.parametrize(("error", "status"), [(RuntimeError("?"), 500), (HTTPException(503, "busy"), 503)])
async def test_a_failure_is_only_for_who_asked_for_it(
    shop: Shop, client: httpx.AsyncClient, door: Door, error: Exception, status: int
) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=60)
    async def endpoint() -> None:
        shop.run()
        await door.pass_through()
        raise error

    answers = await all_at_once(client, door, *["/"] * MANY)

    assert {each.status_code for each in answers} == {status}
    assert shop.runs["endpoint"] == MANY


async def test_who_goes_away_takes_nothing_from_the_others(shop: Shop, client: httpx.AsyncClient, door: Door) -> None:
    opened: list[Any] = []

    async def session() -> Any:
        opened.append(one := {"open": True})
        try:
            yield one
        finally:
            one["open"] = False

    @shop.app.get("/")
    @cached_endpoint(ttl=60)
    async def endpoint(session: dict[str, bool] = Depends(session)) -> dict[str, bool]:
        await door.pass_through()
        return dict(session)

    first = asyncio.create_task(client.get("/"))
    await until(lambda: door.inside == 1)
    others = [asyncio.create_task(client.get("/")) for _ in range(3)]
    await until(lambda: len(opened) == 4)
    first.cancel()
    await until(lambda: door.inside == 2)
    door.open()

    assert [each.json() for each in await asyncio.gather(*others)] == [{"open": True}] * 3
    assert first.cancelled()
    await until(lambda: not any(each["open"] for each in opened))
    assert len(opened) == 5  # the run that went on had one of its own


async def test_an_endpoint_slower_than_the_timeout_still_answers(
    shop: Shop, client: httpx.AsyncClient, door: Door
) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=60, timeout=0.05)
    async def endpoint() -> int:
        await door.pass_through()
        return shop.run()

    asking = [asyncio.create_task(client.get("/")) for _ in range(2)]
    await until(lambda: door.inside == 2)  # who waited has given up waiting
    door.open()
    answers = await asyncio.gather(*asking)

    assert sorted(each.json() for each in answers) == [1, 2]
    assert [status_of(each) for each in answers] == [{"fwd": "bypass", "detail": "cache-error"}] * 2


async def test_the_endpoint_sees_what_dependencies_have_set(shop: Shop, client: httpx.AsyncClient) -> None:
    async def note(request: Request) -> None:
        request.state.tenant = "acme"

    @shop.app.get("/", dependencies=[Depends(note)])
    @cached_endpoint(ttl=60)
    async def endpoint(request: Request) -> str:
        tenant: str = request.state.tenant
        return tenant

    assert (await client.get("/")).json() == "acme"


async def test_an_invalidated_tag_gives_a_new_answer_and_never_an_old_304(
    shop: Shop, client: httpx.AsyncClient
) -> None:
    @shop.app.get("/users/{user_id}")
    @cached_endpoint(ttl=60, stale_ttl=60, tags=("user:{user_id}", "users"))
    async def endpoint(user_id: int) -> int:
        return shop.run()

    paths = ("/users/1", "/users/2")
    tags = [(await client.get(path)).headers["etag"] for path in paths]
    asked = [(path, {"if-none-match": tag}) for path, tag in zip(paths, tags, strict=True)]
    await shop.cache.invalidate_tag("user:1")
    one = [(await client.get(path, headers=headers)).status_code for path, headers in asked]
    await shop.cache.invalidate_prefix("http:GET:/users/{user_id}:")
    both = [await client.get(path, headers=headers) for path, headers in asked]

    assert one == [200, 304]
    assert [each.status_code for each in both] == [200, 200]
    assert not {each.headers["etag"] for each in both} & set(tags)
