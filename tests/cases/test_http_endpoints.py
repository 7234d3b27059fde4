"""Every shape of an endpoint that the framework takes answers with the cache as it does without."""

from __future__ import annotations

import gc
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from pydantic import BaseModel

from otcache.exceptions import ConfigurationError
from otcache.http import cached_endpoint
from tests.cases.applications import application, asking, cached_route
from tests.cases.expected import fails_until


class ReadItem:
    async def __call__(self, item: int) -> int:
        return item


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")  # that is how it fails
# Kludex/starlette #886, fastapi/fastapi #11200
@fails_until(12, "an endpoint that is an object is never awaited: 500")
def test_an_endpoint_may_be_an_object() -> None:
    app = application()
    cached_route(app, "/items/{item}", ReadItem())

    with asking(app) as client:
        answer = client.get("/items/3")
    gc.collect()

    assert (answer.status_code, answer.text) == (200, "3")


class User(BaseModel):
    id: int


def maybe_user(user: int | None = None) -> User | None:
    return None if user is None else User(id=user)


async def hello(user: Annotated[User | None, Depends(maybe_user)]) -> str:
    return f"hello {user.id if user else 'stranger'}"


# Krukov/cashews #170 and #184
@fails_until(12, "a tag that names an attribute of None fails the request")
def test_a_tag_of_nothing_is_no_tag() -> None:
    app = application()
    cached_route(app, "/hello", hello, tags=("user:{user.id}",))

    with asking(app) as client:
        answers = [client.get(path) for path in ("/hello?user=7", "/hello")]

    assert [(each.status_code, each.text) for each in answers] == [(200, '"hello 7"'), (200, '"hello stranger"')]


async def plain() -> str:
    return "plain"


@fails_until(12, "above the route it caches nothing and says nothing")
def test_standing_above_the_route_is_refused() -> None:
    app = application()
    route: Any = app.get("/plain")(plain)

    refused = _refused(lambda: cached_endpoint(ttl=60)(route))
    with asking(app) as client:
        statuses = [client.get("/plain").headers.get("cache-status", "") for _ in range(2)]

    assert refused or "hit" in statuses[1]


@fails_until(12, "without its parentheses it makes the endpoint ask for a query parameter `endpoint`")
def test_without_parentheses_it_is_refused_or_caches() -> None:
    app = FastAPI()
    decorator: Any = cached_endpoint

    refused = _refused(lambda: app.get("/plain")(decorator(plain)))
    with asking(app) as client:
        answer = client.get("/plain")

    assert refused or (answer.status_code, answer.text) == (200, '"plain"')


def _refused(decorate: Any) -> bool:
    try:
        decorate()
    except (ConfigurationError, TypeError):
        return True
    return False
