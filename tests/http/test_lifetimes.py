"""A time to live is one thing everywhere: seconds, fractions, a timedelta, FOREVER; and 0 keeps nothing."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, HTTPException, Response
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from otcache import FOREVER, CacheConfig, ConfigurationError, InMemoryCache
from otcache.http import cached_endpoint
from otcache.http._cache_control import parse, seconds
from tests.http.app import status_of
from tests.rows import every

YEAR = 31_536_000
_runs = itertools.count()


def answers_of(
    endpoint: Any = None, count: int = 2, *, config: dict[str, Any] | None = None, **options: Any
) -> list[Any]:
    """What a route answers, time after time."""
    app, cache = FastAPI(), InMemoryCache(name="web", **(config or {}))
    app.get("/")(cached_endpoint(cache=lambda: cache, **options)(endpoint or (lambda: next(_runs))))
    with TestClient(app) as client:
        return [client.get("/") for _ in range(count)]


def missing() -> None:
    raise HTTPException(404, str(next(_runs)))


@every(
    ("options", "config", "lifetime"),
    [
        ({"ttl": 60}, {}, 60),
        ({"ttl": 60.9}, {}, 60),
        ({"ttl": timedelta(minutes=2)}, {}, 120),
        ({"ttl": timedelta(milliseconds=900)}, {}, 0),
        ({"ttl": YEAR}, {}, YEAR),
        ({}, {"default_ttl": 7}, 7),
        ({"ttl": 5}, {"default_ttl": FOREVER}, 5),
        ({"statuses": {200: 3.5}}, {}, 3),
        ({"statuses": {200: timedelta(seconds=3)}, "ttl": 0}, {}, 3),
    ],
)
def test_a_browser_is_promised_what_the_entry_has(
    options: dict[str, Any], config: dict[str, Any], lifetime: int
) -> None:
    first, second = answers_of(config=config, **options)

    assert first.text == second.text
    assert {each.headers["cache-control"] for each in (first, second)} == {f"private, max-age={lifetime}"}


@every("options, config", [({"ttl": FOREVER}, {}), ({}, {"default_ttl": FOREVER}), ({"statuses": {200: FOREVER}}, {})])
def test_what_is_kept_for_ever_here_is_asked_for_each_time_by_browsers(
    options: dict[str, Any], config: dict[str, Any]
) -> None:
    first, second = answers_of(config=config, stale_ttl=FOREVER, **options)

    assert first.text == second.text
    assert {each.headers["cache-control"] for each in (first, second)} == {"private, no-cache"}
    assert second.headers["etag"] == first.headers["etag"]
    assert "ttl" not in status_of(second)


@every(
    ("endpoint", "options", "config"),
    [
        (None, {"ttl": 0}, {}),
        (None, {"ttl": timedelta(0)}, {}),
        (None, {"ttl": 0.0004}, {}),
        (None, {"statuses": {200: 0}, "ttl": 60}, {}),
        (missing, {"statuses": {200: None, 404: 0}, "ttl": 60}, {}),
    ],
)
def test_0_keeps_nothing_here_and_in_browsers(endpoint: Any, options: dict[str, Any], config: dict[str, Any]) -> None:
    first, second = answers_of(endpoint, config=config, **options)

    assert first.text != second.text
    assert [each.headers["cache-control"] for each in (first, second)] == ["private, max-age=0"] * 2
    assert status_of(second)["detail"] == "ttl"


def test_0_wins_over_what_the_answer_says_itself() -> None:
    def endpoint(response: Response) -> int:
        response.headers["cache-control"] = "max-age=60"
        return next(_runs)

    first, second = answers_of(endpoint, ttl=0)

    assert first.text != second.text


@pytest.mark.parametrize("change", ["no-store", "0 by itself"])
async def test_an_answer_that_is_not_kept_any_more_removes_the_one_before(change: str) -> None:
    app, cache = FastAPI(), InMemoryCache(name="web")
    said: list[str] = []

    @app.get("/")
    @cached_endpoint(ttl=60, respect_request=True, cache=lambda: cache)
    async def endpoint(response: Response) -> int:
        response.headers.update({"cache-control": "no-store" if change == "no-store" else "max-age=0"} if said else {})
        return next(_runs)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        kept = [(await client.get("/")).json() for _ in range(2)]
        said.append(change)
        newer = (await client.get("/", headers={"cache-control": "no-cache"})).json()
        after = (await client.get("/")).json()

    assert kept[0] == kept[1] < newer < after


@every(
    ("name", "value", "said"),
    [
        (name, value, said)
        for name in ("ttl", "stale_ttl", "statuses")
        for value, said in [
            (-1, "=-1"), (-0.5, "=-0.5"), (float("nan"), "=nan"), (YEAR + 1, str(YEAR + 1)), (True, "is bool"),
            ("60", "is str"), (timedelta(days=-1), "-1 day"), (timedelta(days=400), "400 days"), (-FOREVER, "=-inf"),
        ]
    ],
)  # fmt: skip
def test_what_is_no_time_to_live_is_refused_at_decoration(name: str, value: Any, said: str) -> None:
    options: dict[str, Any] = {name: {200: value} if name == "statuses" else value}

    with pytest.raises(ConfigurationError, match=name) as refused:
        cached_endpoint(**options)

    assert said in refused.value.message
    assert "FOREVER" in refused.value.message


@given(
    ttl=st.floats(0.001, YEAR) | st.integers(1, YEAR) | st.just(FOREVER),
    default=st.sampled_from([1, 60, YEAR, FOREVER]),
    jitter=st.sampled_from([0.0, 0.5]),
    stale=st.floats(0, YEAR) | st.just(FOREVER),
)
@settings(max_examples=60, deadline=None)
def test_nobody_is_promised_more_than_there_is(ttl: float, default: float, jitter: float, stale: float) -> None:
    config = {"default_ttl": default, "ttl_jitter": jitter}

    for answer in answers_of(config=config, ttl=ttl, stale_ttl=stale):
        said = parse(answer.headers["cache-control"])
        promised = seconds(said.get("max-age", "0")) or 0
        assert promised <= ttl
        assert (ttl == FOREVER) == ("no-cache" in said)
        assert (seconds(said.get("stale-if-error", "0")) or 0) <= min(stale, YEAR)


def test_configuration_may_hold_a_timedelta() -> None:
    config = CacheConfig(default_ttl=timedelta(seconds=5), stale_ttl=timedelta(seconds=7))
    app, cache = FastAPI(), InMemoryCache(config=config)
    app.get("/")(cached_endpoint(cache=lambda: cache)(lambda: 1))

    with TestClient(app) as client:
        answer = client.get("/")

    assert answer.headers["cache-control"] == "private, max-age=5, stale-while-revalidate=7, stale-if-error=7"
