"""A run in the background stores only under the key that its own dependencies give."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, HTTPException, Response
from fastapi.responses import JSONResponse
from starlette.background import BackgroundTask

from otcache import InMemoryCache
from otcache.http import cached_endpoint, input_free
from tests.http.app import Shop, status_of
from tests.rows import every
from tests.telemetry.scenario import until

OPTIONS: dict[str, Any] = {"name": "web", "early_refresh": 0.0, "stale_retry_seconds": 0.0}


class World:
    """What dependencies read beside the request: it changes between a request and the run that follows it."""

    user: str | None = "ada"
    allowed = True


def shop_of(world: World, private_by: Any) -> Shop:
    shop = Shop(InMemoryCache(**OPTIONS))

    @input_free
    async def user() -> str | None:
        if not world.allowed:
            raise HTTPException(403)
        return world.user

    @shop.app.get("/")
    @cached_endpoint(ttl=0.05, stale_ttl=60, private_by=private_by)
    async def endpoint(user: str | None = Depends(user)) -> str:
        return f"{world.user} {shop.run()}"

    return shop


async def stale_then(client: httpx.AsyncClient, shop: Shop, change: Callable[[], None]) -> httpx.Response:
    """A stale answer whose run in the background finds the world changed."""
    await client.get("/")
    await asyncio.sleep(0.1)
    answer = await client.get("/")
    change()  # before the run begins: it gives the answer some turns to leave
    return answer


@every("after", ["bob", None])
async def test_what_a_changed_owner_gets_is_not_the_old_ones(after: str | None) -> None:
    world = World()
    shop = shop_of(world, lambda request: world.user)

    async with shop.client() as client:
        old = await stale_then(client, shop, lambda: setattr(world, "user", after))
        await until(lambda: shop.cache.get_stats()["l1"]["entries"] == 0)
        runs = shop.runs["endpoint"]
        world.user = "ada"
        new = await client.get("/")

    assert (old.json(), status_of(old)["ttl"] < 0) == ("ada 1", True)
    assert runs == 1  # the endpoint did not run for whom nobody asked
    assert new.json() == "ada 2"
    await shop.cache.close()


async def test_who_is_refused_meanwhile_changes_nothing() -> None:
    world = World()
    shop = shop_of(world, lambda request: "everybody")

    async with shop.client() as client:
        await stale_then(client, shop, lambda: setattr(world, "allowed", False))
        await asyncio.sleep(0.05)
        world.allowed = True
        again = await client.get("/")

    assert again.json() in ("ada 1", "ada 2")
    await shop.cache.close()


async def test_a_rerun_for_waiters_of_a_leader_who_left_is_for_the_same_key() -> None:
    shop, opened = Shop(InMemoryCache(**OPTIONS)), asyncio.Event()
    seen: list[str] = []

    @input_free
    async def tenant() -> str:
        seen.append("asked")
        return "first" if len(seen) <= 2 else "later"

    @shop.app.get("/")
    @cached_endpoint(ttl=60, private_by="tenant")
    async def endpoint(tenant: str = Depends(tenant)) -> str:
        shop.run(tenant)
        await opened.wait()
        return tenant

    async with shop.client() as client:
        leader = asyncio.create_task(client.get("/"))
        await until(lambda: shop.runs["first"] == 1)
        waiter = asyncio.create_task(client.get("/"))
        await until(lambda: len(seen) == 2)
        leader.cancel()
        await until(lambda: len(seen) == 3)  # the load goes on, as somebody else
        opened.set()
        answers = [await waiter, await client.get("/")]

    assert [each.json() for each in answers] == ["first", "later"]
    assert shop.runs == {"first": 2, "later": 1}
    await shop.cache.close()


async def test_tasks_of_the_endpoint_run_after_each_of_its_runs() -> None:
    shop, done = Shop(InMemoryCache(**OPTIONS)), list[str]()

    @shop.app.get("/response")
    @cached_endpoint(ttl=0.05, stale_ttl=60)
    async def of_a_response() -> Response:
        return JSONResponse(1, background=BackgroundTask(done.append, "response"))

    @shop.app.get("/value")
    @cached_endpoint(ttl=0.05, stale_ttl=60)
    async def of_a_value(tasks: BackgroundTasks) -> int:
        tasks.add_task(done.append, "value")
        return 1

    async with shop.client() as client:
        for path in ("/response", "/value"):
            await client.get(path)
            await asyncio.sleep(0.1)
            await client.get(path)
        await until(lambda: sorted(done) == ["response", "response", "value", "value"])
    await shop.cache.close()


async def test_a_task_that_fails_after_a_run_takes_nothing_from_its_answer(caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop(InMemoryCache(**OPTIONS))

    @shop.app.get("/")
    @cached_endpoint(ttl=0.05, stale_ttl=60)
    async def endpoint(tasks: BackgroundTasks) -> int:
        run = shop.run()
        if run == 2:
            tasks.add_task(lambda: 1 / 0)
        return run

    async with shop.client() as client:
        await client.get("/")
        await asyncio.sleep(0.1)
        await client.get("/")
        await until(lambda: "what follows a response has failed" in caplog.text)
        await asyncio.sleep(0.01)
        answer = await client.get("/")

    assert answer.json() == 2
    await shop.cache.close()
