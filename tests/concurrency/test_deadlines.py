"""Time limits of one length on one timer: they end as `asyncio.timeout` would."""

from __future__ import annotations

import asyncio

import pytest

from otcache._concurrency.deadlines import Deadline, Deadlines


def deadlines(seconds: float) -> Deadlines:
    return Deadlines(seconds, asyncio.get_running_loop())


async def test_what_takes_too_long_is_stopped_and_raises_timeout_error() -> None:
    limits = deadlines(0.01)

    with pytest.raises(TimeoutError), Deadline(limits) as deadline:
        await asyncio.Event().wait()

    assert deadline.expired
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


async def test_what_ends_in_time_is_left_alone() -> None:
    limits = deadlines(60.0)

    with Deadline(limits) as deadline:
        await asyncio.sleep(0)

    assert not deadline.expired
    assert deadline.task is None


async def test_each_of_many_calls_has_the_whole_time() -> None:
    limits = deadlines(0.1)

    async def wait(seconds: float) -> str:
        try:
            with Deadline(limits):
                await asyncio.sleep(seconds)
        except TimeoutError:
            return "late"
        return "in time"

    first = [asyncio.create_task(wait(seconds)) for seconds in (0.0, 60.0, 0.0)]
    await asyncio.sleep(0.05)
    second = [asyncio.create_task(wait(seconds)) for seconds in (60.0, 0.0)]
    ends = await asyncio.gather(*first, *second)

    assert ends == ["in time", "late", "in time", "late", "in time"]


async def test_a_caller_who_gives_up_is_cancelled_and_not_late() -> None:
    limits = deadlines(60.0)

    async def wait() -> None:
        with Deadline(limits):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_caller_who_gives_up_at_the_last_moment_is_cancelled_all_the_same() -> None:
    limits = deadlines(60.0)

    async def wait() -> None:
        with Deadline(limits) as deadline:
            asyncio.get_running_loop().call_soon(deadline.stop)
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_the_block_raises_is_not_covered_by_a_limit_that_is_over() -> None:
    limits = deadlines(60.0)

    async def fail() -> None:
        with Deadline(limits) as deadline:
            deadline.stop()
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                raise ValueError("its own") from None

    with pytest.raises(ValueError, match="its own"):
        await fail()


async def test_limits_that_are_over_are_not_kept() -> None:
    limits = deadlines(60.0)

    for _ in range(1000):
        with Deadline(limits):
            await asyncio.sleep(0)

    assert len(limits.running) == 0
