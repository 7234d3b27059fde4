"""Small applications with cached endpoints, and clients that ask them without a network."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import http_sf
import httpx
from fastapi import FastAPI

from otcache import InMemoryCache
from otcache.dependencies import get_web_cache_service


class Shop:
    """An application whose cached endpoints use a cache of its own.

    Attributes:
        app: The application.
        cache: What `get_web_cache_service` gives in it.
        runs: How often each endpoint has run, by a name.
    """

    def __init__(self, cache: Any = None) -> None:
        self.app = FastAPI()
        self.cache = InMemoryCache(name="web") if cache is None else cache
        self.runs: Counter[str] = Counter()
        self.app.dependency_overrides[get_web_cache_service] = lambda: self.cache

    def get(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Add a route for GET."""
        self.app.get(path, **options)(endpoint)

    def run(self, name: str = "endpoint") -> int:
        """Count a run, and say which it is."""
        self.runs[name] += 1
        return self.runs[name]

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client of it, in this event loop, that forgets the cookies it gets."""

        async def forget(_: httpx.Response) -> None:
            client.cookies.clear()

        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://shop", event_hooks={"response": [forget]}
        ) as client:
            yield client


def status_of(answer: Any) -> dict[str, Any]:
    """The parameters of our member of Cache-Status, as a structured-field library reads them."""
    members: Any = http_sf.parse(answer.headers["cache-status"].encode(), tltype="list")
    name, parameters = members[-1]
    assert str(name) == "otcache"
    return {key: value if isinstance(value, bool | int) else str(value) for key, value in parameters.items()}
