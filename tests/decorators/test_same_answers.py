"""A cached function answers like the function, whatever it is and whatever it is called with."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from unittest.mock import Mock

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from otcache import CachedFunction, GenericRedisCache, InMemoryCache, ValidationError
from otcache.cache import Cache
from tests.decorators.generated import calls, functions_of, module_of, plain, specs
from tests.decorators.test_key_properties import VALUES
from tests.decorators.test_keys import Access, Markup, Point, Size, Tenant
from tests.servers import RedisServer

# an exporter's thread that another test has left retrying draws its delays while examples are made
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

ENDLESS: Final[list[Any]] = []
ENDLESS.append(ENDLESS)
ODD: Final = st.sampled_from(
    [
        *(
            1,
            True,
            1.0,
            "1",
            b"1",
            Decimal(1),
            Decimal("1.0"),
            None,
            "",
            "None",
            "none~",
            0.0,
            -0.0,
            "~",
            (),
            [],
            {},
            set(),
        ),
        *(
            Access.READ,
            Access.READ | Access.WRITE,
            Point(1, 2),
            Size(1, 2),
            (1, 2),
            [1, 2],
            Markup("a"),
            "a",
            Tenant("a"),
        ),
        *({"a": 1}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a"}, frozenset("a"), ("a",), "a" * 9000, "a" * 9000 + "b"),
        *("\ud800", "%ED%A0%80", 10**5000, 10**5000 + 1, object(), Mock(spec=str), ENDLESS, len, int, object(), 1j),
    ]
)
POOLS: Final = st.lists(ODD | VALUES, min_size=3, max_size=4)


async def outcome(call: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    """What a call returns, or the class of what it raises."""
    try:
        found = call(*args, **kwargs)
        return await found if inspect.isawaitable(found) else found
    except Exception as exc:  # noqa: BLE001  which one it is, is what is compared
        return type(exc)


async def compare(functions: list[Any], data: st.DataObject, parts: Any, pool: list[Any], seen: Counter[str]) -> None:
    """Call the functions in some order; each answers as it does without its cache."""
    for _ in range(data.draw(st.integers(2, 6))):
        function = data.draw(st.sampled_from(functions))
        args, kwargs = data.draw(calls(parts, pool))
        way = data.draw(st.sampled_from(["call", "call", "call", "refresh", "invalidate"]))
        # a class method of Python 3.13 is none: only the call itself works there (docs/cached.md)
        is_whole = isinstance(function, CachedFunction)
        if way == "invalidate" and is_whole:
            await outcome(function.invalidate, args, kwargs)
        call = function.refresh if way == "refresh" and is_whole else function
        assert await outcome(call, args, kwargs) == await outcome(plain(function), args, kwargs)
        seen[how(function, args, kwargs)] += 1


def how(function: Any, args: list[Any], kwargs: dict[str, Any]) -> str:
    """How an answer came."""
    if not isinstance(function, CachedFunction):
        return "class method" if hasattr(function, "key") else "refused"
    try:
        key = function.key(*args, **kwargs)
    except TypeError:
        return "wrong arguments"
    except ValidationError:
        return "bypass"
    assert 0 < len(key.encode()) <= 8192
    return "cached"


def compare_all(folder: Path, make: Callable[[], Cache], examples: int = 1) -> Counter[str]:
    """Many modules, functions and calls; how many of which kind."""
    seen: Counter[str] = Counter()

    # an example is small as it is, and takes minutes to make smaller
    @settings(phases=[Phase.generate], max_examples=max(examples, settings().max_examples))
    @given(st.lists(specs(), min_size=1, max_size=2), POOLS, st.data())
    def check(functions: list[Any], pool: list[Any], data: st.DataObject) -> None:
        async def run() -> None:
            async with make() as cache:
                with module_of(folder, functions, cache) as module:
                    for spec in functions:
                        await compare(functions_of(module, spec, pool), data, spec.parameters, pool, seen)

        asyncio.run(run())

    check()
    return seen


def test_in_memory(tmp_path: Path) -> None:
    seen = compare_all(tmp_path, InMemoryCache, 120)

    assert min(seen[kind] for kind in ("cached", "bypass", "refused")) > 0, seen
    assert seen["cached"] > seen.total() / 4, seen


def test_on_redis_alone(tmp_path: Path, redis_server: RedisServer, prefix: str) -> None:
    def make() -> Cache:
        return GenericRedisCache(redis_url=redis_server.url, key_prefix=prefix, timeout=10.0, enable_l1_cache=False)

    seen = compare_all(tmp_path, make)

    assert seen["cached"] > seen.total() / 4, seen
