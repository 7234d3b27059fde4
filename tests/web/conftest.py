"""Settings that forget each other."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from otcache.dependencies import get_settings
from tests.web.http_app import Shop


@pytest.fixture(autouse=True)
def _fresh_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has an environment without options, and reads it anew."""
    for name in [name for name in os.environ if name.startswith("OTCACHE_") or name == "REDIS_URL"]:
        monkeypatch.delenv(name)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """An application with a cache in memory."""
    shop = Shop()
    yield shop
    await shop.cache.close()


@pytest.fixture
async def client(shop: Shop) -> AsyncIterator[httpx.AsyncClient]:
    """A client of that application."""
    async with shop.client() as client:
        yield client
