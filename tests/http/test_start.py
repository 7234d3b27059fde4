"""What keeps cached routes from being cached is said when the application starts, by name."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.testclient import TestClient
from starlette.middleware.gzip import GZipMiddleware

from otcache import install_cache
from otcache.http import cached_endpoint, input_free


def get_pool(request: Request) -> Any:
    return request.app.state


class Tenants:
    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, *call: Any) -> None:
        await self._app(*call)


def said_at_start(app: FastAPI, caplog: pytest.LogCaptureFixture) -> list[str]:
    with TestClient(app):
        return [record.getMessage() for record in caplog.records if "may read anything" in record.getMessage()]


def application(*middleware: Any) -> FastAPI:
    app, router = FastAPI(), APIRouter(prefix="/stock")
    for each in middleware:
        app.add_middleware(each)
    install_cache(app)

    @router.get("/{item}")
    @cached_endpoint(ttl=60)
    async def stock(item: int, pool: Annotated[Any, Depends(get_pool)]) -> int:
        return item

    app.include_router(router)
    app.get("/hello")(cached_endpoint(ttl=60)(lambda: "hello"))
    app.get("/varied")(cached_endpoint(ttl=60, vary=("x-tenant",))(lambda request: "varied"))
    return app


def test_a_dependency_and_a_middleware_are_named_with_their_routes(caplog: pytest.LogCaptureFixture) -> None:
    said = said_at_start(application(Tenants, GZipMiddleware), caplog)

    assert [line.partition(":")[0] for line in said] == [
        "get_pool may read anything of a request, so 1 cached route passes by the cache (/stock/{item})",
        "Tenants may read anything of a request, so 1 cached route passes by the cache (/hello)",
    ]


def test_nothing_is_said_where_all_is_known(caplog: pytest.LogCaptureFixture) -> None:
    app = application(input_free(type("Known", (Tenants,), {})), GZipMiddleware)
    app.dependency_overrides[get_pool] = lambda: None

    assert said_at_start(app, caplog) == []
