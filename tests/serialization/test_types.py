"""Dataclasses, enums, named tuples and Pydantic models: declared once, or for one call."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum
from typing import Any, Generic, NamedTuple, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr

from otcache._serialization.serializer import DecodeError, Serializer, register_type
from otcache._serialization.types import Registry
from otcache.exceptions import ValidationError
from tests.rows import every

SERIALIZER = Serializer(threshold=1000, level=6)


def write(value: Any, kind: Any = None) -> bytes:
    return SERIALIZER.encode(value, key="k", expires_at_ms=0, type=kind).payload


def read(payload: bytes, kind: Any = None) -> Any:
    return SERIALIZER.decode(payload, key="k", type=kind).value


@register_type
class Colour(Enum):
    RED = "r"
    CRIMSON = "r"  # noqa: PIE796  an alias on purpose
    BLUE = ("b", 1)


@register_type
class Level(IntEnum):
    LOW = 1


@register_type(name="word")
class Word(StrEnum):
    YES = "yes"


@register_type
class Mode(Flag):
    READ = 1
    WRITE = 2


@register_type
class Bits(IntFlag):
    ONE = 1


@register_type
class Point(NamedTuple):
    x: int
    y: Any = 0


@register_type
@dataclass(frozen=True, slots=True)
class User:
    name: str
    colour: Colour = Colour.RED
    tags: frozenset[str] = frozenset()


@register_type
@dataclass
class Order:
    user: User
    lines: list[tuple[int, Any]]
    total: int = field(init=False, compare=True, default=0)

    def __post_init__(self) -> None:
        self.total += len(self.lines)
        self.note = ("beside", self.total)


class Address(BaseModel):
    street: str = Field(alias="streetName")
    level: Level = Level.LOW


@register_type
class Person(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str
    born: datetime
    address: Address
    home: HttpUrl
    extra: Any = None
    tags: set[str] = set()


@every(
    "value",
    [
        Colour.RED,
        Colour.CRIMSON,
        Colour.BLUE,
        Level.LOW,
        Word.YES,
        Mode.READ,
        Mode.READ | Mode.WRITE,
        Mode(0),
        Bits.ONE,
        Bits(6),
        Point(1, (2,)),
        User("ann", Colour.BLUE, frozenset({"a"})),
        Order(User("bob"), [(1, b"x"), (2, Point(1))]),
        {Level.LOW: [User("ann")], Point(0): {Mode.WRITE}},
    ],
    ids=repr,
)
def test_a_declared_value_comes_back_equal_and_of_its_type(value: Any) -> None:
    returned = read(write(value))

    assert returned == value
    assert type(returned) is type(value)


def test_an_enum_comes_back_as_the_very_member_also_as_a_key() -> None:
    (returned,) = read(write({Level.LOW: 1}))

    assert returned is Level.LOW


def test_a_dataclass_is_restored_and_not_made_again() -> None:
    order = Order(User("ann"), [(1, 2)])
    order.total = 40

    returned = read(write(order))

    assert returned.total == 40
    assert returned.note == ("beside", 1)


def test_a_model_comes_back_with_everything_that_only_it_understands() -> None:
    person = Person.model_validate(
        {
            "name": "ann",
            "born": "2026-01-02T03:04:05Z",
            "address": {"streetName": "high"},
            "home": "https://example.org/",
            "tags": ["a"],
            "more": [1],
        }
    )

    returned = read(write({"people": [person]}))["people"][0]

    assert returned == person
    assert type(returned) is Person
    assert returned.address.level is Level.LOW
    assert returned.model_extra == {"more": [1]}


@register_type
class Loose(BaseModel):
    value: Any


@pytest.mark.parametrize("value", [(1, 2), b"\xff", {1: 2}, math.inf, Level.LOW, True])
def test_a_model_keeps_what_it_does_not_describe(value: Any) -> None:
    returned = read(write(Loose(value=value)))

    assert returned == Loose(value=value)
    assert type(returned.value) is type(value)


def test_nan_in_a_model_is_kept() -> None:
    assert math.isnan(read(write(Loose(value=math.nan))).value)


class Unlisted(IntEnum):
    ONE = 1


@register_type
class Sealed(BaseModel):
    password: SecretStr


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Sealed(password=SecretStr("hunter2")), r"^Sealed\.password: .*SecretStr"),
        (Loose(value=Unlisted.ONE), r"register_type\(Unlisted\)"),
        (Loose(value=Colour), "EnumType|EnumMeta"),
    ],
)
def test_a_model_that_would_come_back_different_is_refused(value: BaseModel, name: str) -> None:
    with pytest.raises(ValidationError, match=name) as refused:
        write(value)

    assert "hunter2" not in str(refused.value)


T = TypeVar("T")


@dataclass
class Box(Generic[T]):
    held: T


class Page(BaseModel, Generic[T]):
    items: list[T]


class Wish(BaseModel):
    text: str


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Box(1), Box),
        (Box(1), Box[int]),
        ([Box(Wish(text="a"))], list[Box[Wish]]),
        ({"a": Wish(text="a")}, dict[str, Wish]),
        (Wish(text="a"), Wish | None),
        (Page[int](items=[1]), Page[int]),
    ],
)
def test_a_type_can_be_declared_for_one_call(value: Any, kind: Any) -> None:
    payload = write(value, kind)

    assert read(payload, kind) == value
    with pytest.raises(DecodeError, match="not declared"):
        read(payload)
    with pytest.raises(ValidationError, match="register_type"):
        write(value)


@pytest.mark.parametrize("kind", [int, dict, list[int], dict[str, Any], None, User, int | None])
def test_declaring_what_needs_no_declaration_changes_nothing(kind: Any) -> None:
    payload = write((User("ann"), 1), kind)

    assert payload == write((User("ann"), 1))
    assert read(payload, kind) == (User("ann"), 1)


@pytest.mark.parametrize("kind", ["User", 3, object, BaseException, [User]])
def test_a_type_argument_that_is_no_declarable_type_is_refused(kind: Any) -> None:
    with pytest.raises(ValidationError):
        write((1,), kind)


@pytest.mark.parametrize("cls", [int, dict, object, str, 5, "User"])
def test_only_types_of_a_known_kind_can_be_declared(cls: Any) -> None:
    with pytest.raises(ValidationError, match=r"dataclass|not a type"):
        register_type(cls)


@pytest.mark.parametrize("name", ["", 5, "x" * 257])
def test_a_name_is_a_short_string(name: Any) -> None:
    with pytest.raises(ValidationError, match="1 to 256 characters"):
        register_type(User, name=name)


def test_declaring_a_type_again_changes_nothing_and_another_name_for_it_is_refused() -> None:
    assert register_type(Word, name="word") is Word

    with pytest.raises(ValidationError, match="Word is already declared under another name"):
        register_type(Word, name="verb")


def test_a_name_belongs_to_one_type() -> None:
    with pytest.raises(ValidationError, match="give it one with name="):
        register_type(Box, name="word")


def _made() -> type:
    @dataclass
    class Local:
        a: int

    return Local


def test_two_classes_made_by_one_function_are_told_apart() -> None:
    registry = Registry()
    registry.add(_made(), None)

    with pytest.raises(ValidationError, match="Local is already declared for another type"):
        registry.add(_made(), None)


def test_a_module_that_is_loaded_again_replaces_its_own_type() -> None:
    registry = Registry()
    old, new = _version("a"), _version("a")

    registry.add(old, None)
    registry.add(new, None)

    scope = registry.scope()
    found = scope.of_name(f"{new.__module__}.{new.__qualname__}")
    assert found is not None
    assert found.cls is new
    assert scope.of_type(old) is None


def test_a_type_for_one_call_must_not_take_a_declared_name() -> None:
    registry = Registry()
    registry.add(_made(), None)

    with pytest.raises(ValidationError, match="declared for another"):
        registry.scope(_made())


def _version(*fields: str) -> Any:
    return dataclass(type("Versioned", (), {"__annotations__": dict.fromkeys(fields, int)}))


@pytest.mark.parametrize("fields", [("a", "b", "c"), ("a",), ("a", "x")])
def test_a_dataclass_whose_fields_have_changed_is_not_read(fields: tuple[str, ...]) -> None:
    old = _version("a", "b")
    payload = write(old(1, 2), old)

    with pytest.raises(DecodeError, match="fields or the version"):
        read(payload, _version(*fields))


def test_a_dataclass_on_a_built_in_type_is_refused() -> None:
    @dataclass
    class Problem(dict[str, int]):
        code: int

    with pytest.raises(ValidationError, match="Problem"):
        write(Problem(1))


def test_a_named_tuple_with_more_than_its_fields_is_refused() -> None:
    class Wide(Point):
        pass

    value = Wide(1)
    value.more = 2  # type: ignore[attr-defined]

    with pytest.raises(ValidationError, match="beside its fields"):
        write(value, Wide)


def test_subclasses_of_a_declared_type_are_not_covered() -> None:
    @dataclass(frozen=True, slots=True)
    class Admin(User):
        pass

    with pytest.raises(ValidationError, match="Admin"):
        write(Admin("ann"))


def test_a_type_that_raises_when_it_is_read_is_refused_without_its_message() -> None:
    class Broken(Enum):
        ONE = 1

        @property
        def name(self) -> Any:
            raise RuntimeError("hunter2")

    with pytest.raises(ValidationError, match="Broken can't be read: RuntimeError") as refused:
        write(Broken.ONE, Broken)

    assert "hunter2" not in str(refused.value)


def test_pydantic_is_not_imported() -> None:
    script = "import sys, otcache._serialization.serializer; sys.exit('pydantic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_decorator_keeps_the_type() -> None:
    decorate: Callable[[type[Box[Any]]], type[Box[Any]]] = register_type(name="box for the decorator")

    assert decorate(Box) is Box
