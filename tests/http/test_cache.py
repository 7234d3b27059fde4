"""A cached endpoint answers as it would without the cache, byte for byte, and runs once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import Annotated, Any, NamedTuple

import httpx
import pytest
from fastapi import APIRouter, BackgroundTasks, Body, Depends, FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field

from otcache import ConfigurationError, InMemoryCache
from otcache.dependencies import get_web_cache_service
from otcache.http import cached_endpoint
from tests.http.app import Shop, status_of
from tests.rows import every


class Shown(BaseModel):
    id: int
    name: str = Field(alias="fullName")
    email: str | None = None


class User(Shown):
    password: str = "secret"


class Page(BaseModel):
    number: int = 1
    size: int = 10


class Case(NamedTuple):
    """An endpoint, and how its route is declared."""

    endpoint: Callable[..., Any]
    options: dict[str, Any]


ADA = {"id": 7, "fullName": "Ada Lövelace", "password": "p"}


async def a_dict(user_id: int) -> Any:
    return {"b": [1, 2.5, None], "a": "ü\u2028", "id": user_id}


def a_plain_function(user_id: int) -> Any:
    return {"id": user_id}


async def a_model(user_id: int) -> User:
    return User.model_validate(ADA)


async def headers_of_its_own(user_id: int, response: Response) -> Any:
    response.headers["X-Made"] = "here"
    response.status_code = 200
    return ["x"]


async def a_json_response(user_id: int) -> Response:
    return JSONResponse({"id": user_id}, headers={"x-one": "1"})


async def bytes_that_are_no_text(user_id: int) -> Response:
    return Response(b"\xff\x00\xfe", media_type="image/png")


async def nothing(user_id: int) -> None:
    return None


async def a_page(user_id: int, page: Annotated[Page, Query()]) -> Page:
    """With a docstring.

    And more of it.
    """
    return page


CASES = [
    Case(a_dict, {}),
    Case(a_plain_function, {}),
    Case(a_model, {}),
    Case(a_model, {"response_model": Shown}),
    Case(a_model, {"response_model": Shown, "response_model_exclude_unset": True, "response_model_by_alias": False}),
    Case(a_model, {"response_model_exclude": {"password"}, "response_model_exclude_none": True}),
    Case(a_model, {"response_model_include": {"id"}, "response_class": JSONResponse}),
    Case(headers_of_its_own, {}),
    Case(a_json_response, {}),
    Case(bytes_that_are_no_text, {}),
    Case(lambda user_id: f"user {user_id}", {"response_class": PlainTextResponse}),
    Case(lambda user_id: "<b>ü</b>", {"response_class": HTMLResponse}),
    Case(nothing, {}),
    Case(a_page, {"tags": ["pages"], "summary": "A page", "responses": {404: {"description": "none"}}}),
]
NEW = {"age", "cache-control", "cache-status", "etag", "server-timing", "vary"}


def old(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """What an answer has without what the cache adds."""
    return answer.status_code, answer.content, sorted(each for each in answer.headers.items() if each[0] not in NEW)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.endpoint.__name__} {' '.join(case.options)}")
@pytest.mark.parametrize("router", [False, True], ids=["app", "router"])
async def test_every_answer_is_the_uncached_one(shop: Shop, case: Case, router: bool) -> None:
    place: Any = APIRouter(prefix="/v1", default_response_class=JSONResponse) if router else shop.app
    place.get("/plain/{user_id}", **case.options)(case.endpoint)
    place.get("/cached/{user_id}", **case.options)(cached_endpoint(ttl=60)(case.endpoint))
    if router:
        shop.app.include_router(place, prefix="/api")

    async with shop.client() as client:
        base = "/api/v1" if router else ""
        plain = await client.get(f"{base}/plain/7?size=3")
        loaded, hit = [await client.get(f"{base}/cached/7?size=3") for _ in range(2)]

    assert old(plain) == old(loaded) == old(hit)
    assert loaded.headers["etag"] == hit.headers["etag"]
    assert (status_of(loaded)["fwd"], status_of(hit)["hit"]) == ("uri-miss", True)


@every("case", CASES, ids=lambda case: f"{case.endpoint.__name__} {' '.join(case.options)}")
def test_the_schema_is_the_uncached_one(case: Case) -> None:
    plain, cached = FastAPI(), FastAPI()

    plain.get("/users/{user_id}", **case.options)(case.endpoint)
    cached.get("/users/{user_id}", **case.options)(cached_endpoint(tags=("user:{user_id}",))(case.endpoint))

    assert cached.openapi() == plain.openapi()


async def test_an_endpoint_runs_once_for_each_user(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/users/{user_id}")
    @cached_endpoint(ttl=60)
    async def user(user_id: int) -> dict[str, int]:
        return {"id": user_id, "run": shop.run()}

    answers = [(await client.get(f"/users/{user_id}")).json() for user_id in (1, 2, 1, 2)]

    assert answers == [{"id": 1, "run": 1}, {"id": 2, "run": 2}] * 2


async def test_two_routes_of_one_shape_do_not_share(shop: Shop, client: httpx.AsyncClient) -> None:
    for name in ("users", "orders"):
        shop.get(f"/{name}/{{item}}", cached_endpoint(ttl=60)(lambda item, name=name: f"{name} {item}"))
    shop.app.mount("/mounted", mounted := FastAPI())
    mounted.dependency_overrides[get_web_cache_service] = lambda: shop.cache
    mounted.get("/users/{item}")(cached_endpoint(ttl=60)(lambda item: "mounted"))

    answers = [(await client.get(path)).json() for path in ("/users/1", "/orders/1", "/mounted/users/1", "/users/1")]

    assert answers == ["users 1", "orders 1", "mounted", "users 1"]


async def test_headers_of_a_dependency_are_this_requests_own(shop: Shop, client: httpx.AsyncClient) -> None:
    def limit(response: Response) -> None:
        response.headers["x-left"] = str(10 - shop.run("dependency"))

    @shop.app.get("/", dependencies=[Depends(limit)])
    @cached_endpoint(ttl=60)
    async def endpoint(response: Response) -> int:
        response.headers["x-run"] = str(shop.run())
        return 1

    answers = [await client.get("/") for _ in range(3)]

    assert [(each.headers["x-left"], each.headers["x-run"]) for each in answers] == [("9", "1"), ("8", "1"), ("7", "1")]


async def test_background_tasks_run_when_the_endpoint_does(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=60)
    async def endpoint(tasks: BackgroundTasks) -> int:
        tasks.add_task(shop.run, "task")
        return shop.run()

    answers = [(await client.get("/")).json() for _ in range(3)]

    assert (answers, shop.runs) == ([1, 1, 1], {"endpoint": 1, "task": 1})


async def test_another_dependency_may_give_the_cache(shop: Shop, client: httpx.AsyncClient) -> None:
    other = InMemoryCache(name="other")

    @shop.app.get("/")
    @cached_endpoint(ttl=60, cache=lambda: other)
    async def endpoint() -> int:
        return shop.run()

    await client.get("/")

    assert (other.get_stats()["l1"]["entries"], shop.cache.get_stats()["l1"]["entries"]) == (1, 0)
    await other.close()


async def test_by_default_it_is_the_applications_web_cache() -> None:
    app = FastAPI()
    app.get("/")(cached_endpoint(ttl=60)(lambda: 1))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        answers = [await client.get("/") for _ in range(2)]

    assert [status_of(each).get("hit") for each in answers] == [None, True]


async def test_called_by_hand_it_is_the_function_itself() -> None:
    @cached_endpoint(ttl=60, tags=("user:{user_id}",))
    async def user(user_id: int, suffix: str = "!") -> str:
        return f"{user_id}{suffix}"

    answers = [await user(7), await user(user_id=7, suffix="?")]

    assert answers == ["7!", "7?"]
    assert user.__name__ == "user"


async def test_an_error_of_the_endpoint_reaches_the_client(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.exception_handler(LookupError)
    async def handle(request: Request, exc: LookupError) -> Response:
        return PlainTextResponse(f"handled {exc}", 418)

    @shop.app.get("/")
    @cached_endpoint(ttl=60)
    async def endpoint() -> int:
        raise LookupError(str(shop.run()))

    answers = [await client.get("/") for _ in range(2)]

    assert [(each.status_code, each.text) for each in answers] == [(418, "handled 1"), (418, "handled 2")]


@dataclass
class Local:
    """A dependency with state of its own, as a database session is."""

    number: int


async def test_what_is_injected_is_no_part_of_the_key(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=60)
    async def endpoint(local: Local = Depends(lambda: Local(shop.run("dependency")))) -> int:
        return local.number

    answers = [(await client.get("/")).json() for _ in range(3)]

    assert (answers, shop.runs["dependency"]) == ([1, 1, 1], 3)


async def _yields() -> Any:
    yield 1


@every(
    ("options", "endpoint", "said"),
    [
        ({}, _yields, "yields"),
        ({"ttl": -1}, a_dict, "ttl=-1"),
        ({"ttl": nan}, a_dict, "ttl=nan"),
        ({"ttl": "60"}, a_dict, "ttl is str"),
        ({"stale_ttl": True}, a_dict, "stale_ttl is bool"),
        ({"tags": "users"}, a_dict, "tags='users' is one text"),
        ({"tags": [f"tag{number}" for number in range(101)]}, a_dict, "101 templates"),
        ({"public": True, "private_by": "user_id"}, a_dict, "public=True and private_by= conflict"),
        ({"tags": ("user:{id}",)}, a_dict, "'id'"),
        ({"tags": ("user:{user_id.x}", "{}")}, a_dict, "''"),
        ({"private_by": "me.id"}, a_dict, "'me'"),
        ({"private_by": "user_id", "shared": True}, a_dict, "conflict: keep shared=True only"),
        ({"methods": ("PUT",)}, a_dict, "GET, POST"),
        ({"vary": ("*",)}, a_dict, "vary"),
        ({"statuses": {304: None}}, a_dict, "304"),
        ({"statuses": {404: -1}}, a_dict, "statuses"),
        ({"cache_status": "ü"}, a_dict, "ASCII"),
    ],
)
def test_what_can_not_work_is_refused_at_once(options: dict[str, Any], endpoint: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        cached_endpoint(**options)(endpoint)


async def test_a_cache_that_can_not_load_is_named(shop: Shop) -> None:
    shop.get("/", cached_endpoint(ttl=60, cache=object)(a_plain_function))
    shop.app.exception_handlers[ConfigurationError] = lambda request, exc: PlainTextResponse(exc.message, 500)

    async with shop.client() as client:
        answer = await client.get("/?user_id=1")

    assert (answer.status_code, "object" in answer.text) == (500, True)


async def test_many_at_once_get_one_answer_each(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/{item}")
    @cached_endpoint(ttl=60)
    async def endpoint(item: int) -> int:
        await asyncio.sleep(0)
        return item

    answers = await asyncio.gather(*(client.get(f"/{number % 5}") for number in range(50)))

    assert [each.json() for each in answers] == [number % 5 for number in range(50)]


def test_a_body_may_still_be_declared(shop: Shop) -> None:
    @shop.app.post("/")
    @cached_endpoint(ttl=60, methods=("POST",))
    async def endpoint(user: Annotated[User, Body()]) -> int:
        return user.id

    assert "requestBody" in shop.app.openapi()["paths"]["/"]["post"]
