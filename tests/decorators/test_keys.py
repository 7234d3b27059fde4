"""The text of each type in a key: readable, and of one value only."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag, StrEnum
from typing import Annotated, Any, Literal, NamedTuple, NewType
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from otcache import ConfigurationError, ValidationError
from tests.decorators.cases import keyed
from tests.rows import every

UserId = NewType("UserId", int)


class Color(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Mode(StrEnum):
    FAST = "fast"


class Mixed(Enum):
    ONE = 1
    TEXT = "1"


class Access(IntFlag):
    READ = 1
    WRITE = 2


class Markup(str):
    """A text that templates don't escape, as markupsafe has it."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


class Point(NamedTuple):
    x: int
    y: int


class Size(NamedTuple):
    x: int
    y: int


class Team:
    id: int = 7


class User:
    team: Team | None = Team()

    @property
    def name(self) -> str:
        return "ada"


def key_of(annotation: Any, value: Any, template: str = "x:{value}") -> str:
    """The key of one value of a parameter with that annotation."""

    def function(value: Any) -> None: ...

    function.__annotations__["value"] = annotation
    return keyed(template, function)(value)


IDENTITY = UUID("12345678-1234-5678-1234-567812345678")


@every(
    ("annotation", "value", "text"),
    [
        (str, "ada@example.com", "ada@example.com"),
        (str, "Grüße, Welt", "Grüße%2C Welt"),
        (int, -42, "-42"),
        (bool, True, "true"),
        (UUID, IDENTITY, str(IDENTITY)),
        (date, date(2026, 9, 1), "2026-09-01"),
        (datetime, datetime(2026, 9, 1, 12, 30), "2026-09-01T12%3A30%3A00"),
        (time, time(12, 30), "12%3A30%3A00"),
        (Decimal, Decimal("1.50"), "1.50"),
        (Color, Color.RED, "red"),
        (Level, Level.HIGH, "3"),
        (Mode, Mode.FAST, "fast"),
        (tuple[int, ...], (1, 2), "(1,2)"),
        (list[str], ["a", "b"], "(a,b)"),
        (frozenset[str], frozenset({"b", "a"}), "(a,b)"),
    ],
)
def test_a_value_of_the_declared_type_is_written_as_it_is(annotation: Any, value: Any, text: str) -> None:
    assert key_of(annotation, value) == f"x:{text}"


@every(
    ("value", "text"),
    [
        (42, "int~42"),
        (None, "none~"),
        (True, "bool~true"),
        (IDENTITY, f"uuid~{IDENTITY}"),
        (Decimal(1), "decimal~1"),
        ((1, "a"), "tuple~(int~1,a)"),
        ([], "list~()"),
        (Color.RED, f"{__name__}.Color~red"),
    ],
)
@every("annotation", [str, Any, object], ids=str)
def test_a_value_of_another_type_is_written_with_its_type(annotation: Any, value: Any, text: str) -> None:
    assert key_of(annotation, value) == f"x:{text}"


@pytest.mark.parametrize(
    "annotation",
    [int, int | None, UserId, Annotated[int, "an id"], Literal[1, 2], int | str, "int"],
    ids=str,
)
def test_the_declared_type_is_found_through_what_is_around_it(annotation: Any) -> None:
    assert key_of(annotation, 42) == "x:42"


def test_the_text_1_and_the_number_1_are_two_keys_whatever_is_declared() -> None:
    for annotation in (int, str, Any, int | str, bool, Mixed):
        assert key_of(annotation, "1") != key_of(annotation, 1)


def test_values_of_an_enum_of_several_types_are_told_from_each_other_and_from_plain_ones() -> None:
    values = (Mixed.ONE, Mixed.TEXT, 1, "1")

    assert len({key_of(Mixed, value) for value in values}) == len(values)


def test_a_separator_inside_of_a_value_is_not_taken_for_the_templates_own() -> None:
    def function(a: str, b: str) -> None: ...

    key = keyed("x:{a}:{b}", function)

    assert key("a:b", "c") == "x:a%3Ab:c"
    assert key("a", "b:c") == "x:a:b%3Ac"


