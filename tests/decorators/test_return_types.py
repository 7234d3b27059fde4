"""The return annotation says what has to be declared, whatever stands there; no call raises for it."""

from __future__ import annotations

import abc
import inspect
import sys
import types
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    Protocol,
    TypeVar,
    Union,
)

import pytest
import sqlalchemy
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, registry
from sqlmodel import Field, SQLModel
from typing_extensions import TypeAliasType, TypedDict

from otcache import GenericRedisCache, InMemoryCache, Loaded, cached
from otcache.exceptions import ConfigurationError, ValidationError
from tests.rows import every
from tests.servers import RedisServer

T = TypeVar("T")


@dataclass
class User:
    name: str


class Team(BaseModel):
    users: list[User] = []


class Color(Enum):
    RED = 1


class Point(NamedTuple):
    x: int


@dataclass
class Page(Generic[T]):
    items: list[T]


class Sheet(BaseModel, Generic[T]):
    items: list[T]


class Row(TypedDict):
    user: User
    more: list[Row]


class Named(Protocol):
    name: str


class Abstract(abc.ABC):  # noqa: B024
    pass


class Kept(Abstract):
    pass


Bound = TypeVar("Bound", bound=User)
Either = TypeVar("Either", User, Team)
Users = TypeAliasType("Users", list[User])
Recursive = TypeAliasType("Recursive", "dict[str, Recursive] | User | list[Recursive]")
Of = TypeAliasType("Of", dict[str, T], type_params=(T,))
Admin = NewType("Admin", User)
Admins = NewType("Admins", list[Admin])
OldStyle = list["User"]
Json = dict[str, "Json"] | list["Json"] | tuple["Json", "Json"] | User | None
USER: Final = User("ann")


class _Meta(type):
    def __getattr__(cls, name: str) -> Any:
        raise RuntimeError(name)


class Wild(metaclass=_Meta):
    """Looking at it raises."""


class _Odd:
    """An object that no annotation is."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    __hash__ = None  # type: ignore[assignment]


def _of(origin: Any, *inner: Any) -> Any:
    try:
        return origin[inner if len(inner) > 1 else inner[0]]
    except Exception:  # noqa: BLE001  no annotation that Python lets one write
        return inner[0]


DECLARES: Final[tuple[tuple[Any, Any], ...]] = (
    (User, USER),
    (Users, [USER]),
    (Users | None, [USER]),
    (Admin, USER),
    (Admins, [USER]),
    (Recursive, {"a": [USER]}),
    (Of[User], {"a": USER}),
    (OldStyle, [USER]),
    ("User | None", USER),
    ("Json", {"a": [USER]}),
    ("list[Json]", [USER]),
    ("list['User']", [USER]),
    (Optional[User], USER),  # noqa: UP045
    (Union[int, User], USER),  # noqa: UP007
    (Page[User], Page([USER])),
    (Page[int], Page([1])),
    (Page["User"], Page([USER])),
    (list[Page[Team]], [Page([Team(users=[USER])])]),
    (Sheet[User], Sheet[User](items=[USER])),
    (dict[str, tuple[User, ...]], {"a": (USER,)}),
    (Mapping[str, Sequence[User]], {"a": [USER]}),
    (Annotated[User, [], {}], USER),
    (Annotated[Loaded[User], "it"], USER),
    (Loaded[User], USER),
    (Union[User, Loaded[User]], USER),  # noqa: UP007
    (Loaded[Users] | None, [USER]),
    (Awaitable[User], USER),
    (Coroutine[Any, Any, list[User]], [USER]),
    (Literal[Color.RED, "a"], Color.RED),
    (Bound, USER),
    (_of(list, Either), [Team()]),
    (Row, {"user": USER, "more": []}),
    (list[Row], [{"user": USER, "more": []}]),
    (Point, Point(1)),
    (tuple[Color, Point], (Color.RED, Point(2))),
    (Team, Team(users=[USER])),
    (ClassVar[User], USER),
    (Final[User], USER),
    (Named | User, USER),
)
"""Annotations, and a value that is kept by each."""

DECLARES_NOTHING: Final[tuple[Any, ...]] = (
    None, Any, object, inspect.Parameter.empty, "Nobody", "1 +", 5, _Odd(), Wild, [], [User.__name__], Named, Abstract,
    T, Callable[..., Any], type[Any], Exception, types.SimpleNamespace, _of(list, T), Literal[1], NewType("Odd", int),
    TypeAliasType("Broken", "Missing"), Awaitable[None], "list[Nobody]",  # noqa: F821  that is the point
)  # fmt: skip
"""Annotations that say nothing of the value, or are none."""


@pytest.fixture
async def near() -> Any:
    async with InMemoryCache(name="near", l1_isolation="copy") as cache:
        yield cache


def function(annotation: Any, value: Any) -> Callable[..., Awaitable[Any]]:
    async def load(number: int) -> Any:
        return value

    load.__annotations__["return"] = annotation
    return load


@every(("annotation", "value"), DECLARES, ids=lambda part: repr(part)[:60])
async def test_a_value_of_the_annotated_type_is_kept(near: InMemoryCache, annotation: Any, value: Any) -> None:
    read = cached(f"{id(annotation)}:{{number}}", cache=near)(function(annotation, value))

    assert await read(1) == value
    assert (await read.answer(1)).status == "fresh"
    assert await read.get(1) == value


@every("annotation", DECLARES_NOTHING, ids=lambda part: type(part).__name__)
@every("value", [1, USER, Kept(), object()], ids=lambda value: type(value).__name__)
async def test_an_annotation_that_says_nothing_raises_nothing(near: InMemoryCache, annotation: Any, value: Any) -> None:
    read = cached(f"{id(annotation)}:{id(value)}:{{number}}", cache=near)(function(annotation, value))

    assert await read(1) == value
    assert (await read.answer(1)).status == ("fresh" if value == 1 else "loaded")
    assert await read.get(1) == (1 if value == 1 else None)


async def test_the_syntax_of_python_3_12(near: InMemoryCache) -> None:
    source = """
