"""How many spans a call may cost: one of its own, and one per round trip to Redis."""

from __future__ import annotations

from typing import Any

import pytest

from otcache import GenericRedisCache
from otcache.testing import Capture
from tests.inside import forget

BUDGET = {"l1 hit": 1, "l2 hit": 2, "miss": 2, "set": 2, "delete": 2, "batch of 50": 2, "writes of 50": 2, "touch": 3}
"""The most spans of each kind of call: docs/telemetry.md."""


async def call(cache: GenericRedisCache, kind: str) -> None:
    many = {f"m{number}": number for number in range(50)}
    if kind == "l2 hit":
        forget(cache)
    await {
        "l1 hit": lambda: cache.get("k"),
        "l2 hit": lambda: cache.get("k"),
        "miss": lambda: cache.get("absent"),
        "set": lambda: cache.set("k", "x" * 5000),
        "delete": lambda: cache.delete("k"),
        "batch of 50": lambda: cache.get_many(many),
        "writes of 50": lambda: cache.set_many(many),
        "touch": lambda: cache.touch("k", 9),
    }[kind]()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("kind", BUDGET)
async def test_a_call_costs_no_more_spans_than_its_budget(
    telemetry: Capture, users: GenericRedisCache, kind: str
) -> None:
    await users.set("k", 1)
    await users.get("absent")  # what is learnt once: the server's clock
    await users.touch("k", 9)
    telemetry.clear()

    await call(users, kind)

    assert len(telemetry.spans) == BUDGET[kind], telemetry.span_tree()


async def test_a_callback_and_a_copy_upwards_cost_no_span(telemetry: Capture, users: GenericRedisCache) -> None:
    seen: list[Any] = []
    users.register_callback("get_success", lambda key, value: seen.append(value))
    await users.set("k", 1)
    forget(users)
    await users.get("absent")
    telemetry.clear()

    await users.get("k")
    await users.get("k")

    assert seen == [1, 1]
    assert [span.name for span in telemetry.spans] == ["GET", "cache.get users", "cache.get users"]
