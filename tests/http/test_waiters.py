"""Who waits for another's run gets of it only what anybody could get from the cache."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Annotated, Any

import httpx
from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from otcache import InMemoryCache
from otcache.http import cached_endpoint
from tests.http.app import status_of
from tests.rows import every
from tests.telemetry.scenario import until

USERS = [f"user{number}" for number in range(4)]
Who = Annotated[str, Header(alias="authorization")]
"""No part of the key where the route says whose an answer is: so a mistake of its author shows."""
HEADERS = {
    "nothing": {},
    "a cookie": {"set-cookie": "session={who}"},
    "its own header": {"x-who": "{who}"},
    "no-store": {"cache-control": "no-store"},
    "private": {"cache-control": "private, max-age=60"},
    "over": {"expires": "0"},
}
STATUSES = (200, 404, 422, 500, 503)
WAYS = ("returned", "set", "raised", "by a dependency", "a failure")
CASES = [each for each in itertools.product(STATUSES, HEADERS, WAYS, (True, False)) if each[2] in ("returned", "raised")
         or each[0] == 200]  # fmt: skip


def filled(headers: dict[str, str], who: str) -> dict[str, str]:
    return {name: value.format(who=who) for name, value in headers.items()}


def endpoint_of(status: int, headers: dict[str, str], way: str) -> Callable[..., Any]:
    """An endpoint that says who asks for it, in the way that the row says."""

    async def endpoint(who: Who, response: Response) -> Any:
        await asyncio.sleep(0.02)
        own = filled(headers, who)
        if way == "raised":
            raise HTTPException(status, {"for": who}, own)
        if way == "a failure":
            raise LookupError(who)
        if way == "returned":
            return JSONResponse({"for": who}, status, own)
        if way == "set":
            response.headers.update(own)
        return {"for": who}

    return endpoint


async def asked_together(app: FastAPI, **client: Any) -> list[httpx.Response]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop", **client) as asking:
        return await asyncio.gather(*(asking.get("/", headers={"authorization": user}) for user in USERS))


@every("status, said, way, shared", CASES)
async def test_no_waiter_gets_what_is_another_ones(status: int, said: str, way: str, shared: bool) -> None:
    headers, cache, app = HEADERS[said], InMemoryCache(name="web"), FastAPI()

    async def mark(who: Who, response: Response) -> None:
        if way == "by a dependency":
            response.headers.update(filled(headers, who))

    options: dict[str, Any] = {"shared": True} if shared else {"private_by": lambda request: "everybody"}
    decorator = cached_endpoint(ttl=60, cache=lambda: cache, **options)
    app.get("/", dependencies=[Depends(mark)], response_model=None)(decorator(endpoint_of(status, headers, way)))
    app.exception_handler(LookupError)(lambda _, exc: PlainTextResponse(f"failed for {exc}", 500))

    answers = await asked_together(app)

    is_storable = status == 200 and way != "a failure" and said not in ("a cookie", "no-store", "over")
    is_storable &= said != "private" or not shared
    for user, answer in zip(USERS, answers, strict=True):
        others = [other for other in USERS if other != user]
        assert is_storable or not any(other in answer.text for other in others)
        marks = str([value for name, value in answer.headers.items() if name in ("set-cookie", "x-who")])
        anybodys = is_storable and way != "by a dependency"
        assert anybodys or not any(other in marks for other in others)
        if way == "by a dependency":
            assert (user in marks) == (said in ("a cookie", "its own header"))


@every("status", STATUSES[1:])
async def test_a_stored_error_is_everybodys_and_a_server_error_nobodys(status: int) -> None:
    app, cache = FastAPI(), InMemoryCache(name="web")
    runs: list[str] = []

    async def endpoint(who: Who) -> Any:
        runs.append(who)
        await asyncio.sleep(0.02)
        return JSONResponse({"for": who}, status)

    decorator = cached_endpoint(ttl=60, shared=True, statuses={status: 5}, cache=lambda: cache)
    app.get("/")(decorator(endpoint))

    answers = await asked_together(app)

    assert len(runs) == (1 if status < 500 else len(USERS))
    assert status < 500 or [each.json()["for"] for each in answers] == USERS


async def test_each_request_has_its_own_background_tasks_and_those_of_its_dependencies() -> None:
    app, cache = FastAPI(), InMemoryCache(name="web")
    done: list[str] = []

    async def note(who: Who, tasks: BackgroundTasks) -> None:
        tasks.add_task(done.append, f"dependency {who}")

    async def endpoint(who: Who, tasks: BackgroundTasks) -> str:
        await asyncio.sleep(0.02)
        tasks.add_task(done.append, f"endpoint {who}")
        return "same"

    decorator = cached_endpoint(ttl=60, shared=True, cache=lambda: cache)
    app.get("/", dependencies=[Depends(note)])(decorator(endpoint))

    await asked_together(app)

    *by_dependencies, by_endpoint = sorted(done)
    assert by_dependencies == [f"dependency {user}" for user in USERS]
    assert by_endpoint.startswith("endpoint ")


@every("gone", ["cancelled", "timed out"])
async def test_a_leader_who_leaves_takes_its_failure_with_it(gone: str) -> None:
    app, cache = FastAPI(), InMemoryCache(name="web")
    runs: list[str] = []

    async def endpoint(who: Who) -> str:
        runs.append(who)
        if who == "user0":
            if gone == "timed out":
                async with asyncio.timeout(0.05):
                    await asyncio.Event().wait()
            await asyncio.Event().wait()
        return who

    decorator = cached_endpoint(ttl=60, private_by=lambda request: "everybody", timeout=1, cache=lambda: cache)
    app.get("/")(decorator(endpoint))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
        asking = [asyncio.create_task(client.get("/", headers={"authorization": USERS[0]}))]
        await until(lambda: bool(runs))
        asking += [asyncio.create_task(client.get("/", headers={"authorization": user})) for user in USERS[1:]]
        for _ in range(50):
            await asyncio.sleep(0)
        if gone == "cancelled":
            asking[0].cancel()
        answers = await asyncio.gather(*asking[1:])

    assert [each.status_code for each in answers] == [200] * 3
    assert "user0" not in {each.json() for each in answers}
    asking[0].cancel()


async def test_who_got_nothing_of_another_is_told_so() -> None:
    app, cache = FastAPI(), InMemoryCache(name="web")
    decorator = cached_endpoint(ttl=60, shared=True, cache=lambda: cache)
    app.get("/")(decorator(endpoint_of(503, {}, "returned")))

    answers = await asked_together(app)

    assert sorted(status_of(each)["detail"] for each in answers) == ["not-shared"] * 3 + ["status"]
