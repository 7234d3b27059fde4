"""Many callers of one key share one load; a caller that gives up stops nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from otcache import ConfigurationError, InfrastructureError, LoadTimeout
from otcache.telemetry import catalog
from otcache.testing import Capture
from tests.inside import forget, loads_under_way
from tests.loading.conftest import Loader, Make, waiting
from tests.servers import RedisServer
from tests.telemetry.scenario import until

ASKED = 20


async def test_a_value_that_is_there_is_not_loaded(cache: Any) -> None:
    loader = Loader()
    await cache.set("k", "kept")

    assert await cache.get_or_set("k", loader) == "kept"
    assert loader.calls == 0


async def test_many_callers_cost_one_load(cache: Any) -> None:
    loader = Loader(held=True)
    calls = [asyncio.create_task(cache.get_or_set("k", loader)) for _ in range(ASKED)]
    await waiting(cache, ASKED - 1)

    loader.release()

    assert await asyncio.gather(*calls) == ["made"] * ASKED
    assert loader.calls == 1
    assert await cache.get("k") == "made"


async def test_many_callers_of_a_cold_key_cost_one_read_of_redis(make: Make, telemetry: Capture) -> None:
    cache = make(single_flight="process")
    loader = Loader()

    await asyncio.gather(*[cache.get_or_set("k", loader) for _ in range(1000)])

    reads = telemetry.metric_value(catalog.L2_OPERATIONS.name, db_operation_name="GET")
    assert (reads, loader.calls) == (1, 1)


async def test_many_callers_of_a_key_in_redis_cost_one_read_of_it_and_no_task(make: Make, telemetry: Capture) -> None:
    cache, loader, tasks = make(), Loader(), []
    await cache.get_or_set("k", loader)
    forget(cache)
    loop = asyncio.get_running_loop()

    def note(loop: asyncio.AbstractEventLoop, run: Any, **options: Any) -> asyncio.Task[Any]:
        tasks.append(task := asyncio.Task(run, loop=loop, **options))
        return task

    before = telemetry.metric_value(catalog.L2_OPERATIONS.name, db_operation_name="GET")
    calls = [asyncio.create_task(cache.get_or_set("k", loader)) for _ in range(ASKED)]
    loop.set_task_factory(note)
    values = await asyncio.gather(*calls)
    loop.set_task_factory(None)

    reads = telemetry.metric_value(catalog.L2_OPERATIONS.name, db_operation_name="GET") - before
    assert (values, reads, loader.calls) == (["made"] * ASKED, 1, 1)
    assert [task.get_name() for task in tasks if "otcache-load" in task.get_name()] == []


async def test_if_the_caller_who_asks_redis_is_cancelled_the_next_one_asks(
    make: Make, start: Callable[[RedisServer], RedisServer]
) -> None:
    server, loader = start(RedisServer("valkey")), Loader()
    cache = make(redis_url=server.url)
    await cache.connect()
    with server.paused():
        first, *others = [asyncio.create_task(cache.get_or_set("k", loader)) for _ in range(3)]
        await waiting(cache, 2)
        first.cancel()
        await asyncio.wait([first])

    assert await asyncio.gather(*others) == ["made"] * 2
    assert loader.calls == 1


async def test_callers_who_are_all_cancelled_while_redis_is_asked_leave_nothing(
    make: Make, start: Callable[[RedisServer], RedisServer]
) -> None:
    server, loader = start(RedisServer("valkey")), Loader()
    cache = make(redis_url=server.url)
    await cache.connect()
    with server.paused():
        calls = [asyncio.create_task(cache.get_or_set("k", loader)) for _ in range(3)]
        await waiting(cache, 2)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)

    assert (loads_under_way(cache), loader.calls) == (0, 0)
    assert await cache.get_or_set("k", loader) == "made"


async def test_a_cache_that_is_closed_while_redis_is_asked_loads_nothing(
    make: Make, start: Callable[[RedisServer], RedisServer]
) -> None:
    server, loader = start(RedisServer("valkey")), Loader()
    cache = make(redis_url=server.url, timeout=1.0)
    await cache.connect()
    with server.paused():
        calls = [asyncio.create_task(cache.get_or_set("k", loader)) for _ in range(2)]
        await waiting(cache, 1)
        await cache.close()
        raised = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(each) for each in raised] == [InfrastructureError] * 2
    assert (loads_under_way(cache), loader.calls) == (0, 0)


async def test_another_key_is_loaded_beside_it(cache: Any) -> None:
    held, free = Loader(held=True), Loader("other")
    first = asyncio.create_task(cache.get_or_set("a", held))
    await held.began.wait()

    assert await cache.get_or_set("b", free) == "other"

    held.release()
    assert await first == "made"


async def test_the_caller_who_began_a_load_may_give_up_without_stopping_it(cache: Any) -> None:
    loader = Loader(held=True)
    leader = asyncio.create_task(cache.get_or_set("k", loader))
    await loader.began.wait()
    waiter = asyncio.create_task(cache.get_or_set("k", loader))
    await waiting(cache, 1)

    leader.cancel()
    await asyncio.wait([leader])
    loader.release()

    assert await waiter == "made"
    assert (leader.cancelled(), loader.calls) == (True, 1)


async def test_a_caller_who_waits_may_give_up_without_stopping_it(cache: Any) -> None:
    loader = Loader(held=True)
    leader = asyncio.create_task(cache.get_or_set("k", loader))
    await loader.began.wait()
    waiter = asyncio.create_task(cache.get_or_set("k", loader))
    await waiting(cache, 1)

    waiter.cancel()
    await asyncio.wait([waiter])
    loader.release()

    assert await leader == "made"
    assert (waiter.cancelled(), loader.calls) == (True, 1)


async def test_a_load_that_everybody_gave_up_is_kept_for_the_next_caller(cache: Any) -> None:
    loader = Loader(held=True)
    calls = [asyncio.create_task(cache.get_or_set("k", loader)) for _ in range(3)]
    await waiting(cache, 2)
    await loader.began.wait()

    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    loader.release()
    await until(lambda: not loads_under_way(cache))

    assert await cache.get_or_set("k", loader) == "made"
    assert loader.calls == 1


async def test_what_the_loader_raises_reaches_every_caller_as_it_is(cache: Any) -> None:
    loader = Loader(held=True)
    loader.error = KeyError("the loader's own")
    calls = [asyncio.create_task(cache.get_or_set("k", loader)) for _ in range(3)]
    await waiting(cache, 2)

    loader.release()
    raised = await asyncio.gather(*calls, return_exceptions=True)

    assert [each is loader.error for each in raised] == [True] * 3
    assert loader.calls == 1
    loader.error = None
    assert await cache.get_or_set("k", loader) == "made"


async def test_a_loader_that_never_returns_is_given_up(cache: Any) -> None:
    loader = Loader(held=True)

    raised = await asyncio.gather(
        *[cache.get_or_set("k", loader, timeout=0.05) for _ in range(2)], return_exceptions=True
    )

    assert [type(each) for each in raised] == [LoadTimeout] * 2
    assert loader.calls == 1
    assert await cache.get("k") is None


async def test_a_loader_that_ignores_its_cancellation_does_not_hold_up_the_next_caller(cache: Any) -> None:
    stubborn = Loader(held=True)

    async def load() -> Any:
        try:
            return await stubborn()
        except asyncio.CancelledError:
            return await stubborn()

    with pytest.raises(LoadTimeout):
        await cache.get_or_set("k", load, timeout=0.05)

    assert await cache.get_or_set("k", Loader("next")) == "next"

    stubborn.release()
    await until(lambda: not loads_under_way(cache))
    assert await cache.get("k") == "next"


async def test_a_timeout_that_the_loader_raised_itself_is_no_load_timeout(cache: Any) -> None:
    loader = Loader()
    loader.error = TimeoutError("the database's")

    with pytest.raises(TimeoutError, match="the database's"):
        await cache.get_or_set("k", loader)


async def test_a_loader_that_was_cancelled_inside_cancels_its_callers_and_nothing_else(cache: Any) -> None:
    loader = Loader()
    loader.error = asyncio.CancelledError()

    with pytest.raises(asyncio.CancelledError):
        await cache.get_or_set("k", loader)

    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
    assert await cache.get_or_set("k", Loader("next")) == "next"


async def test_a_loader_that_asks_for_its_own_key_is_told_so(cache: Any) -> None:
    async def load() -> Any:
        return await cache.get_or_set("k", load)

    with pytest.raises(ConfigurationError, match="would deadlock: read the origin"):
        await cache.get_or_set("k", load)


async def test_a_loader_may_ask_for_another_key(cache: Any) -> None:
    inner = Loader(20)

    async def load() -> Any:
        return await cache.get_or_set("inner", inner) + 1

    assert await cache.get_or_set("outer", load) == 21


async def test_a_cache_that_is_closed_ends_its_loads(cache: Any) -> None:
    loader = Loader(held=True)
    calls = [asyncio.create_task(cache.get_or_set("k", loader)) for _ in range(2)]
    await waiting(cache, 1)

    await cache.close()
    raised = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(each) for each in raised] == [InfrastructureError] * 2
    assert loads_under_way(cache) == 0


async def test_a_load_that_is_overtaken_by_a_write_is_given_and_not_stored(cache: Any) -> None:
    loader = Loader("old", held=True)
    call = asyncio.create_task(cache.get_or_set("k", loader))
    await loader.began.wait()

    await cache.set("k", "new")
    loader.release()

    assert await call == "old"
    assert await cache.get("k") == "new"


async def test_who_asks_after_a_delete_does_not_join_a_load_from_before(cache: Any) -> None:
    before, after = Loader("old", held=True), Loader("new")
    call = asyncio.create_task(cache.get_or_set("k", before))
    await before.began.wait()

    await cache.delete("k")

    assert await cache.get_or_set("k", after) == "new"
    before.release()
    assert await call == "old"
    assert await cache.get("k") == "new"


async def test_a_forced_load_does_not_join_one_that_began_before(cache: Any) -> None:
    before, after = Loader("old", held=True), Loader("new")
    call = asyncio.create_task(cache.get_or_set("k", before))
    await before.began.wait()

    assert await cache.get_or_set("k", after, refresh=True) == "new"

    before.release()
    assert await call == "old"
    assert await cache.get("k") == "new"


async def test_forced_loads_at_the_same_moment_are_one(cache: Any) -> None:
    loader = Loader()
    await cache.set("k", "kept")

    values = await asyncio.gather(*[cache.get_or_set("k", loader, refresh=True) for _ in range(5)])

    assert values == ["made"] * 5
    assert loader.calls == 1


async def test_two_event_loops_share_a_cache_and_load_for_themselves(make: Make) -> None:
    cache = make(redis_url=None)
    here, calls = Loader("here", held=True), []

    async def there() -> Any:
        calls.append("there")
        return "there"

    mine = asyncio.create_task(cache.get_or_set("k", here))
    await here.began.wait()

    theirs = await asyncio.to_thread(lambda: asyncio.run(cache.get_or_set("k", there)))

    here.release()
    assert (theirs, await mine) == ("there", "here")
    assert (here.calls, len(calls)) == (1, 1)


async def test_event_loops_in_threads_each_have_a_cache_of_their_own(make: Make) -> None:
    def use(number: int) -> Any:
        async def play() -> Any:
            async with make(f"own{number}", redis_url=None) as cache:
                return await asyncio.gather(*[cache.get_or_set("k", Loader(number)) for _ in range(10)])

        return asyncio.run(play())

    values = await asyncio.gather(*[asyncio.to_thread(use, number) for number in range(4)])

    assert values == [[number] * 10 for number in range(4)]


async def test_a_tag_overtakes_the_loads_of_its_values_and_no_others(cache: Any) -> None:
    mine, other = Loader("old", held=True), Loader("other", held=True)
    loading = [
        asyncio.create_task(cache.get_or_set("k", mine, tags=["a"])),
        asyncio.create_task(cache.get_or_set("o", other, tags=["b"])),
    ]
    await asyncio.gather(mine.began.wait(), other.began.wait())

    await cache.invalidate_tag("a")
    joined = asyncio.create_task(cache.get_or_set("o", Loader("not asked"), tags=["b"]))
    after = await cache.get_or_set("k", Loader("new"), tags=["a"])
    mine.release()
    other.release()

    assert (after, await joined, await asyncio.gather(*loading)) == ("new", "other", ["old", "other"])
