"""Every operation is a span with metrics, through the real SDK, and the sums are what was done."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBasedTraceIdRatio

from otcache import GenericRedisCache, InMemoryCache, Providers, ValidationError
from otcache.telemetry import catalog
from otcache.testing import Capture
from tests.inside import forget


def names(telemetry: Capture) -> list[str]:
    return [span.name for span in telemetry.spans]


async def test_a_miss_and_a_hit_are_spans_under_the_request_with_redis_below(
    telemetry: Capture, users: GenericRedisCache
) -> None:
    tracer = telemetry.tracer_provider.get_tracer("app")

    with tracer.start_as_current_span("GET /users/1"):
        await users.get("user:1")
        await users.set("user:1", "Ada")
        await users.get("user:1")

    assert [(span.name, span.parent_name) for span in telemetry.spans] == [
        ("GET", "cache.get users"), ("cache.get users", "GET /users/1"),
        ("SET", "cache.set users"), ("cache.set users", "GET /users/1"),
        ("cache.get users", "GET /users/1"), ("GET /users/1", None),
    ]  # fmt: skip


async def test_a_children_lies_within_its_parent(telemetry: Capture, users: GenericRedisCache) -> None:
    with telemetry.tracer_provider.get_tracer("app").start_as_current_span("request"):
        await users.set("k", 1)
        await users.get("k")
    spans = {span.span_id: span for span in telemetry.spans}

    for span in spans.values():
        if span.parent_id is not None:
            parent = spans[span.parent_id]
            assert parent.start_ns <= span.start_ns <= span.end_ns <= parent.end_ns + 1_000_000


async def test_an_l1_hit_says_what_it_was(telemetry: Capture, users: GenericRedisCache) -> None:
    await users.set("user:1", "Ada")
    await users.get("user:1")
    attributes = telemetry.spans[-1].attributes

    assert {name: attributes.get(name) for name in (catalog.RESULT.name, catalog.TIER.name, catalog.CACHE.name)} == {
        catalog.RESULT.name: "hit", catalog.TIER.name: "l1", catalog.CACHE.name: "users",
    }  # fmt: skip
    assert len(attributes[catalog.KEY_HASH.name]) == 16
    assert "user:1" not in str(telemetry.spans)


async def test_the_metrics_add_up_to_what_was_done(telemetry: Capture, users: GenericRedisCache) -> None:
    for number in range(10):
        await users.set(f"k{number}", number)
    forget(users)
    for number in range(15):
        await users.get(f"k{number}")
        await users.get(f"k{number}")
    await users.get_many([f"k{number}" for number in range(15)])
    await users.delete("k0")

    def total(row: catalog.Instrument, **wanted: str) -> float:
        rows = telemetry.metrics()[row.name]
        return sum(
            point.value if row.kind != "histogram" else point.count
            for point in rows
            if all(point.attributes.get(name.replace("_", ".")) == value for name, value in wanted.items())
        )

    lookups = {
        (p.attributes[catalog.RESULT.name], p.attributes[catalog.TIER.name]): p.value
        for p in telemetry.metrics()[catalog.LOOKUPS.name]
        if p.value
    }
    assert lookups == {("hit", "l2"): 10, ("hit", "l1"): 20, ("miss", "none"): 15}
    assert total(catalog.OPERATIONS) == total(catalog.OPERATION_DURATION) == 10 + 30 + 1 + 1 + 0
    assert total(catalog.L2_OPERATIONS) == total(catalog.L2_DURATION)
    assert total(catalog.PAYLOAD_SIZE) == 10 + 10


async def test_unsampled_hits_are_counted_too(redis_server: Any, prefix: str) -> None:
    reader, exporter = InMemoryMetricReader(), InMemorySpanExporter()
    tracers = TracerProvider(sampler=ParentBasedTraceIdRatio(0.0))
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    cache = InMemoryCache(name=prefix.strip(":"), providers=Providers(tracers, MeterProvider([reader])))
    await cache.set("k", 1)

    with tracers.get_tracer("app").start_as_current_span("request"):
        for _ in range(7):
            await cache.get("k")

    assert exporter.get_finished_spans() == ()
    assert cache.get_stats()["hits"]["l1"] == 7


class CountingTracers(TracerProvider):
    """Counts what is asked of the SDK."""

    def __init__(self) -> None:
        super().__init__(sampler=ParentBasedTraceIdRatio(1.0))
        self.asked = 0

    def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
        tracer, outer = super().get_tracer(*args, **kwargs), self
        start = tracer.start_span

        def start_span(*span_args: Any, **span_kwargs: Any) -> Any:
            outer.asked += 1
            return start(*span_args, **span_kwargs)

        tracer.start_span = start_span  # type: ignore[method-assign]
        return tracer


async def test_under_an_unsampled_parent_a_hit_asks_the_sdk_nothing() -> None:
    tracers = CountingTracers()
    cache = InMemoryCache(providers=Providers(tracers, MeterProvider([InMemoryMetricReader()])))
    await cache.set("k", 1)
    tracers.asked = 0
    unsampled = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(0)))

    with trace.use_span(unsampled):
        await cache.get("k")
        await cache.get("absent")
    under_unsampled = tracers.asked
    await cache.get("k")

    assert (under_unsampled, tracers.asked) == (0, 1)


@pytest.mark.parametrize(("sampler", "spans"), [(ALWAYS_ON, 1), (ALWAYS_OFF, 0)])
async def test_a_sampler_that_ignores_parents_is_asked(sampler: Any, spans: int) -> None:
    exporter, tracers = InMemorySpanExporter(), TracerProvider(sampler=sampler)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    cache = InMemoryCache(providers=Providers(tracers))
    await cache.set("k", 1)
    exporter.clear()
    unsampled = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(0)))

    with trace.use_span(unsampled):
        await cache.get("k")

    assert len(exporter.get_finished_spans()) == spans


@pytest.mark.parametrize(("policy", "expected"), [("all", 4), ("io", 2), ("off", 0)])
async def test_the_span_policy_decides_which_operations_are_spans(
    telemetry: Capture, redis_server: Any, prefix: str, policy: str, expected: int
) -> None:
    options: dict[str, Any] = {"key_prefix": prefix, "spans": policy, "providers": telemetry.providers}
    async with GenericRedisCache(redis_url=redis_server.url, **options) as cache:
        with telemetry.tracer_provider.get_tracer("app").start_as_current_span("request"):
            await cache.set("k", 1)
            await cache.get("k")
            cache.get_stats()
            await cache.get_ttl("k")

    assert len(telemetry.spans) - 1 == expected


async def test_a_validation_error_is_an_error_of_the_caller_and_a_span_says_so(
    telemetry: Capture, users: GenericRedisCache
) -> None:
    with pytest.raises(ValidationError):
        await users.set("k", object())
    (span,) = telemetry.spans

    assert span.status == "ERROR"
    assert span.attributes[catalog.ERROR_TYPE.name] == "otcache.exceptions.ValidationError"
    assert [event.name for event in telemetry.events if event.name == catalog.OPERATION_EXCEPTION.name]


async def test_a_handled_failure_is_not_an_error_of_the_operation(telemetry: Capture) -> None:
    options: dict[str, Any] = {"providers": telemetry.providers, "breaker_failures": 2}
    cache = GenericRedisCache(redis_url="redis://127.0.0.1:1", **options)
    await cache.get("k")
    await cache.close()
    operation = next(span for span in telemetry.spans if span.name.startswith("cache."))
    client = next(span for span in telemetry.spans if span.kind == "CLIENT")

    assert (operation.status, client.status) == ("UNSET", "ERROR")
    assert operation.attributes[catalog.DEGRADED.name] is True
    assert catalog.ERROR_TYPE.name not in operation.attributes


async def test_a_cancelled_call_is_neither_error_nor_success(telemetry: Capture, users: GenericRedisCache) -> None:
    reading = asyncio.ensure_future(users.get("k"))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    operation = next(span for span in telemetry.spans if span.name == "cache.get users")

    assert (operation.status, operation.attributes[catalog.RESULT.name]) == ("UNSET", "cancelled")


async def test_a_callback_can_add_to_the_span(telemetry: Capture, users: GenericRedisCache) -> None:
    users.register_callback("get_success", lambda key, value: trace.get_current_span().set_attribute("mine", value))
    await users.set("k", 7)

    await users.get("k")

    assert telemetry.spans[-1].attributes["mine"] == 7


async def test_an_sdk_that_is_set_after_the_cache_was_built_is_used() -> None:
    program = """
import asyncio
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry import metrics
from otcache import InMemoryCache

async def main():
    cache = InMemoryCache()
    await cache.set("k", 1)
    await cache.get("k")
    exporter, reader, provider = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([reader]))
    await cache.get("k")
    await cache.get("absent")
    await cache.get("k")
    found = [m.name for r in reader.get_metrics_data().resource_metrics for s in r.scope_metrics for m in s.metrics]
    print(len(exporter.get_finished_spans()), "otcache.operation.duration" in found, cache.get_stats()["hits"]["l1"])

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", program, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()

    assert out.decode().split() == ["3", "True", "3"]
