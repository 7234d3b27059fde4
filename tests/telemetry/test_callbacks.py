"""Callbacks are told, measured, contained; they change nothing."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import pytest

from otcache import InMemoryCache, ValidationError
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.callbacks import (
    EVENTS,
    MOST_FAILURES,
    MOST_SLOW,
    QUARANTINE_NS,
    SLOW_NS,
    Callbacks,
)
from otcache.testing import Capture, ManualClock


class Told:
    """Keeps what an observer is told."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, str, int, BaseException | None, str]] = []
        self.quarantined: list[tuple[str, str]] = []

    def callback_ran(self, event: str, name: str, duration_ns: int, error: BaseException | None, key: str) -> None:
        self.runs.append((event, name, duration_ns, error, key))

    def callback_task(self, event: str, name: str, key: str) -> AbstractContextManager[None]:
        return nullcontext()

    def callback_quarantined(self, event: str, name: str) -> None:
        self.quarantined.append((event, name))


def failing(key: str) -> None:
    raise ValueError(key)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1)


@pytest.fixture
def callbacks(told: Told, clock: ManualClock) -> Callbacks:
    return Callbacks(told, clock)


def test_an_unknown_event_is_refused_with_the_names_there_are(callbacks: Callbacks) -> None:
    with pytest.raises(ValidationError, match=", ".join(EVENTS)):
        callbacks.register("get_succes", print)


def test_what_cannot_be_called_is_refused(callbacks: Callbacks) -> None:
    with pytest.raises(ValidationError, match="str"):
        callbacks.register("get_miss", "print")  # type: ignore[arg-type]


def test_callbacks_run_in_the_order_of_their_registration_until_they_are_unregistered(callbacks: Callbacks) -> None:
    seen: list[str] = []
    first, second = partial(seen.append), lambda key: seen.append(key * 2)
    callbacks.register("get_miss", first)
    callbacks.register("get_miss", second)

    callbacks.fire("get_miss", "a")
    callbacks.unregister("get_miss", first)
    callbacks.fire("get_miss", "b")
    callbacks.unregister("get_miss", second)

    assert seen == ["a", "aa", "bb"]
    assert (callbacks.has("get_miss"), callbacks.active) == (False, False)


def test_one_that_raises_is_reported_and_the_others_still_run(callbacks: Callbacks, told: Told) -> None:
    seen: list[str] = []
    callbacks.register("get_miss", failing)
    callbacks.register("get_miss", seen.append)

    errors = callbacks.fire("get_miss", "k")

    assert (errors, seen) == (1, ["k"])
    assert [(name, type(error), key) for _, name, _, error, key in told.runs] == [
        ("failing", ValueError, "k"), (seen.append.__qualname__, type(None), "k"),
    ]  # fmt: skip


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_what_ends_a_program_goes_through(callbacks: Callbacks, stop: type[BaseException]) -> None:
    def stopping(key: str) -> None:
        raise stop

    callbacks.register("get_miss", stopping)

    with pytest.raises(stop):
        callbacks.fire("get_miss", "k")


def test_ten_failures_in_a_row_rest_it_for_a_minute(callbacks: Callbacks, told: Told, clock: ManualClock) -> None:
    callbacks.register("get_miss", failing)

    errors = [callbacks.fire("get_miss", "k") for _ in range(MOST_FAILURES + 5)]
    clock.now += QUARANTINE_NS
    again = callbacks.fire("get_miss", "k")

    assert errors == [1] * MOST_FAILURES + [0] * 5
    assert (again, told.quarantined) == (1, [("get_miss", "failing")])


def test_a_success_between_failures_starts_the_count_again(callbacks: Callbacks, told: Told) -> None:
    answers = iter(([True] * (MOST_FAILURES - 1) + [False]) * 3)

    def sometimes(key: str) -> None:
        if next(answers):
            raise ValueError

    callbacks.register("get_miss", sometimes)
    for _ in range(MOST_FAILURES * 3):
        callbacks.fire("get_miss", "k")

    assert told.quarantined == []


