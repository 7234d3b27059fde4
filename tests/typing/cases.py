"""What type checkers make of loading and of cached functions: read by mypy and pyright, never run.

A line with `type: ignore` must be an error: both checkers report an ignore that ignores nothing.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar, assert_type

from fastapi import Depends

from otcache import CachedFunction, CacheInterface, InMemoryCache, cached, get_cache_service, get_test_cache
from otcache.base import Answer, Loaded
from otcache.cache import Cache

T = TypeVar("T")
cache = InMemoryCache()


class User:
    """A value."""


async def user() -> User:
    return User()


def plain_user() -> User:
    return User()


async def maybe_user() -> User | None:
    return None


def plain_maybe_user() -> User | None:
    return None


async def loaded() -> Loaded[User]:
    return Loaded(User(), ttl=5)


def plain_loaded() -> Loaded[User]:
    return Loaded(User())


async def either(stored: bool = True) -> User | Loaded[User]:
    return User() if stored else Loaded(User(), store=False)


def plain_either() -> User | Loaded[User]:
    return User()


async def maybe_loaded() -> Loaded[User | None]:
    return Loaded(None)


async def several(item: T) -> list[T]:
    return [item]


def plain_several(item: T) -> list[T]:
    return [item]


def takes_text(text: str) -> None: ...


async def get_or_set_keeps_the_loaders_type() -> None:
    assert_type(await cache.get_or_set("k", user), User)
    assert_type(await cache.get_or_set("k", plain_user), User)
    assert_type(await cache.get_or_set("k", maybe_user), User | None)
    assert_type(await cache.get_or_set("k", plain_maybe_user), User | None)
    assert_type(await cache.get_or_set("k", loaded), User)
    assert_type(await cache.get_or_set("k", plain_loaded), User)
    assert_type(await cache.get_or_set("k", either), User)
    assert_type(await cache.get_or_set("k", plain_either), User)
    assert_type(await cache.get_or_set("k", maybe_loaded), User | None)
    assert_type(await cache.get_or_set("k", lambda: user()), User)
    assert_type(await cache.get_or_set("k", lambda: several(1)), list[int])
    assert_type(await cache.get_or_set("k", lambda: plain_several(User())), list[User])
    assert_type(await cache.get_or_set("k", user, 60, tags=["users"], stale_ttl=5, refresh=True), User)


async def an_answer_keeps_the_loaders_type() -> None:
    assert_type(await cache.answer("k", user), Answer[User])
    assert_type(await cache.answer("k", plain_loaded, 60), Answer[User])
    assert_type((await cache.answer("k", maybe_user)).value, User | None)


async def an_endpoint(cache: Annotated[CacheInterface, Depends(get_cache_service)]) -> None:
    """The documented annotation offers what every cache has."""
    assert_type(await cache.get_or_set("k", user, 60, tags=["users"], stale_ttl=5), User)
    assert_type(await cache.get_or_set("k", plain_maybe_user), User | None)
    assert_type(await cache.answer("k", loaded), Answer[User])
    assert_type(await cache.invalidate_tag("users"), None)
    assert_type(await cache.invalidate_prefix("user:"), None)
    assert_type(await cache.clear(), None)
    assert_type(await (await get_test_cache()).get_or_set("k", user), User)


async def an_endpoint_that_takes_our_caches(cache: Annotated[Cache, Depends(get_cache_service)]) -> None:
    """The documented dependencies return a `Cache`, which offers what only our caches have."""
    assert_type(await get_test_cache(), Cache)
    assert_type(await cache.get_many(["a", "b"]), dict[str, Any])
    assert_type(await cache.exists("k"), bool)
    assert_type(await cache.touch("k", 60), bool)
    assert_type(cache.get_stats(), dict[str, Any])
    await cache.get("k", default=1, type=User)
    await cache.close()


async def wrong_calls_of_an_injected_cache_are_errors(cache: CacheInterface) -> None:
    await cache.get_or_set("k", User())  # type: ignore[call-overload]
    await cache.get_or_set("k", user, tll=5)  # type: ignore[call-overload]
    await cache.invalidate_tag()  # type: ignore[call-arg]
    takes_text(await cache.get_or_set("k", user))  # type: ignore[arg-type]


class Own(CacheInterface):
    """Three methods make a cache."""

    async def get(self, key: str) -> Any: ...
    async def set(self, key: str, value: Any, ttl: int | None = None) -> None: ...
    async def delete(self, key: str) -> None: ...


async def an_own_cache_has_the_defaults() -> None:
    assert_type(await Own().get_or_set("k", user), User)


async def wrong_loads_are_errors() -> None:
    await cache.get_or_set("k", User())  # type: ignore[call-overload]
    await cache.get_or_set(1, user)  # type: ignore[call-overload]
    await cache.get_or_set("k", several)  # type: ignore[arg-type]
    await cache.get_or_set("k", user, tll=5)  # type: ignore[call-overload]
    await cache.get_or_set("k", user, soft_timeout="1 s")  # type: ignore[call-overload]
    takes_text(await cache.get_or_set("k", user))  # type: ignore[arg-type]


@cached("user:{user_id}", cache=cache, ttl=60, tags=("users",))
async def read(user_id: int, *, lang: str = "en") -> User:
    return User()


@cached(cache=lambda: cache)
def read_plain(user_id: int) -> User | None:
    return None


@cached(cache=get_cache_service)
async def read_loaded(user_id: int) -> Loaded[User]:
    return Loaded(User())


@cached("either", cache=cache)
async def read_either() -> User | Loaded[User]:
    return User()


async def a_cached_function_keeps_parameters_and_type() -> None:
    assert_type(await read(1, lang="de"), User)
    assert_type(await read(user_id=1), User)
    assert_type(await read_plain(1), User | None)
    assert_type(await read_loaded(1), User)
    assert_type(await read_either(), User)
    assert_type(read.key(1), str)
    assert_type(await read.get(1), User | None)
    assert_type(await read.refresh(1), User)
    assert_type(await read.answer(1), Answer[User])
    assert_type(await read.invalidate(1), None)
    assert_type(await cached("x", cache=cache)(several)(1), list[int])


async def wrong_calls_are_errors() -> None:
    await read("1")  # type: ignore[arg-type]
    await read()  # type: ignore[call-arg]
    await read(1, "de")  # type: ignore[call-arg]
    await read(1, language="de")  # type: ignore[call-arg]
    read.key("1")  # type: ignore[arg-type]
    await read.invalidate(None)  # type: ignore[arg-type]
    takes_text(await read(1))  # type: ignore[arg-type]


class Repository:
    """Methods, cached."""

    @cached("user:{user_id}", cache=cache, ignore=("self",))
    async def load(self, user_id: int) -> User:
        return User()

    @cached("users:{user_id}:{lang}", cache=cache, ignore=("self",))
    def load_plain(self, user_id: int, lang: str = "en") -> list[User]:
        return []

    @staticmethod
    @cached("found:{user_id}", cache=cache)
    async def find(user_id: int) -> User:
        return User()


async def a_method_keeps_parameters_and_type(repository: Repository) -> None:
    assert_type(await repository.load(1), User)
    assert_type(await repository.load(user_id=1), User)
    assert_type(await repository.load_plain(1, lang="de"), list[User])
    assert_type(await Repository.load(repository, 1), User)
    assert_type(await Repository.find(1), User)
    assert_type(repository.load.key(1), str)
    assert_type(await repository.load.answer(1), Answer[User])


async def wrong_calls_of_a_method_are_errors(repository: Repository) -> None:
    await repository.load("1")  # type: ignore[arg-type]
    await repository.load(repository, 1)  # type: ignore[call-arg, arg-type]
    await Repository.load(1)  # type: ignore[call-arg, arg-type]
    repository.load.key()  # type: ignore[call-arg]


def takes_a_cached_function(function: CachedFunction[[int], User]) -> str:
    return function.key(1)


def wrong_decorations_are_errors() -> None:
    cached("user")  # type: ignore[call-overload]
    cached("user", cache="redis://localhost")  # type: ignore[call-overload]
    cached("user", cache=cache, tll=5)  # type: ignore[call-overload]
    cached("user", cache=cache, ttl="1 s")  # type: ignore[call-overload]
    cached(5, cache=cache)  # type: ignore[call-overload]
    takes_a_cached_function(read_either)  # type: ignore[arg-type]
