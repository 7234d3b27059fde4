"""A loaded value that can't be kept is the callers' all the same: no load fails for it, in any way of asking."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import Enum
from typing import Any, Final

import pytest
from pydantic import BaseModel, SecretStr
from starlette.responses import JSONResponse

from otcache import MISSING, Loaded, ValidationError, cached, register_type
from otcache.telemetry import catalog
from otcache.testing import Capture
from tests.inside import loads_under_way
from tests.loading.conftest import Make
from tests.rows import every
from tests.telemetry.scenario import _expire, until


class Handle:
    """Of no type that can be declared."""


class Stubborn:
    """Also with a signing secret: it doesn't let itself be pickled."""

    def __reduce__(self) -> Any:
        raise RuntimeError("hunter2")


@dataclass
class Undeclared:
    name: str


class Color(Enum):
    RED = 1


@register_type
class Sealed(BaseModel):
    password: SecretStr


class Text(str):
    __slots__ = ()


class Zone(tzinfo):
    def utcoffset(self, _: Any) -> Any:
        raise RecursionError


class Proxy:
    """Of an object that isn't there: it raises whatever it is asked."""

    @property
    def __class__(self) -> Any:
        raise RuntimeError("hunter2")

    @__class__.setter
    def __class__(self, _: Any) -> None: ...


class Meta(type):
    def __hash__(cls) -> int:
        raise RuntimeError("hunter2")


class Unhashed(metaclass=Meta): ...


def _cycle() -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


UNKEEPABLE: Final[tuple[Callable[[], Any], ...]] = (
    Handle,
    Stubborn,
    lambda: [{"deep": (Handle(),)}],
    lambda: {Handle(): 1},
    lambda: Undeclared("ann"),
    lambda: Color.RED,
    lambda: Text("ann"),
    lambda: Sealed(password=SecretStr("hunter2")),
    lambda: datetime(2026, 1, 1, tzinfo=Zone()),  # type: ignore[abstract]
    lambda: (part for part in "ab"),
    threading.Lock,
    lambda: print,
    _cycle,
    Proxy,
    Unhashed,
    lambda: MISSING,
)
TAGS: Final[tuple[Any, ...]] = (5, None, "team", [""], [5], ["x" * 9000], [["a"]], [str(n) for n in range(2000)])


async def _asked(cache: Any, key: str, load: Callable[[], Any]) -> list[Any]:
    """The value by every way of asking."""

    @cached(key, cache=cache)
    async def read() -> Any:
        return load()

    answer = await cache.answer(key, load)
    assert (answer.status, answer.left) == ("loaded", 0)
    return [
        answer.value,
        await cache.get_or_set(key, load),
        await cache.get_or_set(key, load, refresh=True, stale_ttl=5, early_refresh=1.0),
        await read(),
        await read.refresh(),
        (await read.answer()).value,
    ]


@pytest.mark.parametrize(
    "options",
    [{"redis_url": None}, {}, {"enable_l1_cache": False}, {"l1_isolation": "copy"}, {"single_flight": "process"}],
    ids=repr,
)
@every("make_value", UNKEEPABLE, ids=lambda make: type(make()).__name__)
async def test_a_value_that_cannot_be_kept_is_given_and_not_kept(
    make: Make, make_value: Callable[[], Any], options: dict[str, Any]
) -> None:
    cache, value = make(**options), make_value()

    given = await _asked(cache, f"k{id(value)}", lambda: value)

    assert all(each is value for each in given)
    assert not await cache.exists(f"k{id(value)}")


@every("tags", TAGS, ids=lambda tags: repr(tags)[:20])
async def test_computed_tags_that_are_none_keep_nothing(make: Make, tags: Any) -> None:
    cache = make()

    given = await _asked(cache, f"k{id(tags)}", lambda: Loaded(7, tags=tags))

    assert given == [7] * 6
    assert not await cache.exists(f"k{id(tags)}")


async def test_with_a_signing_secret_what_cannot_be_pickled_is_given(make: Make) -> None:
    cache, value = make(signing_secret="x" * 16), Stubborn()

    assert await _asked(cache, "k", lambda: value) == [value] * 6


async def test_waiters_get_the_same_value(make: Make) -> None:
    cache, value, goes_on = make(), Handle(), asyncio.Event()

    async def load() -> Handle:
        await goes_on.wait()
        return value

    calls = [asyncio.create_task(cache.get_or_set("k", load)) for _ in range(5)]
    await until(lambda: bool(loads_under_way(cache)))
    goes_on.set()

    assert await asyncio.gather(*calls) == [value] * 5


OWN: Final[tuple[Callable[[], Any], ...]] = (
    Handle,
    lambda: iter("ab"),
    lambda: [Handle()],
    lambda: Loaded(Handle(), ttl=0),
    lambda: Loaded(Handle(), store=False),
)


