"""A response is for its client alone unless its author says that caches which serve many may keep it."""

from __future__ import annotations

import importlib.util
import itertools
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, Response, Security
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBasic, HTTPBearer, OAuth2PasswordBearer
from fastapi.testclient import TestClient
from starlette.middleware.sessions import SessionMiddleware

from otcache import CacheConfig, ConfigurationError, install_cache
from otcache.config import EnvironmentPresets
from otcache.http import cached_endpoint
from tests.http.app import status_of
from tests.rows import every

SCHEMES = [
    HTTPBearer(auto_error=False), HTTPBasic(auto_error=False), OAuth2PasswordBearer("token", auto_error=False),
    APIKeyHeader(name="x-key", auto_error=False), APIKeyQuery(name="key", auto_error=False),
    APIKeyCookie(name="key", auto_error=False),
]  # fmt: skip


def application(**options: Any) -> FastAPI:
    app = FastAPI()
    install_cache(app, config=CacheConfig(), **options)
    return app


def ask(app: FastAPI, path: str = "/", **request: Any) -> list[Any]:
    """Two answers to one request."""
    with TestClient(app) as client:
        return [client.get(path, **request) for _ in range(2)]


def reach(answers: list[Any]) -> set[str]:
    return {each.headers["cache-control"].partition(",")[0] for each in answers}


def in_default(scheme: Any) -> Callable[..., Any]:
    def endpoint(given: Any = Depends(scheme)) -> int:
        return 1

    return endpoint


def in_security(scheme: Any) -> Callable[..., Any]:
    def endpoint(given: Any = Security(scheme)) -> int:  # noqa: B008  as people write it
        return 1

    return endpoint


Token = Annotated[Any, Depends(SCHEMES[0])]


def in_annotation(scheme: Any) -> Callable[..., Any]:
    def endpoint(given: Token) -> int:
        return 1

    return endpoint


def below(scheme: Any) -> Callable[..., Any]:
    def user(given: Any = Depends(scheme)) -> Any:
        return given

    def active(known: Any = Depends(user)) -> Any:
        return known

    def endpoint(who: Any = Depends(active)) -> int:
        return 1

    return endpoint


@every("scheme", SCHEMES, ids=lambda each: type(each).__name__)
def test_an_endpoint_with_a_security_scheme_can_not_be_public(scheme: Any) -> None:
    for make in (in_default, in_security, below):
        with pytest.raises(ConfigurationError, match=type(scheme).__name__):
            cached_endpoint(public=True)(make(scheme))


def test_an_annotation_tells_it_too() -> None:
    with pytest.raises(ConfigurationError, match="HTTPBearer"):
        cached_endpoint(public=True)(in_annotation(None))


PLACES = ["route", "router", "include", "application", "override"]


# each scheme once, and each place: they have nothing to do with each other
@every("scheme, where", zip(SCHEMES, itertools.cycle(PLACES)), ids=lambda each: getattr(each, "scheme_name", each))
def test_nor_can_a_route_that_depends_on_one_elsewhere(scheme: Any, where: str) -> None:
    depends = [Depends(scheme)]
    app = FastAPI(dependencies=depends if where == "application" else [])
    router = APIRouter(dependencies=depends if where == "router" else [])

    def settings() -> int:
        return 1

    at_route = {"route": depends, "override": [Depends(settings)]}.get(where, [])
    router.get("/paid", dependencies=at_route)(cached_endpoint(ttl=60, public=True, shared=True)(lambda: 1))
    app.include_router(router, dependencies=depends if where == "include" else [])
    if where == "override":
        app.dependency_overrides[settings] = scheme

    install_cache(app)
    unchecked = [TestClient(app).get("/paid")]  # no lifespan has run: nothing has refused it yet

    assert reach(unchecked) == {"private"}
    with pytest.raises(ConfigurationError, match=rf"public=True conflicts with {type(scheme).__name__}.*/paid"):
        ask(app)


@pytest.mark.parametrize("named", [["/a/{item}"], ["/a/*"], ["*"], []])
def test_an_application_may_name_its_public_routes(named: list[str]) -> None:
    app = application(public_routes=named)
    for path in ("/a/{item}", "/b"):
        app.get(path)(cached_endpoint(ttl=60)(lambda item="": 1))

    found = {path: reach(ask(app, path)) for path in ("/a/1", "/b")}

    assert found == {"/a/1": {"public" if named else "private"}, "/b": {"public" if named == ["*"] else "private"}}


