"""One side of a duet: a process of its own that times rounds when it is told to.

Run as a file by the interpreter that is measured, which may hold another otcache or none: the standard library alone.
Lines on standard input are commands (`calibrate SECONDS`, `round COUNT`), each answered by one line of JSON.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import inspect
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

Timed = Callable[[int], float]
"""Does so many operations; seconds that they took."""


def main(target: str, paths: list[str]) -> None:
    """Answer commands until standard input ends."""
    sys.path[:0] = paths
    loop = asyncio.new_event_loop()
    timed = _builtin(target, loop) if ":" not in target else _imported(target, loop)
    gc.collect()
    gc.freeze()
    _answer({"ready": True})
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "calibrate":
            _answer({"count": _calibrated(timed, float(argument))})
        elif command == "round":
            count = int(argument)
            _answer({"seconds": timed(count) / count})


def _answer(said: dict[str, Any]) -> None:
    sys.__stdout__.write(json.dumps(said) + "\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


def _calibrated(timed: Timed, wanted: float) -> int:
    """How many operations take about `wanted` seconds; this warms them up, too."""
    count = 1
    while (took := timed(count)) < wanted / 4:
        count *= 2 if took > wanted / 50 else 8
    return max(1, round(count * wanted / took))


def _imported(target: str, loop: asyncio.AbstractEventLoop) -> Timed:
    """`module:function`, an ordinary function or a coroutine function without arguments."""
    module, _, name = target.partition(":")
    function = getattr(importlib.import_module(module), name)
    if inspect.iscoroutinefunction(function):
        return _asynchronous(function, loop)

    def timed(count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            function()
        return time.perf_counter() - began

    return timed


def _asynchronous(function: Callable[[], Awaitable[Any]], loop: asyncio.AbstractEventLoop) -> Timed:
    async def rounds(count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            await function()
        return time.perf_counter() - began

    return lambda count: loop.run_until_complete(rounds(count))


def _builtin(operation: str, loop: asyncio.AbstractEventLoop) -> Timed:
    """An operation of the otcache that this interpreter finds, in memory."""
    cache: Any = importlib.import_module("otcache").InMemoryCache()
    value = {"name": "Ada", "email": "ada@example.org", "visits": 7}
    loop.run_until_complete(cache.set("user:1", value))
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "get": lambda: cache.get("user:1"),
        "get_miss": lambda: cache.get("user:2"),
        "set": lambda: cache.set("user:1", value),
        "delete": lambda: cache.delete("user:2"),
    }
    return _asynchronous(calls[operation], loop)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
