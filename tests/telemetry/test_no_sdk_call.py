"""Under a parent that is not sampled, no operation enters the SDK: counted by the interpreter itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import opentelemetry.sdk
import pytest
from opentelemetry import trace

from otcache import GenericRedisCache
from otcache.testing import Capture
from tests.inside import forget

SDK = str(Path(opentelemetry.sdk.__path__[0]))
EVERYTHING: dict[str, Any] = {"writer_links": True, "callback_spans": True, "spans": "all", "telemetry_keys": "hash"}


@contextmanager
def counting() -> Iterator[list[str]]:
    """The functions of the SDK that are called inside."""
    called: list[str] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(SDK):
            called.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(None)


def under(*, sampled: bool) -> Any:
    context = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(int(sampled)))
    return trace.use_span(trace.NonRecordingSpan(context))


async def use(cache: GenericRedisCache, operation: str) -> None:
    if operation == "l2":
        forget(cache)
        await cache.get("k")
    elif operation == "set":
        await cache.set("other", "x" * 5000)
    else:
        await {"l1": cache.get, "miss": cache.get, "delete": cache.delete}[operation](
            "k" if operation == "l1" else "no"
        )


@pytest.mark.parametrize("operation", ["l1", "l2", "miss", "set", "delete"])
async def test_an_unsampled_operation_with_everything_on_makes_no_sdk_call(
    telemetry: Capture, redis_server: Any, prefix: str, operation: str
) -> None:
    options: dict[str, Any] = {"key_prefix": prefix, "timeout": 5.0, **EVERYTHING}
    async with GenericRedisCache(redis_url=redis_server.url, providers=telemetry.providers, **options) as cache:
        await cache.set("k", 1)
        with under(sampled=False), counting() as unsampled:
            await use(cache, operation)
        with under(sampled=True), counting() as sampled:
            await use(cache, operation)

    assert unsampled == []
    assert sampled, "the count works: a recorded operation does call the SDK"
