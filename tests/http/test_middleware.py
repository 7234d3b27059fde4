"""Who asks is known, or nothing is cached: middleware, mounts, overrides, dependencies, closures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, Security
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.security import SecurityScopes
from fastapi.testclient import TestClient
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.routing import Mount

from otcache import ConfigurationError, InMemoryCache
from otcache.dependencies import get_web_cache_service
from otcache.http import cached_endpoint, input_free
from tests.rows import every

WHO: ContextVar[str] = ContextVar("who", default="nobody")
ASKED = ("ann", "bob", "ann", "bob")


def caching(app: FastAPI) -> FastAPI:
    """The application with a cache of its own."""
    cache = InMemoryCache()
    app.dependency_overrides[get_web_cache_service] = lambda: cache
    return app


def answers(app: Any, path: str = "/mine", header: str = "x-client", **more: Any) -> list[Any]:
    """What two callers are answered, in turn."""
    client = TestClient(app, **more)
    return [client.get(path, headers={header: who}).json() for who in ASKED]


def detail(app: Any, path: str = "/mine", **headers: str) -> str:
    """Why the second of two equal requests passed by; `hit` if it did not."""
    client = TestClient(app)
    for _ in range(2):
        status = client.get(path, headers=headers).headers["cache-status"]
    return status.rpartition("detail=")[2] if "detail=" in status else status.split("; ")[1]


# --- middleware -----------------------------------------------------------------------------------------


class Pure:
    """A middleware without any base that sets everything that one can set."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        who = dict(scope.get("headers", ())).get(b"x-client", b"").decode()
        token = WHO.set(who)
        scope = {**scope, "user": who, "state": {**scope.get("state", {}), "who": who}}
        try:
            await self.app(scope, receive, send)
        finally:
            WHO.reset(token)


