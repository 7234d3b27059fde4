"""What RFC 9111 says of storing, of freshness and of what others may keep; each row names its section."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any, NamedTuple

from fastapi import FastAPI, Response
from fastapi.testclient import TestClient

from otcache import InMemoryCache
from otcache.http import cached_endpoint
from otcache.http._cache_control import parse
from tests.http.app import status_of
from tests.rows import every

PRIVATE: dict[str, Any] = {"private_by": lambda request: "ada"}
PAST, FUTURE = "Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 GMT"
_numbers = itertools.count()


class Row(NamedTuple):
    """What an endpoint answers to a GET, and how the route is declared."""

    section: str
    headers: list[tuple[str, str]]
    status: int = 200
    options: Mapping[str, Any] = {}
    asked: Mapping[str, str] = {}


def row(section: str, *lines: str, status: int = 200, asked: Mapping[str, str] | None = None, **options: Any) -> Row:
    """A row; each line is a header, as `name: value`."""
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    return Row(section, headers, status, options, asked or {})


def asked_twice(row: Row) -> tuple[list[Any], list[int]]:
    """Both answers of a route to the same request, and the numbers of the runs that made them."""
    app, cache = FastAPI(), InMemoryCache(name="web")

    def endpoint() -> Response:
        answer = Response(str(next(_numbers)), row.status)
        answer.raw_headers += [(name.encode(), shown(value).encode("latin-1")) for name, value in row.headers]
        return answer

    options = {"ttl": 60, "statuses": {200: None, 404: None, 410: None}, "cache": lambda: cache, **row.options}
    app.get("/", response_model=None)(cached_endpoint(**options)(endpoint))
    with TestClient(app) as client:
        answers = [client.get("/", headers=dict(row.asked)) for _ in range(2)]
    return answers, [int(each.text) for each in answers]


def shown(value: str) -> str:
    """A header's value; `in 20 s` is a date."""
    seconds = value.removeprefix("in ").removesuffix(" s")
    return formatdate(time.time() + int(seconds), usegmt=True) if value.startswith("in ") else value


NOT_STORED = [
    row("3: the status is not understood", status=500),
    row("3: not declared", status=302),
    row("3: the response has no-store", "cache-control: no-store"),
    row("3: no-store beside other directives", "cache-control: max-age=60, No-Store"),
    row("3: no-store on a line of its own", "cache-control: max-age=60", "cache-control: no-store"),
    row("3: private, and the cache is shared", "cache-control: private, max-age=60"),
    row("3: private by a wrong separator", "cache-control: private; max-age=60"),
    row("3.1: a cookie", "set-cookie: a=1"),
    row("3.1: a cookie, for its owner", "set-cookie: a=1", **PRIVATE),
    row("3.1: the old cookie", "set-cookie2: a=1"),
    row("3.3: a part", "content-range: bytes 0-1/2"),
    row("3.3: a part by its status", "content-range: bytes 0-1/2", status=206),
    row("4.1: Vary with *", "vary: *"),
    row("4.1: Vary with * among others", "vary: accept, *", vary=("accept",)),
    row("4.1: Vary on a second line", "vary: accept", "vary: x-other", vary=("accept",)),
    row("4.1: a header that is no part of the key", "vary: x-other"),
    row("4.1: Cookie, for its owner", "vary: Cookie", **PRIVATE),
    row("4.2: no time", "cache-control: max-age=0"),
    row("4.2.1: no time for shared caches", "cache-control: s-maxage=0, max-age=60"),
    row("4.2.1: an invalid s-maxage, not max-age instead", "cache-control: s-maxage=x, max-age=60"),
    row("4.2.1: no number", "cache-control: max-age=soon"),
    row("4.2.1: negative", "cache-control: max-age=-1"),
    row("4.2.1: with a fraction", "cache-control: max-age=1.5"),
    row("4.2.1: without an argument", "cache-control: max-age"),
    row("4.2.1: an empty argument", "cache-control: max-age="),
    row("4.2.1: with spaces", "cache-control: max-age = 60"),
    row("4.2.1: two that differ", "cache-control: max-age=60, max-age=10"),
    row("4.2.1: two lines that differ", "cache-control: max-age=60", "cache-control: max-age=10"),
    row("4.2.3: older than its lifetime", "cache-control: max-age=60", "age: 61"),
    row("4.2.3: exactly as old", "cache-control: max-age=60", "age: 60"),
    row("4.2.3: older by its Date", "cache-control: max-age=60", f"date: {PAST}"),
    row("5.2.2.4: no-cache", "cache-control: no-cache, max-age=60"),
    row("5.2.2.4: no-cache of fields", 'cache-control: max-age=60, no-cache="x-user"'),
    row("5.2.2.7: private of fields", 'cache-control: max-age=60, private="x-user"'),
    row("5.2.2.3: must-understand with no-store", "cache-control: must-understand, no-store"),
    row("5.3: Expires in the past", f"expires: {PAST}"),
    row("5.3: Expires is 0", "expires: 0"),
    row("5.3: Expires is empty", "expires: "),
    row("5.3: Expires is -1", "expires: -1"),
    row("5.3: no date", "expires: tomorrow"),
    row("5.3: another zone", "expires: Thu, 01 Jan 2099 00:00:00 +0200"),
    row("5.3: ISO 8601", "expires: 2099-01-01T00:00:00Z"),
    row("5.3: no such day", "expires: Thu, 99 Jan 2099 00:00:00 GMT"),
    row("5.3: two dates", f"expires: {FUTURE}", f"expires: {PAST}"),
    row("5.3: not after its own Date", f"expires: {FUTURE}", f"date: {FUTURE}"),
    row("5.3: over, beside another directive", f"expires: {PAST}", "cache-control: must-revalidate"),
    row("5.4: Pragma alone", "pragma: no-cache"),
    row("1.2.2: longer than any field", "cache-control: max-age=60, ext=" + "a" * 5000),
]


