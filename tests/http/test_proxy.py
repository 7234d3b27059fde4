"""A cache of many users in front of the application gives nobody what was for another (RFC 9111)."""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from typing import Annotated, Any

import pytest
from fastapi import Cookie, Depends, FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyCookie, HTTPBearer
from fastapi.testclient import TestClient

from otcache import CacheConfig, ConfigurationError, install_cache
from otcache.http import cached_endpoint, input_free
from otcache.http._cache_control import parse
from tests.rows import every

WHO: ContextVar[str | None] = ContextVar("WHO", default=None)
PEOPLE: list[dict[str, str]] = [
    {}, {"x-user": "ann"}, {"x-user": "bob"}, {"cookie": "user=ann"}, {"cookie": "user=bob"},
    {"authorization": "Bearer ann"}, {"authorization": "Bearer bob"},
]  # fmt: skip


class Proxy:
    """Stores what RFC 9111, section 3, lets a shared cache store, and gives it to whoever fits its Vary."""

    def __init__(self, client: TestClient) -> None:
        self._client = client
        self._stored: dict[str, list[tuple[dict[str, str | None], Any]]] = {}

    def get(self, path: str, headers: dict[str, str]) -> Any:
        for varied, answer in self._stored.get(path, ()):
            if all(headers.get(name) == value for name, value in varied.items()):
                return answer
        answer = self._client.get(path, headers=headers)
        said = parse(answer.headers.get("cache-control", "")).keys()
        names = [name.strip().lower() for name in answer.headers.get("vary", "").split(",") if name.strip()]
        forbidden = said & {"no-store", "no-cache", "private"} or "*" in names
        asks = "authorization" in headers and not said & {"public", "s-maxage", "must-revalidate"}
        if said and not forbidden and not asks:
            self._stored.setdefault(path, []).append(({name: headers.get(name) for name in names}, answer))
        return answer


bearer, key = HTTPBearer(auto_error=False), APIKeyCookie(name="user", auto_error=False)


def by_header(x_user: Annotated[str | None, Header()] = None) -> Any:
    return x_user


def by_cookie(user: Annotated[str | None, Cookie()] = None) -> Any:
    return user


def by_authorization(authorization: Annotated[str | None, Header()] = None) -> Any:
    return authorization


def by_request(request: Request) -> Any:
    return request.headers.get("x-user") or request.cookies.get("user") or request.headers.get("authorization")


def by_scheme(given: Annotated[Any, Depends(bearer)]) -> Any:
    return given and given.credentials


def by_key(given: Annotated[Any, Depends(key)]) -> Any:
    return given


def by_middleware() -> Any:
    return WHO.get()


WHOSE = [by_header, by_cookie, by_authorization, by_request, by_scheme, by_key, by_middleware]
OPTIONS: list[dict[str, Any]] = [
    {}, {"public": True}, {"public": True, "query": ()}, {"private_by": by_request},
    {"vary": ("x-user",)}, {"vary": ("x-user",), "public": True}, {"cookies": ("user",), "public": True},
]  # fmt: skip
SAID = [None, "max-age=60, PUBLIC", "max-age=60", "s-maxage=60"]


def routes(app: FastAPI) -> Iterator[str]:
    """Add a route for each way in which an answer may be somebody's; where its author has a word, it is right."""
    for whose in WHOSE:
        for options in OPTIONS:
            if whose in (by_request, by_middleware) and options.keys() & {"vary", "cookies"}:
                continue  # which would say that nothing else decides
            for said in SAID:
                path = f"/{whose.__name__}/{OPTIONS.index(options)}/{SAID.index(said)}"
                try:
                    app.get(path)(cached_endpoint(ttl=60, **options)(endpoint(whose, said)))
                except ConfigurationError:  # public, with a scheme
                    continue
                yield path


def endpoint(whose: Any, said: str | None) -> Any:
    async def tell(response: Response, who: Annotated[Any, Depends(whose)]) -> Any:
        if said is not None:
            response.headers["cache-control"] = said
        return who

    return tell


def application() -> FastAPI:
    app = FastAPI()
    install_cache(app, config=CacheConfig())
    return app


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("has_middleware", [False, True])
def test_who_asks_a_proxy_gets_the_own_answer(has_middleware: bool, step: int) -> None:
    app = application()
    paths = [path for path in routes(app) if has_middleware or "middleware" not in path][::step]

    if has_middleware:

        @app.middleware("http")
        async def identify(request: Request, call_next: Any) -> Any:
            WHO.set(request.cookies.get("user") or request.headers.get("authorization"))
            return await call_next(request)

    with TestClient(app) as client:
        proxy = Proxy(client)
        wrong = [
            (path, who)
            for path in paths
            for who in PEOPLE
            if proxy.get(path, who).json() != client.get(path, params={"fresh": str(who)}, headers=who).json()
        ]

    assert len(paths) * step > 100
    assert wrong == []


# --- what is added to an answer on its way out -----------------------------------------------------------


@every("capital", [False, True])
@every("said", [None, "public, max-age=60"])
def test_a_cookie_that_is_added_later_keeps_an_answer_from_proxies(said: str | None, capital: bool) -> None:
    app, name = application(), b"Set-Cookie" if capital else b"set-cookie"

    @app.exception_handler(HTTPException)
    async def handle(_: Request, error: HTTPException) -> Response:
        response = JSONResponse(error.detail, error.status_code, error.headers)
        response.raw_headers.append((name, b"seen=1"))
        return response

    @app.get("/")
    @cached_endpoint(ttl=60, statuses={404: 60}, public=said is None)
    async def missing() -> None:
        raise HTTPException(404, headers=None if said is None else {"cache-control": said})

    with TestClient(app) as client:
        written = [client.get("/").headers["cache-control"] for _ in range(2)]

    assert ["private" in each and "public" not in each for each in written] == [True, True]


def test_what_a_middleware_forbids_stays_forbidden() -> None:
    app = application()

    @app.middleware("http")
    @input_free
    async def forbid(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["cache-control"], response.headers["cdn-cache-control"] = "no-store", "max-age=60"
        response.set_cookie("seen", "1")
        return response

    app.get("/")(cached_endpoint(ttl=60, public=True)(by_middleware))
    with TestClient(app) as client:
        answers = [client.get("/") for _ in range(2)]

    assert [(each.headers["cache-control"], "cdn-cache-control" in each.headers) for each in answers] == [
        ("no-store", False)
    ] * 2


@every(
    "name",
    ["CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Vercel-CDN-Cache-Control", "Akamai-Cache-Control",
     "Surrogate-Control", "Edge-Control", "X-Accel-Expires"],
)  # fmt: skip
def test_no_other_field_overrules_private(name: str) -> None:
    app = application()

    @app.get("/")
    @cached_endpoint(ttl=60)
    async def endpoint(response: Response) -> int:
        response.headers[name] = "max-age=60"
        return 1

    with TestClient(app) as client:
        assert [name in client.get("/").headers for _ in range(2)] == [False, False]


@every("asks", [{}, {"authorization": "Bearer ann"}])
def test_an_answer_that_is_not_kept_is_kept_by_no_proxy_either(asks: dict[str, str]) -> None:
    app = application()

    @app.get("/")
    @cached_endpoint(ttl=60, public=True)
    async def endpoint(response: Response) -> int:
        response.headers["cache-control"] = "public, max-age=60"
        response.set_cookie("session", "1")
        return 1

    with TestClient(app) as client:
        assert client.get("/", headers=asks).headers["cache-control"] == "private, max-age=60"
