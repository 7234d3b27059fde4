"""The demo's clients: popular things more often, every failure counted."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx

from otcache._demo.snapshot import count
from otcache._demo.traffic import Mix, Traffic


def test_the_same_seed_asks_for_the_same() -> None:
    first, second = Mix(3), Mix(3)

    assert [first.next() for _ in range(200)] == [second.next() for _ in range(200)]


def test_few_products_get_most_of_the_requests() -> None:
    mix = Mix(1)

    asked = Counter(request.path for request in (mix.next() for _ in range(5_000)) if "/products/" in request.path)

    assert sum(number for _, number in asked.most_common(20)) > sum(asked.values()) * 0.35
    assert len(asked) > 300


def test_texts_are_small_and_large() -> None:
    mix = Mix(1)

    sizes = [
        len(request.json["text"])
        for request in (mix.next() for _ in range(5_000))
        if request.path == "/summaries" and request.json
    ]

    assert min(sizes) < 1_000 < 10_000 < max(sizes)


async def _run(answer: httpx.Response | Exception, seconds: float = 0.3) -> Traffic:
    def handle(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle), base_url="http://demo") as http:
        traffic = Traffic(http, rate=200)
        running = asyncio.create_task(traffic.run())
        await asyncio.sleep(seconds)
        traffic.stop()
        await running
    return traffic


async def test_clients_keep_about_the_rate() -> None:
    traffic = await _run(httpx.Response(200), 1.0)

    assert 120 < count(traffic.durations) < 280
    assert traffic.errors == 0


async def test_a_bad_status_is_an_error() -> None:
    traffic = await _run(httpx.Response(503))

    assert traffic.errors == count(traffic.durations) > 0
    assert "status 503" in (traffic.last_error or "")


async def test_no_answer_is_an_error() -> None:
    traffic = await _run(httpx.ConnectError("refused"))

    assert traffic.errors == count(traffic.durations) > 0
    assert "ConnectError" in (traffic.last_error or "")


async def test_stopping_does_not_wait_for_the_next_appointment() -> None:
    async with httpx.AsyncClient(base_url="http://127.0.0.1:9") as http:
        traffic = Traffic(http, rate=0.001)
        running = asyncio.create_task(traffic.run())
        await asyncio.sleep(0)
        traffic.stop()

        await asyncio.wait_for(running, 20)
