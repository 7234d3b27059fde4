"""Whatever FastAPI takes as an endpoint answers with the cache as it does without, and is cached or refused."""

from __future__ import annotations

import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from enum import IntEnum
from typing import Annotated, Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Response, WebSocket
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.testclient import TestClient
from starlette.exceptions import HTTPException as StarletteHTTPException

from otcache import ConfigurationError, InMemoryCache
from otcache.http import cached_endpoint
from tests.http.app import status_of
from tests.rows import every


async def a_function(item: int) -> Any:
    return {"item": item}


def in_a_thread(item: int) -> Any:
    return {"item": item, "in the loop": threading.current_thread() is threading.main_thread()}


class AsyncObject:
    """Answers."""

    async def __call__(self, item: int) -> Any:
        return {"item": item}


class PlainObject:
    def __call__(self, item: int) -> Any:
        return {"item": item}


class Views:
    async def bound(self, item: int) -> Any:
        return {"item": item}

    def plain(self, item: int) -> Any:
        return {"item": item}

    @staticmethod
    async def static(item: int) -> Any:
        return {"item": item}

    @classmethod
    async def of_class(cls, item: int) -> Any:
        return {cls.__name__: item}


class Decorator:
    """A decorator that is a class, and says whose function it calls."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def inner(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return inner


def plainly(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return inner


async def two(item: int, more: int) -> Any:
    return {"item": item, "more": more}


def two_in_a_thread(item: int, more: int) -> Any:
    return {"item": item, "more": more}


SHAPES: dict[str, Callable[..., Any]] = {
    "a function": a_function,
    "in a thread": in_a_thread,
    "an object": AsyncObject(),
    "a plain object": PlainObject(),
    "a method": Views().bound,
    "a plain method": Views().plain,
    "a static method": Views.static,
    "a class method": Views.of_class,
    "a partial": functools.partial(two, more=1),
    "a plain partial": functools.partial(two_in_a_thread, more=1),
    "a partial of a partial": functools.partial(functools.partial(two, more=1)),
    "a partial of an object": functools.partial(AsyncObject()),
    "a decorated one": logged(a_function),
    "one under a plain decorator": plainly(a_function),
    "a plain one under a plain decorator": plainly(in_a_thread),
    "a class around one": Decorator(a_function),
    "a class around a plain one": Decorator(in_a_thread),
    "a class around an object": Decorator(AsyncObject()),
    "a lambda": lambda item: {"item": item},
}


def cached(endpoint: Any, **options: Any) -> Any:
    cache = InMemoryCache(name="web")
    return cached_endpoint(**{"ttl": 60, "cache": lambda: cache, **options})(endpoint)


def added(app: FastAPI, path: str, endpoint: Any, **options: Any) -> None:
    app.get(path, **{"response_model": None, **options})(endpoint)


@every("name", SHAPES)
def test_every_shape_answers_as_it_does_without_the_cache(name: str) -> None:
    app = FastAPI()
    added(app, "/plain/{item}", SHAPES[name])
    added(app, "/cached/{item}", cached(SHAPES[name]))

    with TestClient(app, raise_server_exceptions=False) as client:
        plain, *answers = [client.get(path) for path in ("/plain/3", "/cached/3", "/cached/3")]

    if plain.status_code == 200:  # older versions of FastAPI don't take all of them
        assert [(each.status_code, each.text) for each in answers] == [(200, plain.text)] * 2
    assert status_of(answers[1])["hit"] is True


@every("name", SHAPES)
def test_its_schema_is_the_uncached_one(name: str) -> None:
    plain, with_cache = FastAPI(), FastAPI()
    added(plain, "/{item}", SHAPES[name])
    added(with_cache, "/{item}", cached(SHAPES[name]))

    assert with_cache.openapi() == plain.openapi()


@every("name", SHAPES)
def test_without_parentheses_it_is_the_same(name: str) -> None:
    app = FastAPI()
    added(app, "/{item}", cached_endpoint(SHAPES[name]))

    with TestClient(app) as client:
        answers = [client.get("/3") for _ in range(2)]

    assert [status_of(each).get("hit") for each in answers] == [None, True]


async def _yields() -> AsyncIterator[int]:
    yield 1


def _yields_plainly() -> Iterator[int]:
    yield 1


class Yielding:
    async def __call__(self) -> AsyncIterator[int]:
        yield 1


async def talk(socket: WebSocket) -> None:
    await socket.accept()


@every(
    ("endpoint", "said"),
    [
        (_yields, "_yields yields: otcache stores only whole responses"),
        (_yields_plainly, "yields"),
        (Yielding(), "Yielding yields"),
        (functools.partial(_yields), "yields"),
        (plainly(_yields), "yields"),
        (Decorator(_yields_plainly), "yields"),
        (talk, "talk takes a websocket"),
        (functools.partial(talk), "takes a websocket"),
        (7, "can't decorate int"),
        (None, "can't decorate NoneType"),
    ],
)
def test_what_can_not_be_cached_is_refused(endpoint: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        cached_endpoint(ttl=60)(endpoint)


# --- what it returns ------------------------------------------------------------------------------------

ONE_RESPONSE = JSONResponse({"one": "object"})
ONE_ERROR = HTTPException(404, "one object", {"x-one": "1"})


class Colour(IntEnum):
    TEAPOT = 418


class OwnSending(Response):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await super().__call__(scope, receive, send)


class Template(HTMLResponse):
    """A response class of an application's own, which is sent as any other."""

    media_type = "text/html; version=1"