def test_every_sign_that_a_template_separates_with_is_kept_out_of_values() -> None:
    def function(a: UUID, b: int) -> None: ...

    assert keyed("{a}-{b}", function)(IDENTITY, -1) == f"{str(IDENTITY).replace('-', '%2D')}-%2D1"


@every("literal", ["'", '"', "\\", '"""', "é", " ", "{{x}}", "#", "\\n", "{{", "$%s"])
def test_a_template_may_have_any_sign_around_its_fields(literal: str) -> None:
    plain = literal.replace("{{", "{").replace("}}", "}")

    assert key_of(int, 1, f"{literal}:{{value}}{literal}") == f"{plain}:1{plain}"


def test_a_key_stays_on_one_line() -> None:
    assert key_of(str, "a\r\nb\x00") == "x:a%0D%0Ab%00"


@pytest.mark.parametrize(
    ("one", "other"),
    [((), ("",)), (("",), ("", "")), (("a,b",), ("a", "b")), ((("a",),), ("(a)",)), ((1,), ("1",)), ((), None)],
)
def test_what_is_inside_of_a_tuple_is_beyond_doubt(one: Any, other: Any) -> None:
    assert key_of(tuple[str, ...], one) != key_of(tuple[str, ...], other)


def test_the_order_of_a_set_does_not_matter_and_that_of_a_list_does() -> None:
    assert key_of(Any, frozenset("ab")) == key_of(Any, frozenset("ba"))
    assert key_of(Any, ["a", "b"]) != key_of(Any, ["b", "a"])


def test_two_time_zones_of_one_offset_are_two_keys() -> None:
    berlin, paris = (datetime(2026, 9, 1, tzinfo=ZoneInfo(name)) for name in ("Europe/Berlin", "Europe/Paris"))

    assert key_of(datetime, berlin) == "x:2026-09-01T00%3A00%3A00+02%3A00[Europe/Berlin]"
    assert key_of(datetime, berlin) != key_of(datetime, paris)


def test_an_offset_is_part_of_a_time() -> None:
    east = timezone(timedelta(hours=2))

    assert key_of(datetime, datetime(2026, 9, 1, tzinfo=east)) == "x:2026-09-01T00%3A00%3A00+02%3A00"


def test_a_subclass_counts_as_what_it_is_derived_from() -> None:
    class DriverUUID(UUID): ...

    class Text(str): ...

    assert key_of(UUID, DriverUUID(int=IDENTITY.int)) == f"x:{IDENTITY}"
    assert key_of(str, Text("a")) == "x:a"


def test_a_subclass_that_behaves_in_its_own_way_is_written_with_its_name() -> None:
    assert key_of(str, Markup("<b>")) == f"x:{__name__}.Markup~<b>"


class Tenant(str):
    """A text that is more than a text: a region belongs to it."""

    def __init__(self, _: str) -> None:
        self.region = "eu"


class Slotted(date):
    __slots__ = ("region",)


@every("value", [object(), Team(), len, int, bytearray(b"a"), 1j, iter(()), (1, object()), {"a": object()}], ids=repr)
def test_any_other_type_is_refused_with_the_parameters_name_and_a_way_out(value: Any) -> None:
    with pytest.raises(
        ValidationError, match=r"^value is an? \w+, which can't be part of a key \(text, .* can\)"
    ) as refused:
        key_of(Any, value)

    assert "ignore=('value',)" in refused.value.message


@every("value", [Tenant("a"), Slotted(2026, 9, 1), os.stat_result(range(10)), defaultdict(int, a=1)], ids=repr)
def test_what_may_hold_more_than_its_text_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match="pass what it stands for"):
        key_of(Any, value)