class Based(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Any:
        WHO.set(request.headers.get("x-client", ""))
        request.state.who = request.headers.get("x-client", "")
        return await call_next(request)


def wrapping(app: Any) -> Any:
    """A middleware that is a function, its parameters by other names."""

    async def around(*given: Any) -> None:
        token = WHO.set(dict(given[0].get("headers", ())).get(b"x-client", b"").decode())
        try:
            await app(*given)
        finally:
            WHO.reset(token)

    return around


async def by_context() -> str:
    """Reads nothing that anybody could see."""
    return WHO.get()


def part(router: bool = False) -> FastAPI:
    """An application whose answer is known to its middleware alone."""
    app = caching(FastAPI())
    where: Any = APIRouter() if router else app
    where.get("/mine")(cached_endpoint(ttl=60)(by_context))
    if router:
        app.include_router(where)
    return app


def added(kind: Any) -> Any:
    app = part()
    app.add_middleware(kind)
    return app


def decorated(kind: Any) -> Any:
    app = part(router=True)

    @app.middleware("http")
    async def identify(request: Request, call_next: Any) -> Any:
        WHO.set(request.headers.get("x-client", ""))
        return await call_next(request)

    return app


def around_it(kind: Any) -> Any:
    return kind(part())


def of_a_parent(kind: Any) -> Any:
    parent = FastAPI()
    parent.add_middleware(kind)
    parent.mount("", part())
    return parent


def of_a_plain_parent(kind: Any) -> Any:
    return Starlette(routes=[Mount("/", part())], middleware=[Middleware(kind)])


def of_a_mount(kind: Any) -> Any:
    return Starlette(routes=[Mount("/", part(), middleware=[Middleware(kind)])])


def between(kind: Any) -> Any:
    middle, outer = FastAPI(), FastAPI()
    middle.add_middleware(kind)
    middle.mount("", part())
    outer.mount("", middle)
    outer.add_middleware(CORSMiddleware)
    return outer


def behind_the_known(kind: Any) -> Any:
    app = added(kind)
    for known in (GZipMiddleware, CORSMiddleware):
        app.add_middleware(known)
    return app


def by_the_host(kind: Any) -> Any:
    app = FastAPI()
    app.host("testserver", kind(part()))
    return app


PLACES = (
    added,
    decorated,
    around_it,
    of_a_parent,
    of_a_plain_parent,
    of_a_mount,
    between,
    behind_the_known,
    by_the_host,
)


@every("kind, place", [(kind, place) for kind in (Pure, Based, wrapping) for place in PLACES])
def test_what_a_middleware_sets_separates_callers(kind: Any, place: Callable[[Any], Any]) -> None:
    assert answers(place(kind)) == list(ASKED)


# --- what waits in another task ---------------------------------------------------------------------------


@input_free
class Free(BaseHTTPMiddleware):
    """Known to decide nothing; but what it calls runs in a task of its own."""

    async def dispatch(self, request: Request, call_next: Any) -> Any:
        return await call_next(request)


@every("kind, place", [(Pure, place) for place in PLACES])
def test_a_known_middleware_hides_nobody_behind_it(
    kind: Any, place: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hidden(router: bool = False) -> FastAPI:
        app = plain(router)
        app.add_middleware(Free)
        return app

    plain = part
    with monkeypatch.context() as patched:
        patched.setitem(globals(), "part", hidden)
        assert answers(place(kind)) == list(ASKED)
    assert detail(hidden()) == "hit"


async def by_a_task(app: Any, *given: Any) -> None:
    await asyncio.create_task(app(*given))


async def by_a_deadline(app: Any, *given: Any) -> None:
    await asyncio.wait_for(asyncio.ensure_future(app(*given)), 10)


async def by_a_group(app: Any, *given: Any) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(app(*given))


async def by_a_group_of_anyio(app: Any, *given: Any) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(app, *given)


async def by_a_guard(app: Any, *given: Any) -> None:
    async def guard(running: Any) -> None:
        await running

    await asyncio.create_task(guard(app(*given)))


async def by_a_thread(app: Any, *given: Any) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(app(*given), loop).result())


TASKS = (by_a_task, by_a_deadline, by_a_group, by_a_group_of_anyio, by_a_guard, by_a_thread)


@every("begin", TASKS)
def test_who_runs_an_application_in_a_task_of_its_own_is_unknown(begin: Any) -> None:
    app = part()

    async def around(scope: Any, receive: Any, send: Any) -> None:
        WHO.set(dict(scope.get("headers", ())).get(b"x-client", b"").decode())
        await begin(app, scope, receive, send)

    assert answers(around) == list(ASKED)


@every("option", ["server_request_hook", "client_request_hook"])
def test_a_hook_of_opentelemetry_is_given_the_request(option: str) -> None:
    def hook(_: Any, scope: Any, *__: Any) -> None:
        WHO.set(dict(scope.get("headers", ())).get(b"x-client", b"").decode())

    given: dict[str, Any] = {option: hook}
    apps: list[Any] = [part(), OpenTelemetryMiddleware(part(), **given), part()]
    apps[0].add_middleware(OpenTelemetryMiddleware, **given)
    apps[2].add_middleware(OpenTelemetryMiddleware, **{option: input_free(lambda *_: None)})

    assert [detail(app) for app in apps] == ["unknown-middleware", "unknown-middleware", "hit"]


KNOWN: list[tuple[Any, dict[str, Any]]] = [
    (CORSMiddleware, {"allow_origins": ["*"]}),
    (GZipMiddleware, {}),
    (TrustedHostMiddleware, {"allowed_hosts": ["*"]}),
    (OpenTelemetryMiddleware, {}),
]


@every("kind, options", KNOWN)
def test_a_known_middleware_lets_anybody_be_answered_from_the_cache(kind: Any, options: dict[str, Any]) -> None:
    app = part()
    app.add_middleware(kind, **options)

    found = [detail(app, **headers) for headers in ({}, {"cookie": "a=1"}, {"authorization": "Bearer x"})]

    assert found == ["hit", "hit", "hit"]


class Timing(Based):
    async def dispatch(self, request: Request, call_next: Any) -> Any:
        return await call_next(request)


@every("mark, found", [(Timing, "hit"), (Based, "unknown-middleware"), (None, "unknown-middleware")])
def test_a_middleware_that_decides_nothing_can_be_marked(mark: Any, found: str) -> None:
    kind = type("Timing", (Timing,), {})
    if mark is Timing:
        input_free(kind)
    elif mark is Based:
        input_free(type("Base", (Timing,), {}))

    assert detail(added(kind)) == found


def test_a_function_as_a_middleware_can_be_marked() -> None:
    app = part()

    @app.middleware("http")
    @input_free
    async def timing(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    assert detail(app) == "hit"


def test_a_wrapper_around_the_application_can_be_marked() -> None:
    @input_free
    def outside(app: Any) -> Any:
        async def around(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)

        return around

    assert detail(outside(part())) == "hit"


def test_the_headers_that_a_middleware_reads_are_a_way_out() -> None:
    app = caching(FastAPI())
    app.add_middleware(Pure)
    app.get("/mine")(cached_endpoint(ttl=60, vary=("x-client",))(by_context))

    assert answers(app) == list(ASKED)
    assert [detail(app, **{"x-client": "ann"}), detail(app, cookie="a=1")] == ["hit", "credentials"]


def test_the_query_counts_whole_where_a_middleware_may_read_it() -> None:
    app = caching(FastAPI())
    app.get("/mine")(cached_endpoint(ttl=60, vary=("x-client",))(by_context))

    @app.middleware("http")
    async def identify(request: Request, call_next: Any) -> Any:
        WHO.set(request.query_params.get("who", ""))
        return await call_next(request)

    client = TestClient(app)

    assert [client.get("/mine", params={"who": who}).json() for who in ASKED] == list(ASKED)


@every("name", ["user", "auth", "session"])
def test_an_identity_in_the_scope_by_somebody_unseen_passes_by(name: str) -> None:
    inner = part()
    unseen: dict[str, Any] = {"__name__": "uvicorn.unseen", "inner": inner, "name": name}
    exec("async def app(scope, receive, send):\n    await inner({**scope, name: {}}, receive, send)", unseen)

    assert detail(unseen["app"]) == "unknown-middleware"


# --- which application ----------------------------------------------------------------------------------


def part_of_a_region(cache: InMemoryCache, region: str) -> FastAPI:
    """One of several applications that differ in their state, and in what their dependencies may do, alone."""
    app = FastAPI()
    app.state.region = region
    app.dependency_overrides[get_web_cache_service] = lambda: cache
    app.include_router(REGIONS)
    app.get("/scopes", dependencies=[Security(scopes_of, scopes=[region])])(cached_endpoint(ttl=60)(by_scopes))
    return app


@input_free
def region_of(request: Request) -> Any:
    return request.app.state.region


async def scopes_of(scopes: SecurityScopes) -> None:
    WHO.set(scopes.scope_str)


async def by_scopes() -> str:
    return WHO.get()


REGIONS = APIRouter()


@REGIONS.get("/mine")
@cached_endpoint(ttl=60)
async def of_region(region: str = Depends(region_of)) -> str:
    return region


@every("path", ["/mine", "/scopes"])
def test_applications_that_a_host_chooses_share_nothing(path: str) -> None:
    cache = InMemoryCache()
    root = FastAPI()
    for region in ("eu", "us"):
        root.host(f"{region}.example", part_of_a_region(cache, region))

    client = TestClient(root)

    assert [client.get(path, headers={"host": f"{each}.example"}).json() for each in ("eu", "us") * 2] == [
        "eu", "us", "eu", "us"
    ]  # fmt: skip


# --- cookies --------------------------------------------------------------------------------------------


@every("cookie, expected", [("sid=1; theme=a", "1"), ("theme=b; sid=1", "1"), ("sid=2", "2"), ("theme=a", "none")])
def test_only_the_named_cookies_count(cookie: str, expected: str) -> None:
    app = caching(FastAPI())

    @app.get("/")
    @cached_endpoint(ttl=60, cookies=("sid",))
    async def endpoint(request: Request) -> str:
        return request.cookies.get("sid", "none")

    client = TestClient(app)
    for sid in ("sid=1", "sid=2", "other=1"):
        client.get("/", headers={"cookie": sid})
    answer = client.get("/", headers={"cookie": cookie})

    assert answer.json() == expected
    assert answer.headers["cache-status"].startswith("otcache; hit")
    assert "cookie" in answer.headers["vary"].lower()


def test_a_session_middleware_reads_cookies() -> None:
    app = part()
    app.add_middleware(SessionMiddleware, secret_key="secret")

    assert [detail(app), detail(app, cookie="session=x")] == ["hit", "credentials"]


@every("option", ["vary", "cookies", "query", "without_headers"])
def test_one_text_is_no_list_of_names(option: str) -> None:
    options: dict[str, Any] = {option: "name"}

    with pytest.raises(ConfigurationError, match=rf"{option}=\('name',\)"):
        cached_endpoint(**options)
