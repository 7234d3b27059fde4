"""A value comes back equal and of the same type, or is refused."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import IntEnum
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otcache._serialization.serializer import Serializer
from otcache.exceptions import ValidationError
from tests.rows import every

SERIALIZER = Serializer(threshold=1000, level=6)
BERLIN = ZoneInfo("Europe/Berlin")


def there_and_back(value: Any) -> Any:
    payload = SERIALIZER.encode(value, key="k", expires_at_ms=0).payload
    return SERIALIZER.decode(payload, key="k").value


def same(one: Any, other: Any) -> bool:
    """Equal, of the same types all the way down, in the same order; NaN is NaN and -0.0 is not 0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, set | frozenset):
        return len(one) == len(other) and all(any(same(part, that) for that in other) for part in one)
    if isinstance(one, float | Decimal):
        return str(one) == str(other)
    if isinstance(one, datetime | time):
        return bool(one == other) and (one.fold, one.utcoffset()) == (other.fold, other.utcoffset())
    return bool(one == other)


offsets = st.timedeltas(min_value=timedelta(hours=-23), max_value=timedelta(hours=23)).map(timezone)
zones = st.one_of(
    st.none(), st.just(UTC), offsets, st.sampled_from([BERLIN, ZoneInfo("UTC"), ZoneInfo("Asia/Kathmandu")])
)
hashables = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(min_value=2**62, max_value=2**70),
        st.floats(),
        st.text(),
        st.text(alphabet=st.characters(categories=["Cs", "Lu"])),
        st.binary(),
        st.decimals(),
        st.uuids(),
        st.dates(),
        st.datetimes(timezones=zones, allow_imaginary=True),
        st.times(timezones=st.one_of(st.none(), offsets)),
        st.timedeltas(),
    ).filter(lambda value: not (isinstance(value, Decimal) and value.is_snan())),
    lambda inner: st.one_of(st.tuples(inner, inner), st.frozensets(inner, max_size=3)),
    max_leaves=5,
)
values = st.recursive(
    st.one_of(hashables, st.binary().map(bytearray), st.just(Decimal("sNaN"))),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner),
        st.sets(hashables, max_size=4),
        st.dictionaries(st.text(max_size=3), inner, max_size=4),
        st.dictionaries(st.sampled_from(["!t", "!d", "!", "!o", "a"]), inner, max_size=2),
        st.dictionaries(hashables, inner, max_size=4),
    ),
    max_leaves=15,
)
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(), inner, max_size=5)),
    max_leaves=20,
)


@given(values)
def test_a_value_of_the_built_in_kinds_comes_back_equal_and_of_the_same_type(value: Any) -> None:
    returned = there_and_back(value)

    assert same(returned, value), (returned, value)


@given(plain)
def test_json_comes_back_as_it_was(value: Any) -> None:
    returned = there_and_back(value)

    assert same(returned, value)


@every(
    "value",
    [
        {"!t": [1]},
        {"!d": {"!d": 1}},
        {1: "int", 2.0: "float", False: "bool"},
        {None: 1, (1, 2): 2, b"x": 3, frozenset({1}): 4, date(2026, 1, 2): 5},
        [1, True, 1.0, "1", b"1", Decimal(1), Decimal("1.0")],
        [0.0, -0.0, math.inf, -math.inf, 5e-324],
        [2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**5000],
        ["\ud800", {"\udfff": 1}, dict.fromkeys(("\ud800", "\udc00"))],
        [(), [], {}, set(), frozenset(), "", b"", bytearray(), None],
        timedelta.max,
        Decimal("-0E-999999"),
        UUID(int=0),
        datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(seconds=-1, microseconds=7))),
        time(1, 2, 3, 4, tzinfo=BERLIN, fold=1),
    ],
)
def test_an_awkward_value_comes_back(value: Any) -> None:
    assert same(there_and_back(value), value)


def test_nan_comes_back_as_nan_and_not_as_null() -> None:
    returned = there_and_back({"plain": math.nan, "among": [1, math.nan]})

    assert math.isnan(returned["plain"])
    assert math.isnan(returned["among"][1])