def _raise(error: Exception) -> Any:
    raise error


RETURNED: dict[str, tuple[Callable[[], Any], dict[str, Any], bool]] = {
    "None": (lambda: None, {}, True),
    "204": (lambda: None, {"status_code": 204}, True),
    "a Response with 204": (lambda: Response(status_code=204), {}, True),
    "a status of an enum": (lambda: Response("x", Colour.TEAPOT), {}, True),
    "text": (lambda: "<b>", {"response_class": HTMLResponse}, True),
    "a subclass": (lambda: Template("<b>"), {}, True),
    "an empty body": (lambda: Response(), {}, True),
    "the same object each time": (lambda: ONE_RESPONSE, {}, True),
    "the same error each time": (lambda: _raise(ONE_ERROR), {}, True),
    "starlette's error": (lambda: _raise(StarletteHTTPException(404, "gone")), {}, True),
    "an error without detail": (lambda: _raise(HTTPException(410)), {}, True),
    "a stream": (lambda: StreamingResponse(iter(["a", "b"])), {}, False),
    "a class that sends by itself": (lambda: OwnSending("x"), {}, False),
    "a large body": (lambda: Response(b"x" * 1001), {}, False),
}
KEPT = dict.fromkeys([200, 204, 404, 410, 418])


@every("name", RETURNED)
def test_what_an_endpoint_returns_comes_back_equal(name: str) -> None:
    endpoint, options, is_kept = RETURNED[name]
    app = FastAPI()
    added(app, "/plain", endpoint, **options)
    added(app, "/cached", cached(endpoint, statuses=KEPT, size_limit=1000), **options)
    added(app, "/each", cached(endpoint, ttl=0), **options)

    with TestClient(app) as client:
        plain, *answers = [client.get(path) for path in ("/plain", "/cached", "/cached", "/each", "/each", "/plain")]

    for answer in answers:
        assert (answer.status_code, answer.content) == (plain.status_code, plain.content)
        assert {name: answer.headers[name] for name in plain.headers} == dict(plain.headers)
        assert answer.headers.get("cache-status", "").count("otcache") <= 1
    assert status_of(answers[1]).get("hit", False) is is_kept


@every("handled", ["fastapi", "starlette"])
def test_a_handler_sees_the_class_that_was_raised(handled: str) -> None:
    app = FastAPI()
    kinds: list[type] = []

    @app.exception_handler(StarletteHTTPException)
    async def handle(_: Any, error: StarletteHTTPException) -> Response:
        kinds.append(type(error))
        return PlainTextResponse(str(error.detail), error.status_code)

    kind = HTTPException if handled == "fastapi" else StarletteHTTPException
    added(app, "/", cached(lambda: _raise(kind(404, "gone")), statuses={404: None}))
    with TestClient(app) as client:
        answers = [client.get("/") for _ in range(3)]

    assert kinds == [kind] * 3
    assert {each.text for each in answers} == {"gone"}


def test_what_a_handler_does_to_an_error_reaches_no_other_request() -> None:
    app = FastAPI()

    @app.exception_handler(HTTPException)
    async def handle(_: Any, error: HTTPException) -> Response:
        detail: Any = error.detail
        answer = JSONResponse(detail, error.status_code)
        detail["seen"].append(1)
        return answer

    added(app, "/", cached(lambda: _raise(HTTPException(404, {"seen": []})), statuses={404: None}))
    with TestClient(app) as client:
        answers = [client.get("/").json() for _ in range(3)]

    assert answers == [{"seen": []}] * 3


def test_what_is_kept_of_a_response_can_not_be_changed_in_place() -> None:
    app, cache = FastAPI(), InMemoryCache(name="web")
    values: list[Any] = []
    cache.register_callback("load", lambda key, value: values.append(value))
    decorator = cached_endpoint(ttl=60, statuses={200: None, 404: None}, cache=lambda: cache)
    for path, endpoint in {"/a": lambda: [1], "/b": lambda: Response(b"\xff"), "/c": lambda: _raise(ONE_ERROR)}.items():
        added(app, path, decorator(endpoint))

    with TestClient(app) as client:
        for path in ("/a", "/b", "/c"):
            client.get(path)

    assert [type(each) for each in values] == [str, bytes, str]


def test_tasks_of_a_stored_response_run_when_it_is_made() -> None:
    app, done = FastAPI(), list[str]()

    def endpoint() -> Response:
        tasks = BackgroundTasks()
        tasks.add_task(done.append, "of the response")
        return JSONResponse(1, background=tasks)

    added(app, "/", cached(endpoint))
    with TestClient(app) as client:
        for _ in range(3):
            client.get("/")

    assert done == ["of the response"]


