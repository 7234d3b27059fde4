"""One side of an A/B run: a process of its own that times rounds on command.

Run as a file by the interpreter that is measured (Python 3.9 or newer), which may hold another otcache or none: the
standard library alone. Lines on standard input are commands (`calibrate SECONDS`, `round COUNT`), each answered by
one line of JSON. The target has neither: what it prints goes to standard error, and it reads nothing.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import importlib
import inspect
import json
import operator
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

Timed = Callable[[int], float]
"""Does so many operations; seconds that they took."""


class StrayError(Exception):
    """What was imported is not what was to be measured."""


def main(order: dict[str, Any]) -> None:
    """Answer commands until standard input ends.

    Args:
        order: `target`; `first` and `last`, what its search path begins and ends with; `root`, where the target must
            come from, and `never`, where nothing may come from, both `None` for anywhere; `bytecode`, where the
            bytecode of all that is imported goes.
    """
    commands, answers = _private_pipes()

    def answer(**said: Any) -> None:
        os.write(answers, json.dumps(said).encode() + b"\n")

    try:
        timed = _prepared(order)
        answer(ready=True)
        for line in commands:
            command, _, argument = line.strip().partition(" ")
            if command == "calibrate":
                count, seconds = _calibrated(timed, float(argument))
                answer(count=count, seconds=seconds)
            else:
                answer(seconds=timed(int(argument)) / int(argument))
    except Exception as exc:  # noqa: BLE001  of other people's code
        answer(error=_described(exc))


def _private_pipes() -> tuple[Any, int]:
    """The parent's pipes, out of reach of what is measured."""
    commands, answers = os.fdopen(os.dup(0)), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return commands, answers


def _described(exc: Exception) -> str:
    """An error in one line, with the place of the target's code that it comes from."""
    if isinstance(exc, StrayError):
        return str(exc)
    frames = [frame for frame in traceback.extract_tb(exc.__traceback__) if frame.filename != __file__]
    place = next((f" ({f.filename}, line {f.lineno})" for f in reversed(frames) if f.filename[:1] != "<"), "")
    return " ".join(f"{type(exc).__name__}: {exc}{place}".split())


def _prepared(order: dict[str, Any]) -> Timed:
    """The target imported and called once, and all that is in memory by now out of the collector's sight."""
    sys.dont_write_bytecode, sys.pycache_prefix = False, order["bytecode"]
    here = os.path.dirname(os.path.abspath(__file__))
    others = [place for place in sys.path if os.path.abspath(place) != here]  # our own neighbours are not the target's
    sys.path[:] = [*order["first"], *others, *order["last"]]
    target, loop = order["target"], asyncio.new_event_loop()
    timed = _imported(target, loop) if ":" in target else _builtin(target, loop)
    _check_origin(target.partition(":")[0] if ":" in target else "otcache", order["root"], order["never"])
    gc.collect()
    gc.freeze()
    return timed


def _calibrated(timed: Timed, wanted: float) -> tuple[int, float]:
    """How many operations take about `wanted` seconds, and how long one takes; this warms them up, too."""
    count = 1
    while (took := _undisturbed(timed, count)) < wanted / 4:
        count *= 2 if took > wanted / 50 else 8
    return max(1, round(count * wanted / took)), took / count


def _undisturbed(timed: Timed, count: int) -> float:
    """The quickest of three: one interruption must not make a quick operation a long one."""
    return min([timed(count), timed(count), timed(count)])


# --- targets ------------------------------------------------------------------------------------------


def _imported(target: str, loop: asyncio.AbstractEventLoop) -> Timed:
    """`module:function` without arguments; whatever it gives is awaited if it can be."""
    module, _, name = target.partition(":")
    function = operator.attrgetter(name)(importlib.import_module(module))
    answer = function()
    if inspect.isgenerator(answer) or inspect.isasyncgen(answer):
        raise TypeError(f"{target} gives a generator, which does nothing until it is read")
    if not inspect.isawaitable(answer):
        return _synchronous(function)
    loop.run_until_complete(_awaited(answer))
    return _asynchronous(function, loop)


async def _awaited(answer: Awaitable[Any]) -> None:
    await answer


def _synchronous(function: Callable[[], Any]) -> Timed:
    def timed(count: int) -> float:
        began = perf_counter()
        for _ in range(count):
            function()
        return perf_counter() - began

    return timed


def _asynchronous(function: Callable[[], Awaitable[Any]], loop: asyncio.AbstractEventLoop) -> Timed:
    async def rounds(count: int) -> float:
        began = perf_counter()
        for _ in range(count):
            await function()
        return perf_counter() - began

    return lambda count: loop.run_until_complete(rounds(count))


def _builtin(operation: str, loop: asyncio.AbstractEventLoop) -> Timed:
    """An operation of the otcache that this interpreter finds, in memory."""
    cache: Any = importlib.import_module("otcache").InMemoryCache()
    value = {"name": "Ada", "email": "ada@example.org", "visits": 7}
    loop.run_until_complete(cache.set("user:1", value))
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "get": functools.partial(cache.get, "user:1"),
        "get_miss": functools.partial(cache.get, "user:2"),
        "set": functools.partial(cache.set, "user:1", value),
        "delete": functools.partial(cache.delete, "user:2"),
    }
    return _asynchronous(calls[operation], loop)


# --- whether it is what was to be measured------------------------------------------------------------


def _check_origin(target: str, root: str | None, never: str | None) -> None:
    """Refuse a target that is not below `root`, and any module of the project that comes from the working tree."""
    if root is None:
        return
    home = _file_of(target)
    if not _is_below(home, root):
        raise StrayError(f"{target} comes from {home or 'the interpreter'}; is --path missing?")
    for name in [name for name in sys.modules if name != "__main__"]:
        file = _file_of(name)
        if never and _is_below(file, never) and not _is_below(file, root) and not _is_in_venv(file, never):
            raise StrayError(f"{name} comes from the working tree ({file}); is --path missing?")


def _is_in_venv(file: str, project: str) -> bool:
    """Whether it is in this interpreter's environment, and that in the project."""
    return _is_below(sys.prefix, project) and _is_below(file, sys.prefix)


def _file_of(module: str) -> str:
    return os.path.realpath(getattr(sys.modules[module], "__file__", None) or "") if module in sys.modules else ""


def _is_below(file: str, directory: str) -> bool:
    return file.startswith(os.path.join(os.path.realpath(directory), ""))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
