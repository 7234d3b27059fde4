"""Models, dataclasses and other records come back equal and behave alike, or are refused by the field's name."""

from __future__ import annotations

import copy
import dataclasses
import functools
import ipaddress
import itertools
import pathlib
import random
import re
import time
import types
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum, Flag, auto
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    AnyUrl,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    PrivateAttr,
    RootModel,
    SecretStr,
    computed_field,
    create_model,
    field_serializer,
    field_validator,
    model_serializer,
)
from sqlmodel import SQLModel

from otcache import GenericRedisCache
from otcache._serialization.serializer import Serializer
from otcache.exceptions import ValidationError
from tests.rows import every
from tests.servers import RedisServer

SERIALIZER: Final = Serializer(threshold=1000, level=6)
T = TypeVar("T")


def there_and_back(value: Any, kind: Any) -> Any:
    payload = SERIALIZER.encode(value, key="k", expires_at_ms=0, type=kind).payload
    return SERIALIZER.decode(payload, key="k", type=kind).value


def facts(value: Any) -> Any:
    """Everything by which a value and its copy may be told apart."""
    if isinstance(value, dict):
        return type(value), [(facts(key), facts(part)) for key, part in value.items()]
    if isinstance(value, list | tuple | deque) and not hasattr(value, "_fields"):
        return type(value), [facts(part) for part in value]
    if isinstance(value, set | frozenset):
        return type(value), sorted(repr(facts(part)) for part in value)
    if isinstance(value, BaseModel):
        dumped = value.model_dump(exclude_unset=True, warnings=False), value.model_dump(warnings=False)
        hidden = [value.__pydantic_fields_set__, value.__pydantic_extra__, value.__pydantic_private__]
        return type(value), repr(value), facts(vars(value)), facts(hidden), facts(dumped)
    if dataclasses.is_dataclass(value):
        held = {each.name: facts(getattr(value, each.name, None)) for each in dataclasses.fields(value)}
        return type(value), repr(value), held, facts(getattr(value, "__dict__", None))
    return type(value), repr(value), getattr(value, "__dict__", None) if isinstance(value, str | int) else None


def check(value: Any, kind: Any) -> None:
    returned = there_and_back(value, kind)

    assert returned == value
    assert facts(returned) == facts(value)


# --- made by hand -------------------------------------------------------------------------------------------


class Color(Enum):
    RED = "r"
    MIXED = ("b", 1)


class Mode(Flag):
    READ = auto()
    WRITE = auto()


class Point(NamedTuple):
    x: int
    where: Color = Color.RED


class Base(BaseModel):
    id: int = 0


class Sub(Base):
    more: str = "more"


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: list[str] = []


