"""Entity tags are made and compared as RFC 9110 says."""

from __future__ import annotations

import subprocess
import sys

import pytest
from fastapi import Depends, FastAPI, Response
from fastapi.testclient import TestClient

from otcache import InMemoryCache
from otcache.http import cached_endpoint
from otcache.http._response_headers import none_match
from otcache.http._stored_response import etag_of
from tests.rows import every


def test_a_tag_is_quoted_and_changes_with_every_part() -> None:
    tags = {
        etag_of(b"body", "200", "text/plain"), etag_of(b"Body", "200", "text/plain"),
        etag_of(b"body", "404", "text/plain"), etag_of(b"body", "200", "text/html"),
        etag_of(b"body", "200text/plain"), etag_of(b"dy", "200", "text/plainbo"),
    }  # fmt: skip

    assert len(tags) == 6
    assert all(tag[0] == tag[-1] == '"' and len(tag) == 34 for tag in tags)


@pytest.mark.parametrize("seed", ["0", "1"])
def test_a_tag_is_the_same_in_every_process(seed: str) -> None:
    code = "from otcache.http._stored_response import etag_of; print(etag_of(b'body', '200', 'text/plain'))"

    shown = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert shown.stdout.strip() == etag_of(b"body", "200", "text/plain")


@every(
    "field",
    ['"a"', 'W/"a"', '"b", "a"', 'W/"b",W/"a"', ' , "a" ,', '"b",\t"a"', '"with,comma", "a"', '"a",', "*", " * "],
)
def test_a_field_that_names_the_tag_matches(field: str) -> None:
    assert none_match(field, '"a"') is False
    assert none_match(field, 'W/"a"') is False  # the comparison is weak


@every(
    "field",
    ["", '"b"', "a", "'a'", 'w/"a"', '"A"', '"a', 'a"', '"x\\"a"', '"b" "a"', 'W/ "a"', '*, "b"', '"a"x', '"b, "a""'],
)
def test_a_field_that_does_not_or_is_none_lets_the_answer_through(field: str) -> None:
    assert none_match(field, '"a"') is True


def test_a_long_field_is_read_in_linear_time() -> None:
    field = ", ".join(f'"{number}"' for number in range(20_000))

    assert none_match(field, '"19999"') is False
    assert none_match("," * 200_000 + "x", '"a"') is True


def test_a_304_has_what_dependencies_set_for_this_request() -> None:
    app, cache, counted = FastAPI(), InMemoryCache(name="web"), iter(range(9))

    def renewed(response: Response) -> None:
        number = next(counted)
        response.headers["x-left"], response.headers["cache-control"] = str(number), "public, max-age=60"
        if number:
            response.set_cookie("csrf", str(number))

    @app.get("/", dependencies=[Depends(renewed)])
    @cached_endpoint(ttl=60, cache=lambda: cache)
    async def endpoint() -> int:
        return 1

    with TestClient(app) as client:
        tag = client.get("/").headers["etag"]
        answer = client.get("/", headers={"if-none-match": tag, "authorization": "Bearer ann"})

    assert answer.headers.get_list("cache-control") == ["private, max-age=60"]
    assert (answer.status_code, answer.headers["x-left"]) == (304, "1")
    assert answer.headers["set-cookie"].startswith("csrf=1")
