"""What a health check says of each state of a cache."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from otcache.base import CacheInterface
from otcache.dependencies import _health as health
from otcache.dependencies import get_cache_health_status
from otcache.factory import CacheFactory
from otcache.memory import InMemoryCache


class Foreign(CacheInterface):
    """A user's own cache: nothing but the documented interface."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    async def get(self, key: str) -> Any:
        if self._error is not None:
            raise self._error

    async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        raise NotImplementedError


async def test_a_cache_in_memory_is_healthy_and_shows_what_it_did() -> None:
    cache = InMemoryCache(name="health-memory")
    await cache.set("key", 1)
    await cache.get("key")

    answer = await get_cache_health_status(cache)

    assert (answer["status"], answer["cache_type"]) == ("healthy", "InMemoryCache")
    assert answer["tiers"] == {"l1": {"status": "healthy", "latency_ms": 0.0, "error": None}}
    assert answer["statistics"]["hits"]["l1"] == 1
    assert abs((datetime.now(UTC) - datetime.fromisoformat(answer["checked_at"])).total_seconds()) < 60


async def test_redis_away_behind_a_memory_is_degraded(away_url: str) -> None:
    cache = await CacheFactory().for_web_app(redis_url=away_url)

    answer = await get_cache_health_status(cache)

    assert answer["status"] == "degraded"
    assert answer["tiers"]["l1"]["status"] == "healthy"
    assert (answer["tiers"]["l2"]["status"], answer["tiers"]["l2"]["latency_ms"]) == ("unhealthy", None)
    assert answer["tiers"]["l2"]["error"]
    assert [secret for secret in ("hunter2", "127.0.0.1") if secret in str(answer)] == []
    await cache.close()  # type: ignore[attr-defined]


async def test_a_cache_of_another_family_is_asked_once() -> None:
    answer = await get_cache_health_status(Foreign())

    assert (answer["status"], answer["cache_type"], answer["statistics"]) == ("healthy", "Foreign", {})


class Hanging(Foreign):
    """One that never answers."""

    async def get(self, key: str) -> Any:
        await asyncio.Event().wait()


async def test_a_cache_of_another_family_that_hangs_is_unhealthy_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "ANSWER_WITHIN", 0.05)

    answer = await health.health_of(Hanging())

    assert answer["tiers"]["cache"] == {"status": "unhealthy", "latency_ms": None, "error": "TimeoutError"}


async def test_a_cache_of_another_family_that_raises_is_unhealthy_and_its_message_stays_inside() -> None:
    answer = await get_cache_health_status(Foreign(ConnectionError("redis://:hunter2@host")))

    assert answer["status"] == "unhealthy"
    assert answer["tiers"]["cache"] == {"status": "unhealthy", "latency_ms": None, "error": "ConnectionError"}