class Household(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    others: list[Cat | Dog] = []
    by_name: dict[str, Cat | None] = {}


class Account(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    name: str = Field(default="", alias="accountName")
    password: str = Field(default="", exclude=True)
    born: float = 0.0
    _reads: int = PrivateAttr(default=0)
    _seen: dict[str, Color] = PrivateAttr(default_factory=dict)
    limit: ClassVar[int] = 3

    @field_validator("password")
    @classmethod
    def hash_it(cls, password: str) -> str:
        return f"hashed {random.random()} {password}"

    @field_validator("born", mode="before")
    @classmethod
    def now(cls, _: Any) -> float:
        return time.monotonic()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def shout(self) -> str:
        return self.name.upper()


class Open(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    size: int = 0


class Serialized(BaseModel):
    """Its author writes it otherwise than it is."""

    inner: Base = Base()
    at: date = date(2026, 1, 1)

    @field_serializer("at")
    def only_the_year(self, at: date) -> int:
        return at.year

    @model_serializer(mode="wrap")
    def wrapped(self, handler: Any) -> Any:
        return {"wrapped": handler(self)}


class Stamped(BaseModel):
    made: float = 0.0

    def model_post_init(self, _: Any) -> None:
        self.made += 1


class Lazy(BaseModel):
    size: int = 1

    @functools.cached_property
    def double(self) -> int:
        return self.size * 2

    @functools.cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile("a" * self.size)


class Foreign(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    home: HttpUrl | None = None
    links: list[AnyUrl] = []
    path: pathlib.Path | None = None
    address: ipaddress.IPv4Address | ipaddress.IPv6Network | None = None
    queue: deque[int] = deque()
    ordered: OrderedDict[str, int] = OrderedDict()
    grouped: defaultdict[str, list[int]] = defaultdict(list)
    pattern: re.Pattern[str] | None = None


class Tree(BaseModel):
    name: str
    below: list[Tree] = []


class Numbers(RootModel[list[int]]):
    pass


class Page(BaseModel, Generic[T]):
    items: list[T]
    next: Page[T] | None = None


class Table(SQLModel):
    id: int | None = None
    name: str = ""


@dataclasses.dataclass
class Plain:
    name: str
    hidden: int = dataclasses.field(default=0, compare=False, repr=False)
    made: Any = dataclasses.field(init=False)
    start: dataclasses.InitVar[int] = 3

    def __post_init__(self, start: int) -> None:
        self.made = start + 1


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Slotted:
    point: Point
    mode: Mode = Mode.READ


class Noted:
    __slots__ = ("note",)
    note: Any


@dataclasses.dataclass
class WithSlots(Noted):
    """A slot that is no field, and one that is never filled."""

    __slots__ = ("__dict__", "empty", "size")
    size: int


@dataclasses.dataclass
class Described:
    """A field behind a property."""

    size: int

    @property  # type: ignore[no-redef]
    def size(self) -> int:
        return self._size

    @size.setter
    def size(self, size: int) -> None:
        self._size = size + 1


@dataclasses.dataclass
class Box(Generic[T]):
    items: list[T]


@pydantic.dataclasses.dataclass
class Checked:
    size: int
    home: HttpUrl | None = None


def _account() -> Account:
    account = Account(accountName="ann", password="secret", born=1)
    account._reads = 3
    account._seen["red"] = Color.RED
    return account


def _with_slots() -> WithSlots:
    made = WithSlots(1)
    made.note = (1, 2)
    return made


def _changed() -> Account:
    account = _account()
    account.name = "bob"
    del account.__pydantic_private__["_reads"]  # type: ignore[union-attr]
    return account


def _used() -> Lazy:
    lazy = Lazy(size=4)
    assert lazy.double == 8
    return lazy


MADE: Final[tuple[tuple[Any, Any], ...]] = (
    (Base(), Base),
    (Base(id=0), Base),
    ([Base(id=1), Sub()], list[Base] | Sub),
    (Household(pet=Dog(tricks=["sit"]), others=[Cat(), Dog()], by_name={"tom": Cat(), "none": None}), Household),
    (_account(), Account),
    (_changed(), Account),
    (Open.model_validate({"size": 1, "extra": (1, b"x"), "nested": {"a": {1}}}), Open),
    ({Open(size=1), Open()}, Open),
    (Serialized(), Serialized),
    (Stamped(made=2), Stamped),
    (_used(), Lazy),
    (
        Foreign(
            home=HttpUrl("https://example.org/?q=1"), links=[AnyUrl("redis://a/0")], path=pathlib.Path("a/b"),
            address=ipaddress.IPv6Network("2001:db8::/32"), queue=deque([1, 2]), ordered=OrderedDict(b=1, a=2),
            pattern=re.compile("a+"),
        ),
        Foreign,
    ),
    (Tree(name="a", below=[Tree(name="b", below=[Tree(name="c")])]), Tree),
    (Numbers([1, 2]), Numbers),
    (Page[Base](items=[Base(id=1)], next=Page[Base](items=[])), Page[Base]),
    (Page[int].model_construct(items="not a list"), Page[int]),
    (Table(name="a"), Table),
    (Base.model_construct(id="x", beside=1), Base),
    (Plain("ann", 7), Plain),
    (Slotted(Point(1, Color.MIXED), Mode.READ | Mode.WRITE), Slotted),
    (_with_slots(), WithSlots),
    (Described(1), Described),
    (Box([Base(id=3), Box([Point(1)])]), Box[Base] | Point),
    (Checked(1, HttpUrl("https://a.b/")), Checked),
    ((Color.MIXED, {Color.RED: Mode(0)}), Color | Mode),
)  # fmt: skip


@every(("value", "kind"), MADE, ids=lambda part: repr(part)[:60])
def test_a_record_comes_back_as_it_was(value: Any, kind: Any) -> None:
    check(value, kind)


@pytest.mark.parametrize("options", [{"enable_l1_cache": False}, {"l1_isolation": "copy"}], ids=repr)
async def test_a_record_comes_back_from_redis_as_it_was(
    redis_server: RedisServer, prefix: str, options: dict[str, Any]
) -> None:
    async with GenericRedisCache(redis_url=redis_server.url, key_prefix=prefix, timeout=20, **options) as cache:
        for number, (value, kind) in enumerate(MADE):
            await cache.set(f"{number}", value, type=kind)
            returned = await cache.get(f"{number}", type=kind)

            assert returned is not value
            assert facts(returned) == facts(value)


def test_neither_a_validator_nor_an_initializer_runs_again() -> None:
    account, stamped = _account(), Stamped(made=2)

    assert there_and_back(account, Account).password == account.password
    assert there_and_back(stamped, Stamped).made == 3.0
    assert there_and_back(Plain("ann"), Plain).made == 4


def test_what_an_instance_remembers_is_kept_where_it_can_be_and_computed_again_where_not() -> None:
    lazy = _used()
    assert lazy.pattern

    returned = there_and_back(lazy, Lazy)

    assert returned == lazy
    assert vars(returned) == {"size": 4, "double": 8}
    assert returned.pattern == lazy.pattern


def test_a_generic_dataclass_may_be_called_by_its_parameters() -> None:
    assert there_and_back(Box[int]([1]), Box) == Box([1])


def test_what_comes_back_goes_on_living() -> None:
    account = there_and_back(_account(), Account)

    account._reads += 1
    account.name = "bob"

    assert account._reads == 4
    assert copy.deepcopy(account) == account
    assert account.model_dump(by_alias=True)["accountName"] == "bob"


# --- refused by the name of the field -----------------------------------------------------------------------


class Secretive(BaseModel):
    inner: list[dict[str, SecretStr]]


class Holder(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True, extra="allow")

    held: Any = None
    _lock: Any = PrivateAttr(default=None)


def _private() -> Holder:
    holder = Holder()
    holder._lock = object()
    return holder


@dataclasses.dataclass(eq=False)
class Identity:
    id: int


class Unknown(Base):
    pass


class Text(str):
    __slots__ = ()


REFUSED: Final[tuple[tuple[Any, Any, str], ...]] = (
    (
        Secretive(inner=[{"a": SecretStr("hunter2")}]),
        Secretive,
        "^Secretive.inner: .*SecretStr hides a secret, .* leave it out",
    ),
    (Holder(held=object()), Holder, "^Holder.held: .*object"),
    (Holder(held=Holder(held=Text("hunter2"))), Holder, "^Holder.held: .*Text"),
    (Holder(held=Unknown()), Holder, r"^Holder.held: .*Unknown can't be cached: declare it once with otcache.register"),
    (Holder.model_validate({"more": object()}), Holder, "^an extra field of Holder: .*object"),
    (_private(), Holder, "^a private attribute of Holder: .*object"),
    (Identity(1), Identity | None, "Identity has no equality"),
    ([Identity(1)], Base, "Identity has no equality"),
)


@every(("value", "kind", "message"), REFUSED, ids=lambda part: repr(part)[:60])
def test_what_would_not_come_back_is_refused_by_the_name_of_its_field(value: Any, kind: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as refused:
        SERIALIZER.encode(value, key="k", expires_at_ms=0, type=kind)

    assert "hunter2" not in str(refused.value)


def test_a_model_that_holds_itself_is_refused() -> None:
    tree = Tree(name="a")
    tree.below.append(tree)

    with pytest.raises(ValidationError, match="contains itself"):
        SERIALIZER.encode(tree, key="k", expires_at_ms=0, type=Tree)


# --- made at random -----------------------------------------------------------------------------------------

_numbers: Final = itertools.count()
texts = st.text(max_size=4)
LEAVES: Final[dict[Any, st.SearchStrategy[Any]]] = {
    int: st.integers(),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    str: texts,
    bytes: st.binary(max_size=4),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False),
    UUID: st.uuids(),
    datetime: st.datetimes(),
    timedelta: st.timedeltas(),
    set[int]: st.sets(st.integers(), max_size=1),
    dict[int, str]: st.dictionaries(st.integers(), texts, max_size=2),
    tuple[int, str]: st.tuples(st.integers(), texts),
    Color: st.sampled_from(Color),
    Mode: st.sampled_from([Mode(0), Mode.READ, Mode.READ | Mode.WRITE]),
    Point: st.builds(Point, st.integers(), st.sampled_from(Color)),
    HttpUrl: st.sampled_from([HttpUrl("https://a.b/"), HttpUrl("http://c/?d#e")]),
    pathlib.Path: st.sampled_from([pathlib.Path("a"), pathlib.Path("/")]),
    deque[int]: st.lists(st.integers(), max_size=3).map(deque),
    SecretStr: st.builds(SecretStr, texts),
    Base: st.sampled_from([Base(), Base(id=0), Sub(more="x")]),
    Slotted: st.builds(Slotted, st.builds(Point, st.integers())),
    Page[int]: st.builds(lambda items: Page[int](items=items), st.lists(st.integers(), max_size=2)),
    Any: st.one_of(st.none(), st.tuples(st.integers()), st.just(Color.RED), texts.map(Text)),
}
WRAPS: Final[tuple[Callable[[Any, Any], tuple[Any, Any]], ...]] = (
    lambda kind, values: (kind, values),
    lambda kind, values: (kind | None if kind is not Any else Any, st.none() | values),
    lambda kind, values: (types.GenericAlias(list, (kind,)), st.lists(values, max_size=2)),
    lambda kind, values: (types.GenericAlias(dict, (str, kind)), st.dictionaries(texts, values, max_size=2)),
    lambda kind, values: (Annotated[kind, "a note"], values),
)


@st.composite
def fields(draw: st.DrawFn) -> dict[str, tuple[Any, Any]]:
    """Names, annotations and values; `...` for a field that is left out."""
    found = {}
    for name in draw(st.lists(st.sampled_from("abcdef"), unique=True, max_size=4)):
        kind = draw(st.sampled_from(list(LEAVES)))
        annotation, values = draw(st.sampled_from(WRAPS))(kind, LEAVES[kind])
        found[name] = annotation, draw(st.just(...) | values)
    return found


@st.composite
def models(draw: st.DrawFn) -> BaseModel:
    """An instance of a model of its own, with what models have beside fields."""
    made = draw(fields())
    declared: dict[str, Any] = {}
    for name, (annotation, _) in made.items():
        alias, exclude, shown = name + draw(st.sampled_from(["", "_"])), draw(st.booleans()), draw(st.booleans())
        declared[name] = annotation, Field(default=None, alias=alias, exclude=exclude, repr=shown)
    if draw(st.booleans()):
        declared["_kept"] = Any, PrivateAttr(default=draw(st.integers() | st.just(Color.RED)))
    extra, frozen = draw(st.sampled_from(["allow", "ignore"])), draw(st.booleans())
    config: Any = {"extra": extra, "frozen": frozen, "populate_by_name": True}
    cls: Any = create_model(f"Model{next(_numbers)}", __config__=config, __module__=__name__, **declared)
    values = {name: value for name, (_, value) in made.items() if value is not ...}
    if draw(st.booleans()):
        values["beside"] = draw(LEAVES[Any])
    make = cls if draw(st.booleans()) else cls.model_construct
    return make(**values)  # type: ignore[no-any-return]


@st.composite
def records(draw: st.DrawFn) -> Any:
    """An instance of a dataclass of its own."""
    made = draw(fields())
    declared = [
        (name, annotation, dataclasses.field(default=None, compare=draw(st.booleans()), repr=draw(st.booleans())))
        for name, (annotation, _) in made.items()
    ]
    slots, frozen = draw(st.booleans()), draw(st.booleans())
    cls = dataclasses.make_dataclass(f"Record{next(_numbers)}", declared, slots=slots, frozen=frozen)
    cls.__module__ = __name__
    value = cls(**{name: part for name, (_, part) in made.items() if part is not ...})
    if not slots and draw(st.booleans()):
        vars(value)["beside"] = draw(LEAVES[Any])
    return value


@given(models() | records(), st.sampled_from([None, "list", "dict", "model"]))
def test_a_record_made_at_random_comes_back_as_it_was_or_is_refused_by_name(record: Any, inside: str | None) -> None:
    kind = type(record)
    value = {"list": [record], "dict": {"a": record}, "model": Holder(held=record)}.get(inside or "", record)
    try:
        check(value, kind | Holder | Sub | Color)
    except ValidationError as refused:
        refusal = refused
    else:
        return
    only_pydantic = "" if isinstance(record, BaseModel) else "|HttpUrl|Path|deque"
    assert re.search(rf"SecretStr|Text{only_pydantic}", str(refusal))
    assert refusal.context["field"]
