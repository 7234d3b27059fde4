"""The two hit paths, `get` and `hit` (the start of `get_or_set`), are the same steps and do the same in every state."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from otcache import InMemoryCache, Loaded, ValidationError
from otcache.cache import Cache
from otcache.stores.memory import NEVER
from otcache.telemetry import catalog
from otcache.testing import Capture, ManualClock

OWN = {"_hits": "<cell>", "_load_hits": "<cell>"}
"""The cells of `get` and of `get_or_set`: the one difference on the way of a hit."""


class _Common(ast.NodeTransformer):
    """Takes out what the two may differ in: the cell, and what the probe is told besides of a watched hit."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = OWN.get(node.attr, node.attr)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node.func) == "self._probe.hit":
            node.args = node.args[:4]
        return node


def steps(function: Callable[..., Any]) -> list[str]:
    """The statements of a hit path up to the hit: all but the docstring and what follows a miss."""
    (defined,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(defined, ast.FunctionDef | ast.AsyncFunctionDef)
    _, *body, after_a_miss = defined.body
    assert isinstance(after_a_miss, ast.Return)
    return [ast.unparse(_Common().visit(statement)) for statement in body]


def test_they_are_the_same_lines() -> None:
    assert steps(Cache.get) == steps(Cache.hit)


# --- in every state -----------------------------------------------------------------------------------


async def loaded() -> str:
    return "loaded"


async def by_get(cache: InMemoryCache, key: Any) -> Any:
    return await cache.get(key, "missed")


async def by_hit(cache: InMemoryCache, key: Any) -> Any:
    found = cache.hit(key)
    return found if found else "missed"


async def by_get_or_set(cache: InMemoryCache, key: Any) -> Any:
    return await cache.get_or_set(key, lambda: Loaded("missed", store=False))


WAYS = pytest.mark.parametrize("way", [by_get, by_hit, by_get_or_set])


@pytest.fixture
def cache(telemetry: Capture) -> InMemoryCache:
    return InMemoryCache(name="paths", providers=telemetry.providers)


def hits(telemetry: Capture) -> int:
    """L1 hits that the histogram has counted, of both operations."""
    found = telemetry.metrics().get(catalog.OPERATION_DURATION.name, [])
    return sum(
        point.count or 0
        for point in found
        if point.attributes[catalog.RESULT.name] == "hit" and point.attributes[catalog.TIER.name] == "l1"
    )


@WAYS
async def test_a_plain_hit_is_given_counted_and_marked_as_used(
    cache: InMemoryCache, telemetry: Capture, way: Any
) -> None:
    await cache.set("k", "v")
    before = hits(telemetry)

    found = await way(cache, "k")

    assert (found, hits(telemetry) - before, cache._entries["k"].used) == ("v", 1, True)


@WAYS
async def test_a_watched_hit_is_given_counted_marked_and_told(
    cache: InMemoryCache, telemetry: Capture, way: Any
) -> None:
    await cache.set("k", "v")
    heard: list[Any] = []
    cache.register_callback("get_success", lambda key, value: heard.append((key, value)))
    before = hits(telemetry)

    found = await way(cache, "k")

    assert (found, hits(telemetry) - before, cache._entries["k"].used) == ("v", 1, True)
    assert heard == [("k", "v")]


@WAYS
async def test_an_expired_entry_is_a_miss(cache: InMemoryCache, telemetry: Capture, way: Any) -> None:
    await cache.set("k", "v", ttl=1)
    cache._clock = cache._tiers._clock = cache._l1._clock = ManualClock(cache._clock() + 2 * 10**9)

    assert (await way(cache, "k"), hits(telemetry)) == ("missed", 0)


@WAYS
async def test_an_entry_beyond_the_l1_lease_is_no_hit(cache: InMemoryCache, telemetry: Capture, way: Any) -> None:
    await cache.set("k", "v")
    cache._l1.renew_lease(cache._clock() - 1)

    assert (await way(cache, "k"), hits(telemetry)) == ("missed", 0)

    cache._l1.renew_lease(NEVER)
    assert (await way(cache, "k"), hits(telemetry)) == ("v", 1)


@WAYS
async def test_a_cache_of_copies_gives_no_object_twice(telemetry: Capture, way: Any) -> None:
    cache = InMemoryCache(name="paths", l1_isolation="copy", providers=telemetry.providers)
    await cache.set("k", ["v"])

    one, other = await way(cache, "k"), await way(cache, "k")

    # `hit` leaves copies to what follows it
    assert one is not other or (way, one) == (by_hit, "missed")


@pytest.mark.parametrize("key", [["k"], {}, 5, "", None, b"k", "k" * 8193])
async def test_a_key_that_can_not_be_used_is_refused_by_both(cache: InMemoryCache, key: Any) -> None:
    with pytest.raises(ValidationError) as by_get:
        await cache.get(key)
    with pytest.raises(ValidationError) as by_get_or_set:
        await cache.get_or_set(key, loaded)

    assert cache.hit(key).name == "MISSING"
    assert str(by_get.value) == str(by_get_or_set.value)
