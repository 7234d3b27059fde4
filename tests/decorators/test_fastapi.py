"""A cached function as an endpoint and as a dependency of a real application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Query, Request
from fastapi.testclient import TestClient
from pydantic import BaseModel

from otcache import InMemoryCache, cached
from tests.decorators.cases import Counted


class User(BaseModel):
    id: int
    lang: str
    calls: int


class Session:
    """What the application injects."""


def application() -> tuple[FastAPI, Counted]:
    """An application whose cache is made in its lifespan."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with InMemoryCache() as app.state.cache:
            yield

    return FastAPI(lifespan=lifespan), Counted()


def answers(app: FastAPI, *paths: str) -> list[Any]:
    """The bodies of these requests, one after the other."""
    with TestClient(app) as client:
        return [client.get(path).json() for path in paths]


@pytest.mark.parametrize("plain", [False, True])
def test_an_endpoint_is_called_once_for_the_same_request(plain: bool) -> None:
    app, counted = application()
    injected = ("session",) if plain else ("session", "request")
    decorate = cached("user:{user_id}:{lang}", cache=lambda: app.state.cache, ignore=injected)

    async def read(
        user_id: int, request: Request, session: Session = Depends(), lang: Annotated[str, Query(max_length=2)] = "en"
    ) -> User:
        assert isinstance(request, Request)
        assert isinstance(session, Session)
        return User(id=user_id, lang=lang, calls=counted.note())

    def read_plain(
        user_id: int, session: Session = Depends(), lang: Annotated[str, Query(max_length=2)] = "en"
    ) -> User:
        return User(id=user_id, lang=lang, calls=counted.note())

    app.get("/users/{user_id}")(decorate(read_plain) if plain else decorate(read))

    assert answers(app, "/users/1", "/users/1", "/users/1?lang=de") == [
        {"id": 1, "lang": "en", "calls": 1},
        {"id": 1, "lang": "en", "calls": 1},
        {"id": 1, "lang": "de", "calls": 2},
    ]


def test_the_parameters_of_an_endpoint_are_checked_and_documented() -> None:
    app, counted = application()

    @app.get("/users/{user_id}")
    @cached("user:{user_id}", cache=lambda: app.state.cache)
    async def read_user(user_id: int) -> User:
        """One user."""
        return User(id=user_id, lang="", calls=counted.note())

    refused = answers(app, "/users/x")[0]["detail"][0]["type"]
    page = app.openapi()["paths"]["/users/{user_id}"]["get"]

    assert refused == "int_parsing"
    assert (page["summary"], page["description"]) == ("Read User", "One user.")
    assert [(part["name"], part["in"]) for part in page["parameters"]] == [("user_id", "path")]


@pytest.mark.parametrize("plain", [False, True])
def test_a_dependency_is_called_once_for_the_same_request(plain: bool) -> None:
    app, counted = application()
    decorate = cached("calls:{user_id}", cache=lambda: app.state.cache)

    async def calls_of(user_id: int) -> int:
        return counted.note(user_id)

    def plain_calls_of(user_id: int) -> int:
        return counted.note(user_id)

    dependency = decorate(plain_calls_of) if plain else decorate(calls_of)

    @app.get("/users/{user_id}")
    async def read(calls: int = Depends(dependency)) -> int:
        return calls

    assert answers(app, "/users/1", "/users/1", "/users/2") == [1, 1, 2]


def test_the_method_of_a_service_is_an_endpoint_too() -> None:
    app, counted = application()

    class Service:
        @cached("calls:{user_id}", cache=lambda: app.state.cache, ignore=("self",))
        def calls_of(self, user_id: int) -> int:
            return counted.note(user_id)

    app.get("/users/{user_id}")(Service().calls_of)

    assert answers(app, "/users/1", "/users/1") == [1, 1]


def test_an_endpoint_invalidates_what_another_one_has_cached() -> None:
    app, counted = application()

    @cached("calls:{user_id}", cache=lambda: app.state.cache)
    async def calls_of(user_id: int) -> int:
        return counted.note(user_id)

    app.get("/users/{user_id}")(calls_of)

    @app.get("/forget/{user_id}")
    async def forget(user_id: int) -> None:
        await calls_of.invalidate(user_id)

    assert answers(app, "/users/1", "/forget/1", "/users/1") == [1, None, 2]
