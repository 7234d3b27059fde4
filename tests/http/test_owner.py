"""`private_by`: whose answer it is, in the key with its type; who is not known passes by."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import httpx
from fastapi import Depends, HTTPException, Request

from otcache.http import cached_endpoint
from tests.http.app import Shop, status_of


class Masked(str):
    def __str__(self) -> str:
        return "***"


class Role(StrEnum):
    A = "a"


class User:
    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def id(self) -> str:
        """Known to some only."""
        return {"ann": "1", "bob": "2"}[self.name]


async def test_a_subclass_that_shows_all_alike_is_taken_at_its_value(shop: Shop, client: httpx.AsyncClient) -> None:
    owners: list[Any] = [Masked("ann"), Masked("bob"), "ann", Role.A, "a", 0, "0", -1, UUID(int=0), "\ud800", 10**5000]
    asked = iter([*owners, *owners])
    shop.get("/", cached_endpoint(ttl=60, private_by=lambda request: next(asked))(lambda: shop.run()))

    answers = [(await client.get("/")).json() for _ in range(2 * len(owners))]

    assert answers == [1, 2, 1, 3, 3, 4, 5, 6, 7, 8, 9] * 2


def user_of(request: Request) -> User:
    return User(request.headers["x-user"])


async def test_who_raises_knows_nobody(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=60, private_by="user.id")
    async def endpoint(user: Annotated[Any, Depends(user_of)]) -> int:
        return shop.run()

    answers = [await client.get("/", headers={"x-user": name}) for name in ("ann", "eve", "eve", "bob", "ann")]

    assert [each.json() for each in answers] == [1, 2, 3, 4, 1]
    assert status_of(answers[1])["detail"] == "owner"


async def test_who_refuses_refuses(shop: Shop, client: httpx.AsyncClient) -> None:
    async def owner(request: Request) -> str:
        if "x-user" not in request.headers:
            raise HTTPException(401)
        return request.headers["x-user"]

    shop.get("/", cached_endpoint(ttl=60, private_by=owner)(lambda: shop.run()))

    answers = [await client.get("/", headers=headers) for headers in ({}, {"x-user": "ann"}, {"x-user": "ann"}, {})]

    assert [each.status_code for each in answers] == [401, 200, 200, 401]
    assert shop.runs["endpoint"] == 1
