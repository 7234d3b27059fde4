"""The health of a cache, for probes, dashboards and people."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, Final

from otcache.base import CacheInterface
from otcache.cache import Cache
from otcache.telemetry._instrumentation.signals import error_type

ANSWER_WITHIN: Final = 1.0
"""Seconds that a cache of a user's own class has to answer."""
QUESTION: Final = "otcache:health"
"""The key that is read from such a cache."""


async def health_of(cache: CacheInterface) -> dict[str, Any]:
    """Check every tier of `cache` once.

    Returns:
        `status` (healthy; degraded: one tier is unavailable and another works, or options disagree among the
        processes that share the cache; unhealthy: no tier works),
        `cache_type`, `tiers` (per tier `status`, `latency_ms` and the class of the `error`),
        `statistics`, `checked_at` (ISO 8601, UTC), and `notes` if there is something to say of neighbours
        (docs/coherence.md). It contains no host and no secret.
    """
    tiers = await cache.tiers_health() if isinstance(cache, Cache) else {"cache": await _ask(cache)}
    neighbours = cache.neighbours if isinstance(cache, Cache) else None
    disagree = neighbours is not None and bool(neighbours.disagreements)
    notes = [] if neighbours is None else neighbours.notes
    return {
        "status": _overall((tier["status"] for tier in tiers.values()), disagree=disagree),
        "cache_type": type(cache).__name__,
        "tiers": tiers,
        "statistics": _statistics(cache),
        "checked_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        **({"notes": notes} if notes else {}),
    }


def _overall(statuses: Iterable[str], *, disagree: bool) -> str:
    working = [status == "healthy" for status in statuses]
    if all(working):
        return "degraded" if disagree else "healthy"
    return "degraded" if any(working) else "unhealthy"


async def _ask(cache: CacheInterface) -> dict[str, Any]:
    """Read once from a cache that has the documented interface alone."""
    started = perf_counter()
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            await cache.get(QUESTION)
    except Exception as exc:  # noqa: BLE001  a user's cache may raise anything; the health shows its class
        return {"status": "unhealthy", "latency_ms": None, "error": error_type(exc)}
    return {"status": "healthy", "latency_ms": round((perf_counter() - started) * 1000, 3), "error": None}


def _statistics(cache: CacheInterface) -> dict[str, Any]:
    """Return the cache's counts without the address of its Redis: a health route is often public."""
    get_stats = getattr(cache, "get_stats", None)
    found = get_stats() if callable(get_stats) else {}
    statistics = dict(found) if isinstance(found, Mapping) else {}
    if isinstance(statistics.get("l2"), Mapping):
        statistics["l2"] = {name: fact for name, fact in statistics["l2"].items() if name != "url"}
    return statistics
