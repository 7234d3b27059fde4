"""What a request says and has decides on its answer: query, headers, body, method, Cache-Control, If-None-Match."""

from __future__ import annotations

from math import inf
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, File, Form, Header, Query, Request, Response, UploadFile
from pydantic import AliasChoices, BaseModel, Field

from otcache.http import cached_endpoint
from otcache.http._cache_control import request_directives
from otcache.http._response_headers import SharedResponse
from otcache.http._stored_response import StoredResponse
from tests.http.app import Shop, status_of


async def runs(client: httpx.AsyncClient, *paths: str, **more: Any) -> list[Any]:
    """What each of these requests is answered."""
    return [(await client.get(path, **more)).json() for path in paths]


# --- query ------------------------------------------------------------------------------------------


async def test_declared_parameters_count_in_any_order_and_others_do_not(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=60)
    async def endpoint(page: Annotated[int, Depends(paging)], tag: Annotated[list[str], Query()] = []) -> int:  # noqa: B006
        return shop.run()

    paths = (
        "/?page=1&tag=a&tag=b",
        "/?tag=a&tag=b&page=1",
        "/?utm=x&page=1&tag=a&tag=b",
        "/?page=1&tag=b&tag=a",
        "/?page=2",
    )

    assert await runs(client, *paths) == [1, 1, 1, 2, 3]


async def test_a_request_in_the_hands_of_the_endpoint_makes_all_count(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=60, shared=True)
    async def endpoint(request: Request) -> int:
        return shop.run()

    assert await runs(client, "/?a=1", "/?a=1", "/?a=1&utm=x", "/?a=2") == [1, 1, 2, 3]


