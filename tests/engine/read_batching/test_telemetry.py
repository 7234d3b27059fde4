"""What is told of reads that share a round trip: decision 39, one span, and links to it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry import trace

from otcache import GenericRedisCache
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.remote_calls import MOST_LINKS
from otcache.testing import Capture, Span
from tests.engine.read_batching.conftest import Make
from tests.servers import RedisServer


def named(telemetry: Capture, name: str) -> list[Span]:
    return [span for span in telemetry.spans if span.name == name]


async def get(cache: GenericRedisCache, key: str, *, sampled: bool) -> Any:
    context = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(int(sampled)))
    with trace.use_span(trace.NonRecordingSpan(context)):
        return await cache.get(key)


async def test_one_span_below_the_first_and_a_link_from_each_other(
    cache: GenericRedisCache, telemetry: Capture
) -> None:
    telemetry.clear()

    await asyncio.gather(*(cache.get(f"k{number}") for number in range(5)))

    (trip,), operations = named(telemetry, "MGET"), named(telemetry, "cache.get users")
    first = [span for span in operations if span.span_id == trip.parent_id]
    others = [span for span in operations if span not in first]
    assert (len(first), len(others), len(telemetry.spans)) == (1, 4, 6)
    assert first[0].links == ()
    assert {span.links for span in others} == {(trip.span_id,)}
    assert others[0].link_attributes == ({catalog.LINK_TYPE.name: "batch"},)
    telemetry.assert_schema()


@pytest.mark.parametrize("spans", ["all", "io"])
async def test_the_first_that_is_recorded_has_it(
    make: Make, private_server: RedisServer, telemetry: Capture, spans: str
) -> None:
    cache = make(private_server.url, spans=spans)
    await cache.set_many({"a": 1, "b": 2, "c": 3})
    await cache.get("a")
    telemetry.clear()

    await asyncio.gather(*(get(cache, key, sampled=key != "a") for key in "abc"))

    (trip,), operations = named(telemetry, "MGET"), named(telemetry, "cache.get users")
    assert len(operations) == 2
    assert [span.links for span in operations if span.span_id == trip.parent_id] == [()]
    assert [span.links for span in operations if span.span_id != trip.parent_id] == [(trip.span_id,)]


@pytest.mark.parametrize("spans", ["all", "io", "off"])
async def test_where_nobody_is_recorded_there_is_no_span(
    make: Make, private_server: RedisServer, telemetry: Capture, spans: str
) -> None:
    cache = make(private_server.url, spans=spans)
    await cache.set_many({"a": 1, "b": 2, "c": 3})
    await cache.get("a")
    telemetry.clear()

    await asyncio.gather(*(get(cache, key, sampled=False) for key in "abc"))

    assert telemetry.spans == []


async def test_no_more_than_so_many_link_to_it(cache: GenericRedisCache, telemetry: Capture) -> None:
    telemetry.clear()

    await asyncio.gather(*(cache.get(f"k{number}") for number in range(MOST_LINKS + 20)))

    links = [span.links for span in named(telemetry, "cache.get users")]
    assert len(links) == MOST_LINKS + 20
    assert sum(map(len, links)) == MOST_LINKS


async def test_a_round_trip_is_counted_once_and_every_payload(cache: GenericRedisCache, telemetry: Capture) -> None:
    def counted(instrument: catalog.Instrument, **attributes: str) -> float:
        return sum(
            point.value or point.count
            for point in telemetry.metrics().get(instrument.name, [])
            if attributes.items() <= point.attributes.items()
        )

    mget, read = {catalog.DB_OPERATION.name: "MGET"}, {catalog.IO_DIRECTION.name: "read"}
    before = counted(catalog.PAYLOAD_SIZE, **read)

    await asyncio.gather(*(cache.get(f"k{number}") for number in range(5)))

    assert counted(catalog.L2_OPERATIONS, **mget) == 1
    assert counted(catalog.L2_DURATION, **mget) == 1
    assert counted(catalog.PAYLOAD_SIZE, **read) - before == 5
