"""One load among processes: two caches on one Redis stand for two processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from otcache.telemetry import catalog
from otcache.testing import Capture
from tests.inside import waits_for_another_process
from tests.loading.conftest import Loader, Make, is_idle
from tests.servers import RedisServer
from tests.telemetry.scenario import until


@pytest.fixture
async def pair(make: Make) -> Any:
    """Two processes' caches, both listening."""
    here, there = make(), make()
    await here.connect()
    await there.connect()
    return here, there


def is_waiting(cache: Any) -> bool:
    """Whether a load of this process waits for another process's."""
    return waits_for_another_process(cache)


async def test_the_other_process_waits_and_is_given_what_the_first_has_loaded(pair: Any, telemetry: Capture) -> None:
    here, there = pair
    first, second = Loader("first", held=True), Loader("second")
    leading = asyncio.create_task(here.get_or_set("k", first))
    await first.began.wait()
    waiting = asyncio.create_task(there.get_or_set("k", second))
    await until(lambda: is_waiting(there))

    first.release()

    assert (await leading, await waiting) == ("first", "first")
    assert second.calls == 0
    counted = {"otcache_coalesce_scope": "distributed", "otcache_coalesce_outcome": "value"}
    assert telemetry.metric_value(catalog.COALESCE_REQUESTS.name, **counted) == 1


async def test_who_waits_leads_to_the_other_processs_load(pair: Any, telemetry: Capture) -> None:
    here, there = pair
    first = Loader("first", held=True)
    leading = asyncio.create_task(here.get_or_set("k", first))
    await first.began.wait()
    waiting = asyncio.create_task(there.get_or_set("k", Loader("second")))
    await until(lambda: is_waiting(there))
    first.release()
    await asyncio.gather(leading, waiting)

    (load,) = [span for span in telemetry.spans if span.name == "cache.load users"]
    links = [span.links for span in telemetry.spans if span.name == "cache.get_or_set users"]
    assert sorted(links) == [(), (load.span_id,)]


async def test_who_waits_for_another_processs_refresh_leads_to_the_load_in_it(
    pair: Any, telemetry: Capture, redis_server: RedisServer, prefix: str
) -> None:
    here, there = pair
    first = Loader("first")
    await here.get_or_set("k", first, early_refresh=10)
    here._entries["k"].expires = here._clock()  # the moment that was drawn
    first.hold()
    await here.get_or_set("k", first)
    await first.began.wait()
    redis_server.command("DEL", f"{prefix}users:k")
    waiting = asyncio.create_task(there.get_or_set("k", Loader("second")))
    await until(lambda: is_waiting(there))
    telemetry.clear()
    first.release()

    assert await waiting == "first"
    await until(lambda: is_idle(here))
    (load,) = [span for span in telemetry.spans if span.name == "cache.load users"]
    (waiter,) = [span for span in telemetry.spans if span.name == "cache.get_or_set users"]
    assert (load.parent_name, waiter.links) == ("cache.refresh users", (load.span_id,))


async def test_who_waits_leads_to_no_other_waiter_that_has_the_lock_for_a_moment(
    pair: Any, telemetry: Capture, redis_server: RedisServer, prefix: str
) -> None:
    here, there = pair
    lock, place = f"{prefix}users@2:lock:k", "{} 00-" + "a" * 32 + "-{:016x}-01"
    redis_server.command("SET", lock, place.format("leader", 1))
    waiting = asyncio.create_task(there.get_or_set("k", Loader()))
    await until(lambda: is_waiting(there))

    redis_server.command("SET", lock, place.format("waiter", 2))
    await here.set("k", "first")

    assert await waiting == "first"
    redis_server.command("DEL", lock)
    (span,) = [each for each in telemetry._span_exporter.get_finished_spans() if each.name == "cache.get_or_set users"]
    assert [link.context.span_id for link in span.links] == [1]