# --- headers of dependencies, and those of the endpoint ---------------------------------------------------


def _sets(**headers: str) -> Callable[..., None]:
    def dependency(response: Response) -> None:
        for name, value in headers.items():
            response.headers[name.replace("_", "-")] = value

    return dependency


def _appends(response: Response) -> int:
    response.headers.append("link", "<b>")
    return 1


def _replaces(response: Response) -> int:
    response.headers["link"] = "<b>"
    return 1


def _removes(response: Response) -> int:
    del response.headers["link"]
    return 1


@every(("endpoint", "is_kept"), [(_appends, True), (_replaces, False), (_removes, False)])
def test_headers_of_both_come_back_as_they_were(endpoint: Callable[..., Any], is_kept: bool) -> None:
    app = FastAPI()
    depends = [Depends(_sets(link="<a>"))]
    added(app, "/plain", endpoint, dependencies=depends)
    added(app, "/cached", cached(endpoint), dependencies=depends)

    with TestClient(app) as client:
        plain, *answers = [client.get(path) for path in ("/plain", "/cached", "/cached")]

    assert [sorted(each.headers.get_list("link")) for each in answers] == [sorted(plain.headers.get_list("link"))] * 2
    assert status_of(answers[1]).get("hit", False) is is_kept


def test_a_status_that_a_dependency_sets_is_for_this_request() -> None:
    app, statuses = FastAPI(), [201, 202, None, None, 203]

    def choose(response: Response) -> None:
        response.status_code = statuses.pop(0)  # type: ignore[assignment]

    added(app, "/", cached(lambda: 1, statuses=dict.fromkeys([200, 201, 202, 203])), dependencies=[Depends(choose)])
    with TestClient(app) as client:
        answers = [client.get("/") for _ in range(5)]

    assert [each.status_code for each in answers] == [201, 202, 200, 200, 203]
    assert status_of(answers[3])["hit"] is True


# --- tags -----------------------------------------------------------------------------------------------


class Team:
    name = "red"

    @property
    def broken(self) -> str:
        raise LookupError("?")


def team(kind: str) -> Any:
    return {"team": Team(), "none": None, "long": "x" * 9000, "odd": "\ud800", "empty": "", "dict": {}}[kind]


async def tagged(kind: str, found: Annotated[Any, Depends(team)]) -> str:
    return kind


@every(
    "template",
    ["{found}", "{found.name}", "{found.broken}", "{found[name]}", "{found:>9}", "{found.name.x}", "{found!r:.99}"],
)
def test_a_template_that_gives_no_tag_fails_no_request(template: str) -> None:
    app, cache = FastAPI(), InMemoryCache(name="web")
    decorator = cached_endpoint(ttl=60, tags=(template, "every"), shared=True, cache=lambda: cache)
    added(app, "/{kind}", decorator(tagged))

    with TestClient(app, raise_server_exceptions=False) as client:
        for kind in ("team", "none", "long", "odd", "empty", "dict"):
            answers = [client.get(f"/{kind}") for _ in range(2)]
            assert [(each.status_code, each.json()) for each in answers] == [(200, kind)] * 2
            assert status_of(answers[1])["hit"] is True
        assert cache.get_stats()["l1"]["entries"] == 6


@every("template", ["user:{found}", "user:{found!s}", "user:{found!r}", "user:{found!a:>9}"])
def test_none_is_in_no_tag(template: str) -> None:
    made = cached(tagged, tags=(template,), shared=True)
    policy, _ = made.__otcache_endpoint__

    assert policy.tags_of({"found": None}) == ([], [template])


# --- methods that are decorated in their class ----------------------------------------------------------

CACHE = InMemoryCache(name="web")


class Controller:
    def __init__(self, name: str) -> None:
        self.name = name

    @cached_endpoint(ttl=60, tags=("controller:{self.name}",), cache=lambda: CACHE)
    async def items(self, page: int = 1) -> Any:
        return [self.name, page]

    @cached_endpoint(ttl=60, cache=lambda: CACHE)
    def in_a_thread(self, page: int = 1) -> Any:
        return [self.name, page]


@every("method", ["items", "in_a_thread"])
def test_a_method_is_called_on_its_object_and_no_two_objects_share(method: str) -> None:
    apps = [FastAPI() for _ in "ab"]
    for name, app in zip("ab", apps, strict=True):
        added(app, f"/{method}", getattr(Controller(name), method))

    for name, app in zip("ab", apps, strict=True):
        with TestClient(app) as client:
            answers = [client.get(f"/{method}", params={"page": page}) for page in (1, 2, 1)]
        assert [each.json() for each in answers] == [[name, 1], [name, 2], [name, 1]]
        assert ["hit" in status_of(each) for each in answers] == [False, False, True]


def test_what_a_partial_adds_to_a_cached_function_tells_its_answers_apart() -> None:
    apps = [FastAPI() for _ in "ab"]
    function = cached(two)
    for more, app in enumerate(apps):
        added(app, "/", functools.partial(function, more=more))

    answers = [TestClient(app).get("/", params={"item": 1}).json() for app in apps]

    assert [each["more"] for each in answers] == [0, 1]
