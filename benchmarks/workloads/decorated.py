"""One hit of a decorated function, its key included."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from benchmarks.harness import Case
from benchmarks.peers import TTL
from benchmarks.setting import Setting
from benchmarks.workloads import Group
from otcache import cached

PLAIN: Final = "the function itself, not decorated"
OTCACHE: Final = "otcache `@cached`, span sampled out"
Function = Callable[[int], Awaitable[Any]]


async def user(user_id: int) -> dict[str, int]:
    """What is decorated."""
    return {"id": user_id}


def kept(setting: Setting, function: Function) -> Function:
    """`@cached` with a template as its documentation shows."""
    return cached("user:{user_id}", cache=setting.memory_cache(), ttl=TTL)(function)


def calling(function: Function, operations: int) -> Case:
    """The same argument again and again."""

    async def run() -> None:
        for _ in range(operations):
            await function(17)

    return Case(run, operations)


async def build(setting: Setting) -> dict[str, Case]:
    """The cases; every decorated function has its value before the first round."""
    cases = {PLAIN: calling(user, 2_000), OTCACHE: calling(kept(setting, user), 2_000)}
    for name, function in (await setting.peers("decorated", user)).items():
        cases[name] = calling(function, 200)
    return cases


GROUP: Final = Group("decorated", "One hit of a decorated function, its key included", PLAIN, build)
