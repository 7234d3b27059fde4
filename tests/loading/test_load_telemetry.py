"""What a load looks like in traces, metrics, events, statistics and callbacks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry import trace

from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.loads import MANY
from otcache.testing import Capture, Span
from tests.inside import loads_under_way
from tests.loading.conftest import Loader, Make, waiting
from tests.telemetry.scenario import until
from tests.telemetry.test_no_sdk_call import counting, under


def named(telemetry: Capture, name: str) -> list[Span]:
    return [span for span in telemetry.spans if span.name == name]


async def load() -> Any:
    return {"id": 1}


async def test_a_miss_is_one_tree_with_the_applications_spans_below_the_load(make: Make, telemetry: Capture) -> None:
    cache = make(single_flight="process")
    tracer = telemetry.tracer_provider.get_tracer("application")

    async def select() -> Any:
        with tracer.start_as_current_span("SELECT users"):
            return {"id": 1}

    await cache.get("absent")
    telemetry.clear()
    await cache.get_or_set("k", select)

    tree = {span.name: span.parent_name for span in telemetry.spans}
    assert {name: parent for name, parent in tree.items() if name in ("SELECT users", "cache.load users")} == {
        "SELECT users": "cache.load users",
        "cache.load users": "cache.get_or_set users",
    }
    assert len([span for span in telemetry.spans if span.scope == "otcache.redis"]) <= 3


async def test_the_span_of_a_load_says_why_it_ran_and_what(cache: Any, telemetry: Capture) -> None:
    await cache.get_or_set("k", load)

    (span,) = named(telemetry, "cache.load users")
    assert dict(span.attributes) == {
        catalog.CACHE.name: "users",
        catalog.TRIGGER.name: "miss",
        catalog.LOADER.name: f"{__name__}.load",
    }
    (operation,) = named(telemetry, "cache.get_or_set users")
    assert (operation.attributes[catalog.RESULT.name], operation.attributes[catalog.TIER.name]) == ("miss", "loader")


async def test_those_who_wait_lead_to_the_load_they_wait_for(cache: Any, telemetry: Capture) -> None:
    loader = Loader(held=True)
    calls = [asyncio.create_task(cache.get_or_set("k", loader)) for _ in range(3)]
    await waiting(cache, 2)
    loader.release()
    await asyncio.gather(*calls)

    (loading,) = named(telemetry, "cache.load users")
    roles = [
        (span.attributes[catalog.COALESCE_ROLE.name], span.attributes.get(catalog.COALESCE_WAITERS.name), span.links)
        for span in named(telemetry, "cache.get_or_set users")
    ]
    assert sorted(roles) == [("leader", 2, ()), *[("waiter", None, (loading.span_id,))] * 2]
    assert telemetry.metric_value(catalog.COALESCE_REQUESTS.name, otcache_coalesce_outcome="value") == 2
    assert telemetry.metric_value(catalog.COALESCE_WAITING.name) == 0


async def test_a_load_is_counted_while_it_runs_and_when_it_is_over(cache: Any, telemetry: Capture) -> None:
    loader = Loader(held=True)
    call = asyncio.create_task(cache.get_or_set("k", loader))
    await loader.began.wait()

    running = telemetry.metric_value(catalog.LOADER_ACTIVE.name)
    loader.release()
    await call

    assert (running, telemetry.metric_value(catalog.LOADER_ACTIVE.name)) == (1, 0)
    assert telemetry.metric_value(catalog.LOADS.name, otcache_loader_trigger="miss") == 1
    assert telemetry.metric_value(catalog.LOADER_DURATION.name) == 1


async def test_a_caller_who_gives_up_leaves_a_detached_load(cache: Any, telemetry: Capture) -> None:
    loader = Loader(held=True)
    call = asyncio.create_task(cache.get_or_set("k", loader))
    await loader.began.wait()

    call.cancel()
    await asyncio.wait([call])
    loader.release()
    await until(lambda: not loads_under_way(cache))

    (span,) = named(telemetry, "cache.load users")
    assert span.attributes[catalog.DETACHED.name] is True
    assert span.parent_name == "cache.get_or_set users"
    (operation,) = named(telemetry, "cache.get_or_set users")
    assert (operation.attributes[catalog.RESULT.name], operation.status) == ("cancelled", "UNSET")


async def test_a_loader_that_raises_is_told_once_where_it_happened(cache: Any, telemetry: Capture) -> None:
    loader = Loader(held=True)
    loader.error = ValueError("a secret of the loader's")
    calls = [asyncio.create_task(cache.get_or_set("k", loader)) for _ in range(3)]
    await waiting(cache, 2)
    loader.release()
    await asyncio.gather(*calls, return_exceptions=True)

    (event,) = [each for each in telemetry.events if each.name == catalog.LOADER_EXCEPTION.name]
    (span,) = named(telemetry, "cache.load users")
    assert (event.span_id, event.attributes[catalog.ERROR_TYPE.name]) == (span.span_id, "ValueError")
    assert "secret" not in str(event) + str(telemetry.spans)
    assert [each.name for each in telemetry.events if each.name == catalog.OPERATION_EXCEPTION.name] == []
    assert {each.status for each in named(telemetry, "cache.get_or_set users")} == {"ERROR"}
    assert telemetry.metric_value(catalog.LOADS.name, error_type="ValueError") == 1


async def test_a_stampede_is_told_once(cache: Any, telemetry: Capture) -> None:
    loader = Loader(held=True)
    calls = [asyncio.create_task(cache.get_or_set("k", loader)) for _ in range(MANY + 10)]
    await waiting(cache, MANY + 9)
    loader.release()
    await asyncio.gather(*calls)

    told = [each.attributes for each in telemetry.events if each.name == catalog.STAMPEDE.name]
    assert [facts[catalog.COALESCE_WAITERS.name] for facts in told] == [MANY]


async def test_an_l1_hit_is_counted_as_one_and_has_a_span_without_children(cache: Any, telemetry: Capture) -> None:
    await cache.set("k", None)
    telemetry.clear()

    await cache.get_or_set("k", load, template="user:{id}")

    (span,) = telemetry.spans
    assert (span.name, span.attributes[catalog.TIER.name]) == ("cache.get_or_set users", "l1")
    assert span.attributes[catalog.NEGATIVE.name] is True
    assert span.attributes[catalog.KEY_TEMPLATE.name] == "user:{id}"
    assert telemetry.metric_value(catalog.LOOKUPS.name, otcache_result="hit", otcache_tier="l1") == 1
    assert telemetry.metric_value(catalog.OPERATIONS.name, otcache_operation_name="get_or_set") == 1


async def test_statistics_count_loads_and_those_who_waited(make: Make) -> None:
    cache = make("counted", redis_url=None)
    await asyncio.gather(*[cache.get_or_set("k", load) for _ in range(4)])
    await cache.get_or_set("k", load)
    await cache.get_or_set("k", load, refresh=True)

    stats = cache.get_stats()

    assert stats["loads"] == {"runs": {"miss": 1, "forced": 1}, "errors": 0, "coalesced": 3}
    assert (stats["hits"]["l1"], stats["misses"]) == (1, {"absent": 4})


async def test_series_of_loads_exist_before_the_first(make: Make, telemetry: Capture) -> None:
    make(redis_url=None)

    series = telemetry.metrics()

    assert {point.attributes[catalog.TRIGGER.name] for point in series[catalog.LOADS.name]} == {
        "miss", "revalidate", "eager", "forced"
    }  # fmt: skip
    assert {point.value for point in series[catalog.COALESCE_REQUESTS.name]} == {0}


async def test_callbacks_are_told_of_loads(cache: Any) -> None:
    told: list[Any] = []
    cache.register_callback("load", lambda key, value: told.append(("load", key, value)))
    cache.register_callback("load_error", lambda key, error: told.append(("load_error", key, str(error))))
    cache.register_callback("get_miss", lambda key: told.append(("get_miss", key)))

    await cache.get_or_set("k", Loader("v"))
    failing = Loader()
    failing.error = ValueError("no")
    with pytest.raises(ValueError, match="no"):
        await cache.get_or_set("bad", failing)

    assert told == [("load", "k", "v"), ("get_miss", "k"), ("load_error", "bad", "no")]


async def test_a_callback_that_raises_does_not_stop_a_load_and_is_in_its_span(cache: Any, telemetry: Capture) -> None:
    def enrich(key: str, value: Any) -> None:
        trace.get_current_span().set_attribute("app.rows", 3)
        raise RuntimeError("a callback's own trouble")

    cache.register_callback("load", enrich)

    assert await cache.get_or_set("k", Loader("v")) == "v"

    spans = telemetry._span_exporter.get_finished_spans()
    (span,) = [each for each in spans if each.name == "cache.load users"]
    assert (span.attributes or {})["app.rows"] == 3
    telemetry.clear()


async def test_the_time_of_a_callback_is_not_part_of_the_operation(make: Make, telemetry: Capture) -> None:
    cache = make(redis_url=None)

    def slow(key: str, value: Any) -> None:
        began = cache._clock()
        while cache._clock() - began < 50_000_000:
            pass

    cache.register_callback("load", slow)
    await cache.get_or_set("k", Loader("v"))

    (point,) = [p for p in telemetry.metrics()[catalog.OPERATION_DURATION.name] if p.count]
    assert point.sum < 0.05


async def test_an_unsampled_load_makes_no_sdk_call(cache: Any) -> None:
    await cache.get("warm")

    with under(sampled=False), counting() as unsampled:
        await cache.get_or_set("k", load)
    with under(sampled=True), counting() as sampled:
        await cache.get_or_set("other", load)

    assert unsampled == []
    assert sampled, "the count works: a recorded load does call the SDK"


async def test_a_miss_with_a_lock_costs_five_spans_and_a_hit_one(make: Make, telemetry: Capture) -> None:
    cache = make()
    await cache.get("warm")
    telemetry.clear()

    await cache.get_or_set("k", load)
    await until(lambda: not cache._loads._locks._returning)
    miss = len(telemetry.spans)
    await cache.get_or_set("k", load)

    assert (miss, len(telemetry.spans)) == (5, 6), telemetry.span_tree()
