"""The request runs the endpoint as long as it waits; no run uses what a request that has left was injected."""

from __future__ import annotations

import asyncio

import pytest

from otcache.base import Loaded
from otcache.http._background_refresh import EndpointResult, ResponseLoader
from tests.telemetry.scenario import until


class Endpoint:
    """Two ways to run it, each told apart, that end when they are let."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.cancelled = 0
        self.made = {name: EndpointResult(None, None, None, name) for name in ("here", "again")}
        self.go_on = asyncio.Event()
        self.load = ResponseLoader(self.here, self.again, ())

    async def here(self) -> EndpointResult:
        return await self._run("here")

    async def again(self) -> EndpointResult:
        return await self._run("again")

    async def _run(self, name: str) -> EndpointResult:
        self.began.append(name)
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.made[name]


@pytest.fixture
async def endpoint() -> Endpoint:
    """One that waits."""
    return Endpoint()


async def test_the_request_runs_it_while_it_waits(endpoint: Endpoint) -> None:
    loading = asyncio.create_task(endpoint.load.load())
    await until(lambda: bool(endpoint.began))
    endpoint.go_on.set()

    assert await loading == Loaded(endpoint.made["here"], 0, store=False)
    assert endpoint.load.result is endpoint.made["here"]
    await endpoint.load.leave()


async def test_a_request_that_leaves_at_once_begins_no_run(endpoint: Endpoint) -> None:
    endpoint.go_on.set()

    loading = asyncio.create_task(endpoint.load.load())
    for _ in range(3):  # as long as an answer that is there takes to get to its request
        await asyncio.sleep(0)
    await endpoint.load.leave()

    assert (await loading).value is endpoint.made["again"]
    assert endpoint.began == ["again"]


async def test_a_request_that_leaves_takes_its_run_with_it(endpoint: Endpoint) -> None:
    loading = asyncio.create_task(endpoint.load.load())
    await until(lambda: bool(endpoint.began))
    await endpoint.load.leave()
    assert endpoint.cancelled == 1
    endpoint.go_on.set()

    assert (await loading).value is endpoint.made["again"]
    assert endpoint.load.result is None


async def test_a_load_that_is_given_up_leaves_the_run_to_its_request(endpoint: Endpoint) -> None:
    loading = asyncio.create_task(endpoint.load.load())
    await until(lambda: bool(endpoint.began))
    loading.cancel()
    await asyncio.wait([loading])
    endpoint.go_on.set()

    assert await endpoint.load.run() is endpoint.made["here"]
    assert (endpoint.began, endpoint.cancelled, loading.cancelled()) == (["here"], 0, True)


async def test_a_load_that_ends_with_its_request_begins_nothing(endpoint: Endpoint) -> None:
    loading = asyncio.create_task(endpoint.load.load())
    await until(lambda: bool(endpoint.began))
    loading.cancel()
    await endpoint.load.leave()
    await asyncio.wait([loading])

    assert (loading.cancelled(), endpoint.began) == (True, ["here"])


async def test_what_a_run_raises_is_kept_for_its_request() -> None:
    async def fail() -> EndpointResult:
        raise LookupError("?")

    load = ResponseLoader(fail, fail, ())

    with pytest.raises(LookupError) as raised:
        await load.load()

    assert load.error is raised.value
    await load.leave()
