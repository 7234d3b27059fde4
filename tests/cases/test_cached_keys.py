"""What a function reads is in its key, or it is refused at decoration."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fastapi import Depends, Request

from otcache import GenericRedisCache, InMemoryCache, cached
from otcache.exceptions import ValidationError
from tests.cases.expected import outcome, unless_refused

# --- whose the function is --------------------------------------------------------------------------------


def reader(table: str, cache: GenericRedisCache) -> Callable[[int], Awaitable[str]]:
    async def read(row: int) -> str:
        return f"{table}:{row}"

    return unless_refused(cached(cache=cache))(read)


# Chainlit/chainlit #2985, aio-libs/aiocache #416
async def test_functions_of_one_factory_have_their_own_values(cache: GenericRedisCache) -> None:
    users, orders = reader("users", cache), reader("orders", cache)

    rows = [await users(1), await orders(1)]

    assert rows == ["users:1", "orders:1"]


_CACHE = InMemoryCache(name="keys")


class Table:
    name = "table"

    @classmethod
    @unless_refused(cached(cache=_CACHE))
    async def read(cls, row: int) -> str:
        return f"{cls.name}:{row}"


class Users(Table):
    name = "users"


class Orders(Table):
    name = "orders"


# jaraco/jaraco.functools #23, youknowone/methodtools #4
async def test_classes_that_inherit_a_class_method_have_their_own_values() -> None:
    rows = [await Users.read(1), await Orders.read(1)]

    assert rows == ["users:1", "orders:1"]


class Repository:
    def __init__(self, tenant: str) -> None:
        self.tenant = tenant

    @unless_refused(cached(cache=_CACHE, ttl=60))
    async def orders(self) -> str:
        return self.tenant

    @unless_refused(cached(cache=_CACHE, ttl=60))
    async def order(self, number: int) -> str:
        return self.tenant

    @unless_refused(cached("price:{number}", cache=_CACHE, ttl=60))
    async def price(self, number: int) -> str:
        return self.tenant


@dataclasses.dataclass(frozen=True)
class Client:
    tenant: str

    @unless_refused(cached(cache=_CACHE, ttl=60))
    async def fetch(self, path: str) -> str:
        return self.tenant


@pytest.mark.parametrize(
    "call",
    [
        lambda tenant: Repository(tenant).orders(),
        lambda tenant: Repository(tenant).order(1),
        lambda tenant: Repository(tenant).price(1),
        lambda tenant: Client(tenant).fetch("/"),
    ],
    ids=["no argument", "no template", "template", "frozen dataclass"],
)
async def test_instances_have_their_own_values(call: Callable[[str], Awaitable[str]]) -> None:
    assert [await call("acme"), await call("globex")] == ["acme", "globex"]


# --- what an application injects --------------------------------------------------------------------------


def _request(user: str) -> Request:
    return Request({"type": "http", "headers": [(b"x-user", user.encode())], "method": "GET", "path": "/"})


def current_user(request: Request):  # type: ignore[no-untyped-def]  # as many people write it
    return {"id": request.headers["x-user"]}


@unless_refused(cached("profile", cache=_CACHE))
async def profile(request: Request) -> str:
    return request.headers["x-user"]


@unless_refused(cached(cache=_CACHE))
async def inbox(user=Depends(current_user)) -> str:  # type: ignore[no-untyped-def]
    return str(user["id"])


@pytest.mark.parametrize(
    "call",
    [lambda user: profile(_request(user)), lambda user: inbox({"id": user})],
    ids=["request", "not annotated"],
)
async def test_callers_that_are_injected_have_their_own_values(call: Callable[[str], Awaitable[str]]) -> None:
    assert [await call("ann"), await call("bob")] == ["ann", "bob"]


# --- arguments that are long or odd -----------------------------------------------------------------------


# sqlalchemy/dogpile.cache #182, peterbe/django-fancy-cache #3, apache/superset #240
@pytest.mark.parametrize("template", ["search:{text}", None])
async def test_an_argument_may_have_any_length(cache: GenericRedisCache, template: Any) -> None:
    @cached(template, cache=cache)
    async def search(text: str) -> int:
        return len(text)

    found = [await outcome(search("x" * length)) for length in (100, 8000, 10_000, 100_000)]

    assert found == [100, 8000, 10_000, 100_000]


# WeblateOrg/weblate #5041, daaain/claude-code-log #139: JSON lets a client send one
@pytest.mark.parametrize("operation", ["get", "set", "delete", "exists"])
async def test_a_key_that_utf8_cannot_hold_is_a_validation_error(cache: GenericRedisCache, operation: str) -> None:
    call: Any = getattr(cache, operation)

    raised = await outcome(call("user:\ud800", *([1] if operation == "set" else [])))

    assert raised == ValidationError.__name__


async def test_an_argument_that_utf8_cannot_hold_is_no_failure(cache: GenericRedisCache) -> None:
    @cached("length:{text}", cache=cache)
    async def length(text: str) -> int:
        return len(text)

    assert await outcome(length("user:\ud800")) == 6
