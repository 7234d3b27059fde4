"""Hits in Redis: one at a time, and fifty readers in one event loop.

What is compared says what it decodes: bare redis-py nothing, otcache its own payloads, cashews pickle, aiocache and
fastapi-cache2 JSON. All have the same limit of time; redis-py's instrumentation is sampled out as otcache's spans are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson
from opentelemetry import trace

from benchmarks import redis_benchmark
from benchmarks.harness import Case
from benchmarks.peers import TTL, redis_py
from benchmarks.setting import SAMPLED, UNSAMPLED, Get, Setting, tutorial, under
from benchmarks.workloads import Group

READERS: Final = 50
BARE: Final = "redis-py, bare: no decoding"
NO_TIMEOUT: Final = "redis-py, bare, without a limit of time"
DECODED: Final = "redis-py and orjson"
OTCACHE: Final = "otcache, decoded, span sampled out"
OTCACHE_RECORDED: Final = "otcache, decoded, spans recorded"
INSTRUMENTED: Final = "redis-py and its instrumentation, sampled out"
INSTRUMENTED_RECORDED: Final = "redis-py and its instrumentation, recorded"
TUTORIAL: Final = "the tutorial way around redis-py and orjson, sampled out"
TUTORIAL_RECORDED: Final = "the tutorial way around redis-py and orjson, recorded"
LIMIT: Final = "redis-benchmark, in C"
VALUE: Final = {"id": 17, "name": "Ada Lovelace", "mail": "ada@example.org", "tags": ["a", "b"], "active": True, "n": 1}
"""About 100 bytes of JSON."""


class Reader(NamedTuple):
    """Something that reads from Redis.

    Attributes:
        get: Its call.
        prefix: Of the keys that hold what it can read.
        span: Under which it runs.
    """

    get: Get
    prefix: str
    span: trace.Span = UNSAMPLED


async def _ours(setting: Setting, value: Any, keys: int) -> dict[str, Reader]:
    cache = setting.redis_cache()
    await cache.set_many({f"ours:{number}": value for number in range(keys)})
    return {OTCACHE: Reader(cache.get, "ours"), OTCACHE_RECORDED: Reader(cache.get, "ours", SAMPLED)}


async def _redis_py(setting: Setting, value: Any, keys: int) -> dict[str, Reader]:
    assert setting.port is not None
    client = redis_py.connect(setting.stack, setting.port)
    payload = orjson.dumps(value)
    for number in range(keys):
        await client.set(f"raw:{number}", payload, ex=TTL)
    decoded = redis_py.decoding(client, fast=True)
    by_hand = tutorial(setting, decoded)
    readers = {
        BARE: Reader(client.get, "raw"),
        NO_TIMEOUT: Reader(redis_py.connect(setting.stack, setting.port, None).get, "raw"),
        DECODED: Reader(decoded, "raw"),
        TUTORIAL: Reader(by_hand, "raw"),
        TUTORIAL_RECORDED: Reader(by_hand, "raw", SAMPLED),
    }
    observed, missing = redis_py.instrumented(setting.stack, setting.port, setting.tracers)
    if observed is None:
        setting.absent[INSTRUMENTED] = missing
        return readers
    more = {INSTRUMENTED: Reader(observed.get, "raw"), INSTRUMENTED_RECORDED: Reader(observed.get, "raw", SAMPLED)}
    return readers | more


async def _peers(setting: Setting, value: Any, keys: int) -> dict[str, Reader]:
    readers = {}
    for name, client in (await setting.peers("redis", setting.port)).items():
        for number in range(keys):
            await client.set(f"{name}:{number}", value)
        readers[name] = Reader(client.get, name)
    return readers


async def readers(setting: Setting, value: Any, keys: int) -> dict[str, Reader]:
    """Everything that reads `value` from Redis, each from keys of its own."""
    found = await _redis_py(setting, value, keys)
    return found | await _ours(setting, value, keys) | await _peers(setting, value, keys)


class MissedError(Exception):
    """A reader found nothing: what took so long, or was so fast, was no hit."""


def one_at_a_time(reader: Reader, operations: int) -> Case:
    """One reader that waits for each answer."""

    async def run() -> None:
        get, key = reader.get, f"{reader.prefix}:0"
        for _ in range(operations):
            if await get(key) is None:
                raise MissedError(key)

    return Case(under(reader.span, run), operations)


def together(reader: Reader, times: int) -> Case:
    """`READERS` tasks, each with keys of its own, each waiting for its answers."""

    async def read(number: int) -> None:
        get, key = reader.get, f"{reader.prefix}:{number}"
        for _ in range(times):
            if await get(key) is None:
                raise MissedError(key)

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(READERS):
                group.create_task(read(number))

    return Case(under(reader.span, run), READERS * times)


def _with_limit(setting: Setting, cases: Mapping[str, Case], clients: int) -> dict[str, Case]:
    """Those cases, and the server's own benchmark as the limit of what any client could reach."""
    assert setting.port is not None
    case, missing = redis_benchmark.case(setting.port, "raw:0", clients)
    if case is None:
        setting.absent[LIMIT] = missing
        return dict(cases)
    return {**cases, LIMIT: case}


async def build_single(setting: Setting) -> dict[str, Case]:
    """The cases of one reader."""
    found = await readers(setting, VALUE, 1)
    return _with_limit(setting, {name: one_at_a_time(reader, 100) for name, reader in found.items()}, 1)


async def build_concurrent(setting: Setting) -> dict[str, Case]:
    """The cases of fifty readers."""
    found = await readers(setting, VALUE, READERS)
    return _with_limit(setting, {name: together(reader, 4) for name, reader in found.items()}, READERS)


SINGLE: Final = Group("redis", "One hit in Redis at a time, 100 bytes", BARE, build_single, needs_redis=True)
CONCURRENT: Final = Group(
    "readers", "Fifty readers in one event loop, 100 bytes", BARE, build_concurrent,
    clock="wall", needs_redis=True,
)  # fmt: skip
