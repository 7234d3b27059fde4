"""What is refused when a function is decorated: what no key could tell apart, and its author has not ignored."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from datetime import timedelta
from functools import partial
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, Request, Response, Security, WebSocket
from fastapi.security import SecurityScopes
from pydantic import BaseModel
from typing_extensions import TypeAliasType

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
        ({"timeout": -1}, "cached: timeout=-1 is outside 0.001..86400 s"),
        ({"soft_timeout": timedelta(1)}, "cached: soft_timeout is timedelta, not a number"),
        ({"early_refresh": "1"}, "cached: early_refresh is str, not a number"),
        ({"ttl_jitter": 0.9}, "cached: ttl_jitter=0.9 is outside 0..0.5"),
        ({"negative_ttl": "60"}, "cached: negative_ttl is str"),
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


def test_variable_keyword_arguments_are_in_the_key_in_their_order() -> None:
    def function(**options: str) -> None: ...

    assert keyed("x:{options}", function)(b="2", a=1) == "x:((b,2),(a,int~1))"
    assert keyed("x", function, ignore=("options",))(a="b") == "x"


# --- every parameter is named or ignored ----------------------------------------------------------------


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
CLASSES = [
    *(Request, Response, WebSocket, BackgroundTasks, SecurityScopes, CacheInterface, Settings, sqlite3.Connection),
    *(User, Service, Table, Exception, complex, bytearray, type),
    foreign("sqlalchemy.orm.session", "Session"),
    foreign("asyncpg.pool", "Pool"),
]


@every("cls", CLASSES, ids=lambda cls: f"{cls.__module__}.{cls.__name__}")
@every(
    "way", [lambda cls: cls, lambda cls: cls | None, lambda cls: Annotated[cls, "a note"]], ids=["", "| None", "note"]
)
def test_what_is_no_value_is_named_by_an_attribute_or_ignored(cls: type, way: Callable[[Any], Any]) -> None:
    function = takes(way(cls))

    for template in ("x:{user_id}", None):
        with pytest.raises(ConfigurationError, match=rf"parameter other \(of the class {cls.__qualname__}\).*other.id"):
            keyed(template, function)
    with pytest.raises(ConfigurationError, match=r"name an attribute of it, \{other.name\}"):
        keyed("x:{user_id}:{other}", function)
    assert keyed("x:{user_id}", function, ignore=("other",))(1) == "x:1"


@every(
    ("annotation", "default"),
    [
        (Service, Depends()),
        (Annotated[Service, Depends(Service)], None),
        (Any, Depends(lambda: None)),
        (None, Depends(lambda: None)),
        (Any, Security(current_user)),
        (Annotated[str, Depends(lambda: "tenant")], None),
        (TypeAliasType("Tenant", Annotated[str, Depends(lambda: "tenant")]), None),
    ],
)
def test_what_is_injected_is_named_or_ignored_annotated_or_not(annotation: Any, default: Any) -> None:
    function = takes(annotation, default)

    for template in ("x:{user_id}", None):
        with pytest.raises(ConfigurationError, match=r"parameter other \(.*ignore=\('other',\)"):
            keyed(template, function)
    assert keyed("x:{user_id}:{other.id}", function)(1, User(id=2)) in ("x:1:2", "x:1:int~2")
    assert keyed("x:{user_id}", function, ignore=("other",))(1) == "x:1"


class TypeAliasTypeOfPython:
    """An alias as Python 3.12 makes it: its value is looked up when it is asked for."""

    @property
    def __value__(self) -> Any:
        raise NameError("only a type checker sees it")


TypeAliasTypeOfPython.__name__ = "TypeAliasType"


@every(
    "annotation",
    [
        TypeAliasTypeOfPython(),
        int,
        int | None,
        User | str,
        Any,
        object,
        Hashable,
        Sequence[str],
        "Unknown",
        dict[str, Any],
    ],
)
def test_what_may_be_a_value_is_in_the_key_without_a_template(annotation: Any) -> None:
    assert keyed(None, takes(annotation), ignore=("user_id",))(1, 2).endswith(("2", "int~2"))


METHODS = {
    "self": (lambda self, row: None, "id"),
    "cls": (lambda cls, row: None, "__qualname__"),
}


@every("name", METHODS)
def test_the_instance_or_class_is_named_by_an_attribute_or_ignored(name: str) -> None:
    method, telling = METHODS[name]

    for template in ("x:{row}", None):
        with pytest.raises(
            ConfigurationError, match=rf"parameter {name} \(what the method is called on\).*\{{{name}.{telling}\}}"
        ):
            keyed(template, method)
    with pytest.raises(ConfigurationError, match="name an attribute of it"):
        keyed(f"x:{{{name}}}:{{row}}", method)
    assert keyed("x:{row}", method, ignore=(name,))(None, 1) == "x:int~1"
    assert keyed(f"x:{{{name}.__name__}}:{{row}}", method)(User, "a") == "x:User:a"


class Repository:
    def __init__(self, tenant: str) -> None:
        self.tenant = tenant

    def load(self, row: int) -> None: ...

    @classmethod
    def make(cls, row: int) -> None: ...


@every("bound", [Repository("acme").load, Repository.make], ids=["instance", "class"])
def test_a_bound_method_is_judged_like_the_method(bound: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"what the method is called on\) that is not in its key template"):
        cached("x:{row}", cache=InMemoryCache())(bound)


def test_a_bound_method_keeps_its_instance() -> None:
    made: Any = cached("x:{self.tenant}:{row}", cache=InMemoryCache())(Repository("acme").load)

    assert made.key(1) == "x:acme:1"
    with pytest.raises(ConfigurationError, match="is bound to an instance that no key names"):
        cached("x:{row}", cache=InMemoryCache())(made)


@every("call", [{}.get, partial(read, 1), Repository, [].append], ids=["dict", "partial", "class", "list"])
def test_what_holds_data_out_of_sight_is_refused(call: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"write a function that calls it|not a function"):
        cached("x", cache=InMemoryCache())(call)


def test_there_are_at_most_a_hundred_tags() -> None:
    with pytest.raises(ConfigurationError, match="tags= has 101 tags, above 100"):
        keyed("x", lambda: None, tags=[f"t{number}" for number in range(101)])


def test_without_a_template_the_key_is_the_function_and_all_that_matters() -> None:
    def function(user_id: int, request: Request, *, lang: str = "en", debug: bool = False) -> None: ...

    key = keyed(None, function, ignore=("debug", "request"))

    assert re.sub("%3Clocals%3E|<locals>", "L", key(1, None, lang="de")) == (
        f"{__name__}.test_without_a_template_the_key_is_the_function_and_all_that_matters.L.function:1:de"
    )


def test_an_annotation_that_only_a_type_checker_sees_leaves_the_others_alone() -> None:
    def function(user_id: int, note: Unknown) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert keyed("x:{user_id}:{note}", function)(1, "a") == "x:1:a"
    with pytest.raises(ConfigurationError, match="a parameter note"):
        keyed("x:{user_id}", function)