@pytest.mark.parametrize("zone", [BERLIN, UTC, timezone(timedelta(hours=2), "CEST"), timezone(timedelta(hours=-3))])
def test_a_time_keeps_its_zone_and_the_zones_name(zone: tzinfo) -> None:
    value = datetime(2026, 7, 1, 12, tzinfo=zone)

    returned = there_and_back(value)

    assert returned.tzinfo == zone
    assert returned.tzname() == value.tzname()
    assert type(returned.tzinfo) is type(zone)


def test_a_zone_that_its_key_does_not_give_is_refused() -> None:
    value = datetime(2026, 7, 1, tzinfo=ZoneInfo.no_cache("Europe/Berlin"))

    with pytest.raises(ValidationError, match=r"zoneinfo\.ZoneInfo: use zoneinfo|zoneinfo\.ZoneInfo can't be cached"):
        there_and_back(value)


def test_a_tzinfo_of_another_type_is_refused_with_the_way_out() -> None:
    class Odd(tzinfo):
        def utcoffset(self, when: datetime | None) -> timedelta:
            return timedelta(0)

        def dst(self, when: datetime | None) -> None: ...

        def tzname(self, when: datetime | None) -> None: ...

    with pytest.raises(
        ValidationError, match=r"Odd can't be cached: use zoneinfo\.ZoneInfo\(key\) or datetime\.timezone"
    ):
        there_and_back(datetime(2026, 1, 1, tzinfo=Odd()))


class Colour(IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


class Point(NamedTuple):
    x: int


@every(
    "value",
    [
        Colour.RED,
        Text("secret"),
        Point(1),
        OrderedDict(a=1),
        deque([1]),
        object(),
        1j,
        range(3),
        memoryview(b"a"),
        len,
        int,
    ],
    ids=lambda value: type(value).__name__,
)
@every("wrap", [lambda v: v, lambda v: [v], lambda v: {"a": {"b": v}}, lambda v: (v,)])
def test_a_type_that_is_not_declared_is_refused_by_name_and_never_flattened(value: Any, wrap: Any) -> None:
    with pytest.raises(ValidationError, match=type(value).__qualname__) as refused:
        there_and_back(wrap(value))

    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("key", [Colour.RED, Text("a"), Point(1)])
def test_a_dictionary_key_of_such_a_type_is_refused(key: Any) -> None:
    with pytest.raises(ValidationError, match=type(key).__qualname__):
        there_and_back({key: 1})


def test_the_refusal_names_both_ways_out() -> None:
    with pytest.raises(ValidationError, match=r"once with otcache\.register_type\(Colour\), or pass type=Colour"):
        there_and_back([Colour.RED])


def nested(levels: int, *, leaf: Any) -> Any:
    for _ in range(levels):
        leaf = [leaf]
    return leaf


@pytest.mark.parametrize("leaf", [1, 1.5, b"x"])
def test_a_hundred_levels_are_kept_and_one_more_is_refused(leaf: Any) -> None:
    assert there_and_back(nested(100, leaf=leaf)) == nested(100, leaf=leaf)

    with pytest.raises(ValidationError, match="deeper than 100 levels"):
        there_and_back(nested(101, leaf=leaf))


@pytest.mark.parametrize("times", [1, 2])
def test_a_container_that_holds_itself_is_refused(times: int) -> None:
    cycle: list[Any] = []
    cycle.extend([cycle] * times)

    with pytest.raises(ValidationError, match="contains itself"):
        there_and_back(cycle)


def test_shared_parts_that_would_grow_without_end_are_refused() -> None:
    bomb: Any = [1]
    for _ in range(40):
        bomb = [bomb, bomb]

    with pytest.raises(ValidationError, match="2000000 containers"):
        there_and_back(bomb)


def test_the_object_given_is_never_the_one_returned() -> None:
    value = {"a": [1, {"b": (2,)}]}

    returned = there_and_back(value)

    assert returned == value
    assert returned["a"] is not value["a"]
