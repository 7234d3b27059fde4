"""No answer goes to somebody that it was not made for, whatever tells the two apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import Depends, Header, Query, Request
from fastapi.openapi.models import APIKey, APIKeyIn
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.security import APIKeyHeader
from fastapi.security.base import SecurityBase
from pydantic import AliasChoices, BaseModel, ConfigDict

from tests.cases.applications import application, asking, cached_route

# --- parameters under the names that the framework looks up ----------------------------------------------


async def real_underscore(tenant_id: Annotated[str, Header(convert_underscores=False)] = "") -> str:
    return tenant_id


async def underscore_alias(user: Annotated[str, Header(alias="x_user")] = "") -> str:
    return user


async def one_of_two_names(tenant: Annotated[str, Header(validation_alias=AliasChoices("x-a", "x-b"))] = "") -> str:
    return tenant


class OpenHeaders(BaseModel):
    model_config = ConfigDict(extra="allow")
    x_lang: str | None = None


async def headers_nobody_declared(headers: Annotated[OpenHeaders, Header()]) -> str:
    return str((headers.model_extra or {}).get("x-tenant"))


class Filter(BaseModel):
    owner: str | None = None


async def optional_query_model(wanted: Annotated[Filter | None, Query()] = None) -> str | None:
    return wanted.owner if wanted else None


# --- identity that a dependency finds in the request ------------------------------------------------------


class User(BaseModel):
    name: str


def user_of_key(request: Request) -> User:
    return User(name=request.headers["x-api-key"])


async def orders(user: Annotated[User, Depends(user_of_key)]) -> str:
    return user.name


def forwarded_user(request: Request) -> str:
    return request.headers["x-forwarded-user"]


async def behind_a_proxy(user: Annotated[str, Depends(forwarded_user)]) -> str:
    return user


_SCHEME = APIKeyHeader(name="x-api-key")


async def key_by_hand(request: Request) -> str | None:
    return await _SCHEME(request)


async def scheme_called_by_hand(key: Annotated[str, Depends(key_by_hand)]) -> str:
    return key


class SessionToken(SecurityBase):
    def __init__(self) -> None:
        self.model = APIKey.model_validate({"in": APIKeyIn.header, "name": "x-session-token"})
        self.scheme_name = "session token"

    async def __call__(self, request: Request) -> str:
        return request.headers["x-session-token"]


async def own_header_scheme(token: Annotated[str, Depends(SessionToken())]) -> str:
    return token


class SignedLink(SessionToken):
    async def __call__(self, request: Request) -> str:
        return request.query_params["signature"]


async def own_query_scheme(owner: Annotated[str, Depends(SignedLink())]) -> str:
    return owner


# --- an endpoint that takes the whole request -------------------------------------------------------------


async def tenant_of_request(request: Request) -> str | None:
    return request.headers.get("x-tenant-id")


def _case(endpoint: Callable[..., Any], place: str, name: str) -> Any:
    return pytest.param(endpoint, place, name, id=endpoint.__name__)


@pytest.mark.parametrize(
    ("endpoint", "place", "name"),
    [
        # fastapi/fastapi #13400, #13515, #15589
        _case(real_underscore, "headers", "tenant_id"),
        _case(underscore_alias, "headers", "x_user"),
        # long2ice/fastapi-cache #475
        _case(one_of_two_names, "headers", "x-a"),
        _case(headers_nobody_declared, "headers", "x-tenant"),
        _case(optional_query_model, "params", "owner"),
        # long2ice/fastapi-cache #103, #558
        _case(orders, "headers", "x-api-key"),
        _case(behind_a_proxy, "headers", "x-forwarded-user"),
        _case(scheme_called_by_hand, "headers", "x-api-key"),
        _case(own_header_scheme, "headers", "x-session-token"),
        _case(own_query_scheme, "params", "signature"),
        _case(tenant_of_request, "headers", "x-tenant-id"),
    ],
)
def test_each_caller_gets_the_own_answer(endpoint: Callable[..., Any], place: str, name: str) -> None:
    app = application()
    cached_route(app, "/mine", endpoint)

    with asking(app) as client:
        ask: Any = client.get
        answers = [ask("/mine", **{place: {name: who}}).json() for who in ("ann", "bob", "ann")]

    assert answers == ["ann", "bob", "ann"]


async def tenant_of_state(request: Request) -> str | None:
    return str(request.state.tenant)


def subject_of_state(request: Request) -> str:
    return str(request.state.tenant)


async def subject_of_middleware(subject: Annotated[str, Depends(subject_of_state)]) -> str:
    return subject


@pytest.mark.parametrize("endpoint", [tenant_of_state, subject_of_middleware], ids=lambda each: each.__name__)
def test_identity_set_by_a_middleware_separates_callers(endpoint: Callable[..., Any]) -> None:
    app = application()
    cached_route(app, "/mine", endpoint)

    @app.middleware("http")
    async def identify(request: Request, call_next: Callable[[Request], Any]) -> Response:
        request.state.tenant = request.headers["x-client"]
        answer: Response = await call_next(request)
        return answer

    with asking(app) as client:
        answers = [client.get("/mine", headers={"x-client": who}).json() for who in ("ann", "bob", "ann")]

    assert answers == ["ann", "bob", "ann"]


async def page_or_data(request: Request) -> Response:
    if "html" in request.headers["accept"]:
        return PlainTextResponse("<p>")
    return JSONResponse({})


def test_a_browser_gets_the_page_and_a_program_the_data() -> None:
    app = application()
    cached_route(app, "/both", page_or_data)

    with asking(app) as client:
        answers = [client.get("/both", headers={"accept": kind}).text for kind in ("application/json", "text/html")]

    assert answers == ["{}", "<p>"]
