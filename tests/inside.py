"""What tests need of a cache and no public call gives: the one place that knows its private parts.

Each of these waits for, or brings about, a state that users never ask for. Whatever `get_stats()`, the health check,
the exported telemetry or a Redis command can tell is asked there instead.
"""

from __future__ import annotations

from otcache.cache import Cache


def forget(cache: Cache) -> None:
    """Empty L1 alone, as if memory had been short: a public `delete` or `clear` empties L2 too."""
    cache._l1.store.clear()


def loads_under_way(cache: Cache) -> int:
    """How many loads of this cache run now, those in the background included."""
    return len(cache._loads.flights)


def waits_for_another_process(cache: Cache) -> bool:
    """Whether a load of this cache waits for the lock of another process."""
    return any(flight.load.scope == "distributed" for flight in cache._loads.flights._all)


def pool_in_use(cache: Cache) -> int:
    """How many of its pooled connections are in use; 0 without L2."""
    server = cache._l2.backend.server if cache._l2 is not None else None
    usage = server.usage() if server is not None else None
    return usage[0] if usage is not None else 0