@every(
    ("one", "other"),
    [
        (1.0, 1),
        (0.0, -0.0),
        (float("nan"), float("inf")),
        (b"a", "61"),
        ({"a"}, frozenset({"a"})),
        ({"a": 1}, (("a", 1),)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({}, ()),
        (timedelta(1), timedelta(seconds=1)),
        (Decimal("NaN"), Decimal("sNaN")),
        (Decimal("1.0"), Decimal("1.00")),
        (datetime(2026, 10, 25, 2, 30), datetime(2026, 10, 25, 2, 30, fold=1)),
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=timezone(timedelta(0), "GMT"))),
        (Point(1, 2), (1, 2)),
        (Point(1, 2), Size(1, 2)),
        (Markup("<b>"), "<b>"),
        (Counter("a"), {"a": 1}),
        ("\ud800", "%ED%A0%80"),
        (Access.READ, Access.READ | Access.WRITE),
        (10**5000, 10**5000 + 1),
    ],
)
@every("annotation", [Any, str, int, float, Point, dict[str, int]], ids=str)
def test_two_values_of_which_a_function_may_make_two_answers_are_two_keys(
    annotation: Any, one: Any, other: Any
) -> None:
    assert key_of(annotation, one) != key_of(annotation, other)


def test_a_named_tuple_is_written_plainly_where_it_is_declared() -> None:
    assert key_of(Point, Point(1, 2)) == "x:(int~1,int~2)"
    assert key_of(Any, Point(1, 2)) == f"x:{__name__}.Point~(int~1,int~2)"


def test_a_class_that_borrows_the_name_of_another_is_refused() -> None:
    def make() -> Any:
        return Enum("Borrowed", "ONE", qualname="test.Borrowed")

    assert key_of(Any, make().ONE) == f"x:{__name__}.test.Borrowed~1"
    with pytest.raises(ValidationError, match="shares its name with another one"):
        key_of(Any, make().ONE)


def test_a_zone_that_has_no_name_is_refused_unless_its_offset_never_changes() -> None:
    class Zone(tzinfo):
        def utcoffset(self, when: datetime | None, /) -> timedelta | None:
            return None if when is None else timedelta(hours=1)

        def dst(self, when: datetime | None, /) -> timedelta | None:
            return None

        def tzname(self, when: datetime | None, /) -> str:
            return "local"

    with pytest.raises(ValidationError, match=r"a time zone without a name: use zoneinfo\.ZoneInfo"):
        key_of(datetime, datetime(2026, 9, 1, tzinfo=Zone()))


def test_a_list_that_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(ValidationError, match="value can't be written into a key: RecursionError"):
        key_of(Any, endless)


@pytest.mark.parametrize("size", [8190, 8191, 100_000])
def test_a_long_key_is_its_start_and_a_digest_of_all_of_it(size: int) -> None:
    one, other = (key_of(str, "x" * size + end) for end in "ab")

    assert one != other
    assert one.startswith("x:" + "x" * 1000)
    assert len(one.encode()) <= 8192
    assert (":~" in one) == (size > 8189)


def test_a_short_value_can_not_imitate_the_key_of_a_long_one() -> None:
    long = key_of(str, "x" * 10_000)

    assert key_of(str, long.removeprefix("x:")) != long
    with pytest.raises(ConfigurationError, match="has a ~, by which otcache marks types and long keys"):
        key_of(str, "a", "x:~{value}")


def test_an_empty_key_is_none_that_another_value_has() -> None:
    assert key_of(str, "", "{value}") == "~"
    assert key_of(str, "~", "{value}") == "%7E"


def test_an_attribute_is_written_as_its_class_declares_it() -> None:
    def function(user: User) -> None: ...

    assert keyed("{user.team.id}:{user.name}", function)(User()) == "7:ada"


def test_a_missing_attribute_is_refused_by_name() -> None:
    def function(user: object) -> None: ...

    with pytest.raises(ValidationError, match=r"user\.id can't be written into a key: AttributeError"):
        keyed("x:{user.id}", function)(None)


def test_an_attribute_that_raises_is_refused_by_name() -> None:
    class Broken:
        @property
        def name(self) -> str:
            raise KeyError("a secret")

    def function(user: object) -> None: ...

    with pytest.raises(ValidationError, match=r"^user\.name can't be written into a key: KeyError$"):
        keyed("x:{user.name}", function)(Broken())
