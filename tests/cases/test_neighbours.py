"""Two applications, and two hosts of one, never read each other's answers."""

from __future__ import annotations

from fastapi import FastAPI

from tests.cases.applications import application, asking, cached_route
from tests.servers import RedisServer


async def billing() -> str:
    return "billing"


async def blog() -> str:
    return "blog"


def test_two_applications_on_one_redis_have_their_own_answers(own_server: RedisServer) -> None:
    answers = []

    for endpoint in (billing, blog):
        app = application(redis_url=own_server.url, timeout=10.0)
        cached_route(app, "/status", endpoint)
        with asking(app) as client:
            answers.append(client.get("/status").json())

    assert answers == ["billing", "blog"]


def test_applications_chosen_by_the_host_have_their_own_answers() -> None:
    app = application()
    for endpoint in (billing, blog):
        part = FastAPI()
        cached_route(part, "/status", endpoint)
        app.host(f"{endpoint.__name__}.example", part)

    with asking(app) as client:
        answers = [client.get("/status", headers={"host": f"{name}.example"}).json() for name in ("billing", "blog")]

    assert answers == ["billing", "blog"]
