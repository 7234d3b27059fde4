"""Cache-Control is read and written as RFC 9111 says."""

from __future__ import annotations

import time
from math import inf
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from otcache.http import _cache_control
from otcache.http._cache_control import (
    LONGEST,
    NO_DIRECTIVES,
    RequestDirectives,
    made_private,
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
        ("max-age=1, max-age=1", {"max-age": "1"}),
        ("max-age=1, max-age=2", {"max-age": ""}),  # neither is believed
        (", ,max-age=1,,", {"max-age": "1"}),
        ("max age=1, no-store", {"max": "", "no-store": None}),
        ("private; max-age=60", {"private": ""}),
        ('"odd, no-cache", no-store', {"no-store": None}),
        ("=, no-store", {"no-store": None}),
        ("max-age = 7, no-store", {"max-age": "", "no-store": None}),
        ('a="unfinished, no-store', {"a": "", "no-store": None}),  # the stricter reading
        ("a" * 5000, {"no-store": None}),
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


@every(
    ("field", "written"),
    [
        ("private, max-age=9", "private, max-age=9"),
        ("no-store", "private, no-store"),
        ("max-age=9", "private, max-age=9"),
        ("Public, max-age=9, must-revalidate", "private, max-age=9, must-revalidate"),
        ("s-maxage=600, max-age=9", "private, max-age=9"),
        ('private="x-user", max-age=9', "private, max-age=9"),  # the rest would be for many
        ('ext="a, public", public', 'private, ext="a, public"'),
        ("public; max-age=9", "private"),
        ("public, " + "a" * 5000, "private, no-store"),
    ],
)
def test_an_answer_can_be_made_private(field: str, written: str) -> None:
    assert made_private(field) == written
    assert "private" in parse(made_private(written))


HOSTILE: Final = ['a="' + '\\"', '@"\\', '@"', '@",', "a", " ", "a ", '"', ",", "\\", '=",', 'a=b"']


@every("piece", HOSTILE)
def test_a_hostile_field_takes_time_by_its_length(piece: str) -> None:
    short, long = [_seconds_to_split(piece * (size // len(piece))) for size in (20_000, 160_000)]

    assert long < 40 * short  # 8 times as long; by the square it is 64 times


@given(st.lists(st.sampled_from(['"', "\\", ",", "a", "=", " ", '\\"', "\t"]), min_size=1, max_size=6))
@settings(max_examples=30, deadline=None)
def test_no_pattern_takes_time_by_the_square(pieces: list[str]) -> None:
    piece = "".join(pieces)

    short, long = [_seconds_to_split(piece * (size // len(piece))) for size in (20_000, 160_000)]

    assert long < 40 * short


def _seconds_to_split(field: str) -> float:
    """The processor's time, the best of five: the bound on a field's length put aside."""
    best = inf
    for _ in range(5):
        began = time.thread_time()
        for part in _cache_control._parts(field):
            _cache_control._DIRECTIVE.fullmatch(part.strip())
        best = min(best, time.thread_time() - began)
    return max(best, 1e-5)