async def test_a_load_that_another_process_does_is_neither_counted_nor_traced_here(
    pair: Any, telemetry: Capture
) -> None:
    here, there = pair
    first = Loader("first", held=True)
    leading = asyncio.create_task(here.get_or_set("k", first))
    await first.began.wait()
    waiting = asyncio.create_task(there.get_or_set("k", Loader("second")))
    await until(lambda: is_waiting(there))

    running = telemetry.metric_value(catalog.LOADER_ACTIVE.name)
    first.release()
    await asyncio.gather(leading, waiting)

    assert (running, telemetry.metric_value(catalog.LOADER_ACTIVE.name)) == (1, 0)
    assert telemetry.metric_value(catalog.LOADS.name) == 1
    assert [span.name for span in telemetry.spans].count("cache.load users") == 1


async def test_the_span_of_a_load_that_was_taken_over_does_not_cover_the_wait(pair: Any, telemetry: Capture) -> None:
    here, there = pair
    first = Loader(held=True)
    first.error = ValueError("no")
    leading = asyncio.create_task(here.get_or_set("k", first))
    await first.began.wait()
    waiting = asyncio.create_task(there.get_or_set("k", Loader("second")))
    await until(lambda: is_waiting(there))
    first.release()
    await asyncio.wait([leading, waiting])

    failed, taken_over = [span for span in telemetry.spans if span.name == "cache.load users"]
    assert taken_over.start_ns >= failed.end_ns


async def test_what_another_process_has_loaded_is_kept_in_the_memory_of_the_one_that_waited(
    pair: Any, telemetry: Capture
) -> None:
    here, there = pair
    first = Loader("first", held=True)
    leading = asyncio.create_task(here.get_or_set("k", first))
    await first.began.wait()
    waiting = asyncio.create_task(there.get_or_set("k", Loader("second")))
    await until(lambda: is_waiting(there))
    first.release()
    await asyncio.gather(leading, waiting)

    answer = await there.answer("k", Loader("third"))

    assert (answer.value, answer.tier) == ("first", "l1")


async def test_a_waiting_process_holds_no_connection(pair: Any) -> None:
    here, there = pair
    first = Loader("first", held=True)
    leading = asyncio.create_task(here.get_or_set("k", first))
    await first.began.wait()
    waiting = asyncio.create_task(there.get_or_set("k", Loader("second")))
    await until(lambda: is_waiting(there))

    await until(lambda: there._l2.backend.server.usage()[0] == 0)

    first.release()
    await asyncio.gather(leading, waiting)


async def test_a_load_that_fails_is_taken_over_at_once(pair: Any) -> None:
    here, there = pair
    first, second = Loader(held=True), Loader("second")
    first.error = ValueError("no")
    leading = asyncio.create_task(here.get_or_set("k", first))
    await first.began.wait()
    waiting = asyncio.create_task(there.get_or_set("k", second))
    await until(lambda: is_waiting(there))

    first.release()

    assert await waiting == "second"
    with pytest.raises(ValueError, match="no"):
        await leading


async def test_a_process_that_is_closed_lets_the_other_load(pair: Any) -> None:
    here, there = pair
    first, second = Loader(held=True), Loader("second")
    leading = asyncio.create_task(here.get_or_set("k", first))
    await first.began.wait()
    waiting = asyncio.create_task(there.get_or_set("k", second))
    await until(lambda: is_waiting(there))

    await here.close()

    assert await waiting == "second"
    await asyncio.wait([leading])


async def test_a_dead_process_is_not_waited_for_longer_than_its_lock_lives(
    make: Make, redis_server: RedisServer, prefix: str
) -> None:
    cache = make()
    redis_server.command("SET", f"{prefix}users@2:lock:k", "dead", "PX", 100)

    assert await cache.get_or_set("k", Loader("taken over")) == "taken over"


async def test_a_living_process_holds_its_lock_on(make: Make, redis_server: RedisServer, prefix: str) -> None:
    cache, loader, lock = make(lock_seconds=1.5), Loader(held=True), f"{prefix}users@2:lock:k"
    call = asyncio.create_task(cache.get_or_set("k", loader))
    await loader.began.wait()
    value, left = redis_server.command("GET", lock), [redis_server.command("PTTL", lock)]

    def is_renewed() -> bool:
        left.append(redis_server.command("PTTL", lock))
        return bool(left[-1] > left[-2])

    await until(is_renewed)

    assert redis_server.command("GET", lock) == value
    loader.release()
    await call


