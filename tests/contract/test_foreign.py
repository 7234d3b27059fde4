"""A user's own cache, which implements `get`, `set` and `delete` and nothing else."""

from __future__ import annotations

from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from otcache import (
    BenchmarkConfig,
    CacheInterface,
    CachePerformanceBenchmark,
    Loaded,
    UnsupportedError,
    cached,
    get_cache_health_status,
    get_cache_service,
    get_http_status_for_exception,
)


class Shelf(CacheInterface):
    """A dictionary that notes the times to live."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[Any, int | None]] = {}

    async def get(self, key: str) -> Any:
        return self.kept.get(key, (None, None))[0]

    async def set(self, key: str, value: Any, ttl: int | None = None) -> None:
        self.kept[key] = value, ttl

    async def delete(self, key: str) -> None:
        self.kept.pop(key, None)


async def one() -> int:
    return 1


async def test_it_loads_what_it_has_not_and_keeps_it() -> None:
    shelf = Shelf()

    values = [await shelf.get_or_set("k", one, 60, tags=["a"]), await shelf.get_or_set("k", lambda: 2, 60)]

    assert (values, shelf.kept) == ([1, 1], {"k": (1, 60)})


async def test_it_says_how_a_value_came() -> None:
    shelf = Shelf()

    answers = [await shelf.answer("k", one, 60), await shelf.answer("k", one)]

    assert [(answer.value, answer.status, answer.left) for answer in answers] == [(1, "loaded", 60), (1, "fresh", None)]


async def test_a_refresh_loads_anew() -> None:
    shelf = Shelf()
    await shelf.set("k", 0)

    assert await shelf.get_or_set("k", one, refresh=True) == 1
    assert shelf.kept["k"][0] == 1


@pytest.mark.parametrize(("loaded", "kept"), [(Loaded(1, ttl=5), {"k": (1, 5)}), (Loaded(1, store=False), {})])
async def test_a_loader_has_its_say(loaded: Loaded[int], kept: dict[str, Any]) -> None:
    shelf = Shelf()

    assert await shelf.get_or_set("k", lambda: loaded, 60) == 1
    assert shelf.kept == kept


async def test_a_misspelt_option_is_an_error() -> None:
    options: dict[str, Any] = {"stale_tll": 5}

    with pytest.raises(TypeError, match="stale_tll"):
        await Shelf().get_or_set("k", one, **options)


UNSUPPORTED = {
    "invalidate_tag": lambda cache: cache.invalidate_tag("users"),
    "invalidate_prefix": lambda cache: cache.invalidate_prefix("user:"),
    "clear": lambda cache: cache.clear(),
    "register_callback": lambda cache: cache.register_callback("get_success", print),
}


@pytest.mark.parametrize("method", UNSUPPORTED)
async def test_what_it_can_t_do_is_said_by_name(method: str) -> None:
    with pytest.raises(UnsupportedError, match=f"Shelf has no {method}: override it") as raised:
        await UNSUPPORTED[method](Shelf())

    assert isinstance(raised.value, NotImplementedError)
    assert get_http_status_for_exception(raised.value) == 500


def test_three_methods_are_all_that_a_cache_must_have() -> None:
    assert CacheInterface.__abstractmethods__ == {"get", "set", "delete"}


async def test_it_can_be_injected_in_place_of_the_applications_cache() -> None:
    app, shelf = FastAPI(), Shelf()
    app.dependency_overrides[get_cache_service] = lambda: shelf

    @app.get("/one")
    async def read(cache: Annotated[CacheInterface, Depends(get_cache_service)]) -> int:
        return await cache.get_or_set("k", one, 60)

    @app.get("/health")
    async def health(found: Annotated[dict[str, Any], Depends(get_cache_health_status)]) -> str:
        return str(found["status"])

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answers = [(await client.get(path)).json() for path in ("/one", "/health")]

    assert (answers, shelf.kept) == ([1, "healthy"], {"k": (1, 60)})


@pytest.mark.parametrize("is_sourced", [False, True])
async def test_a_function_can_be_cached_in_it(is_sourced: bool) -> None:
    shelf, calls = Shelf(), 0

    @cached("square:{number}", cache=(lambda: shelf) if is_sourced else shelf, ttl=60)
    async def square(number: int) -> int:
        nonlocal calls
        calls += 1
        return number * number

    values = [await square(3), await square(3), await square.get(3), (await square.answer(3)).value]

    assert (values, calls, shelf.kept) == ([9, 9, 9, 9], 1, {"square:3": (9, 60)})
    assert (await square.refresh(3), calls) == (9, 2)
    await square.invalidate(3)
    assert shelf.kept == {}


async def test_it_can_be_benchmarked() -> None:
    config = BenchmarkConfig(warmup_iterations=1, rounds=2, progress=False)

    suite = await CachePerformanceBenchmark(Shelf(), config).run_comprehensive_benchmark(20)

    measured = {result.operation: result.error_count for result in suite.results}
    assert measured == dict.fromkeys(("get", "set", "delete", "get_miss", "mixed"), 0)