@pytest.mark.parametrize(("between", "rests"), [(0.0, 1), (10.0, 0)])
def test_twenty_slow_runs_within_a_minute_rest_it(
    callbacks: Callbacks, told: Told, clock: ManualClock, between: float, rests: int
) -> None:
    def slow(key: str) -> None:
        clock.now += SLOW_NS + 1

    callbacks.register("get_miss", slow)
    for _ in range(MOST_SLOW):
        callbacks.fire("get_miss", "k")
        clock.move(between)

    assert len(told.quarantined) == rests


async def test_async_ones_run_as_tasks_and_are_ended_at_close(callbacks: Callbacks, told: Told) -> None:
    async def later(key: str) -> None:
        await asyncio.sleep(0)
        raise ValueError(key)

    callbacks.register("get_miss", later)

    errors = callbacks.fire("get_miss", "k")
    gc.collect()  # only the registry holds the task
    await callbacks.aclose()

    assert errors == 0
    assert [(type(error), key) for *_, error, key in told.runs] == [(ValueError, "k")]


async def test_one_that_never_ends_is_cancelled_at_close(callbacks: Callbacks, monkeypatch: Any) -> None:
    monkeypatch.setattr("otcache.telemetry._instrumentation.callbacks.CLOSE_WITHIN", 0.01)
    ended = asyncio.Event()

    async def endless(key: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    callbacks.register("get_miss", endless)
    callbacks.fire("get_miss", "k")
    await callbacks.aclose()

    assert ended.is_set()


def test_an_async_one_outside_a_loop_is_an_error_that_leaves_nothing_behind(callbacks: Callbacks, told: Told) -> None:
    async def later(key: str) -> None: ...

    callbacks.register("get_miss", later)

    errors = callbacks.fire("get_miss", "k")
    kind = type(told.runs.pop()[3])
    gc.collect()  # a coroutine that nobody awaited would warn here

    assert (errors, kind) == (1, RuntimeError)


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_a_cache_call_inside_a_callback_is_counted_and_fires_none(telemetry: Capture, asynchronous: bool) -> None:
    cache = InMemoryCache(name="users", providers=telemetry.providers)
    calls: list[str] = []

    async def read(key: str) -> None:
        calls.append(key)
        await cache.get("other")

    def start(key: str) -> Any:
        return read(key) if asynchronous else asyncio.ensure_future(read(key))

    cache.register_callback("get_miss", read if asynchronous else start)
    await cache.get("k")
    await cache.close()

    assert calls == ["k"]
    assert telemetry.metric_value(catalog.LOOKUPS.name, otcache_result="miss") == 2


async def test_a_failing_callback_changes_nothing_and_its_own_words_stay_inside(telemetry: Capture) -> None:
    cache = InMemoryCache(name="users", providers=telemetry.providers)
    cache.register_callback("get_miss", failing)

    answer = await cache.get("user:ada")
    (span,), (event,) = telemetry.spans, [e for e in telemetry.events if e.name == catalog.CALLBACK_EXCEPTION.name]

    assert (answer, span.status, span.attributes[catalog.CALLBACK_ERRORS.name]) == (None, "UNSET", 1)
    assert (event.span_id, event.attributes.get(catalog.EXCEPTION_MESSAGE.name)) == (span.span_id, None)
    assert "user:ada" not in str((telemetry.spans, telemetry.events, telemetry.metrics()))
    telemetry.assert_schema()


def test_a_name_never_shows_an_address_or_data(callbacks: Callbacks, told: Told) -> None:
    class Callable_:  # noqa: N801
        def __call__(self, key: str) -> None: ...

    callbacks.register("get_miss", Callable_())
    callbacks.register("get_miss", partial(print, "hunter2", end=""))
    callbacks.fire("get_miss", "k")

    assert all("0x" not in name and "hunter2" not in name and len(name) <= 128 for _, name, *_ in told.runs)
