"""For any arguments: different ones never share a key, and the same ones always do."""

from __future__ import annotations

import copy
import itertools
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.decorators.cases import keyed

# an exporter's thread that another test has left retrying draws its delays while examples are made
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")


class Color(Enum):
    RED = "red"
    SIGN = ":"


class Number(Enum):
    ONE = 1
    TEXT = "1"


# few signs, and those that a key is put together with: what could be mistaken comes up often
TEXTS: Final = st.text(st.sampled_from("a1:-~%,()[]. \n\ud800") | st.characters(), max_size=6)
ATOMS: Final = st.one_of(
    TEXTS,
    st.integers(-20, 20),
    st.booleans(),
    st.none(),
    st.uuids(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.timezones()),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False) | st.just(Decimal("NaN")),
    st.floats(),
    st.binary(max_size=3),
    st.sampled_from([*Color, *Number]),
    st.sampled_from(["1", 1, True, None, "None", "none~", "int~1", "true", Decimal(1), "1970-01-01", date(1970, 1, 1)]),
)
VALUES: Final = st.recursive(
    ATOMS,
    lambda parts: (
        st.lists(parts, max_size=3).flatmap(lambda items: st.sampled_from([items, tuple(items)]))
        | st.sets(ATOMS, max_size=3).flatmap(lambda items: st.sampled_from([items, frozenset(items)]))
        | st.dictionaries(ATOMS, parts, max_size=3)
    ),
    max_leaves=5,
)
PLAIN_ANNOTATIONS: Final = (str, int, bool, None, UUID, date, datetime, time, Decimal, Color, Number, Any, int | None)
ANNOTATIONS: Final = st.sampled_from(
    [
        *PLAIN_ANNOTATIONS,
        *(tuple[int, ...], tuple[str, int], tuple[Color, ...], list[str], list[Number], frozenset[Color]),
        *(float, bytes, set[int], dict[str, int]),
    ]
)
TEMPLATES: Final = st.sampled_from(["x:{a}:{b}", "{a}-{b}", "{a}/x{b}", "x{b} and {a}", None])


def identity(value: Any) -> Any:
    """What makes a value this one: its type, and what it consists of."""
    if isinstance(value, Enum):
        return type(value), value.name
    if isinstance(value, list | tuple):
        return type(value), tuple(map(identity, value))
    if isinstance(value, set | frozenset):
        return type(value), frozenset(map(identity, value))
    if isinstance(value, dict):
        return dict, tuple(map(identity, value.items()))
    if isinstance(value, Decimal | float):
        return type(value), repr(value)
    if isinstance(value, datetime):
        return datetime, value.isoformat(), value.fold, str(value.tzinfo)
    if isinstance(value, time):
        return time, value.isoformat(), value.fold
    return type(value), value


@given(ANNOTATIONS, ANNOTATIONS, TEMPLATES, st.tuples(VALUES, VALUES), st.tuples(VALUES, VALUES))
def test_two_calls_share_a_key_exactly_if_they_have_the_same_arguments(
    first: Any, second: Any, template: str | None, one: tuple[Any, Any], other: tuple[Any, Any]
) -> None:
    def function(a: Any, b: Any) -> None: ...

    function.__annotations__.update(a=first, b=second)
    key = keyed(template, function)

    assert (key(*one) == key(*other)) == (identity(one) == identity(other))


@given(VALUES, VALUES)
def test_a_copy_of_the_arguments_has_the_key_of_the_arguments(a: Any, b: Any) -> None:
    def function(a: Any, b: Any) -> None: ...

    key = keyed(None, function)

    assert key(a, b) == key(b=copy.deepcopy(b), a=copy.deepcopy(a))


@given(st.tuples(TEXTS, TEXTS), st.tuples(TEXTS, TEXTS))
def test_two_pairs_of_texts_share_a_key_exactly_if_they_are_equal(one: tuple[str, str], other: tuple[str, str]) -> None:
    def function(a: str, b: str) -> None: ...

    key = keyed("{a}:{b}", function)

    assert (key(*one) == key(*other)) == (one == other)


@given(st.lists(VALUES, max_size=3), st.lists(VALUES, max_size=3))
def test_variable_arguments_share_a_key_exactly_if_they_are_the_same(one: list[Any], other: list[Any]) -> None:
    def function(*values: int) -> None: ...

    key = keyed("{values}", function)

    assert (key(*one) == key(*other)) == (identity(one) == identity(other))


def everything() -> list[Any]:
    """Many values made of few signs; no two are the same."""
    texts = ["".join(signs) for size in range(3) for signs in itertools.product("a1:~%(),-", repeat=size)]
    atoms = ["", "1", "~", ",", "none~", 1, True, None, Decimal(1), Color.SIGN, Number.ONE, Number.TEXT]
    inside = [*((one,) for one in atoms), *itertools.product(atoms[:6], repeat=2), (), ((),), ("()",), ([],)]
    return [*texts, *atoms[5:], "none~", -1, 11, *inside, *map(list, inside), *map(frozenset, [(), ("",), ("", 1)])]


@pytest.mark.parametrize("annotation", [Any, int, Number, Color, tuple[int, ...], list[str], "None"], ids=str)
def test_no_two_of_many_pairs_share_a_key(annotation: Any) -> None:
    def function(a: Any, b: Any) -> None: ...

    function.__annotations__.update(a=annotation, b=annotation)
    values, key = everything(), keyed("{a}-{b}", function)

    keys = {key(one, other) for one in values for other in values}

    assert len(keys) == len(values) ** 2
