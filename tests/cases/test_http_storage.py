"""What may be kept of an answer, how long, and for whom."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException, Response
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from tests.cases.applications import application, asking, cached_route
from tests.cases.expected import fails_until, given

_runs = itertools.count(1)


async def number_of_run() -> int:
    return next(_runs)


async def no_such_thing() -> None:
    raise HTTPException(404, detail=str(next(_runs)))


@pytest.mark.parametrize(
    ("endpoint", "options"),
    [(number_of_run, {"ttl": 0}), (no_such_thing, {"statuses": {200: None, 404: 0}})],
    ids=["ttl", "statuses"],
)
def test_a_ttl_of_zero_keeps_no_answer(endpoint: Callable[..., Any], options: dict[str, Any]) -> None:
    app = application()
    cached_route(app, "/now", endpoint, **options)

    with asking(app) as client:
        first, second = client.get("/now"), client.get("/now")

    assert first.text != second.text
    assert "31536000" not in first.headers.get("cache-control", "")


# psf/cachecontrol #456; RFC 9111 sections 4.2.1 and 5.3
@pytest.mark.parametrize("expires", ["Thu, 01 Jan 1970 00:00:00 GMT", "0"])
@fails_until(12, "an answer that is over by its own Expires is kept and gets a max-age")
def test_an_answer_that_is_over_by_its_own_word_is_not_kept(expires: str) -> None:
    async def over() -> Response:
        return JSONResponse(next(_runs), headers={"Expires": expires})

    app = application()
    cached_route(app, "/over", over)

    with asking(app) as client:
        first, second = client.get("/over"), client.get("/over")

    assert first.json() != second.json()
    assert "max-age=60" not in second.headers.get("cache-control", "")


_BEARER = HTTPBearer()


def subscriber(given: Annotated[HTTPAuthorizationCredentials, Depends(_BEARER)]) -> None:
    if given.credentials != "paid":
        raise HTTPException(403)


async def report() -> str:
    return "for subscribers"


# RFC 9111 section 3.5: what a shared cache may store of an answer to a request with Authorization
@fails_until(12, "an answer for the authorized alone leaves as public")
def test_an_answer_for_subscribers_may_not_be_stored_between_here_and_them() -> None:
    app = application()
    cached_route(app, "/report", report, guards=[subscriber], shared=True)

    with asking(app) as client:
        answer = client.get("/report", headers={"authorization": "Bearer paid"})

    said = {each.strip().partition("=")[0] for each in answer.headers.get("cache-control", "").split(",")}
    given(answer.json() == "for subscribers", "an answer to who may have it")
    assert not said & {"public", "s-maxage", "must-revalidate"} or said & {"private", "no-store"}


@pytest.mark.parametrize(
    ("header", "wish"),
    [
        ("cache-control", "no-cache"),
        ("cache-control", "no-store"),
        ("cache-control", "max-age=0"),
        ("cache-control", "min-fresh=99999"),
        ("pragma", "no-cache"),
    ],
)
@fails_until(12, "a stranger's header makes the endpoint run each time")
def test_a_stranger_does_not_decide_how_often_an_endpoint_runs(header: str, wish: str) -> None:
    app = application()
    cached_route(app, "/dear", number_of_run)

    with asking(app) as client:
        numbers = {client.get("/dear", headers={header: wish}).json() for _ in range(10)}

    assert len(numbers) < 5


async def quota_is_used_up(given: Annotated[HTTPAuthorizationCredentials, Depends(_BEARER)]) -> None:
    await asyncio.sleep(0.3)
    who = given.credentials
    raise HTTPException(503, detail=f"quota of {who}", headers={"Set-Cookie": f"session={who}"})


@fails_until(12, "those who wait for one run get the failure, the text and the cookie of another")
async def test_waiters_get_nothing_of_a_failure_that_is_another_ones() -> None:
    app = application()
    cached_route(app, "/dear", quota_is_used_up, shared=True)
    users = [f"user{number}" for number in range(4)]

    async with asyncio.timeout(30), app.router.lifespan_context(app), client_of(app) as client:
        asked = (client.get("/dear", headers={"authorization": f"Bearer {user}"}) for user in users)
        answers = await asyncio.gather(*asked)

    shown = [answer.text + answer.headers.get("set-cookie", "") for answer in answers]
    assert [
        [other for other in users if other != user and other in text] for user, text in zip(users, shown, strict=True)
    ] == [[]] * 4


def client_of(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url="http://shop")
