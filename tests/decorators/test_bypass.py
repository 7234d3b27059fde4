"""A call never fails for its key: where there is none, the function runs without the cache, and that is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest

from otcache import ConfigurationError, GenericRedisCache, InMemoryCache, ValidationError, cached
from otcache.telemetry import catalog
from otcache.testing import Capture, EventRecord, capture_telemetry
from tests.contract.test_foreign import Shelf
from tests.decorators.cases import Counted
from tests.rows import every
from tests.servers import RedisServer


@pytest.fixture
def telemetry() -> Iterator[Capture]:
    """What is emitted during the test."""
    with capture_telemetry() as captured:
        yield captured


def told(telemetry: Capture, event: Any) -> list[EventRecord]:
    """The events of one kind."""
    return [each for each in telemetry.events if each.name == event.name]


def endless() -> list[Any]:
    """A list that contains itself."""
    found: list[Any] = []
    found.append(found)
    return found


class Broken:
    @property
    def id(self) -> int:
        raise LookupError("of the application")


ODD = (object(), Mock(spec=str), Mock(spec=int), endless(), [object()], {object(): 1}, iter([1]), int, print, ...)


@every("value", ODD, ids=lambda value: type(value).__name__)
@every("plain", [False, True])
async def test_a_value_that_no_key_can_hold_reaches_the_function_each_time(value: Any, plain: bool) -> None:
    counted = Counted()

    async with InMemoryCache(name="odd") as cache:

        async def read(value: Any, number: int) -> Any:
            return counted.note(value), value, number

        def read_plain(value: Any, number: int) -> Any:
            return counted.note(value), value, number

        made: Any = cached("odd:{value}:{number}", cache=cache)(read_plain if plain else read)
        answers = [await made(value, number=1), (await made.answer(value, 1)).value, await made.refresh(value, 1)]

        assert answers == [(1, value, 1), (2, value, 1), (3, value, 1)]
        for call in (made.key, made.get, made.invalidate):
            with pytest.raises(ValidationError, match=r"value (is|can't)"):
                await asyncio.ensure_future(call(value, 1))
        assert cache.get_stats()["l1"]["entries"] == 0


async def test_a_call_that_passes_by_is_counted_and_told_once_for_each_reason(telemetry: Capture) -> None:
    async with InMemoryCache(name="shop", providers=telemetry.providers) as cache:

        @cached("user:{user}", cache=cache)
        async def read(user: Any) -> int:
            return 1

        for value in (object(), object(), Broken(), "secret", object()):
            await read(value)

    events = told(telemetry, catalog.CALL_BYPASSED)
    bypassed = telemetry.metric_value(catalog.LOOKUPS.name, **{catalog.RESULT.name: "bypass"})
    assert [event.attributes[catalog.KEY_TEMPLATE.name] for event in events] == ["user:{user}"] * 2
    assert [event.body.partition("user is ")[2].partition(",")[0] for event in events] == ["an object", "a Broken"]
    assert bypassed == 4


async def test_an_error_of_a_function_without_its_cache_reaches_the_caller_as_it_is() -> None:
    @cached("user:{user}", cache=InMemoryCache())
    async def read(user: Any) -> int:
        raise LookupError("no such user")

    with pytest.raises(LookupError, match="no such user") as raised:
        await read(object())

    assert raised.value.__context__ is None


async def test_an_attribute_that_raises_makes_a_call_pass_by() -> None:
    @cached("user:{user.id}", cache=InMemoryCache())
    async def read(user: Any) -> str:
        return type(user).__name__

    assert [await read(user) for user in (Broken(), None, object())] == ["Broken", "NoneType", "object"]


async def test_a_foreign_cache_is_passed_by_too(caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf()

    @cached("user:{user}", cache=shelf)
    async def read(user: Any) -> str:
        return type(user).__name__

    assert [await read(object()), await read(object()), await read("ada")] == ["object", "object", "str"]
    assert len([line for line in caplog.messages if "runs without the cache: user is an object" in line]) == 1


async def test_a_missing_application_is_an_error_all_the_same() -> None:
    @cached("user:{user}", cache=lambda: None)  # type: ignore[arg-type, return-value]
    async def read(user: Any) -> int:
        return 1

    with pytest.raises(ConfigurationError, match="has the application been started"):
        await read(object())


# --- what can be written, but not quickly ---------------------------------------------------------------


LONG = ("x" * 9000, "ä" * 5000, "\ud800", "a\udfff" * 3000, 10**5000, -(10**5000), "", ["x" * 9000], b"\x00" * 9000)


@every("value", LONG, ids=lambda value: type(value).__name__)
@every("template", ["long:{value}", "{value}", None])
async def test_a_value_of_any_length_is_cached(
    redis_server: RedisServer, prefix: str, value: Any, template: Any
) -> None:
    counted = Counted()
    options: dict[str, Any] = {"redis_url": redis_server.url, "key_prefix": prefix, "timeout": 10.0}

    async with GenericRedisCache(**options, enable_l1_cache=False) as cache:

        async def read(value: Any) -> Any:
            return counted.note()

        made: Any = cached(template, cache=cache, ignore=() if template else ("counted",))(read)
        answers = [await made(value), await made(value), await made.get(value), (await made.answer(value)).value]
        await made.invalidate(value)

        assert answers == [1, 1, 1, 1]
        assert await made(value) == 2
        assert len(made.key(value).encode()) <= 8192
        await cache.clear()


async def test_a_long_key_is_invalidated_by_its_prefix() -> None:
    async with InMemoryCache() as cache:
        counted = Counted()

        @cached("search:{tenant}:{text}", cache=cache, tags=("text:{text}",))
        async def search(tenant: str, text: str) -> int:
            return counted.note()

        answers = [await search(tenant, "x" * 10_000) for tenant in ("acme", "globex")]
        await cache.invalidate_prefix("search:acme:")

        assert answers == [1, 2]
        assert [await search(tenant, "x" * 10_000) for tenant in ("acme", "globex")] == [3, 2]


# --- tags -----------------------------------------------------------------------------------------------


class User:
    id = 7
    team = None


@pytest.mark.parametrize(
    ("user", "omitted"),
    [
        (None, ["user:{user.id}: user.id is None", "team:{user.team}: user.team is None"]),
        (User(), ["team:{user.team}: user.team is None"]),
    ],
    ids=["no user", "no team"],
)
async def test_a_tag_of_none_is_left_out_and_told_once(telemetry: Capture, user: Any, omitted: list[str]) -> None:
    counted = Counted()

    async with InMemoryCache(providers=telemetry.providers) as cache:

        @cached("x:{row}", cache=cache, ignore=("user",), tags=("users", "user:{user.id}", "team:{user.team}"))
        async def read(row: int, user: Any) -> int:
            return counted.note()

        answers = [await read(1, user), await read(2, user), await read(1, user)]
        await cache.invalidate_tag("users")

        assert [*answers, await read(1, user)] == [1, 2, 1, 3]
    assert [event.body.partition("the tag ")[2] for event in told(telemetry, catalog.TAG_OMITTED)] == omitted


async def test_a_value_whose_tag_can_not_be_written_is_not_kept() -> None:
    counted = Counted()

    async with InMemoryCache() as cache:

        @cached("x:{row}", cache=cache, ignore=("user",), tags=("user:{user.id}",))
        async def read(row: int, user: Any) -> int:
            return counted.note()

        assert [await read(1, Broken()), await read(1, Broken())] == [1, 2]
        assert await read(1, User()) == 3


# --- what changes while a function runs -----------------------------------------------------------------


async def test_a_value_is_not_kept_if_what_its_key_names_changed_meanwhile() -> None:
    tenant = "acme"

    async with InMemoryCache() as cache:

        @cached("{tenant}:{rows}", cache=cache)
        async def read(rows: list[int]) -> str:
            await asyncio.sleep(0)
            return f"{tenant} {rows}"

        rows = [1]
        slow = asyncio.ensure_future(read(rows))
        await asyncio.sleep(0)
        rows.append(2)
        assert await slow == "acme [1, 2]"
        assert await read([1]) == "acme [1]"

        slow = asyncio.ensure_future(read([3]))
        await asyncio.sleep(0)
        tenant = "globex"
        assert await slow == "globex [3]"
        tenant = "acme"
        assert await read([3]) == "acme [3]"
