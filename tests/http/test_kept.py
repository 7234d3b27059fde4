"""What is stored of an endpoint's answers, and what never is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Depends, HTTPException, Response
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, StreamingResponse

from otcache.http import cached_endpoint
from tests.http.app import Shop, status_of
from tests.rows import every


async def _chunks() -> AsyncIterator[bytes]:
    for number in range(3):
        yield b"%d" % number


def _set_cookie(response: Response) -> int:
    response.set_cookie("session", "secret")
    return 1


def _say(**headers: str) -> Callable[[Response], int]:
    def endpoint(response: Response) -> int:
        for name, value in headers.items():
            response.headers[name.replace("_", "-")] = value
        return 1

    return endpoint


def _add(*pair: bytes) -> Callable[[Response], int]:
    def endpoint(response: Response) -> int:
        response.raw_headers.append((pair[0], pair[1]))
        return 1

    return endpoint


def _answer(*pair: bytes) -> Callable[[], Response]:
    def endpoint() -> Response:
        response = JSONResponse(1)
        response.raw_headers.append((pair[0], pair[1]))
        return response

    return endpoint


NEVER: dict[str, tuple[Callable[..., Any], str]] = {
    "a stream": (lambda: StreamingResponse(_chunks()), "streamed"),
    "a file": (lambda: FileResponse(Path(__file__)), "streamed"),
    "a cookie": (_set_cookie, "set-cookie"),
    "no-store": (_say(cache_control="no-store"), "cache-control"),
    "private": (_say(cache_control='max-age=60, private="x"'), "cache-control"),
    "no-cache": (_say(cache_control="no-cache"), "cache-control"),
    "no time": (_say(cache_control="max-age=0"), "cache-control"),
    "a header that is no part of the key": (_say(vary="X-Other"), "vary"),
    "everything is part of the key": (_say(vary="*"), "vary"),
    "an error": (lambda: JSONResponse({"detail": "?"}, 404), "status"),
    "a failure": (lambda: JSONResponse({"detail": "?"}, 500), "status"),
    "a cookie in capitals": (_add(b"Set-Cookie", b"a=1"), "set-cookie"),
    "a response with a cookie in capitals": (_answer(b"Set-Cookie", b"a=1"), "set-cookie"),
    "no-store in capitals": (_add(b"Cache-Control", b"no-store"), "cache-control"),
    "a response with no-store in capitals": (_answer(b"Cache-Control", b"no-store"), "cache-control"),
    "a redirect": (lambda: RedirectResponse("/elsewhere"), "status"),
}


@pytest.mark.parametrize(("endpoint", "why"), NEVER.values(), ids=NEVER)
async def test_this_is_never_stored(
    shop: Shop, client: httpx.AsyncClient, endpoint: Callable[..., Any], why: str
) -> None:
    shop.get("/plain", endpoint, response_model=None)
    shop.get("/cached", cached_endpoint(ttl=60)(endpoint), response_model=None)

    plain, *answers = [await client.get(path) for path in ("/plain", "/cached", "/cached")]

    for answer in answers:
        assert (answer.status_code, answer.content) == (plain.status_code, plain.content)
        assert answer.headers.get("set-cookie") == plain.headers.get("set-cookie")
        assert answer.headers.get("cache-control") == plain.headers.get("cache-control")
        assert status_of(answer) == {"fwd": "uri-miss", "detail": why}
    assert shop.cache.get_stats()["l1"]["entries"] == 0


async def test_what_is_raised_is_not_stored(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/{status}")
    @cached_endpoint(ttl=60)
    async def endpoint(status: int) -> None:
        raise HTTPException(status, {"run": shop.run()}, {"x-more": "1"})

    answers = [await client.get("/404") for _ in range(2)] + [await client.get("/503")]

    assert [each.json()["detail"]["run"] for each in answers] == [1, 2, 3]
    assert answers[0].headers["x-more"] == "1"
    assert status_of(answers[0]) == {"fwd": "uri-miss", "detail": "status"}


async def test_a_404_is_kept_where_that_is_asked_for(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/{kind}")
    @cached_endpoint(ttl=60, statuses={200: None, 404: 5})
    async def endpoint(kind: str) -> Any:
        shop.run(kind)
        if kind == "raised":
            raise HTTPException(404, {"missing": [kind]}, {"x-more": "1"})
        return JSONResponse({"missing": kind}, 404)

    for kind in ("raised", "returned"):
        loaded, hit = [await client.get(f"/{kind}") for _ in range(2)]
        assert (loaded.status_code, loaded.content) == (hit.status_code, hit.content)
        assert hit.headers["cache-control"] == "private, max-age=5"
        assert status_of(hit)["hit"] is True
    assert shop.runs == {"raised": 1, "returned": 1}


async def test_a_detail_that_would_not_come_back_is_not_kept(shop: Shop, client: httpx.AsyncClient) -> None:
    @shop.app.get("/")
    @cached_endpoint(ttl=60, statuses={404: 5})
    async def endpoint() -> None:
        raise HTTPException(404, {shop.run(): (1, 2)})

    answers = [await client.get("/") for _ in range(2)]

    assert [each.json() for each in answers] == [{"detail": {"1": [1, 2]}}, {"detail": {"2": [1, 2]}}]


class Code(StrEnum):
    GONE = "gone"


@every("detail, more", [(Code.GONE, {}), ((1, 2), {}), ("gone", {"code": 7}), ({"a": Code.GONE}, {})])
async def test_what_a_handler_may_see_and_json_would_lose_is_not_kept(detail: Any, more: dict[str, Any]) -> None:
    shop = Shop()

    @shop.app.get("/")
    @cached_endpoint(ttl=60, statuses={404: 60})
    async def endpoint() -> None:
        error = HTTPException(404, detail)
        vars(error).update(more)
        raise error

    async with shop.client() as client:
        answers = [await client.get("/") for _ in range(2)]

    assert [status_of(each)["detail"] for each in answers] == ["detail"] * 2
    await shop.cache.close()


async def test_an_exception_of_the_applications_own_class_is_not_kept(shop: Shop, client: httpx.AsyncClient) -> None:
    class Gone(HTTPException):
        pass

    @shop.app.get("/")
    @cached_endpoint(ttl=60, statuses={410: 5})
    async def endpoint() -> None:
        raise Gone(410, shop.run())

    answers = [(await client.get("/")).json()["detail"] for _ in range(2)]

    assert answers == [1, 2]


async def test_the_answers_own_max_age_counts(shop: Shop, client: httpx.AsyncClient) -> None:
    shop.get("/", cached_endpoint(ttl=600)(_say(cache_control="public, max-age=9, must-revalidate")))

    answers = [await client.get("/") for _ in range(2)]

    assert [each.headers["cache-control"] for each in answers] == ["public, max-age=9, must-revalidate"] * 2
    assert [status_of(each)["ttl"] for each in answers] in ([9, 8], [9, 9], [8, 8])


async def test_a_private_answer_may_be_kept_for_its_owner(shop: Shop, client: httpx.AsyncClient) -> None:
    endpoint = _say(cache_control="private, max-age=9")
    shop.get("/", cached_endpoint(private_by=lambda request: "ada")(endpoint))

    answers = [await client.get("/") for _ in range(2)]

    assert [status_of(each).get("hit") for each in answers] == [None, True]


async def test_headers_of_one_answer_are_not_kept(shop: Shop, client: httpx.AsyncClient) -> None:
    def endpoint(response: Response) -> int:
        response.headers["x-request-id"] = str(shop.run())
        response.headers["x-kept"] = "1"
        return 1

    shop.get("/", cached_endpoint(ttl=60, without_headers=("X-Request-Id",))(endpoint))

    loaded, hit = [await client.get("/") for _ in range(2)]

    assert (loaded.headers["x-request-id"], loaded.headers["x-kept"]) == ("1", "1")
    assert ("x-request-id" in hit.headers, hit.headers["x-kept"]) == (False, "1")


async def test_a_cookie_of_a_dependency_goes_to_no_other_request(shop: Shop, client: httpx.AsyncClient) -> None:
    def session(response: Response) -> None:
        response.set_cookie("session", f"secret{shop.run('session')}")

    @shop.app.get("/", dependencies=[Depends(session)])
    @cached_endpoint(ttl=60)
    async def endpoint() -> int:
        return shop.run()

    answers = [await client.get("/") for _ in range(2)]

    assert [each.headers["set-cookie"].partition(";")[0] for each in answers] == ["session=secret1", "session=secret2"]
    assert shop.cache.get_stats()["l1"]["entries"] == 0


async def test_an_endpoints_own_tag_stays(shop: Shop, client: httpx.AsyncClient) -> None:
    shop.get("/", cached_endpoint(ttl=60)(_say(etag='W/"v1"')))

    answers = [await client.get("/", headers=of) for of in ({}, {"if-none-match": '"v1"'}, {"if-none-match": '"v2"'})]

    assert [(each.status_code, each.headers["etag"]) for each in answers] == [
        (200, 'W/"v1"'), (304, 'W/"v1"'), (200, 'W/"v1"'),
    ]  # fmt: skip


async def test_what_is_stored_and_not_ours_is_no_answer(shop: Shop, client: httpx.AsyncClient) -> None:
    shop.get("/", cached_endpoint(ttl=60)(lambda: shop.run()))
    await client.get("/")
    (key,) = shop.cache._entries
    await shop.cache.set(key, {"format": 1, "status": "?"})

    answer = await client.get("/")

    assert (answer.json(), status_of(answer)) == (2, {"fwd": "bypass", "detail": "cache-error"})


async def test_a_small_binary_body_is_kept(shop: Shop, client: httpx.AsyncClient) -> None:
    body = bytes(range(256))
    shop.get("/", cached_endpoint(ttl=60)(lambda: Response(body, headers={"x": "\xe9"})), response_model=None)

    answers = [await client.get("/") for _ in range(2)]

    assert {each.content for each in answers} == {body}
    assert {each.headers["x"] for each in answers} == {"\xe9"}