@every("rule", NOT_STORED, ids=lambda rule: rule.section)
def test_this_is_not_stored(rule: Row) -> None:
    answers, numbers = asked_twice(rule)

    assert numbers[0] != numbers[1]
    assert all("hit" not in status_of(each) and "age" not in dict(each.headers).keys() - dict(rule.headers).keys()
               for each in answers)  # fmt: skip
    sent = {name for name, _ in rule.headers}
    assert {name: answers[1].headers[name] for name in sent} == {name: answers[0].headers[name] for name in sent}


STORED = [
    (row("3: declared"), 60),
    (row("3: a status that is declared", status=404), 60),
    (row("4.2.2: no heuristic where the status is declared", status=410), 60),
    (row("4.2.1: max-age", "cache-control: max-age=9"), 9),
    (row("4.2.1: max-age above ours", "cache-control: max-age=900"), 900),
    (row("5.2: names in any case", "cache-control: MAX-AGE=9"), 9),
    (row("5.2: quoted", 'cache-control: max-age="9"'), 9),
    (row("5.2: empty members", "cache-control: ,, max-age=9,"), 9),
    (row("5.2: an unknown directive", 'cache-control: ext="a, no-store", max-age=9'), 9),
    (row("4.2.1: the same twice", "cache-control: max-age=9, max-age=9"), 9),
    (row("4.2.1: s-maxage first", "cache-control: max-age=9, s-maxage=30"), 30),
    (row("5.2.2.10: s-maxage is for shared caches", "cache-control: max-age=9, s-maxage=30", **PRIVATE), 9),
    (row("5.2.2.7: private, for its owner", "cache-control: private, max-age=9", **PRIVATE), 9),
    (row("1.2.2: more than any number", "cache-control: max-age=99999999999999999999"), 31_536_000),
    (row("5.3: max-age before Expires", "cache-control: max-age=9", f"expires: {PAST}"), 9),
    (row("5.3: Expires", "expires: in 100 s", "date: in 0 s"), 100),
    (row("5.3: the form of RFC 850", "expires: Thursday, 01-Jan-37 00:00:00 GMT"), 31_536_000),
    (row("5.3: the form of asctime", "expires: Thu Jan  1 00:00:00 2099"), 31_536_000),
    (row("4.2.3: its own Age is subtracted", "cache-control: max-age=60", "age: 20"), 40),
    (row("5.1: an Age that is no number", "cache-control: max-age=60", "age: soon"), 60),
    (row("5.1: the first Age", "cache-control: max-age=60", "age: 20, 70"), 40),
    (row("4.2.3: its own Date", "cache-control: max-age=60", "date: in -20 s"), 40),
    (row("4.2.3: a Date to come", "cache-control: max-age=60", "date: in 900 s"), 60),
    (row("4.1: Vary that is in the key", "vary: Accept", vary=("accept",)), 60),
    (row("5.2.2.6: no-transform", "cache-control: no-transform"), 60),
    (row("RFC 8246: immutable", "cache-control: immutable, max-age=9"), 9),
    (row("5.4: Cache-Control before Pragma", "pragma: no-cache", "cache-control: max-age=9"), 9),
    (row("5.2.1: the request's wishes are advice", asked={"cache-control": "no-store"}), 60),
    (row("5.4: the request's Pragma", asked={"pragma": "no-cache"}), 60),
]


