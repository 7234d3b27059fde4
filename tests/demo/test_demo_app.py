"""The demo's application caches what it says it caches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from otcache import get_settings
from otcache._demo.app import create_app
from otcache._demo.backends import Database
from otcache._demo.service import observe
from otcache._demo.traces import TraceBook


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    for name in ("REDIS_URL", "OTCACHE_REDIS_URL", "OTCACHE_PRESET", "DEMO_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    get_settings.cache_clear()
    app = create_app()
    observe(app, TraceBook())
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://demo")
    async with app.router.lifespan_context(app), http:
        yield http
    get_settings.cache_clear()


async def _hits(client: httpx.AsyncClient) -> int:
    return sum((await client.get("/demo/state")).json()["counts"]["hits"].values())


async def test_a_product_is_loaded_once(client: httpx.AsyncClient) -> None:
    before = await _hits(client)

    first, second = [(await client.get("/products/7")).json() for _ in range(2)]

    assert first == second
    assert (first["id"], await _hits(client) - before) == (7, 1)


async def test_a_price_change_is_seen_at_once(client: httpx.AsyncClient) -> None:
    await client.get("/products/7")

    changed = await client.put("/products/7/price", json={"price": 3.5})

    assert changed.status_code == 204
    assert (await client.get("/products/7")).json()["price"] == 3.5


async def test_a_page_reads_the_best_sellers_in_one_batch(client: httpx.AsyncClient) -> None:
    await client.get("/pages/9")
    before = await _hits(client)

    page = (await client.get("/pages/10")).json()

    assert [row["id"] for row in page["best_sellers"]] == [1, 2, 3, 4, 5, 6]
    assert await _hits(client) - before == 6


async def test_a_page_is_kept_whole(client: httpx.AsyncClient) -> None:
    first, second = [await client.get("/pages/9") for _ in range(2)]

    assert first.content == second.content
    assert second.headers["cache-status"].startswith("otcache; hit; ttl=")


async def test_a_price_change_reaches_the_pages_by_the_product_s_tag(client: httpx.AsyncClient) -> None:
    await client.get("/pages/9")

    await client.put("/products/9/price", json={"price": 3.5})

    assert (await client.get("/pages/9")).json()["price"] == 3.5


async def test_a_report_is_made_once_for_all_who_come_at_once(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.get("/reports/1") for _ in range(20)))

    assert [answer.json() for answer in answers] == [{"number": 1, "run": 1}] * 20
    assert sum("collapsed" in answer.headers["cache-status"] for answer in answers) == 19


def test_processes_share_a_database_by_its_file(tmp_path: Path) -> None:
    one, other = Database(str(tmp_path / "file")), Database(str(tmp_path / "file"))

    async def change() -> float:
        await one.set_price(7, 3.5)
        product = await other.product(7)
        assert product is not None
        return float(product["price"])

    assert asyncio.run(change()) == 3.5
    one.close()
    other.close()


async def test_a_summary_is_paid_for_once(client: httpx.AsyncClient) -> None:
    body = {"text": "one two three four five", "words": 2}

    first = (await client.post("/summaries", json=body)).json()
    before = await _hits(client)
    second = (await client.post("/summaries", json=body)).json()

    assert first == second == {"summary": "one two", "usage": {"input": 5, "output": 2}}
    assert await _hits(client) - before == 1


async def test_other_options_are_another_summary(client: httpx.AsyncClient) -> None:
    answers = [(await client.post("/summaries", json={"text": "one two three", "words": n})).json() for n in (1, 2)]

    assert [answer["summary"] for answer in answers] == ["one", "one two"]


@pytest.mark.parametrize("path", ["/products/0", "/products/2001", "/pages/0"])
async def test_what_does_not_exist_is_404(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_the_pages_of_the_demo_itself_are_not_documented(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]

    assert not [path for path in paths if path.startswith("/demo")]
    assert {"/health", "/products/{product_id}", "/summaries"} <= set(paths)
