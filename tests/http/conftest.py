"""An application with cached endpoints, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.dependencies.conftest import fresh_settings
from tests.http.app import Shop

__all__ = ["fresh_settings"]


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