type Users = list[User]
type Tree[X] = dict[str, Tree[X]] | X
class Box[X](BaseModel):
    held: X
async def users(number: int) -> Users: return [USER]
async def tree(number: int) -> Tree[User]: return {"a": {"b": USER}}
async def box(number: int) -> Box[User]: return Box[User](held=USER)
async def first[X: User](number: int) -> X: return USER
"""
    names: dict[str, Any] = {"User": User, "USER": USER, "BaseModel": BaseModel, "__name__": "shop"}
    if sys.version_info < (3, 12):
        with pytest.raises(SyntaxError):
            exec(source, names)
        return
    exec(source, names)

    for name in ("users", "tree", "box", "first"):
        read = cached(f"{name}:{{number}}", cache=near)(names[name])
        assert await read(1) == await names[name](1)
        assert (await read.answer(1)).status == "fresh", name


# --- made at random -----------------------------------------------------------------------------------------

LEAVES: Final[st.SearchStrategy[Any]] = st.sampled_from([
    int, str, None, Any, User, Team, Color, Point, Row, Users, Admin, Admins, Recursive, Of[User], Page[int],
    Sheet[int], Sheet[User], Bound, Either, T, "User", "Nobody", "list[User]", Named, Abstract, Wild, object,
    Literal["a", Color.RED], Callable[[User], Team], type[User], OldStyle, Exception, ...,
])  # fmt: skip


kinds: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(
            _of,
            st.sampled_from([list, set, Optional, Loaded, Awaitable, Page, ClassVar, Final, type, tuple, Sequence]),
            inner,
        ),
        st.builds(_of, st.sampled_from([dict, tuple, Union, Mapping, Of]), inner, inner),
        st.builds(_of, st.just(Annotated), inner, st.sampled_from(["note", [], {}])),
        inner.map(lambda part: NewType("New", part)),
        inner.map(lambda part: TypeAliasType("Alias", part)),
    ),
    max_leaves=6,
)
KINDS: Final = [1, "a", None, USER, Team(users=[USER]), Color.RED, Point(1), Kept(), object(), Page([USER])]
values: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(KINDS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=1), inner, max_size=2), st.tuples(inner)
    ),
    max_leaves=4,
)


@given(kinds, values, st.booleans())
async def test_any_annotation_and_any_value_give_what_the_function_gives(
    annotation: Any, value: Any, plain: bool
) -> None:
    async with InMemoryCache(name="near", l1_isolation="copy") as cache:
        load = function(annotation, value)
        read = cached("key:{number}", cache=cache)(load)

        assert await read(1) == await load(1)
        assert await read(1) == value
        assert await read.refresh(1) == value
        assert await read.get(1) in (value, None)


@given(kinds, values)
@settings(max_examples=30)
async def test_type_of_a_load_is_an_annotation_too_or_is_refused_before_it(annotation: Any, value: Any) -> None:
    async with InMemoryCache(name="near", l1_isolation="copy") as cache:
        try:
            assert await cache.get_or_set("key", lambda: value, type=annotation) == value
        except ValidationError as refused:
            assert "type=" in str(refused) or "is not a dataclass" in str(refused)  # noqa: PT017  either is right


async def test_among_processes_too(redis_server: RedisServer, prefix: str) -> None:
    caches = [GenericRedisCache(redis_url=redis_server.url, key_prefix=prefix, timeout=20) for _ in range(2)]
    here, there = (cached("users:{number}", cache=cache)(function(Users, [USER])) for cache in caches)

    assert await here(1) == [USER]
    assert (await there.answer(1)).status == "fresh"
    for cache in caches:
        await cache.close()


# --- entities -----------------------------------------------------------------------------------------------


class Knight(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str


class KnightRead(SQLModel):
    name: str


def _table(name: str) -> sqlalchemy.Table:
    return sqlalchemy.Table(name, sqlalchemy.MetaData(), sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True))


class Orm(DeclarativeBase):
    pass


class Declarative(Orm):
    __tablename__ = "declarative"
    id: Mapped[int] = mapped_column(primary_key=True)


class Imperative:
    def __init__(self, id: int) -> None:  # noqa: A002
        self.id = id


registry().map_imperatively(
    Imperative,
    sqlalchemy.Table(
        "imperative", sqlalchemy.MetaData(), sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True)
    ),
)


@registry().mapped
@dataclass
class MappedDataclass:
    __table__ = _table("mapped")
    id: int = 0


class _OfDjango:
    """What a model of Django has before it, by module and name."""


_OfDjango.__module__, _OfDjango.__name__ = "django.db.models.base", "Model"


class OfDjango(_OfDjango):
    pass


class KnightPage(BaseModel):
    model_config = {"arbitrary_types_allowed": True}
    knights: list[Knight] = []


@dataclass
class Wrapped:
    held: Any


ENTITIES: Final[tuple[Callable[[], Any], ...]] = (
    lambda: Knight(name="ann"), lambda: Declarative(id=1), lambda: Imperative(1), lambda: MappedDataclass(1), OfDjango,
)  # fmt: skip
AROUND: Final[tuple[Callable[[Any], Any], ...]] = (
    lambda entity: entity,
    lambda entity: [entity],
    lambda entity: {"a": (entity,)},
    lambda entity: Wrapped(entity),
    lambda entity: KnightPage.model_construct(knights=[entity]),
)


@every("make", ENTITIES, ids=lambda make: type(make()).__name__)
@every(
    "annotate",
    [
        lambda cls: cls,
        lambda cls: cls | None,
        lambda cls: _of(Page, cls),
        lambda cls: TypeAliasType("A", _of(list, cls)),
    ],
)
def test_a_function_that_returns_an_entity_is_refused_at_decoration(make: Any, annotate: Any) -> None:
    cls = type(make())

    with pytest.raises(ConfigurationError, match=f"can't be cached: {cls.__name__} is an entity .* cache a read model"):
        cached("key:{number}", cache=InMemoryCache())(function(annotate(cls), None))
    with pytest.raises(ConfigurationError, match="entity"):
        cached("key:{number}", cache=InMemoryCache(), type=cls)(function(Any, None))


@every("make", ENTITIES, ids=lambda make: type(make()).__name__)
@every("around", AROUND)
@pytest.mark.parametrize("secret", [None, "x" * 16])
async def test_an_entity_is_given_and_never_kept(make: Any, around: Any, secret: str | None) -> None:
    async with InMemoryCache(name="near", signing_secret=secret) as cache:
        value = around(make())
        kind = Wrapped | KnightPage
        read = cached("cached", cache=cache)(lambda: value)

        assert await cache.get_or_set("key", lambda: value, type=kind) is value
        assert await cache.get_or_set("key", lambda: value) is value
        assert await read() is value
        assert not await cache.exists("key")
        with pytest.raises(ValidationError):
            await cache.set("key", value, type=kind)


def test_a_type_with_an_entity_in_a_field_is_refused_at_registration_by_name() -> None:
    from otcache import register_type

    with pytest.raises(ValidationError, match=r"^KnightPage\.knights can't be kept: Knight is an entity of an ORM"):
        register_type(KnightPage)


async def test_a_read_model_is_kept(near: InMemoryCache) -> None:
    read = cached("knight:{number}", cache=near)(function(KnightRead, KnightRead.model_validate(Knight(name="ann"))))

    assert (await read(1)).name == "ann"
    assert (await read.answer(1)).status == "fresh"