async def test_a_redis_that_is_away_does_not_stop_a_load(make: Make, start: Callable[[Any], Any]) -> None:
    server = start(RedisServer("valkey"))
    cache = make(redis_url=server.url, timeout=0.2, breaker_failures=1)
    await cache.connect()
    server.kill()

    assert await cache.get_or_set("k", Loader("made")) == "made"
    assert await cache.get_or_set("k", Loader("other")) == "made"
    server.restart()


async def test_a_redis_that_hangs_adds_its_timeout_to_the_first_calls_and_nothing_later(
    make: Make, start: Callable[[Any], Any]
) -> None:
    server = start(RedisServer("valkey"))
    cache = make(redis_url=server.url, timeout=0.2, breaker_failures=1, breaker_probe_seconds=60.0)
    await cache.connect()
    with server.paused():
        assert await cache.get_or_set("a", Loader("made")) == "made"
        trips = cache._probe.metrics.totals(catalog.L2_OPERATIONS)

        assert await cache.get_or_set("b", Loader("made")) == "made"

        assert cache._probe.metrics.totals(catalog.L2_OPERATIONS) == trips


async def test_a_forced_load_is_newer_than_what_another_process_loads(pair: Any) -> None:
    here, there = pair
    slow = Loader("older", held=True)
    loading = asyncio.create_task(here.get_or_set("k", slow))
    await slow.began.wait()

    await there.get_or_set("k", Loader("newer"), refresh=True)
    slow.release()

    assert await loading == "older"  # for its own caller alone
    assert [await cache.get("k") for cache in pair] == ["newer", "newer"]


async def test_a_forced_load_that_a_delete_overtakes_is_not_stored(pair: Any) -> None:
    here, there = pair
    slow = Loader("older", held=True)
    loading = asyncio.create_task(here.get_or_set("k", slow, refresh=True))
    await slow.began.wait()

    await there.delete("k")
    slow.release()

    assert await loading == "older"
    assert [await cache.get("k") for cache in pair] == [None, None]


@pytest.fixture
async def deaf_and_writer(make: Make, start: Callable[[RedisServer], RedisServer]) -> Any:
    """A process whose user may not subscribe, so that no message reaches it, and one that writes."""
    server = start(RedisServer("debian"))
    server.command("ACL", "SETUSER", "deaf", "on", "nopass", "~*", "&*", "+@all", "-subscribe")
    return make(redis_url=server.url, redis_username="deaf", redis_password="any"), make(redis_url=server.url)


async def test_a_process_that_hears_nothing_stores_no_value_over_a_later_delete(deaf_and_writer: Any) -> None:
    deaf, writer = deaf_and_writer
    loader = Loader("old", held=True)
    loading = asyncio.create_task(deaf.get_or_set("k", loader))
    await loader.began.wait()

    await writer.delete("k")
    loader.release()

    assert await loading == "old"
    assert await writer.get("k") is None


async def test_a_process_that_hears_nothing_stores_what_it_loads_alone(deaf_and_writer: Any) -> None:
    deaf, writer = deaf_and_writer

    await deaf.get_or_set("k", Loader("new"))

    assert await writer.get("k") == "new"


async def test_a_process_that_hears_nothing_does_not_wait_for_another_process(
    deaf_and_writer: Any, telemetry: Capture
) -> None:
    deaf, writer = deaf_and_writer
    held = Loader("held", held=True)
    leading = asyncio.create_task(writer.get_or_set("k", held))
    await held.began.wait()

    answer = await deaf.answer("k", Loader("own"))

    assert (answer.value, answer.status, answer.left) == ("own", "loaded", 0.0)
    assert telemetry.metric_value(catalog.COALESCE_REQUESTS.name, otcache_coalesce_scope="distributed") == 0
    assert await writer.get("k") is None  # whose load is newer is not known: the one with the lock stores

    held.release()
    assert await leading == "held"
    assert await deaf.get("k") == "held"
