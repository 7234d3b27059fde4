"""The dependencies that run decide what is in the key: overridden, nested, of any shape; and the code of closures."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Header, Request, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyCookie, APIKeyHeader, APIKeyQuery, HTTPBasic, HTTPBearer, SecurityScopes
from fastapi.testclient import TestClient
from starlette.requests import HTTPConnection

from otcache import ConfigurationError, InMemoryCache
from otcache.cache import Cache
from otcache.dependencies import get_web_cache_service
from otcache.http import cached_endpoint, input_free
from otcache.testing import capture_telemetry
from tests.rows import every

ASKED = ("ann", "bob", "ann", "bob")


def caching(app: FastAPI, cache: Cache | None = None) -> FastAPI:
    """The application with this cache, or one of its own."""
    used = InMemoryCache() if cache is None else cache
    app.dependency_overrides[get_web_cache_service] = lambda: used
    return app


def answers(app: FastAPI, path: str = "/mine") -> list[Any]:
    """What two callers are answered, in turn."""
    client = TestClient(app)
    return [client.get(path, headers={"x-client": who}).json() for who in ASKED]


def status(app: FastAPI, path: str = "/mine", **more: Any) -> str:
    """What the cache says of the second of two equal requests: `hit`, or why not."""
    client = TestClient(app)
    said = [client.get(path, **more).headers["cache-status"] for _ in range(2)][1]
    return said.rpartition("detail=")[2] if "detail=" in said else said.split("; ")[1]


# --- whatever a dependency is ---------------------------------------------------------------------------


def declares(x_client: Annotated[str, Header()] = "") -> str:
    return x_client


def takes(request: Request) -> str:
    return request.headers.get("x-client", "")


def connected(connection: HTTPConnection) -> str:
    return connection.headers.get("x-client", "")


async def opened(who: Annotated[str, Depends(takes)]) -> AsyncIterator[str]:
    yield who


def yielded(who: Annotated[str, Depends(declares)]) -> Iterator[str]:
    yield who


class Called:
    def __call__(self, x_client: Annotated[str, Header()] = "") -> str:
        return x_client


class CalledWithAll:
    def __call__(self, request: Request) -> str:
        return request.headers.get("x-client", "")


class Made:
    def __init__(self, x_client: Annotated[str, Header()] = "") -> None:
        self.name = x_client

    def __str__(self) -> str:
        return self.name


def scoped(scopes: SecurityScopes, x_client: Annotated[str, Header()] = "") -> str:
    return x_client


def below(prefix: str, who: Annotated[str, Depends(takes)]) -> str:
    return who


SHAPES: list[Callable[..., Any]] = [
    declares, takes, connected, opened, yielded, Called(), CalledWithAll(), Made, scoped,
    functools.partial(below, "x"), functools.partial(declares),
]  # fmt: skip


def nothing() -> str:
    return "nobody"


def plain(kind: Any, app: FastAPI) -> Any:
    return Depends(kind)


def uncached(kind: Any, app: FastAPI) -> Any:
    return Depends(kind, use_cache=False)


def secure(kind: Any, app: FastAPI) -> Any:
    return Security(kind, scopes=["read"])


def overridden(kind: Any, app: FastAPI) -> Any:
    app.dependency_overrides[nothing] = kind
    return Depends(nothing)


def overridden_below(kind: Any, app: FastAPI) -> Any:
    def above(who: str = Depends(nothing)) -> str:
        return who

    app.dependency_overrides[nothing] = kind
    return Depends(above)


WAYS = (plain, uncached, secure, overridden, overridden_below)


@every("kind, way", [(kind, way) for kind in SHAPES for way in WAYS])
def test_what_a_dependency_reads_separates_callers(kind: Any, way: Callable[..., Any]) -> None:
    app = caching(FastAPI())

    async def endpoint(who: Any) -> str:
        return str(who)

    endpoint.__annotations__["who"] = Annotated[Any, way(kind, app)]
    app.get("/mine")(cached_endpoint(ttl=60)(endpoint))

    assert answers(app) == list(ASKED)


SEEN: list[str] = []


def notes(x_client: Annotated[str, Header()] = "") -> None:
    SEEN.append(x_client)


async def last_seen() -> str:
    return SEEN[-1]


def of_the_application() -> FastAPI:
    app = caching(FastAPI(dependencies=[Depends(notes)]))
    app.get("/mine")(cached_endpoint(ttl=60)(last_seen))
    return app


def of_a_router() -> FastAPI:
    router, app = APIRouter(dependencies=[Depends(notes)]), caching(FastAPI())
    router.get("/mine")(cached_endpoint(ttl=60)(last_seen))
    app.include_router(router)
    return app


def of_its_inclusion() -> FastAPI:
    router, app = APIRouter(), caching(FastAPI())
    router.get("/mine")(cached_endpoint(ttl=60)(last_seen))
    app.include_router(router, dependencies=[Depends(notes)])
    return app


def of_the_route() -> FastAPI:
    app = caching(FastAPI())
    app.get("/mine", dependencies=[Depends(notes)])(cached_endpoint(ttl=60)(last_seen))
    return app


@every("made", [of_the_application, of_a_router, of_its_inclusion, of_the_route])
def test_dependencies_that_give_the_endpoint_nothing_count_too(made: Callable[[], FastAPI]) -> None:
    assert answers(made()) == list(ASKED)


# --- overrides change -----------------------------------------------------------------------------------


def test_an_override_counts_from_the_next_request_on() -> None:
    app = caching(FastAPI())

    @app.get("/mine")
    @cached_endpoint(ttl=60)
    async def endpoint(who: Annotated[str, Depends(nothing)]) -> str:
        return who

    found = [answers(app)]
    for override in (declares, takes, lambda: "somebody", lambda: "else", nothing):
        app.dependency_overrides[nothing] = override
        found.append(answers(app))
    del app.dependency_overrides[nothing]
    found.append(answers(app))

    assert found == [
        ["nobody"] * 4, list(ASKED), list(ASKED), ["somebody"] * 4, ["else"] * 4, ["nobody"] * 4, ["nobody"] * 4
    ]  # fmt: skip


def giving(what: str) -> Callable[[], str]:
    """A dependency that gives it."""
    return lambda: what


@every("order", [("/a", "/b"), ("/b", "/a")])
def test_one_router_in_two_applications_has_the_overrides_of_each(order: tuple[str, str]) -> None:
    cache, router, outer = InMemoryCache(), APIRouter(), FastAPI()

    @router.get("/mine")
    @cached_endpoint(ttl=60)
    async def endpoint(who: Annotated[str, Depends(nothing)]) -> str:
        return who

    for path in ("/a", "/b"):
        app = caching(FastAPI(), cache)
        app.include_router(router)
        app.dependency_overrides[nothing] = giving(path)
        outer.mount(path, app)
    client = TestClient(outer)

    assert [client.get(f"{path}/mine").json() for path in order * 2] == list(order * 2)


# --- unknown, and the ways out --------------------------------------------------------------------------


def pool(request: Request) -> str:
    """Something in `app.state`."""
    return "pool"


@every(
    "options, expected",
    [
        ({}, "unknown-dependency"),
        ({"vary": ("x-client",)}, "hit"),
        ({"cookies": ("sid",)}, "hit"),
        ({"cookies": ()}, "unknown-dependency"),
        ({"shared": True}, "hit"),
        ({"private_by": lambda request: "ann"}, "hit"),
        ({"private_by": lambda request: None}, "owner"),
    ],
)
def test_an_unknown_dependency_passes_by_until_it_is_said_what_decides(options: dict[str, Any], expected: str) -> None:
    app = caching(FastAPI())
    app.get("/mine", dependencies=[Depends(pool)])(cached_endpoint(ttl=60, **options)(last_seen))
    SEEN.append("x")

    assert status(app) == expected


def test_a_marked_dependency_does_not_count_but_what_it_declares_and_depends_on_does() -> None:
    @input_free
    def marked(request: Request, x_client: Annotated[str, Header()] = "") -> str:
        return x_client

    @input_free
    def above(request: Request, who: Annotated[str, Depends(takes)]) -> str:
        return who

    app = caching(FastAPI())
    for path, dependency in (("/declares", marked), ("/depends", above)):

        async def endpoint(who: Any) -> str:
            return str(who)

        endpoint.__annotations__["who"] = Annotated[Any, Depends(dependency)]
        app.get(path)(cached_endpoint(ttl=60)(endpoint))

    assert [answers(app, path) for path in ("/declares", "/depends")] == [list(ASKED)] * 2
    assert [status(app, path) for path in ("/declares", "/depends")] == ["hit", "unknown-dependency"]


@input_free
def free(request: Request) -> str:
    return ""


@functools.wraps(free)
def around_it(request: Request) -> str:
    return request.headers.get("x-client", "")


@input_free
class Base:
    def __init__(self, request: Request) -> None:
        self.who = ""


class Derived(Base):
    def __init__(self, request: Request) -> None:
        self.who = request.headers.get("x-client", "")


def test_what_wraps_a_marked_function_is_not_marked() -> None:
    app = caching(FastAPI())
    for path, dependency in (("/wrapper", around_it), ("/derived", Derived)):
        app.get(path, dependencies=[Depends(dependency)])(cached_endpoint(ttl=60)(last_seen))
    SEEN.append("x")

    assert [status(app, path) for path in ("/wrapper", "/derived")] == ["unknown-dependency"] * 2


def test_what_cant_be_marked_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="int"):
        input_free(1)


def test_a_route_of_another_class_may_read_anything() -> None:
    class Route(APIRoute):
        def get_route_handler(self) -> Any:
            inner = super().get_route_handler()

            async def handle(request: Request) -> Any:
                SEEN.append(request.headers.get("x-client", ""))
                return await inner(request)

            return handle

    router, app = APIRouter(route_class=Route), caching(FastAPI())
    router.get("/mine")(cached_endpoint(ttl=60)(last_seen))
    app.include_router(router)

    assert answers(app) == list(ASKED)


SCHEMES: list[tuple[Any, dict[str, Any]]] = [
    (HTTPBearer(), {"headers": {"authorization": "Bearer x"}}),
    (HTTPBasic(), {"headers": {"authorization": "Basic YTpi"}}),
    (APIKeyHeader(name="X-Key"), {"headers": {"x-key": "1"}}),
    (APIKeyQuery(name="key"), {"params": {"key": "1"}}),
    (APIKeyCookie(name="key"), {"headers": {"cookie": "key=1"}}),
]


class Bearer(HTTPBearer):
    @functools.wraps(HTTPBearer.__call__)
    async def __call__(self, request: HTTPConnection) -> Any:  # type: ignore[override]
        return request.headers.get("x-client")


@every("scheme, sent", SCHEMES)
def test_a_known_scheme_needs_a_word_of_whose_it_is(scheme: Any, sent: dict[str, Any]) -> None:
    app = caching(FastAPI())
    for path, shared in (("/none", False), ("/shared", True)):
        app.get(path, dependencies=[Security(scheme)])(cached_endpoint(ttl=60, shared=shared)(last_seen))
    SEEN.append("x")

    assert [status(app, path, **sent) for path in ("/none", "/shared")] == ["credentials", "hit"]


def test_a_scheme_of_ones_own_may_read_anything() -> None:
    app = caching(FastAPI())
    app.get("/mine", dependencies=[Security(Bearer())])(cached_endpoint(ttl=60)(last_seen))
    SEEN.append("x")

    assert status(app) == "unknown-dependency"


@every("what", ["dependency", "middleware"])
def test_it_is_said_once_who_is_unknown_and_what_to_write(what: str) -> None:
    with capture_telemetry() as captured:
        app = caching(FastAPI(), InMemoryCache(providers=captured.providers))
        guards = [Depends(pool)] if what == "dependency" else []
        app.get("/mine", dependencies=guards)(cached_endpoint(ttl=60)(last_seen))
        SEEN.append("x")

        @app.middleware("http")
        async def identify(request: Request, call_next: Any) -> Any:
            return await call_next(request)

        for _ in range(3):
            TestClient(app).get("/mine")
        (said,) = [each for each in captured.events if each.name == "otcache.http.uncached"]

    name = "pool" if what == "dependency" else "identify"
    assert all(each in str(said.body) for each in ("GET /mine", name, "vary=", "private_by=", f"input_free({name})"))


# --- closures and code ----------------------------------------------------------------------------------


@dataclass
class Settings:
    name: str


def of_a_cell(name: str) -> Callable[..., Any]:
    async def endpoint() -> str:
        return name

    return endpoint


def of_an_object(name: str) -> Callable[..., Any]:
    settings = Settings(name)

    async def endpoint() -> str:
        return settings.name

    return endpoint


def of_a_list(name: str) -> Callable[..., Any]:
    names: list[str] = []

    async def endpoint() -> str:
        return names[0] if names else names.append(name) or name  # type: ignore[func-returns-value]

    return endpoint


def of_a_function(name: str) -> Callable[..., Any]:
    def inner() -> str:
        return name

    async def endpoint() -> str:
        return inner()

    return endpoint


class Masked(str):
    def __repr__(self) -> str:
        return "***"


def of_a_masked_text(name: str) -> Callable[..., Any]:
    masked = Masked(name)

    async def endpoint() -> str:
        return str(masked)

    return endpoint


def of_a_default(name: str) -> Callable[..., Any]:
    async def endpoint(who: str = name) -> str:
        return who

    return endpoint


def of_a_dependency(name: str) -> Callable[..., Any]:
    def who() -> str:
        return name

    async def endpoint(who: str = Depends(who)) -> str:
        return who

    return endpoint


def of_a_class(name: str) -> Callable[..., Any]:
    class Who:
        def __init__(self) -> None:
            self.name = name

    async def endpoint(who: Any = Depends(Who)) -> str:
        return str(who.name)

    return endpoint


def of_a_parametrised_dependency(name: str) -> Callable[..., Any]:
    class_ = Fixed

    async def endpoint(who: str = Depends(class_(name))) -> str:
        return who

    return endpoint


class Fixed:
    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self) -> str:
        return self.name


def of_a_constant(name: str) -> Callable[..., Any]:
    namespace: dict[str, Any] = {"__name__": __name__}
    exec(f"async def endpoint() -> str:\n    return {name!r}", namespace)
    made: Callable[..., Any] = namespace["endpoint"]
    return made


def of_a_decorator(name: str) -> Callable[..., Any]:
    def decorate(function: Callable[[], Any]) -> Callable[[], Any]:
        @functools.wraps(function)
        async def wrapper() -> str:
            return f"{name}{await function()}"

        return wrapper

    @decorate
    async def endpoint() -> str:
        return ""

    return endpoint


FACTORIES = (
    of_a_cell, of_a_masked_text, of_an_object, of_a_list, of_a_function, of_a_default, of_a_dependency, of_a_class,
    of_a_parametrised_dependency, of_a_constant, of_a_decorator,
)  # fmt: skip


@every("factory", FACTORIES)
def test_two_applications_with_one_cache_and_one_path_keep_apart(factory: Callable[[str], Any]) -> None:
    cache = InMemoryCache()
    clients = {}
    for name in ("ann", "bob"):
        app = caching(FastAPI(), cache)
        app.get("/")(cached_endpoint(ttl=60)(factory(name)))
        clients[name] = TestClient(app)

    assert [clients[name].get("/").json() for name in ASKED] == list(ASKED)


SAME = (
    of_a_cell,
    of_a_function,
    of_a_default,
    of_a_dependency,
    of_a_parametrised_dependency,
    of_a_constant,
    of_a_decorator,
)


@every("factory", SAME)
def test_what_is_made_alike_twice_has_one_key(factory: Callable[[str], Any]) -> None:
    cache, said = InMemoryCache(), []
    for _ in range(2):
        app = caching(FastAPI(), cache)
        app.get("/")(cached_endpoint(ttl=60)(factory("ann")))
        said.append(TestClient(app).get("/").headers["cache-status"])

    assert "hit" in said[1]


def test_one_endpoint_with_two_response_models_has_two_answers() -> None:
    cache, found = InMemoryCache(), []

    async def endpoint() -> Any:
        return {"a": 1, "b": 2}

    for excluded in ({"a"}, {"b"}):
        app = caching(FastAPI(), cache)
        app.get("/", response_model=dict[str, int], response_model_exclude=excluded)(cached_endpoint(ttl=60)(endpoint))
        found.append(TestClient(app).get("/").json())

    assert found == [{"b": 2}, {"a": 1}]
