"""No user gets another user's response: authorization runs first, and each user's responses have keys of their own."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import httpx
import pytest
from fastapi import Cookie, Depends, Header, HTTPException, Request
from fastapi.responses import PlainTextResponse
from fastapi.security import APIKeyHeader, APIKeyQuery, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from otcache import ConfigurationError
from otcache.http import cached_endpoint
from tests.http.app import Shop, status_of

BEARER = HTTPBearer()


class Me(BaseModel):
    id: int
    name: str


def me(credentials: Annotated[HTTPAuthorizationCredentials, Depends(BEARER)]) -> Me:
    """Who asks; 403 for mallory."""
    users = {"ada": Me(id=1, name="Ada"), "bob": Me(id=2, name="Bob")}
    if credentials.credentials not in users:
        raise HTTPException(403, "not you")
    return users[credentials.credentials]


def by(token: str) -> dict[str, str]:
    """The headers of a request with this token."""
    return {"authorization": f"Bearer {token}"}


def add_account(shop: Shop, **options: Any) -> None:
    """A route that only users may ask."""

    @shop.app.get("/account")
    @cached_endpoint(ttl=60, **options)
    async def account(user: Annotated[Me, Depends(me)]) -> str:
        return f"{user.name} {shop.run()}"


@pytest.mark.parametrize("options", [{}, {"shared": True}, {"private_by": "user.id"}])
async def test_a_dependency_refuses_what_is_cached_too(
    shop: Shop, client: httpx.AsyncClient, options: dict[str, Any]
) -> None:
    add_account(shop, **options)
    allowed = [await client.get("/account", headers=by("ada")) for _ in range(2)]
    tag = {"if-none-match": allowed[0].headers.get("etag", "*")}

    refused = [await client.get("/account", headers=by("mallory") | more) for more in ({}, tag, {"if-none-match": "*"})]

    assert [each.status_code for each in refused] == [403] * 3
    assert [each.json() for each in refused] == [{"detail": "not you"}] * 3
    assert not any("etag" in each.headers or "cache-status" in each.headers for each in refused)


async def test_a_dependency_of_the_route_or_a_router_refuses_too(shop: Shop, client: httpx.AsyncClient) -> None:
    def paid(x_paid: Annotated[str, Header()] = "") -> None:
        if x_paid != "yes":
            raise HTTPException(402)

    @shop.app.get("/", dependencies=[Depends(paid)])
    @cached_endpoint(ttl=60)
    async def endpoint() -> int:
        return shop.run()

    first = await client.get("/", headers={"x-paid": "yes"})
    answers = [await client.get("/", headers={"if-none-match": first.headers["etag"]} | more) for more in (
        {}, {"x-paid": "yes"}
    )]  # fmt: skip

    assert [each.status_code for each in answers] == [402, 304]


async def test_without_a_word_from_the_developer_credentials_pass_by(shop: Shop, client: httpx.AsyncClient) -> None:
    add_account(shop)

    answers = [await client.get("/account", headers=by(name)) for name in ("ada", "bob", "ada")]

    assert [each.json() for each in answers] == ["Ada 1", "Bob 2", "Ada 3"]
    assert [status_of(each) for each in answers] == [{"fwd": "bypass", "detail": "credentials"}] * 3
    assert shop.cache.get_stats()["l1"]["entries"] == 0


@pytest.mark.parametrize("name", ["cookie", "authorization", "proxy-authorization"])
async def test_credentials_decide_nothing_where_nobody_reads_them(
    shop: Shop, client: httpx.AsyncClient, name: str
) -> None:
    shop.get("/", cached_endpoint(ttl=60)(lambda: shop.run()))

    answers = [(await client.get("/", headers=headers)).json() for headers in ({}, {name: "session=1"}, {})]

    assert answers == [1, 1, 1]


@pytest.mark.parametrize(
    ("scheme", "key"), [(APIKeyHeader(name="X-Key"), "headers"), (APIKeyQuery(name="k"), "params")]
)
async def test_an_api_key_is_a_credential(shop: Shop, client: httpx.AsyncClient, scheme: Any, key: str) -> None:
    @shop.app.get("/", dependencies=[Depends(scheme)])
    @cached_endpoint(ttl=60)
    async def endpoint() -> int:
        return shop.run()

    answers = [await client.get("/", **{key: {scheme.model.name: "1"}}) for _ in range(2)]  # type: ignore[arg-type]

    assert [(each.json(), status_of(each)["detail"]) for each in answers] == [(1, "credentials"), (2, "credentials")]


async def test_private_answers_are_kept_for_each_user(shop: Shop, client: httpx.AsyncClient) -> None:
    add_account(shop, private_by="user.id", vary=("Accept",))

    answers = [await client.get("/account", headers=by(name)) for name in ("ada", "bob", "ada", "bob")]

    assert [each.json() for each in answers] == ["Ada 1", "Bob 2", "Ada 1", "Bob 2"]
    assert {each.headers["cache-control"] for each in answers} == {"private, max-age=60"}
    assert {each.headers["vary"] for each in answers} == {"Accept, Authorization, Cookie"}


async def test_another_users_tag_gives_no_304(shop: Shop, client: httpx.AsyncClient) -> None:
    add_account(shop, private_by="user.id")
    of_ada = await client.get("/account", headers=by("ada"))

    answers = [
        await client.get("/account", headers=by(name) | {"if-none-match": of_ada.headers["etag"]})
        for name in ("bob", "ada")
    ]

    assert [each.status_code for each in answers] == [200, 304]


async def test_shared_answers_are_everybodys(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/prices", dependencies=[Depends(me)])
    @cached_endpoint(ttl=60, shared=True)
    async def prices() -> int:
        return shop.run()

    answers = [await client.get("/prices", headers=by(name)) for name in ("ada", "bob")]

    assert [each.json() for each in answers] == [1, 1]
    assert answers[1].headers["cache-control"] == "private, max-age=60"  # inside, not beyond: RFC 9111, 3.5


async def test_a_declared_cookie_is_part_of_the_key(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=60, shared=True)
    async def endpoint(theme: Annotated[str, Cookie()] = "light") -> str:
        return f"{theme} {shop.run()}"

    cookies = ("theme=dark; a=1", "theme=dark; a=2", "theme=light", "a=3")
    answers = [await client.get("/", headers={"cookie": cookie}) for cookie in cookies]

    assert [each.json() for each in answers] == ["dark 1", "dark 1", "light 2", "light 3"]
    assert answers[0].headers["vary"] == "Cookie"


async def read_tenant(request: Request) -> str | None:
    """Whose account is asked for."""
    return request.headers.get("x-tenant")


@pytest.mark.parametrize("function", [lambda request: request.headers.get("x-tenant"), "tenant"])
async def test_whose_it_is_may_be_a_function_of_the_request(
    shop: Shop, client: httpx.AsyncClient, function: Any
) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=60, private_by=function)
    async def endpoint(tenant: Annotated[str | None, Depends(read_tenant)]) -> int:
        return shop.run()

    answers = [await client.get("/", headers=of) for of in ({"x-tenant": "a"}, {"x-tenant": "a"}, {}, {"x-tenant": ""})]

    assert [each.json() for each in answers] == [1, 1, 2, 3]
    assert [status_of(each).get("detail") for each in answers] == [None, None, "owner", "owner"]


async def test_owners_of_different_types_are_different(shop: Shop, client: httpx.AsyncClient) -> None:
    owners: list[Any] = [1, "1", UUID(int=1), str(UUID(int=1)), 1]
    shop.get("/", cached_endpoint(ttl=60, private_by=lambda request: owners.pop(0))(lambda: shop.run()))

    answers = [(await client.get("/")).json() for _ in range(5)]

    assert answers == [1, 2, 3, 4, 1]


@pytest.mark.parametrize("owner", [object(), True, 1.5, ["a"]])
async def test_an_owner_without_a_stable_text_is_refused(shop: Shop, owner: Any) -> None:
    shop.app.exception_handlers[ConfigurationError] = lambda request, exc: PlainTextResponse(str(exc), 500)
    shop.get("/", cached_endpoint(ttl=60, private_by=lambda request: owner)(lambda: shop.run()))

    async with shop.client() as client:
        answer = await client.get("/")

    assert type(owner).__name__ in answer.text
    assert shop.runs == {}
