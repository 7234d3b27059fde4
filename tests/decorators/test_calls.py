"""Calls of a cached function: what is cached, what is loaded again, and what tools see of the function."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import sys
import threading
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from otcache import InMemoryCache, cached
from otcache.base import Loaded
from tests.decorators.cases import Counted


@pytest.fixture
async def cache() -> AsyncIterator[InMemoryCache]:
    """A cache in memory."""
    async with InMemoryCache() as cache:
        yield cache


async def test_a_function_is_called_once_for_the_same_arguments(cache: InMemoryCache) -> None:
    counted = Counted()

    @cached("user:{user_id}:{lang}", cache=cache)
    async def read(user_id: int, lang: str = "en") -> int:
        return counted.note(user_id, lang)

    answers = [await read(1), await read(1, "en"), await read(lang="en", user_id=1), await read(1, "de")]

    assert answers == [1, 1, 1, 2]
    assert counted.calls == [(1, "en"), (1, "de")]


async def test_a_plain_function_is_awaited_too(cache: InMemoryCache) -> None:
    counted = Counted()

    @cached("user:{user_id}", cache=cache)
    def read(user_id: int) -> int:
        return counted.note(user_id)

    assert [await read(1), await read(1)] == [1, 1]


async def test_every_kind_of_parameter_reaches_the_function(cache: InMemoryCache) -> None:
    @cached("x:{a}:{b}:{rest}:{c}", cache=cache, ignore=("more",))
    async def read(a: int, /, b: int = 2, *rest: int, c: int, **more: Any) -> Any:
        return a, b, rest, c, more

    assert await read(1, c=3) == (1, 2, (), 3, {})
    assert await read(1, 5, 6, 7, c=4, d=8) == (1, 5, (6, 7), 4, {"d": 8})


async def test_no_name_of_a_parameter_is_in_the_way(cache: InMemoryCache) -> None:
    @cached("x:{_key}:{_cache}:{type}:{isinstance}:{_int}:{_text_0}:{cached}", cache=lambda: cache)
    async def read(
        _key: int,
        _cache: str,
        type: int,  # noqa: A002
        isinstance: int,  # noqa: A002
        _int: int,
        _text_0: str,
        cached: str,
    ) -> Any:
        return _key, _cache, type, isinstance, _int, _text_0, cached

    assert read.key(1, "-", 3, 4, 5, "f", "g") == "x:1:-:3:4:5:f:g"
    assert await read(1, "-", 3, 4, 5, "f", "g") == (1, "-", 3, 4, 5, "f", "g")


async def test_none_is_kept_like_any_other_value(cache: InMemoryCache) -> None:
    counted = Counted()

    @cached("user:{user_id}", cache=cache)
    async def read(user_id: int) -> None:
        counted.note(user_id)

    await read(1)
    await read(1)

    assert counted.calls == [(1,)]


async def test_wrong_arguments_are_refused_as_the_function_does(cache: InMemoryCache) -> None:
    @cached("user:{user_id}", cache=cache)
    async def read(user_id: int) -> None: ...

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'user_id'"):
        await read()  # type: ignore[call-arg]


async def test_an_invalidated_value_is_loaded_again(cache: InMemoryCache) -> None:
    counted = Counted()

    @cached("user:{user_id}", cache=cache)
    async def read(user_id: int) -> int:
        return counted.note(user_id)

    await read(1)
    await read.invalidate(1)

    assert await read.get(1) is None
    assert await read(1) == 2


async def test_get_gives_what_is_kept_and_calls_nothing(cache: InMemoryCache) -> None:
    counted = Counted()

    @cached("user:{user_id}", cache=cache)
    async def read(user_id: int) -> int:
        return counted.note(user_id)

    assert await read.get(1) is None
    await read(1)

    assert await read.get(1) == 1
    assert len(counted.calls) == 1


async def test_refresh_loads_a_value_and_stores_it(cache: InMemoryCache) -> None:
    counted = Counted()

    @cached("user:{user_id}", cache=cache)
    async def read(user_id: int) -> int:
        return counted.note(user_id)

    await read(1)

    assert await read.refresh(1) == 2
    assert await read(1) == 2


async def test_an_answer_says_how_a_value_came(cache: InMemoryCache) -> None:
    @cached("user:{user_id}", cache=cache)
    async def read(user_id: int) -> int:
        return user_id

    first, second = await read.answer(1), await read.answer(1)

    assert (first.value, first.status, first.tier) == (1, "loaded", "loader")
    assert (second.value, second.status, second.tier) == (1, "fresh", "l1")


async def test_what_is_no_part_of_the_key_may_be_left_out_of_it(cache: InMemoryCache) -> None:
    @cached("user:{user_id}", cache=cache, ignore=("db", "log"))
    async def read(db: object, user_id: int, *, log: object) -> int:
        return user_id

    await read(object(), 1, log=None)

    assert read.key(user_id=1) == read.key(object(), 1) == "user:1"  # type: ignore[call-arg]
    assert await read.get(user_id=1) == 1  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="user_id"):
        read.key()  # type: ignore[call-arg]


async def test_a_value_is_kept_as_long_as_the_decorator_says(cache: InMemoryCache) -> None:
    @cached("user:{user_id}", cache=cache, ttl=7)
    async def read(user_id: int) -> int:
        return user_id

    await read(1)

    assert 6 < (await cache.get_ttl(read.key(1)) or 0) <= 7


async def test_a_function_may_choose_for_a_value(cache: InMemoryCache) -> None:
    @cached("user:{user_id}", cache=cache, ttl=7)
    async def read(user_id: int) -> Loaded[int]:
        return Loaded(user_id, ttl=3, store=user_id > 1)

    assert [await read(1), await read(2)] == [1, 2]
    left = [await cache.get_ttl(read.key(user)) for user in (1, 2)]
    assert left[0] is None
    assert 2 < (left[1] or 0) <= 3


@dataclass
class User:
    id: UUID


async def test_a_returned_type_is_declared_by_the_annotation() -> None:
    async with InMemoryCache(l1_isolation="copy") as cache:
        kept = [User(UUID(int=1))]

        @cached("user", cache=cache)
        async def read() -> list[User] | None:
            return kept

        await read()

        again = await read()
    assert again == kept
    assert again is not kept


async def test_a_class_that_is_defined_later_is_declared_too(cache: InMemoryCache) -> None:
    @cached("later", cache=cache)
    async def read() -> Later:
        return Later(1)

    assert await read() == Later(1)


@dataclass
class Later:
    id: int


async def test_an_error_of_the_function_reaches_the_caller_and_nothing_is_kept(cache: InMemoryCache) -> None:
    counted = Counted()

    @cached("user:{user_id}", cache=cache)
    async def read(user_id: int) -> int:
        if counted.note(user_id) == 1:
            raise LookupError("no such user")
        return user_id

    with pytest.raises(LookupError, match="no such user"):
        await read(1)

    assert await read(1) == 1


# --- as tools see it ------------------------------------------------------------------------------------


async def test_a_cached_function_looks_like_the_function(cache: InMemoryCache) -> None:
    async def read(user_id: UUID, lang: str = "en") -> None:
        """Reads."""

    made = cached("user:{user_id}:{lang}", cache=cache)(read)

    assert inspect.signature(made) == inspect.signature(read, eval_str=True)
    assert (made.__name__, made.__doc__, made.__module__) == ("read", "Reads.", __name__)
    assert made.__qualname__ == read.__qualname__
    assert made.__wrapped__ is inspect.unwrap(made) is read
    assert repr(made) == f"<cached 'user:{{user_id}}:{{lang}}' of {__name__}.{read.__qualname__}>"


async def test_a_cached_function_is_a_coroutine_function_whatever_it_was(cache: InMemoryCache) -> None:
    class Repository:
        @cached("x", cache=cache, ignore=("self",))
        def load(self) -> None: ...

    made = cached("y", cache=cache)(lambda: None)

    for function in (made, Repository.load, Repository().load):
        assert inspect.iscoroutinefunction(function)
        assert sys.version_info >= (3, 14) or asyncio.iscoroutinefunction(function)  # older FastAPI asks that one


async def test_an_attribute_it_has_not_is_missing(cache: InMemoryCache) -> None:
    made: Any = cached("y", cache=cache)(lambda: None)

    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = made.nothing


async def test_a_traceback_shows_the_line_of_the_wrapper(cache: InMemoryCache) -> None:
    @cached("user:{user_id}", cache=cache)
    async def read(user_id: int) -> int:
        raise LookupError

    with pytest.raises(LookupError) as raised:
        await read(1)

    assert "await _cached._load(" in "".join(traceback.format_tb(raised.value.__traceback__))


# --- methods --------------------------------------------------------------------------------------------


async def test_a_method_is_bound_to_its_instance(cache: InMemoryCache) -> None:
    class Repository:
        def __init__(self, tenant: str) -> None:
            self.tenant = tenant

        @cached("{self.tenant}:{user_id}", cache=cache)
        async def load(self, user_id: int) -> str:
            return f"{self.tenant} {user_id}"

    one, other = Repository("one"), Repository("other")

    assert [await one.load(1), await other.load(user_id=1)] == ["one 1", "other 1"]
    assert (one.load.key(1), other.load.key(user_id=1)) == ("one:1", "other:1")
    await one.load.invalidate(1)
    assert [await one.load.get(1), await other.load.get(1)] == [None, "other 1"]
    assert (await one.load.answer(1)).value == await one.load.refresh(1) == "one 1"


async def test_the_method_of_a_class_takes_the_instance(cache: InMemoryCache) -> None:
    class Repository:
        @cached("x:{user_id}", cache=cache, ignore=("self",))
        def load(self, user_id: int) -> int:
            return user_id

    repository = Repository()

    assert await Repository.load(repository, 1) == 1
    assert list(inspect.signature(repository.load).parameters) == ["user_id"]
    assert repository.load.__wrapped__(2) == 2


async def test_class_methods_and_static_methods_are_cached_too(cache: InMemoryCache) -> None:
    counted = Counted()

    class Repository:
        @classmethod
        @cached("class:{cls.__name__}:{user_id}", cache=cache)
        async def make(cls, user_id: int) -> int:
            return counted.note(cls.__name__, user_id)

        @staticmethod
        @cached("static:{user_id}", cache=cache)
        async def find(user_id: int) -> int:
            return counted.note(user_id)

    made: Any = Repository.make  # mypy does not know that a class method is bound to the class
    calls = [await made(5), await Repository().make(user_id=5), await Repository.find(5)]

    assert calls == [1, 1, 2]
    assert counted.calls == [("Repository", 5), (5,)]


async def test_a_function_that_takes_no_instance_can_not_be_a_method(cache: InMemoryCache) -> None:
    made = cached("y", cache=cache)(lambda: None)
    holder: Any = type("Holder", (), {"load": made})

    with pytest.raises(TypeError, match="takes no instance"):
        _ = holder().load


async def test_a_wrapper_may_be_made_and_used_in_many_threads(cache: InMemoryCache) -> None:
    class Repository:
        @cached("x:{user_id}", cache=cache, ignore=("self",))
        async def load(self, user_id: int) -> int:
            return user_id

    keys: list[str] = []
    threads = [threading.Thread(target=lambda: keys.append(Repository().load.key(1))) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert keys == ["x:1"] * 8


@cached("double:{number}", cache=InMemoryCache())
async def double(number: int) -> int:
    """A function that other modules import."""
    return 2 * number


class Prices:
    """A service that has a cached method."""

    region = "eu"

    @cached("price:{self.region}:{number}", cache=InMemoryCache())
    async def price(self, number: int) -> str:
        """The price of a number."""
        return f"{self.region} {number}"


def test_it_is_pickled_and_copied_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(double)) is copy.deepcopy(double) is copy.copy(double) is double
    assert pickle.loads(pickle.dumps(Prices().price)).key(1) == Prices().price.key(1) == "price:eu:1"
