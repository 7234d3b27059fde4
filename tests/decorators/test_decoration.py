"""What is refused when a function is decorated, and which parameters a key can do without."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, Request, Response, Security, WebSocket
from fastapi.security import SecurityScopes
from pydantic import BaseModel

from otcache import CacheInterface, ConfigurationError, InMemoryCache, cached
from otcache.config import Settings
from tests.decorators.cases import foreign, keyed
from tests.rows import every


def read(user_id: int, lang: str = "en") -> None:
    """A function with two parameters that both matter."""


@every(
    ("template", "message"),
    [
        ("user:{userid}:{lang}", "names userid, and .*read has user_id, lang; did you mean 'user_id'"),
        ("user:{x}", "names x, and .*read has user_id, lang$"),
        ("user:{user_id}", r"has a parameter lang that is not in its key template.*\{lang\}.*ignore=\('lang',\)"),
        ("user:{user_id}{lang}", r"nothing between \{user_id\} and \{lang\}"),
        ("user:{user_id},{lang}", "nothing between"),
        ("user:{user_id!r}:{lang}", "values are written by type"),
        ("user:{user_id:>5}:{lang}", "values are written by type"),
        ("user:{}:{lang}", r"has \{\}, not \{name\}"),
        ("user:{user_id[0]}", r"not \{name\}"),
        ("user:{user_id", "can't be read"),
        ("", "is empty"),
        ("a\n{user_id}", "can't be printed"),
    ],
)
def test_a_template_that_can_not_be_meant_is_refused(template: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        keyed(template, read)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ignore": ("langs",)}, "ignores langs, .*did you mean 'lang'"),
        ({"ignore": ("lang",)}, "ignores lang, and names it"),
        ({"ignore": "lang"}, "ignore= is not a tuple of strings"),
        ({"tags": "users"}, "tags= is not a tuple of strings"),
        ({"tags": ("user:{user}",)}, "names user, .*did you mean 'user_id'"),
        ({"tll": 5}, "no option tll; did you mean 'ttl'"),
    ],
)
def test_an_option_that_can_not_be_meant_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        keyed("user:{user_id}:{lang}", read, **options)


def test_a_decorator_without_a_cache_says_what_it_needs() -> None:
    with pytest.raises(ConfigurationError, match="cached has no cache: give cache= a cache, or a function"):
        cached("user:{user_id}")  # type: ignore[call-overload]


def test_a_decorator_without_parentheses_says_what_it_needs() -> None:
    with pytest.raises(ConfigurationError, match="cached takes a template and a cache"):
        cached(read)  # type: ignore[call-overload]


@pytest.mark.parametrize("cache", ["redis://localhost", dict, 5], ids=str)
def test_a_cache_that_is_none_is_refused(cache: Any) -> None:
    with pytest.raises(ConfigurationError, match="give a cache, or a function that returns one"):
        cached("user:{user_id}:{lang}", cache=cache)(read)


async def stream(user_id: Any, /) -> AsyncIterator[int]:
    """A function whose results can't be cached."""
    yield user_id


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (stream, "is a generator"),
        (classmethod(stream), "put cached below"),
        (staticmethod(stream), "put cached below"),
        (dict, "not a function"),
        ("read", "not a function"),
    ],
)
def test_what_is_no_function_is_refused(function: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        cached("user", cache=InMemoryCache())(function)


def test_variable_keyword_arguments_must_be_ignored() -> None:
    def function(**options: str) -> None: ...

    with pytest.raises(ConfigurationError, match=r"names \*\*options"):
        keyed("x:{options}", function)
    assert keyed("x", function, ignore=("options",))(a="b") == "x"


# --- what a key can do without --------------------------------------------------------------------------


class User(BaseModel):
    id: int


class Service:
    """What an application injects, and no data."""


def current_user() -> User:
    """A dependency."""
    return User(id=1)


def takes(annotation: Any, default: Any = None) -> Callable[..., Any]:
    """A function of `user_id` and a second parameter."""

    def function(user_id: int, other: Any = default) -> None: ...

    function.__annotations__["other"] = annotation
    return function


Table = type("User", (), {"__module__": "app.models", "__tablename__": "users"})
HARMLESS = [
    *(Request, Response, WebSocket, BackgroundTasks, SecurityScopes, CacheInterface, Settings, sqlite3.Connection),
    foreign("sqlalchemy.orm.session", "Session"),
    foreign("sqlalchemy.ext.asyncio.session", "AsyncSession"),
    foreign("sqlalchemy.engine.base", "Connection"),
    foreign("asyncpg.pool", "Pool"),
    foreign("psycopg", "AsyncConnection"),
]


@every("cls", HARMLESS, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
def test_requests_and_connections_are_no_part_of_a_key(cls: type) -> None:
    for annotation in (cls, cls | None, Annotated[cls, "a note"], type("Own", (cls,), {})):
        assert keyed("x:{user_id}", takes(annotation))(1) == "x:1"


@pytest.mark.parametrize(
    ("annotation", "default"),
    [
        (Service, Depends()),
        (Service, Security(Service)),
        (Annotated[Service, Depends(Service)], None),
        (Any, Depends(lambda: None)),
        (None, Depends(lambda: None)),
    ],
)
def test_a_service_that_fastapi_injects_is_no_part_of_a_key(annotation: Any, default: Any) -> None:
    assert keyed("x:{user_id}", takes(annotation, default))(1) == "x:1"


@every(
    ("annotation", "default"),
    [
        (User, Depends(current_user)),
        (User, Security(current_user)),
        (Annotated[str, Depends(lambda: "tenant")], None),
        (Annotated[User | None, Depends(current_user)], None),
        (Table, Depends(lambda: None)),
        (Any, Depends(current_user)),
        (Service, None),
        (foreign("app.sessions", "Session"), None),
    ],
)
def test_data_is_part_of_a_key_even_if_injected(annotation: Any, default: Any) -> None:
    with pytest.raises(ConfigurationError, match="a parameter other that is not in its key template"):
        keyed("x:{user_id}", takes(annotation, default))


def test_an_instance_is_no_part_of_a_key_but_its_attributes_can_be() -> None:
    class Repository:
        tenant = "acme"

        def load(self, user_id: int) -> None: ...

    assert keyed("x:{user_id}", Repository.load)(Repository(), 1) == "x:1"
    assert keyed("x:{self.tenant}:{user_id}", Repository.load)(Repository(), 1) == "x:acme:1"
    with pytest.raises(ConfigurationError, match="name an attribute of it"):
        keyed("x:{self}:{user_id}", Repository.load)


def test_without_a_template_the_key_is_the_function_and_all_that_matters() -> None:
    def function(user_id: int, request: Request, *, lang: str = "en", debug: bool = False) -> None: ...

    key = keyed(None, function, ignore=("debug",))

    assert re.sub("%3Clocals%3E|<locals>", "L", key(1, None, lang="de")) == (
        f"{__name__}.test_without_a_template_the_key_is_the_function_and_all_that_matters.L.function:1:de"
    )


def test_an_annotation_that_only_a_type_checker_sees_leaves_the_others_alone() -> None:
    def function(user_id: int, note: Unknown) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert keyed("x:{user_id}:{note}", function)(1, "a") == "x:1:a"
    with pytest.raises(ConfigurationError, match="a parameter note"):
        keyed("x:{user_id}", function)
