"""What a loader may be, what it may return, and what a call may ask for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from typing import Any, Final

import pytest

from otcache import FOREVER, Loaded, ValidationError
from otcache._loading.options import LoadPolicy
from otcache.telemetry._instrumentation.loads import function_name
from tests.loading.conftest import Make
from tests.rows import every

user: ContextVar[str] = ContextVar("user", default="nobody")


async def fetch(number: int = 1) -> Any:
    return {"id": number}


def compute(number: int = 1) -> Any:
    return {"id": number}


class Asked:
    async def __call__(self) -> Any:
        return {"id": 1}

    async def ask(self) -> Any:
        return {"id": 1}


class Computed:
    def __call__(self) -> Any:
        return {"id": 1}


LOADERS: Final[dict[str, Callable[[], Any]]] = {
    "async function": fetch,
    "function": compute,
    "partial of an async function": partial(fetch, 1),
    "partial of a function": partial(compute, number=1),
    "lambda that returns an awaitable": lambda: fetch(1),
    "object with an async call": Asked(),
    "object with a call": Computed(),
    "method": Asked().ask,
    "Loaded": lambda: Loaded({"id": 1}),
}


@pytest.mark.parametrize("kind", LOADERS)
async def test_a_loader_may_be_any_callable(cache: Any, kind: str) -> None:
    assert await cache.get_or_set("k", LOADERS[kind]) == {"id": 1}
    assert await cache.get("k") == {"id": 1}


async def test_a_plain_function_runs_in_a_thread_and_sees_the_callers_context(cache: Any) -> None:
    def load() -> tuple[str, bool]:
        return user.get(), threading.current_thread() is threading.main_thread()

    user.set("Ada")

    assert await cache.get_or_set("k", load) == ("Ada", False)


async def test_an_async_function_runs_in_the_callers_event_loop_and_context(cache: Any) -> None:
    async def load() -> tuple[str, bool]:
        return user.get(), asyncio.get_running_loop() is here

    here = asyncio.get_running_loop()
    user.set("Ada")

    assert await cache.get_or_set("k", load) == ("Ada", True)


async def test_a_loader_may_keep_its_value_out_of_the_cache(cache: Any) -> None:
    loaded = await cache.answer("k", lambda: Loaded("secret", store=False))

    assert (loaded.value, loaded.status, loaded.left) == ("secret", "loaded", 0.0)
    assert not await cache.exists("k")


async def test_a_loader_may_choose_the_time_to_live(cache: Any) -> None:
    answer = await cache.answer("k", lambda: Loaded("v", ttl=7), ttl=100)

    assert answer.left == 7
    assert 6 < await cache.get_ttl("k") <= 7


async def test_the_call_chooses_the_time_to_live(cache: Any) -> None:
    await cache.get_or_set("k", compute, ttl=9)
    await cache.get_or_set("for ever", compute, FOREVER)

    assert 8 < await cache.get_ttl("k") <= 9
    assert await cache.get_ttl("for ever") == FOREVER


async def test_a_loaded_none_is_kept_and_has_a_time_to_live_of_its_own(cache: Any) -> None:
    answer = await cache.answer("k", lambda: None, ttl=100, negative_ttl=5)

    assert (answer.value, answer.left) == (None, 5)
    assert await cache.get("k", "default") is None
    assert (await cache.answer("k", compute)).status == "fresh"


async def test_jitter_only_shortens(make: Make) -> None:
    cache = make(redis_url=None, ttl_jitter=0.5)

    left = [(await cache.answer(f"k{number}", compute, ttl=100)).left for number in range(50)]

    assert min(left) >= 50
    assert max(left) <= 100
    assert len(set(left)) > 10


async def test_every_caller_gets_an_object_of_its_own_where_that_is_promised(make: Make) -> None:
    cache = make(l1_isolation="copy")

    async def load() -> Any:
        return [made]

    made: list[int] = [1]
    values = await asyncio.gather(*[cache.get_or_set("k", load) for _ in range(3)])
    values.append(await cache.get_or_set("k", load))
    made.append(2)

    assert values == [[[1]]] * 4
    assert len({id(value) for value in values}) == 4


_OUTSIDE = "outside 0 to 31536000 s: 0 keeps nothing, otcache.FOREVER keeps it for ever"


@every(
    ("wanted", "message"),
    [
        ({"ttl": -1}, f"ttl=-1 is {_OUTSIDE}"),
        ({"ttl": timedelta(days=400)}, f"ttl=400 days, 0:00:00 is {_OUTSIDE}"),
        ({"stale_ttl": True}, "stale_ttl is bool: give seconds (0 to 31536000), a timedelta, or otcache.FOREVER"),
        ({"timeout": 0}, "timeout=0 is outside 0.001..86400 s"),
        ({"soft_timeout": float("nan")}, "soft_timeout=nan is outside 0..3600 s"),
        ({"early_refresh": "much"}, "early_refresh is str, not a number of 0..100 or None"),
        ({"ttl_jitter": 0.7}, "ttl_jitter=0.7 is outside 0..0.5"),
        ({"negative_ttl": -5}, f"negative_ttl=-5 is {_OUTSIDE}"),
    ],
)
async def test_an_argument_outside_its_range_is_refused_by_name(
    cache: Any, wanted: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        await cache.get_or_set("k", compute, **wanted)

    assert str(refused.value) == message


@pytest.mark.parametrize("key", ["", "x" * 9000, 5, []])
async def test_a_bad_key_is_refused_as_everywhere(cache: Any, key: Any) -> None:
    with pytest.raises(ValidationError):
        await cache.get_or_set(key, compute)


async def test_what_cannot_be_called_is_no_loader(cache: Any) -> None:
    with pytest.raises(ValidationError, match="loader is dict, which can't be called"):
        await cache.get_or_set("k", {"id": 1})


async def test_the_configuration_gives_the_defaults_of_a_call(make: Make) -> None:
    cache = make(redis_url=None, default_ttl=5, stale_ttl=6, loader_timeout=7.0, negative_ttl=8)

    policy = LoadPolicy.of(cache.config)

    assert (policy.ttl, policy.stale_ttl, policy.timeout, policy.negative_ttl) == (5, 6, 7.0, 8)
    assert policy.varied(ttl=None) is policy
    assert policy.varied(ttl=9).ttl == 9


@pytest.mark.parametrize(
    ("loader", "name"),
    [
        (fetch, "fetch"),
        (partial(partial(fetch, 1)), "fetch"),
        (Asked().ask, "Asked.ask"),
        (Asked(), "Asked"),
        (len, "len"),
    ],
)
def test_a_loader_is_called_by_its_full_name(loader: Any, name: str) -> None:
    home = "builtins" if loader is len else __name__

    assert function_name(loader) == f"{home}.{name}"
