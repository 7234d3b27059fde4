"""Cache-Control is read and written as RFC 9111 says."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otcache.http._cache_control import (
    LONGEST,
    NO_DIRECTIVES,
    RequestDirectives,
    cache_control,
    parse,
    request_directives,
    seconds,
)
from tests.rows import every


@every(
    ("field", "found"),
    [
        ("", {}),
        ("no-cache", {"no-cache": None}),
        ("Max-Age=60, NO-STORE", {"max-age": "60", "no-store": None}),
        ('private="set-cookie, x", max-age=5', {"private": "set-cookie, x", "max-age": "5"}),
        (r'ext="a \"quoted\", comma"', {"ext": 'a "quoted", comma'}),
        ("max-age=1, max-age=2", {"max-age": "1"}),
        (", ,max-age=1,,", {"max-age": "1"}),
        ("max age=1, no-store", {"no-store": None}),
        ('"odd, no-cache", no-store', {"no-store": None}),
        ("=, no-store", {"no-store": None}),
        ("max-age = 7, no-store", {"no-store": None}),
        ('a="unfinished, no-store', {"no-store": None}),  # the stricter reading
    ],
)
def test_directives_are_found_and_what_is_none_is_passed_over(field: str, found: dict[str, str | None]) -> None:
    assert parse(field) == found


@given(st.text(alphabet='abc=-,"\\ \t1;', max_size=60))
def test_no_field_is_too_odd_to_be_read(field: str) -> None:
    assert all(name == name.lower() for name in parse(field))


@every(
    ("text", "number"),
    [("0", 0), ("60", 60), ("99999999999999999999", LONGEST), ("9999999999", LONGEST), ("-1", None), ("1.5", None),
     ("", None), ("٣", None), (None, None)],
)  # fmt: skip
def test_seconds_are_digits_and_large_ones_are_cut(text: str | None, number: int | None) -> None:
    assert seconds(text) == number


@every(
    ("control", "pragma", "expected"),
    [
        (None, None, NO_DIRECTIVES),
        (None, "no-cache", RequestDirectives(no_cache=True)),
        ("max-age=5", "no-cache", RequestDirectives(max_age=5)),
        (
            "no-cache, no-store, only-if-cached",
            None,
            RequestDirectives(no_cache=True, no_store=True, only_if_cached=True),
        ),
        ("max-stale", None, RequestDirectives(max_stale=inf)),
        ("max-stale=10, min-fresh=3", None, RequestDirectives(max_stale=10, min_fresh=3)),
        ("max-age=soon", None, RequestDirectives(max_age=0)),
        ("min-fresh=soon", None, RequestDirectives(min_fresh=inf)),
    ],
)
def test_a_request_has_directives(control: str | None, pragma: str | None, expected: RequestDirectives) -> None:
    assert request_directives(control, pragma) == expected


@every(
    ("control", "age", "left", "accepted"),
    [
        ("", 10, 5, True),
        ("", 10, -5, True),  # what we declare as stale-while-revalidate
        ("no-cache", 0, 60, False),
        ("max-age=10", 10, 5, True),
        ("max-age=9", 10, 5, False),
        ("max-age=100", 10, -5, False),
        ("max-age=100, max-stale", 10, -5, True),
        ("max-stale=5", 10, -5, True),
        ("max-stale=4", 10, -5, False),
        ("min-fresh=5", 10, 5, True),
        ("min-fresh=6", 10, 5, False),
        ("min-fresh=1, max-stale", 10, -5, False),
    ],
)
def test_a_stored_answer_will_do_or_not(control: str, age: float, left: float, accepted: bool) -> None:
    assert request_directives(control).accepts(age, left) is accepted


@pytest.mark.parametrize(
    ("private", "stale", "written"),
    [
        (False, 0, "public, max-age=60"),
        (True, 0, "private, max-age=60"),
        (False, 30, "public, max-age=60, stale-while-revalidate=30, stale-if-error=30"),
    ],
)
def test_an_answer_says_how_long_it_lasts(private: bool, stale: int, written: str) -> None:
    assert cache_control(60, private=private, stale=stale) == written
    assert parse(written)["max-age"] == "60"
