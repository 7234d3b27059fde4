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


class ReadItem:
    async def __call__(self, item: int) -> int:
        return item


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")  # that is how it fails
# Kludex/starlette #886, fastapi/fastapi #11200
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
def test_a_tag_of_nothing_is_no_tag() -> None:
    app = application()
    cached_route(app, "/hello", hello, tags=("user:{user.id}",))

    with asking(app) as client:
        answers = [client.get(path) for path in ("/hello?user=7", "/hello")]

    assert [(each.status_code, each.text) for each in answers] == [(200, '"hello 7"'), (200, '"hello stranger"')]


async def plain() -> str:
    return "plain"


def test_standing_above_the_route_is_refused() -> None:
    app = application()
    route: Any = app.get("/plain")(plain)
    made = cached_endpoint(ttl=60)(route)  # for another route, for all that is known yet

    assert _refused(lambda: asking(app).__enter__())
    assert made is not route


def test_without_parentheses_it_is_refused_or_caches() -> None:
    app = FastAPI()
    decorator: Any = cached_endpoint

    refused = _refused(lambda: app.get("/plain")(decorator(plain)))
    with asking(app) as client:
        answer = client.get("/plain")

    assert refused or (answer.status_code, answer.text) == (200, '"plain"')


def define_above(app: FastAPI) -> None:
    @cached_endpoint(ttl=60)
    @app.get("/inside")
    async def inside() -> str:
        return "inside"


def test_a_definition_under_the_wrong_order_is_refused_at_once() -> None:
    app = FastAPI()

    with pytest.raises(ConfigurationError, match=r"/inside calls inside itself.*below the route's decorator"):
        define_above(app)


def test_one_function_may_be_a_plain_route_and_a_cached_one() -> None:
    app = application()
    app.get("/plain")(plain)
    cached_route(app, "/cached", plain)

    with asking(app) as client:
        answers = [client.get(path) for path in ("/plain", "/cached", "/cached")]

    assert [each.text for each in answers] == ['"plain"'] * 3
    assert ["hit" in each.headers.get("cache-status", "") for each in answers] == [False, False, True]


def _refused(decorate: Any) -> bool:
    try:
        decorate()
    except (ConfigurationError, TypeError):
        return True
    return False
