"""What strangers send and what an application does all day is bounded in time and in memory."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import time
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
import structlog
from fastapi import Response

from otcache import GenericRedisCache, InMemoryCache
from otcache.exceptions import ValidationError
from otcache.telemetry import configure_logging
from tests.cases.applications import application, asking, cached_route
from tests.cases.conftest import Make
from tests.cases.expected import fails_until

# --- time per byte ----------------------------------------------------------------------------------------


async def hello() -> str:
    return "hello"


def unclosed_escapes(length: int) -> str:
    return 'a="' + '\\"' * (length // 2)


def unclosed_after_junk(length: int) -> str:
    return "@" + '"\\' * (length // 2)


async def seconds_of(client: httpx.AsyncClient, header: str) -> float:
    """The processor's time for one request, the best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.thread_time()
        await client.get("/hello", headers={"cache-control": header})
        best = min(best, time.thread_time() - began)
    return best


@pytest.mark.parametrize("make_header", [unclosed_escapes, unclosed_after_junk])
@pytest.mark.parametrize("options", [{}, {"respect_request": False}], ids=["respected", "ignored"])
async def test_a_header_takes_time_by_its_length(make_header: Callable[[int], str], options: dict[str, Any]) -> None:
    app = application()
    cached_route(app, "/hello", hello, **options)
    transport = httpx.ASGITransport(app)

    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        await client.get("/hello")
        short, long = [await seconds_of(client, make_header(length)) for length in (1000, 6000)]

    assert long < 10 * short  # 6 times as long; by the square it takes 36 times as long


@pytest.fixture
def _logging_to_nowhere() -> Iterator[None]:
    """`configure_logging` as an application calls it; undone after the case."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    with contextlib.redirect_stderr(io.StringIO()):
        configure_logging()
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("_logging_to_nowhere")
def test_a_log_line_takes_time_by_its_length() -> None:
    words, urls = [_seconds_of_a_line(word * 500) for word in ("abcdefg ", "redis://")]

    assert urls < 10 * words  # equally long; by the square of a line's length it is 40 times


def _seconds_of_a_line(text: str) -> float:
    """The processor's time for one log line, the best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.thread_time()
        structlog.get_logger().warning("search", asked=text)
        best = min(best, time.thread_time() - began)
    return best


# --- memory ---------------------------------------------------------------------------------------------

_MEGABYTES = 4


async def large(number: int) -> Response:
    return Response(b"x" * (_MEGABYTES * 10**6 - 10) + b"%010d" % number)


def test_strangers_do_not_fill_the_memory() -> None:
    app = application()
    cached_route(app, "/large", large)

    with asking(app) as client:
        paths = [f"/large?number={number}" for number in range(55)]
        tags = [client.get(path).headers.get("etag", "") for path in paths]
        # with If-None-Match what is kept is answered without its body
        again = [client.get(path, headers={"if-none-match": tag}) for path, tag in zip(paths, tags, strict=True)]

    held = _MEGABYTES * sum("hit" in each.headers.get("cache-status", "") for each in again)
    assert held <= 200


@pytest.fixture(params=["memory", "redis"])
async def tagged(request: pytest.FixtureRequest, make: Make) -> AsyncIterator[GenericRedisCache | InMemoryCache]:
    """A cache that remembers at most 100 tags' invalidations, in memory and with a Redis."""
    options: dict[str, Any] = {"name": "tags", "stamp_limit": 100}
    async with make(**options) if request.param == "redis" else InMemoryCache(**options) as cache:
        yield cache


@fails_until(14, "each process remembers the invalidation of each tag for ever")
async def test_invalidations_of_many_tags_take_bounded_memory(tagged: GenericRedisCache | InMemoryCache) -> None:
    await _invalidate(tagged, range(200))

    tracemalloc.start()
    try:
        await _invalidate(tagged, range(200, 300))
        before = _allocated()
        await _invalidate(tagged, range(300, 800))
        grown = _allocated() - before
    finally:
        tracemalloc.stop()

    assert grown / 500 < 50  # bytes for a tag


async def _invalidate(cache: GenericRedisCache | InMemoryCache, numbers: range) -> None:
    for number in numbers:
        await cache.invalidate_tag(f"user:{number}")


def _allocated() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


# --- large values -----------------------------------------------------------------------------------------


@fails_until(14, "a large value is compressed in the event loop: nothing else runs meanwhile")
async def test_a_large_value_leaves_the_event_loop_to_others(make: Make) -> None:
    cache = make(enable_l1_cache=False, compression="zlib")
    value = "".join(f"{number:x}" for number in range(1_000_000, 1_300_000))

    held = []
    for _ in range(2):
        began = time.thread_time()
        with contextlib.suppress(ValidationError):  # too large to be kept: right as well
            await cache.set("large", value, ttl=60)
        held.append(time.thread_time() - began)

    began = time.thread_time()
    zlib.compress(value.encode(), 6)
    assert min(held) < (time.thread_time() - began) / 2