@pytest.mark.parametrize("options", [{"redis_url": None}, {}, {"l1_isolation": "copy"}], ids=repr)
@every("make_value", OWN, ids=lambda make: type(make()).__name__)
async def test_no_two_callers_share_one(make: Make, make_value: Callable[[], Any], options: dict[str, Any]) -> None:
    cache, key = make(**options), f"k{id(make_value)}"

    async def load() -> Any:
        await asyncio.sleep(0.01)
        return make_value()

    given = await asyncio.gather(*(cache.get_or_set(key, load) for _ in range(5)), cache.answer(key, load))

    assert len({id(each) for each in given}) == 6
    assert not loads_under_way(cache)


async def test_what_one_caller_adds_to_a_response_reaches_no_other(make: Make) -> None:
    cache = make(redis_url=None)

    @cached("greeting", cache=cache)
    async def greeting() -> JSONResponse:
        await asyncio.sleep(0.01)
        return JSONResponse("hello")

    async def answer(user: str) -> list[str]:
        response = await greeting()
        response.set_cookie("session", user)
        return response.headers.getlist("set-cookie")

    given = await asyncio.gather(*map(answer, ("ann", "bob")))

    assert [[cookie.partition(";")[0] for cookie in each] for each in given] == [["session=ann"], ["session=bob"]]


async def test_who_waited_loads_alone_but_beside_the_others(make: Make) -> None:
    cache, runs, together = make(redis_url=None), [], asyncio.Barrier(3)

    async def load() -> Handle:
        runs.append(1)
        if len(runs) > 1:
            await together.wait()  # nobody goes on before all three load
        return Handle()

    calls = [asyncio.create_task(cache.get_or_set("k", load)) for _ in range(4)]

    assert len(set(await asyncio.gather(*calls))) == 4


async def test_a_plain_value_that_is_not_kept_is_shared(make: Make) -> None:
    cache, runs = make(redis_url=None), []

    async def load() -> list[int]:
        runs.append(1)
        await asyncio.sleep(0.01)
        return [7]

    assert await asyncio.gather(*(cache.get_or_set("k", load, ttl=0) for _ in range(5))) == [[7]] * 5
    assert runs == [1]


async def test_other_processes_do_not_wait_for_what_is_not_kept(make: Make) -> None:
    here, there, runs = make(), make(), []

    async def load() -> Handle:
        runs.append(Handle())
        await asyncio.sleep(0.05)
        return runs[-1]

    given = await asyncio.gather(*(cache.get_or_set("k", load, timeout=20) for cache in (here, there)))

    assert len(set(given)) == len(runs) == 2


async def test_once_that_is_known_processes_load_side_by_side(make: Make) -> None:
    caches, both = [make(), make()], asyncio.Barrier(2)

    async def load() -> Handle:
        await both.wait()  # neither goes on before the other one loads
        return Handle()

    for cache in caches:
        await cache.get_or_set("first", Handle, template="handle:{id}")

    given = await asyncio.gather(*(cache.get_or_set("k", load, template="handle:{id}", timeout=20) for cache in caches))

    assert len(set(given)) == 2


async def test_a_refresh_in_the_background_that_brings_one_ends_the_old_entry(make: Make) -> None:
    cache, value = make(redis_url=None, stale_ttl=100), Handle()
    await cache.get_or_set("k", lambda: 1, 10)
    _expire(cache, "k")

    assert await cache.get_or_set("k", lambda: value) == 1
    await until(lambda: not loads_under_way(cache))

    assert await cache.get_or_set("k", lambda: value) is value


async def test_a_forced_load_that_brings_one_ends_the_old_entry_in_every_tier(make: Make) -> None:
    here, there = make(), make(enable_l1_cache=False)
    await here.set("k", 1)

    value = Handle()
    assert await here.get_or_set("k", lambda: value, refresh=True) is value

    assert await here.get_many(["k"]) == await there.get_many(["k"]) == {}


async def test_it_is_counted_each_time_and_told_once_per_template(make: Make, telemetry: Capture) -> None:
    cache = make(redis_url=None)
    for number in range(3):
        for template in ("user:{id}", "team:{id}"):
            await cache.get_or_set(f"{template}{number}", Handle, template=template)
        await cache.get_or_set(f"secret{number}", Handle)

    told = [event for event in telemetry.events if event.name == catalog.VALUE_REFUSED.name]
    assert telemetry.metric_value(catalog.WRITES.name, otcache_write_reason="refused", otcache_tier="none") == 9
    assert [event.attributes.get(catalog.KEY_TEMPLATE.name) for event in told] == ["user:{id}", "team:{id}", None]
    assert told[2].attributes[catalog.LOADER.name].endswith("Handle")
    assert "secret" not in "".join(map(repr, told))
    assert "Handle can't be cached" in told[0].attributes[catalog.EXCEPTION_MESSAGE.name]


Explicit = Callable[[Any], Awaitable[Any]]


@every(
    "write",
    [
        lambda cache: cache.set("k", Handle()),
        lambda cache: cache.set("k", 1, tags=[5]),
        lambda cache: cache.set_many({"k": Handle()}),
        lambda cache: cache.get_or_set("k", Handle, tags=[5]),
        lambda cache: cache.get_or_set("k", Handle, type=5),
    ],
    ids=lambda _: "",
)
async def test_what_the_programmer_writes_himself_is_still_refused(make: Make, write: Explicit) -> None:
    with pytest.raises(ValidationError):
        await write(make())