@every(
    ("named", "said"),
    [("/a", "one string"), (["a"], "write a route's path"), ([7], "write a route's path")],
)
def test_public_routes_are_paths(named: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        install_cache(FastAPI(), public_routes=named)


@every(
    ("named", "said"),
    [
        ("/c", "'/c', which is no cached route; there are: /a, /mine"),
        ("/plain", "'/plain', which is no cached route"),
        ("/mine", "/mine, whose private_by="),
    ],
)
def test_a_public_route_that_is_none_is_told_at_the_start(named: str, said: str) -> None:
    app = application(public_routes=[named])
    app.get("/a")(cached_endpoint(ttl=60)(lambda: 1))
    app.get("/mine")(cached_endpoint(ttl=60, private_by=lambda request: "ada")(lambda: 1))
    app.get("/plain")(lambda: 1)

    with pytest.raises(ConfigurationError, match=said):
        ask(app)


def test_a_public_answer_to_who_has_a_cookie_of_a_dependency_is_private() -> None:
    app = application()

    def visit(response: Response) -> None:
        if visits:
            response.set_cookie("visit", "2")
        visits.append(1)

    visits: list[int] = []
    app.get("/", dependencies=[Depends(visit)])(cached_endpoint(ttl=60, public=True)(lambda: 1))

    first, second = ask(app)

    assert reach([first]) == {"public"}
    assert ("visit=2" in second.headers["set-cookie"], reach([second])) == (True, {"private"})


def test_a_route_that_is_private_now_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    app = application()
    routes: dict[str, dict[str, Any]] = {
        "/plain": {},
        "/public": {"public": True},
        "/mine": {"private_by": lambda _: "ada"},
    }
    for path, options in routes.items():
        app.get(path)(cached_endpoint(ttl=60, **options)(lambda: 1))
    app.get("/guarded", dependencies=[Depends(lambda: 1)])(cached_endpoint(ttl=60)(lambda: 1))

    with caplog.at_level(logging.INFO, "otcache"):
        for path in ("/plain", "/public", "/mine", "/guarded"):
            ask(app, path)

    told = [each.getMessage() for each in caplog.records if "public=True" in each.getMessage()]
    assert len(told) == 1
    assert "/plain: responses are private now; add public=True" in told[0]


class Visits:
    """A middleware that gives each visitor a cookie, after the route has answered."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def add(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"set-cookie", b"visit=1")]
            await send(message)

        await self._app(scope, receive, add if scope["type"] == "http" else send)


@pytest.mark.parametrize("order", ["before", "after", "around a mounted one"])
def test_a_cookie_that_a_middleware_adds_later_makes_a_public_answer_private(order: str) -> None:
    app = FastAPI()
    if order == "before":
        app.add_middleware(Visits)
    install_cache(app, config=CacheConfig())
    if order != "before":
        app.add_middleware(Visits)
    inner = FastAPI() if order == "around a mounted one" else app
    if inner is not app:
        install_cache(inner, config=CacheConfig())
        app.mount("/in", inner)
    inner.get("/a")(cached_endpoint(ttl=60, public=True, shared=True)(lambda: 1))

    answers = ask(app, "/in/a" if inner is not app else "/a")

    assert ("hit" in status_of(answers[1]), reach(answers)) == (True, {"private"})


# --- sessions -------------------------------------------------------------------------------------------

needs_sessions = pytest.mark.skipif(importlib.util.find_spec("itsdangerous") is None, reason="pip install itsdangerous")


def with_session(**options: Any) -> FastAPI:
    app = application()
    app.add_middleware(SessionMiddleware, secret_key="secret")

    @app.get("/log-in/{name}")
    async def log_in(request: Request, name: str) -> None:
        request.session["user"] = name

    def read(request: Request) -> str:
        return str(request.session.get("user"))

    def write(request: Request) -> str:
        request.session["seen"] = "1"
        return "written"

    def clear(request: Request) -> str:
        request.session.clear()
        return "cleared"

    for use in (read, write, clear):
        app.get(f"/{use.__name__}")(cached_endpoint(ttl=60, **options)(use))
        app.get(f"/by/{use.__name__}")(cached_endpoint(ttl=60, **options)(_depending(use)))
    app.get("/none")(cached_endpoint(ttl=60, **{"public": True, **options})(lambda: "none"))
    return app


def _depending(use: Callable[..., str]) -> Callable[..., Any]:
    async def endpoint(used: str = Depends(use)) -> str:
        return used

    return endpoint


@needs_sessions
@pytest.mark.parametrize("use", ["read", "write", "clear", "by/read", "by/write", "by/clear"])
@pytest.mark.parametrize("options", [{}, {"shared": True}, {"vary": ("x-other",)}], ids=str)
def test_nothing_is_stored_after_the_session_was_used(use: str, options: dict[str, Any]) -> None:
    with TestClient(with_session(**options)) as client:
        client.get("/log-in/ada")
        of_ada = [client.get(f"/{use}") for _ in range(2)]
        client.cookies.clear()
        client.get("/log-in/bob")
        of_bob = client.get(f"/{use}")

    assert "hit" not in str([each.headers["cache-status"] for each in (*of_ada, of_bob)])
    assert "ada" not in of_bob.text
    assert not any("public" in each.headers.get("cache-control", "") for each in (*of_ada, of_bob))


@needs_sessions
@pytest.mark.parametrize("use", ["write", "clear"])
def test_what_a_run_does_to_a_session_is_done_for_its_owner_each_time(use: str) -> None:
    with TestClient(with_session(private_by=lambda request: "ada", public=False)) as client:
        answers = []
        for _ in range(2):
            client.get("/log-in/ada")
            answers.append(client.get(f"/{use}"))

    assert all("session" in each.headers["set-cookie"] for each in answers)


@needs_sessions
def test_a_public_answer_is_private_where_a_middleware_may_add_a_cookie() -> None:
    answers = ask(with_session(shared=True), "/none")

    assert ("hit" in status_of(answers[1]), reach(answers)) == (True, {"private"})


# --- what strangers learn -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "options", "shown"),
    [
        (EnvironmentPresets.development(), {}, True),
        (EnvironmentPresets.production(), {}, False),
        (EnvironmentPresets.ai_production(), {}, False),
        (EnvironmentPresets.production(), {"details": True}, True),
        (EnvironmentPresets.development(), {"details": False}, False),
    ],
    ids=str,
)
def test_in_production_no_header_tells_who_asked_when(
    config: CacheConfig, options: dict[str, Any], shown: bool
) -> None:
    app = FastAPI()
    install_cache(app, config=replace(config, redis_url=None))
    app.get("/")(cached_endpoint(ttl=60, **options)(lambda: 1))

    answers = ask(app)

    told = [set(status_of(each)) for each in answers]
    assert told == ([{"fwd", "stored", "ttl"}, {"hit", "ttl"}] if shown else [{"fwd"}, {"hit"}])
    assert ["server-timing" in each.headers for each in answers] == [shown] * 2