async def test_a_host_that_an_endpoint_can_see_is_part_of_the_key(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/links")
    @cached_endpoint(ttl=60, shared=True)
    async def links(request: Request) -> str:
        return str(request.url_for("links"))

    answers = [(await client.get("/links", headers={"host": host})).json() for host in ("shop", "evil", "shop")]

    assert answers == ["http://shop/links", "http://evil/links", "http://shop/links"]


class Filter(BaseModel):
    by_name: str = ""
    aliased: str = Field("", alias="al")
    validated: str = Field("", validation_alias="val")


class Open(Filter, extra="allow"):
    pass


class Choice(BaseModel):
    number: int = Field(0, validation_alias=AliasChoices("n", "number"))


@pytest.mark.parametrize(
    ("model", "counts"),
    [(Filter, ("by_name", "al", "val")), (Open, ("by_name", "more")), (Choice, ("n", "number"))],
)
async def test_every_name_that_a_model_reads_counts(
    shop: Shop, client: httpx.AsyncClient, model: type[BaseModel], counts: tuple[str, ...]
) -> None:
    async def endpoint(filter_: Any) -> int:
        return shop.run()

    endpoint.__annotations__["filter_"] = Annotated[model, Query()]
    shop.get("/", cached_endpoint(ttl=60)(endpoint))

    first = await runs(client, "/")
    others = await runs(client, *(f"/?{name}=1" for name in counts))

    assert first + others == list(range(1, len(counts) + 2))


async def test_the_developer_may_choose_what_counts(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=60, query=("a",), shared=True)
    async def endpoint(request: Request, b: int = 0) -> int:
        return shop.run()

    assert await runs(client, "/?a=1&b=1", "/?a=1&b=2&c=3", "/?a=2") == [1, 1, 2]


async def test_no_two_queries_are_mistaken_for_each_other(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/{item}")
    @cached_endpoint(ttl=60)
    async def endpoint(item: str, a: str = "", b: str = "") -> int:
        return shop.run()

    paths = ("/x?a=1&b=2", "/x?a=1%26b%3D2", "/x?a=1,b=2", "/x%3Fa=1?b=2", "/x?b=1&a=2", "/x?a=", "/x")

    assert await runs(client, *paths) == [1, 2, 3, 4, 5, 6, 7]


# --- headers ----------------------------------------------------------------------------------------


async def test_headers_that_vary_and_declared_ones_are_part_of_the_key(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=60, vary=("Accept-Language",))
    async def endpoint(x_unit: Annotated[str, Header()] = "kg") -> int:
        return shop.run()

    sent: list[dict[str, str]] = [
        {}, {"accept-language": "de"}, {"accept-language": "fr"}, {"ACCEPT-LANGUAGE": "de"}, {"x-unit": "lb"},
        {"x-other": "1"},
    ]  # fmt: skip
    answers = [await client.get("/", headers=headers) for headers in sent]

    assert [each.json() for each in answers] == [1, 2, 3, 2, 4, 1]
    assert {each.headers["vary"] for each in answers} == {"Accept-Language, X-Unit"}
    assert status_of(answers[0])["fwd"] == "miss"


# --- methods and bodies -----------------------------------------------------------------------------


def paging(page: int = 1) -> int:
    """A dependency that declares a parameter."""
    return page


class Query_(BaseModel):  # noqa: N801  `Query` is FastAPI's
    text: str


async def test_a_post_is_cached_by_its_body_where_that_is_declared(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.post("/search")
    @cached_endpoint(ttl=60, methods=("POST",), body_limit=1000)
    async def search(query: Query_) -> str:
        return f"{query.text[:1]} {shop.run()}"

    texts = ("a", "b", "a", "x" * 2000, "x" * 2000)
    answers = [await client.post("/search", json={"text": text}) for text in texts]

    assert [each.json() for each in answers] == ["a 1", "b 2", "a 1", "x 3", "x 4"]
    assert status_of(answers[4]) == {"fwd": "bypass", "detail": "body"}
    assert (await client.post("/search", json={"text": "a"}, headers={"if-none-match": "*"})).status_code == 200


async def test_a_post_is_not_cached_by_itself(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.api_route("/", methods=["GET", "POST"])
    @cached_endpoint(ttl=60)
    async def endpoint() -> int:
        return shop.run()

    answers = [await client.request(method, "/") for method in ("POST", "POST", "GET", "GET", "POST")]

    assert [each.json() for each in answers] == [1, 2, 3, 3, 4]
    assert status_of(answers[0]) == {"fwd": "bypass", "detail": "method"}


async def test_a_body_of_another_type_is_another_request(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.post("/")
    @cached_endpoint(ttl=60, methods=("POST",), shared=True)
    async def endpoint(request: Request) -> int:
        return shop.run()

    answers = [
        (await client.post("/", content=b"{}", headers={"content-type": kind})).json()
        for kind in ("application/json", "text/plain", "application/json")
    ]

    assert answers == [1, 2, 1]


async def test_forms_pass_by(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.post("/")
    @cached_endpoint(ttl=60, methods=("POST",))
    async def endpoint(name: Annotated[str, Form()], file: Annotated[UploadFile, File()]) -> int:
        return shop.run()

    answers = [await client.post("/", data={"name": "a"}, files={"file": b"x"}) for _ in range(2)]

    assert [(each.json(), status_of(each)["detail"]) for each in answers] == [(1, "form"), (2, "form")]


async def test_head_is_answered_by_what_get_has_stored(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.api_route("/", methods=["GET", "HEAD"])
    @cached_endpoint(ttl=60)
    async def endpoint() -> str:
        return f"run {shop.run()}"

    before, got, after = [await client.request(method, "/") for method in ("HEAD", "GET", "HEAD")]
    same = await client.head("/", headers={"if-none-match": got.headers["etag"]})

    assert (status_of(before), before.status_code) == ({"fwd": "uri-miss", "detail": "head"}, 200)
    assert (got.json(), after.content, same.status_code) == ("run 2", b"", 304)
    assert after.headers["content-length"] == str(len(got.content))
    assert (after.headers["etag"], status_of(after)["hit"]) == (got.headers["etag"], True)


# --- Cache-Control ----------------------------------------------------------------------------------


def add(shop: Shop, **options: Any) -> None:
    """A route that counts its runs."""
    shop.get("/", cached_endpoint(ttl=60, **options)(lambda: shop.run()))


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"cache-control": "no-cache"}, {"fwd": "request", "stored": True}),
        ({"pragma": "no-cache"}, {"fwd": "request", "stored": True}),
        ({"cache-control": "max-age=0, min-fresh=61"}, {"fwd": "request", "stored": True}),
        ({"cache-control": "min-fresh=61"}, {"fwd": "request", "stored": True}),
        ({"cache-control": "no-store"}, {"fwd": "bypass", "detail": "no-store"}),
        ({"cache-control": "max-age=50"}, {"hit": True}),
        ({"cache-control": "max-stale, only-if-cached"}, {"hit": True}),
    ],
)
async def test_a_requests_directives_count(
    shop: Shop, client: httpx.AsyncClient, headers: dict[str, str], said: dict[str, Any]
) -> None:
    add(shop, respect_request=True)
    await client.get("/")

    answer = await client.get("/", headers=headers)

    shown = status_of(answer)
    shown.pop("ttl", None)
    assert shown == said
    assert answer.json() == (1 if "hit" in said else 2)
    assert (await client.get("/")).json() == (2 if "stored" in said else 1)


@pytest.mark.parametrize("more", [{}, {"authorization": "x"}])
async def test_only_if_cached_is_a_504_where_nothing_is(
    shop: Shop, client: httpx.AsyncClient, more: dict[str, str]
) -> None:
    add(shop, respect_request=True)

    answer = await client.get("/", headers={"cache-control": "only-if-cached"} | more)

    assert (answer.status_code, status_of(answer), shop.runs) == (504, {"detail": "only-if-cached"}, {})


async def test_directives_are_ignored_unless_the_route_says_otherwise(shop: Shop, client: httpx.AsyncClient) -> None:
    add(shop)

    answers = [
        (await client.get("/", headers={"cache-control": wish})).json()
        for wish in ("only-if-cached", "no-cache", "no-store", "max-age=0")
    ]

    assert answers == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("own", "wish", "left", "is_served"),
    [
        ("", "", -1, True),
        ("max-age=60, must-revalidate", "", 1, True),
        ("max-age=60, must-revalidate", "", -1, False),
        ("max-age=60, proxy-revalidate", "max-stale", -1, False),
        ("", "max-age=5", inf, False),
        ("", "min-fresh=9999", inf, True),
    ],
)
def test_an_answer_may_forbid_that_it_is_used_stale(own: str, wish: str, left: float, is_served: bool) -> None:
    headers = (("cache-control", own),) if own else ()
    record = StoredResponse(200, headers, b"", None, True, 0.0, 60)

    found = SharedResponse(record, age=10, left=left, loaded=False)
    assert found.satisfies(request_directives(wish or None)) is is_served


# --- If-None-Match ----------------------------------------------------------------------------------


async def test_a_304_has_what_a_200_would_say_of_it(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=60, vary=("Accept",), stale_ttl=30)
    async def endpoint(response: Response) -> int:
        response.headers["content-location"] = "/here"
        response.headers["expires"] = "Thu, 01 Jan 2099 00:00:00 GMT"
        response.headers["x-more"] = "1"
        return 1

    whole = await client.get("/")
    short = await client.get("/", headers={"if-none-match": whole.headers["etag"]})

    kept = {"cache-control", "content-location", "etag", "expires", "vary"}
    assert (short.status_code, short.content) == (304, b"")
    assert {name: short.headers[name] for name in kept} == {name: whole.headers[name] for name in kept}
    assert set(short.headers) - kept == {"age", "cache-status", "server-timing"}


async def test_what_was_just_made_can_be_a_304_too(shop: Shop, client: httpx.AsyncClient) -> None:
    shop.get("/", cached_endpoint(ttl=60, respect_request=True)(lambda: "same"))
    tag = (await client.get("/")).headers["etag"]

    answer = await client.get("/", headers={"if-none-match": f'"x", W/{tag}', "cache-control": "no-cache"})

    assert (answer.status_code, status_of(answer)["fwd"]) == (304, "request")


async def test_after_a_deletion_a_new_answer_has_a_new_tag(shop: Shop, client: httpx.AsyncClient) -> None:
    add(shop)
    tag = (await client.get("/")).headers["etag"]
    await shop.cache.clear()

    answer = await client.get("/", headers={"if-none-match": tag})

    assert (answer.status_code, answer.json(), answer.headers["etag"] != tag) == (200, 2, True)


async def test_our_headers_may_be_left_out(shop: Shop, client: httpx.AsyncClient) -> None:
    add(shop, cache_status=None, server_timing=False)

    answers = [await client.get("/") for _ in range(2)]

    assert not any({"cache-status", "server-timing"} & set(each.headers) for each in answers)


async def test_what_an_earlier_cache_said_stays_in_front(shop: Shop, client: httpx.AsyncClient) -> None:
    def endpoint(response: Response) -> int:
        response.headers["cache-status"] = "upstream; hit"
        return 1

    shop.get("/", cached_endpoint(ttl=60, cache_status="my shop")(endpoint))

    loaded, hit = [await client.get("/") for _ in range(2)]

    assert loaded.headers["cache-status"] == 'upstream; hit, "my shop"; fwd=uri-miss; ttl=60; stored'
    assert hit.headers["cache-status"].startswith('"my shop"; hit')  # theirs was about that answer
