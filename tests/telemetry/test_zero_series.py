"""Which series are exported at 0 before anything has been counted: a rate needs a first value to rise from."""

from __future__ import annotations

from otcache import GenericRedisCache, InMemoryCache
from otcache.telemetry import catalog
from otcache.testing import Capture
from tests.servers import free_port

MEMORY = """
otcache.coalesce.requests c distributed cancelled
otcache.coalesce.requests c distributed error
otcache.coalesce.requests c distributed stale
otcache.coalesce.requests c distributed timeout
otcache.coalesce.requests c distributed value
otcache.coalesce.requests c process cancelled
otcache.coalesce.requests c process error
otcache.coalesce.requests c process stale
otcache.coalesce.requests c process timeout
otcache.coalesce.requests c process value
otcache.coalesce.waiting c
otcache.evictions c l1 capacity
otcache.evictions c l1 expired
otcache.invalidations c all local
otcache.invalidations c key local
otcache.invalidations c prefix local
otcache.invalidations c tag local
otcache.l1.entry.count c
otcache.loader.active c
otcache.loads c eager
otcache.loads c forced
otcache.loads c miss
otcache.loads c revalidate
otcache.lookups c hit l1 none
otcache.lookups c miss none absent
otcache.lookups c miss none backend_unavailable
otcache.lookups c miss none expired
otcache.lookups c stale l1 none backend_unavailable
otcache.lookups c stale l1 none loader_error
otcache.lookups c stale l1 none loader_timeout
otcache.lookups c stale l1 none revalidating
otcache.lookups c stale l2 none backend_unavailable
otcache.lookups c stale l2 none loader_error
otcache.lookups c stale l2 none loader_timeout
otcache.lookups c stale l2 none revalidating
otcache.operations c get hit
otcache.operations c get miss
otcache.operations c get_or_set hit
otcache.operations c get_or_set miss
otcache.operations c set ok
otcache.telemetry.dropped logs recording_error
otcache.telemetry.dropped metrics recording_error
otcache.telemetry.dropped traces recording_error
otcache.writes c l1 load
otcache.writes c l1 refresh
otcache.writes c l1 set
otcache.writes c none refused
"""
WITH_REDIS = """
otcache.backplane.messages redis publish key
otcache.backplane.messages redis publish tag
otcache.backplane.messages redis receive key
otcache.backplane.messages redis receive tag
otcache.circuit.status redis l2 half_open
otcache.circuit.status redis l2 open
otcache.circuit.transitions redis l2 closed
otcache.circuit.transitions redis l2 half_open
otcache.circuit.transitions redis l2 open
otcache.component.status redis backplane degraded
otcache.component.status redis backplane unavailable
otcache.component.status redis l2 degraded
otcache.component.status redis l2 unavailable
otcache.degraded.operations c auth
otcache.degraded.operations c circuit_open
otcache.degraded.operations c codec
otcache.degraded.operations c connection
otcache.degraded.operations c server_error
otcache.degraded.operations c timeout
otcache.invalidations c all backplane
otcache.invalidations c key backplane
otcache.invalidations c prefix backplane
otcache.invalidations c tag backplane
otcache.l2.connection.count c idle
otcache.l2.connection.count c used
otcache.l2.io c read
otcache.l2.io c write
otcache.lookups c hit l2 none
otcache.writes c l1 backfill
otcache.writes c l2 set
"""


PINNED = {line.split()[0] for line in (MEMORY + WITH_REDIS).split("\n") if line} | {catalog.HTTP_RESPONSES.name}


def at_zero(telemetry: Capture) -> list[str]:
    """Metric and attribute values of every series at 0, of the metrics that are listed here."""
    metrics = telemetry.metrics()
    return sorted(
        " ".join([row.name, *(str(point.attributes[key.name]) for key in row.keys if key.name in point.attributes)])
        for row in catalog.INSTRUMENTS
        if row.name in PINNED
        for point in metrics.get(row.name, [])
        if not point.value and not point.count
    )


def test_a_cache_in_memory_begins_with_these_series_at_zero(telemetry: Capture) -> None:
    cache = InMemoryCache(name="c", providers=telemetry.providers)

    assert at_zero(telemetry) == MEMORY.split("\n")[1:-1]
    assert cache.name == "c"  # alive until its gauges have been read


def test_a_cache_on_redis_has_those_of_l2_besides(telemetry: Capture) -> None:
    url = f"redis://127.0.0.1:{free_port()}"
    cache = GenericRedisCache(name="c", redis_url=url, providers=telemetry.providers)

    assert at_zero(telemetry) == sorted((MEMORY + WITH_REDIS[1:]).split("\n")[1:-1])
    assert cache.name == "c"


async def test_a_route_has_every_result_at_zero_from_its_first_response_on(telemetry: Capture) -> None:
    cache = InMemoryCache(name="c", providers=telemetry.providers)
    before = at_zero(telemetry)

    cache.count_response("/users/{user_id}", "hit")

    assert [each for each in at_zero(telemetry) if each not in before] == [
        "otcache.http.responses c /users/{user_id} bypass",
        "otcache.http.responses c /users/{user_id} miss",
        "otcache.http.responses c /users/{user_id} stale",
    ]
