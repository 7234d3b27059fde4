"""Links between traces, where they are asked for: from a hit to its writer, from a callback to its operation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry import trace

from otcache import GenericRedisCache, InMemoryCache
from otcache.telemetry import catalog
from otcache.testing import Capture, Span
from tests.inside import forget


def spans(telemetry: Capture, name: str) -> list[Span]:
    return [span for span in telemetry.spans if span.name == name]


@pytest.mark.parametrize(("tier", "isolation"), [("l1", "shared"), ("l1", "copy"), ("l2", "shared")])
@pytest.mark.parametrize("write", ["set", "set_many"])
async def test_a_hit_links_to_the_span_that_stored_the_value(
    telemetry: Capture, redis_server: Any, prefix: str, tier: str, isolation: str, write: str
) -> None:
    options: dict[str, Any] = {"key_prefix": prefix, "writer_links": True, "l1_isolation": isolation}
    async with GenericRedisCache(redis_url=redis_server.url, providers=telemetry.providers, **options) as cache:
        await (cache.set("k", 1) if write == "set" else cache.set_many({"k": 1}))
        if tier == "l2":
            forget(cache)
        await cache.get("k")
    (writer,), (hit,) = spans(telemetry, f"cache.{write} default"), spans(telemetry, "cache.get default")

    assert hit.attributes[catalog.TIER.name] == tier
    assert hit.links == (writer.span_id,)
    assert hit.link_attributes == ({catalog.LINK_TYPE.name: "writer"},)
    telemetry.assert_schema()


async def test_without_the_option_nothing_is_kept_and_nothing_linked(
    telemetry: Capture, users: GenericRedisCache
) -> None:
    await users.set("k", 1)
    await users.get("k")

    assert [span.links for span in telemetry.spans] == [(), (), ()]
    assert users._entries["k"].facts is None


async def test_a_writer_that_was_not_sampled_is_not_kept(telemetry: Capture) -> None:
    cache = InMemoryCache(providers=telemetry.providers, writer_links=True)
    unsampled = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(0)))
    with trace.use_span(unsampled):
        await cache.set("k", 1)

    await cache.get("k")

    assert [span.links for span in telemetry.spans] == [()]


async def run_callback(telemetry: Capture, callback: Any, **options: Any) -> None:
    cache = InMemoryCache(name="users", providers=telemetry.providers, **options)
    cache.register_callback("get_miss", callback)
    await cache.get("user:ada")
    await cache.close()


async def test_an_asynchronous_callback_is_a_trace_of_its_own_that_links_to_the_operation(
    telemetry: Capture,
) -> None:
    async def note(key: str) -> None:
        await asyncio.sleep(0)
        telemetry.tracer_provider.get_tracer("app").start_span("inside").end()

    await run_callback(telemetry, note, callback_spans=True)
    (operation,), (callback,) = spans(telemetry, "cache.get users"), spans(telemetry, "cache.callback get_miss")
    (inside,) = spans(telemetry, "inside")

    assert (callback.parent_id, callback.links) == (None, (operation.span_id,))
    assert callback.trace_id != operation.trace_id
    assert callback.link_attributes == ({catalog.LINK_TYPE.name: "callback_trigger"},)
    assert inside.parent_id == callback.span_id
    telemetry.assert_schema()


async def test_its_failure_is_on_its_own_span_and_not_on_the_operations(telemetry: Capture) -> None:
    async def fail(key: str) -> None:
        raise ValueError(f"no {key}, password=hunter2")

    await run_callback(telemetry, fail, callback_spans=True)
    (operation,), (callback,) = spans(telemetry, "cache.get users"), spans(telemetry, "cache.callback get_miss")

    assert (operation.status, callback.status) == ("UNSET", "ERROR")
    assert callback.attributes[catalog.ERROR_TYPE.name] == "ValueError"
    assert callback.status_description == "", "the application's words may hold keys and values"


@pytest.mark.parametrize("options", [{}, {"callback_spans": True, "spans": "off"}])
async def test_without_the_option_or_without_an_operations_span_there_is_none(
    telemetry: Capture, options: dict[str, Any]
) -> None:
    async def note(key: str) -> None:
        await asyncio.sleep(0)

    await run_callback(telemetry, note, **options)

    assert spans(telemetry, "cache.callback get_miss") == []