@every("rule, lifetime", STORED, ids=lambda each: getattr(each, "section", each))
def test_this_is_stored_for_so_long(rule: Row, lifetime: int) -> None:
    answers, numbers = asked_twice(rule)

    assert numbers[0] == numbers[1]
    assert lifetime - 3 <= status_of(answers[1])["ttl"] <= lifetime


def test_an_answers_own_age_goes_on() -> None:
    answers, _ = asked_twice(row("4.2.3", "cache-control: max-age=60", "age: 20"))

    ages = [int(each.headers["age"]) for each in answers]
    assert ages in ([20, 20], [20, 21], [20, 22])


def test_headers_of_one_connection_are_not_stored() -> None:
    rule = row("3.1", "connection: x-hop", "x-hop: 1", "proxy-authenticate: Basic", "keep-alive: 1", "x-kept: 1")

    answers, _ = asked_twice(rule)

    assert set(answers[1].headers) & {name for name, _ in rule.headers} == {"x-kept"}


LEAVES = [
    (row("nothing said"), {"private", "max-age"}),
    (row("public=True", public=True), {"public", "max-age"}),
    (row("for its owner", **PRIVATE), {"private", "max-age"}),
    (row("max-age alone", "cache-control: max-age=9"), {"private", "max-age"}),
    (row("max-age alone, public=True", "cache-control: max-age=9", public=True), {"max-age"}),
    (row("its own public", "cache-control: public, max-age=9"), {"public", "max-age"}),
    (row("its own s-maxage", "cache-control: s-maxage=9"), {"s-maxage"}),
    (row("its own Expires", "expires: in 100 s"), {"private", "max-age"}),
    (row("3.5: Authorization that nobody reads", asked={"authorization": "x"}), {"private", "max-age"}),
    (row("3.5: Authorization that nobody reads, public=True", public=True, asked={"authorization": "x"}),
     {"private", "max-age"}),
    (row("3.5: Authorization", shared=True, asked={"authorization": "x"}), {"private", "max-age"}),
    (row("3.5: Authorization, public=True", shared=True, public=True, asked={"authorization": "x"}),
     {"private", "max-age"}),
    (row("3.5: Authorization, its own public", "cache-control: public, max-age=9", shared=True,
         asked={"authorization": "x"}), {"private", "max-age"}),
    (row("3.5: Authorization, its own s-maxage", "cache-control: s-maxage=9", shared=True,
         asked={"authorization": "x"}), {"private"}),
    (row("3.5: Authorization, must-revalidate", "cache-control: max-age=9, must-revalidate", shared=True,
         asked={"authorization": "x"}), {"private", "max-age", "must-revalidate"}),
    (row("its owner's, its own public", "cache-control: public, max-age=9", **PRIVATE), {"private", "max-age"}),
]  # fmt: skip


@every("rule, said", LEAVES, ids=lambda each: getattr(each, "section", each))
def test_this_is_what_others_may_keep(rule: Row, said: set[str]) -> None:
    answers, numbers = asked_twice(rule)

    assert numbers[0] == numbers[1]
    for answer in answers:
        assert set(parse(answer.headers["cache-control"])) == said


@every("rule", [rule for rule, said in LEAVES if "private" in said], ids=lambda rule: rule.section)
def test_no_field_for_shared_caches_overrules_private(rule: Row) -> None:
    targeted = rule._replace(headers=[*rule.headers, ("cdn-cache-control", "max-age=600"), ("surrogate-control", "x")])

    answers, _ = asked_twice(targeted)

    assert not any({"cdn-cache-control", "surrogate-control"} & set(each.headers) for each in answers)
