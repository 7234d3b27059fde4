"""A fingerprint changes with every part of a value, and with nothing else."""

from __future__ import annotations

import random
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import cached_property
from threading import Lock
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr, computed_field

from otcache._serialization.fingerprint import fingerprint, is_fixed
from tests.rows import every


class Color(Enum):
    RED = "red"


class Pair(NamedTuple):
    one: Any
    other: Any


@dataclass
class Plain:
    part: Any
    more: Any = None

    @cached_property
    def shown(self) -> str:
        return f"{self.part!r}"


@dataclass(slots=True)
class Slotted:
    part: Any


@dataclass(frozen=True)
class Frozen:
    part: Any


@dataclass(frozen=True, slots=True)
class FrozenSlotted:
    part: Any = field(default=())


class Model(BaseModel):
    part: Any
    _seen: dict[str, int] = PrivateAttr(default_factory=dict)

    @computed_field  # type: ignore[prop-decorator]
    @cached_property
    def shown(self) -> str:
        return f"{self.part!r}"


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    part: Any = None


class FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True)
    part: Any = None


class Listing(list[Any]):
    """A class of the application's own that `signing_secret` allows."""


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary(max_size=3), st.dates(),
    st.decimals(), st.uuids(), st.sampled_from(Color),
)  # fmt: skip
keys = st.one_of(st.text(max_size=3), st.integers(0, 9))


def _above(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    wrappers: list[Callable[[Any], Any]] = [
        Plain, Slotted, Frozen, FrozenSlotted, lambda part: Model(part=part),
        lambda part: Open.model_validate({"part": part, "extra": part}), lambda part: FrozenModel(part=part),
    ]  # fmt: skip
    return st.one_of(
        st.lists(parts, max_size=3),
        st.dictionaries(keys, parts, max_size=3),
        st.lists(parts, max_size=3).map(tuple),
        st.sets(st.one_of(st.integers(), st.text(max_size=2)), max_size=4),
        st.binary(max_size=3).map(bytearray),
        st.lists(parts, max_size=3).map(deque),
        st.lists(parts, max_size=3).map(Listing),
        st.builds(lambda wrap, part: wrap(part), st.sampled_from(wrappers), parts),
        st.builds(Pair, parts, parts),
    )


values = st.recursive(scalars, _above, max_leaves=12)


def places(value: Any) -> Iterator[Callable[[random.Random], None]]:
    """Every way to change a part of `value`, however deep."""
    if isinstance(value, list | deque):
        yield lambda _: value.append("new")
        yield from [lambda _: value.pop()] if value else []
    elif isinstance(value, dict):
        yield lambda _: value.__setitem__("a new key", "new")
        yield from [lambda dice: value.__setitem__(dice.choice(list(value)), object)] if value else []
        yield from [lambda _: value.popitem() and None] if value else []
    elif isinstance(value, set):
        yield lambda _: value.add("a new part")
        yield from [lambda _: value.pop()] if value else []
    elif isinstance(value, bytearray):
        yield lambda _: value.append(1)
    elif isinstance(value, Plain | Slotted | Model | Open):
        yield lambda _: setattr(value, "part", Color)
    if isinstance(value, Plain | Open):
        yield lambda _: setattr(value, "beside", 1)
    if isinstance(value, Model):
        yield lambda _: value._seen.update(a=1)
    for part in parts_of(value):
        yield from places(part)


def parts_of(value: Any) -> list[Any]:
    if isinstance(value, list | tuple | deque):
        return list(value)
    if isinstance(value, dict):
        return list(value.values())
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, each.name) for each in fields(value)]
    return [*vars(value).values()] if isinstance(value, BaseModel) else []


def read(value: Any) -> None:
    """What a caller who changes nothing does with it."""
    repr(value)
    if isinstance(value, BaseModel):
        value.model_dump(), value.model_copy(deep=True)
    if isinstance(value, Plain | Model):
        _ = value.shown
    for part in parts_of(value):
        read(part)


@given(values, st.randoms(use_true_random=False))
def test_any_change_of_any_part_changes_it(value: Any, dice: random.Random) -> None:
    changes = list(places(value))
    assume(changes)
    before = fingerprint(value)

    dice.choice(changes)(dice)

    assert before is not None
    assert fingerprint(value) != before


@given(values)
def test_who_reads_a_value_changes_nothing(value: Any) -> None:
    before = fingerprint(value)

    for _ in range(3):
        read(value)

    assert before is not None
    assert fingerprint(value) == before


@given(values)
def test_a_value_in_which_nothing_can_change_is_fixed_and_no_other(value: Any) -> None:
    can_change = bool(list(places(value)))

    assert is_fixed(value) != can_change


@every(
    "one, other",
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        (b"a", "a"),
        (b"a", bytearray(b"a")),
        ((1,), [1]),
        ({1}, frozenset({1})),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (["()", []], ("()", [])),
        ([("()", [])], [()]),
        (Pair(1, 2), (1, 2)),
        (Plain(1), Frozen(1)),
        (Open(part=1), FrozenModel(part=1)),
        (Open(), Open(part=None)),
        (OrderedDict(a=1), {"a": 1}),
        (defaultdict(list), defaultdict(set)),
        (Decimal("1.0"), Decimal("1.00")),
        (date(2024, 1, 1), datetime(2024, 1, 1)),
        (datetime(2024, 10, 27, 2, tzinfo=ZoneInfo("Europe/Berlin")), datetime(2024, 10, 27, tzinfo=UTC)),
        ("\ud800", "\ud801"),
        (UUID(int=1), 1),
    ],
)
def test_what_callers_can_tell_apart_has_two_fingerprints(one: Any, other: Any) -> None:
    assert fingerprint([one]) != fingerprint([other])


@every(
    "value, same",
    [
        ([float("nan")], [float("nan")]),
        (["a" * 3, "aaa"], ["aaa", "aaa"]),  # whether two parts are one object is nobody's concern
        ({"x", "y", "z"}, {"z", "y", "x"}),
        ([{1, 9, 17}], [{17, 9, 1}]),
        ([1 << 80], [1 << 80]),
    ],
)
def test_equal_values_have_the_same(value: Any, same: Any) -> None:
    assert fingerprint(value) == fingerprint(same)


def test_a_set_that_was_given_what_it_had_is_unchanged() -> None:
    value = {"tags": set(range(5))}
    before = fingerprint(value)

    value["tags"] |= {4}

    assert fingerprint(value) == before


def test_what_can_not_be_read_has_none() -> None:
    itself: list[Any] = []
    itself += [itself, itself]

    assert [fingerprint([part]) for part in (Lock(), itself, (_ for _ in ()))] == [None] * 3
