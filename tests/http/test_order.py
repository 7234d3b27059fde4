"""The decorator above the route's is refused, and whatever is a cached route on purpose is not."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient

from otcache import CacheConfig, ConfigurationError, install_cache
from otcache.http import cached_endpoint
from tests.rows import every


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def inner(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return inner


def plain() -> Callable[..., Any]:
    async def items() -> int:
        return 1

    return items


# --- refused --------------------------------------------------------------------------------------------


def above(app: FastAPI) -> None:
    @cached_endpoint(ttl=60)
    @app.get("/items")
    async def items() -> int:
        return 1


def above_without_parentheses(app: FastAPI) -> None:
    @cached_endpoint
    @app.get("/items")
    def items() -> int:
        return 1


def above_two(app: FastAPI) -> None:
    @cached_endpoint(ttl=60)
    @app.get("/items")
    @app.get("/things")
    async def items() -> int:
        return 1


def above_another_decorator(app: FastAPI) -> None:
    @cached_endpoint(ttl=60)
    @logged
    @app.get("/items")
    async def items() -> int:
        return 1


def above_a_router(app: FastAPI) -> None:
    router = APIRouter()

    @cached_endpoint(ttl=60)
    @router.get("/items")
    async def items() -> int:
        return 1


def later(app: FastAPI) -> None:
    items = plain()
    app.get("/items")(items)
    app.state.kept = cached_endpoint(ttl=60)(items)


def later_on_a_router(app: FastAPI) -> None:
    router, items = APIRouter(), plain()
    router.get("/items")(items)
    app.state.kept = cached_endpoint(ttl=60)(items)
    app.include_router(router)


def later_around_a_wrapper(app: FastAPI) -> None:
    items = plain()
    app.get("/items")(items)
    app.state.kept = cached_endpoint(ttl=60)(logged(items))


def starts(define: Callable[[FastAPI], Any]) -> None:
    app = FastAPI()
    install_cache(app, config=CacheConfig())
    define(app)
    with TestClient(app):
        pass


@every("define", [above, above_without_parentheses, above_two, above_another_decorator, above_a_router])
def test_a_definition_is_refused_at_once(define: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"calls items itself.*below the route's decorator"):
        define(FastAPI())


@every("define", [later, later_on_a_router, later_around_a_wrapper])
def test_what_had_a_name_is_refused_at_the_start(define: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"/items calls items itself"):
        starts(define)


# --- a plain route beside a cached one ------------------------------------------------------------------


def beside(app: FastAPI) -> None:
    items = plain()
    app.get("/fresh")(items)
    app.get("/cached")(cached_endpoint(ttl=60)(items))


def beside_under_a_decorator(app: FastAPI) -> None:
    items = plain()
    app.get("/fresh")(items)
    app.get("/cached")(logged(cached_endpoint(ttl=60)(items)))


def beside_as_a_partial(app: FastAPI) -> None:
    items = plain()
    app.get("/fresh")(items)
    app.get("/cached")(functools.partial(cached_endpoint(ttl=60)(items)))


def in_a_loop(app: FastAPI) -> None:
    for name in "ab":
        items = plain()
        app.add_api_route(f"/fresh/{name}", items)
        app.add_api_route(f"/cached/{name}", cached_endpoint(ttl=60)(items))


def of_a_table(app: FastAPI) -> None:
    table = {name: plain() for name in "ab"}
    for name in table:
        app.get(f"/fresh/{name}")(table[name])
        app.get(f"/cached/{name}")(cached_endpoint(ttl=60)(table[name]))


def of_an_object(app: FastAPI) -> None:
    class Row:
        def __init__(self, endpoint: Any, path: str) -> None:
            self.endpoint, self.path, self.call = endpoint, path, endpoint

    row = Row(plain(), "/fresh")
    assert vars(row)  # it has a dictionary now
    app.get(row.path)(row.endpoint)
    app.get("/cached")(cached_endpoint(ttl=60)(row.endpoint))


def on_routers(app: FastAPI) -> None:
    routers, items = (APIRouter(), APIRouter()), plain()
    routers[0].get("/fresh")(items)
    routers[1].get("/cached")(cached_endpoint(ttl=60)(items))
    for router in routers:
        app.include_router(router, prefix="/v1")


def in_a_mounted_application(app: FastAPI) -> None:
    inner, items = FastAPI(), plain()
    app.get("/fresh")(items)
    inner.get("/cached")(cached_endpoint(ttl=60)(items))
    app.mount("/inner", inner)


def of_a_method(app: FastAPI) -> None:
    class Views:
        async def items(self) -> int:
            return 1

    views = Views()
    app.get("/fresh")(views.items)
    app.get("/cached")(cached_endpoint(ttl=60)(views.items))


@every("define", [beside, beside_under_a_decorator, beside_as_a_partial, in_a_loop, of_a_table, of_an_object,
                  on_routers, in_a_mounted_application, of_a_method])  # fmt: skip
def test_a_function_may_be_a_plain_route_and_a_cached_one(define: Any) -> None:
    starts(define)


class Absent:
    """A proxy of something that is not there yet."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no request")


def test_what_else_stands_in_the_module_is_left_alone() -> None:
    proxy: Any = Absent()

    cached_endpoint(ttl=60)(plain())

    assert type(proxy) is Absent


def test_hundreds_of_such_pairs_cost_no_search_of_the_memory() -> None:
    filled = [[number] for number in range(300_000)]
    began = time.perf_counter()

    def hundreds(app: FastAPI) -> None:
        for _ in range(100):
            beside(app)

    starts(hundreds)

    assert len(filled) == 300_000
    assert time.perf_counter() - began < 5  # a search takes 0.1 s, and there would be 200
