"""Processes in trouble: a shop whose caches do badly, and a detector that has found something."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from otcache import GenericRedisCache, InMemoryCache, ValidationError
from otcache.telemetry import catalog, setup
from otcache.telemetry._instrumentation.metrics import metrics_for
from otcache.version import __version__
from tests.servers import end, free_port, spawn, wait_for
from tests.stack.web import answers

ROOT: Final = Path(__file__).parents[2]


class Troubled:
    """One of them in a process of its own, with its `/metrics` page. Use it as a context manager.

    Args:
        program: The function of this module that it runs.
        arguments: What that is given after the port.
    """

    def __init__(self, program: str, *arguments: str) -> None:
        self.port = free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="otc-troubled-"))
        begin = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.stack import troubled"
        code = f"{begin}; troubled.{program}({self.port}, *{arguments!r})"
        self._process = spawn([sys.executable, "-c", code], self._directory / "log")

    def __enter__(self) -> Self:
        wait_for(self._is_ready, "a process in trouble", 60)
        return self

    def _is_ready(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"it ended: {(self._directory / 'log').read_text(errors='replace')[-3000:]}")
        return answers(f"http://127.0.0.1:{self.port}/metrics")

    def end(self) -> None:
        """Without a goodbye."""
        end(self._process)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self.end()
        shutil.rmtree(self._directory, ignore_errors=True)


async def _until_ended(steps: Callable[[int], Awaitable[None]]) -> None:
    """A step every 10 ms, until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    for number in itertools.count():
        await steps(number)
        try:
            await asyncio.wait_for(ended.wait(), 0.01)
        except TimeoutError:
            continue
        return


def _forget_environment() -> None:
    for name in [name for name in os.environ if name.startswith(("OTEL_", "OTCACHE_"))]:
        del os.environ[name]


# --- the shop ---------------------------------------------------------------------------------------


def shop(port: int, redis_url: str) -> None:
    """`prices` has its Redis, `pages` misses more, loses calls, and its callback raises; `users` can't be loaded."""
    _forget_environment()
    handle = setup("shop", "prometheus", metrics_port=port, configure_logging=False)
    asyncio.run(_shop(redis_url))
    handle.shutdown()


async def _shop(redis_url: str) -> None:
    prices = GenericRedisCache(name="prices", redis_url=redis_url, memory_cache_size=4, breaker_probe_seconds=0.1)
    pages, users = InMemoryCache(name="pages"), InMemoryCache(name="users")
    pages.register_callback("get_miss", _Moody())
    await prices.connect()
    for number in range(50):
        await prices.set(f"price:{number}", number)

    async def serve(number: int) -> None:
        await prices.get(f"price:{number % 50}")
        await pages.set("page:0", "front")
        await pages.get(f"page:{number % 10}")
        # the second is the caller's own mistake, the third the loader's
        for call in (pages.get_many(_torn()), pages.get(""), users.get_or_set("user:7", _fetch_user)):
            with contextlib.suppress(OSError, ValidationError, LookupError):
                await call

    await _until_ended(serve)
    for cache in (prices, pages, users):
        await cache.close()


class _Moody:
    """A callback that raises every other time: one that always does is soon left out."""

    __qualname__ = "moody"

    def __init__(self) -> None:
        self._runs = 0

    def __call__(self, key: str) -> None:
        self._runs += 1
        if self._runs % 2:
            raise RuntimeError("not today")


async def _fetch_user() -> None:
    raise LookupError("the database has no such user")


def _torn() -> Iterator[str]:
    """Keys from a place that breaks."""
    yield "page:0"
    raise OSError("the list of keys is torn")


# --- the detector -----------------------------------------------------------------------------------

ABOUT: Final = {catalog.TARGET: "shop", catalog.CACHE: "pages", catalog.TIER: "l1"}
"""What the verdict is about; of the rest, anything."""


def _about(row: catalog.Instrument) -> list[str]:
    known = [attribute for attribute in row.attributes if attribute is not catalog.VERDICT]
    return [ABOUT.get(attribute) or (attribute.values or ("some",))[0] for attribute in known]


def detector(port: int) -> None:
    """A verdict of critical, by 40%."""
    _forget_environment()
    handle = setup("watch", "prometheus", metrics_port=port, configure_logging=False)
    metrics = metrics_for(None, __version__)
    for state in catalog.VERDICT.values or ():
        metrics.set(catalog.REGRESSION_STATUS, float(state == "critical"), *_about(catalog.REGRESSION_STATUS), state)
    metrics.set(catalog.REGRESSION_CHANGE, 0.4, *_about(catalog.REGRESSION_CHANGE))

    async def evaluate(_: int) -> None:
        metrics.add(catalog.EVALUATIONS, 1, "shop", (catalog.INDICATOR.values or ("some",))[0], "critical", None)

    asyncio.run(_until_ended(evaluate))
    handle.shutdown()
