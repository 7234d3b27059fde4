"""Answers of a model, 2 kB and 50 kB, read from Redis: here the codec decides.

otcache decodes with orjson and, as shipped, compresses what is above 1000 bytes; cashews takes pickle, aiocache and
fastapi-cache2 the standard library's json. None of the others compresses.
"""

from __future__ import annotations

import random
from functools import partial
from typing import Any, Final

import orjson

from benchmarks.harness import Case
from benchmarks.peers import TTL, redis_py
from benchmarks.setting import Setting
from benchmarks.workloads import Group
from benchmarks.workloads.redis_hits import BARE, DECODED, READERS, Reader, one_at_a_time, together
from otcache import AIResponseCache

JSON: Final = "redis-py and json"
COMPRESSED: Final = "otcache as shipped: zlib above 1000 bytes"
PLAIN: Final = "otcache without compression"
ASKED: Final = "AIResponseCache, the key built from the text, zlib"
PROSE: Final = (
    "the model answers with words that repeat as words of prose do and so a text like this one compresses to about a "
    "third of what it was while random bytes would not compress at all which no answer of a model ever looks like"
)
_TEXT: Final = "Summarise the quarterly report of the department for someone who has not read it."


def answer(size: int, seed: int = 3) -> dict[str, Any]:
    """An answer with its scores and its tokens, about `size` bytes of JSON."""
    draw, words = random.Random(seed), PROSE.split()
    found: dict[str, Any] = {"model": "small-1", "text": "", "sentences": []}
    while len(orjson.dumps(found)) < size:
        sentence = " ".join(draw.choices(words, k=12))
        found["sentences"].append({"text": sentence, "score": round(draw.random(), 4), "start": draw.randrange(size)})
    return found


async def _ours(setting: Setting, value: Any) -> dict[str, Reader]:
    found = {}
    for name, threshold in ((COMPRESSED, 1000), (PLAIN, 2**30)):
        cache = setting.redis_cache(name=f"ai-{threshold}", compression_threshold=threshold)
        await cache.set_many({f"ours:{number}": value for number in range(READERS)})
        found[name] = Reader(cache.get, "ours")
    asked: AIResponseCache = setting.redis_cache(AIResponseCache, name="ai-asked")
    await asked.cache_response(_TEXT, "summarize", None, value)

    async def ask(_: str) -> Any:
        return await asked.get_cached_response(_TEXT, "summarize", None)

    return found | {ASKED: Reader(ask, "")}


async def _others(setting: Setting, value: Any) -> dict[str, Reader]:
    assert setting.port is not None
    client = redis_py.connect(setting.stack, setting.port)
    for number in range(READERS):
        await client.set(f"raw:{number}", orjson.dumps(value), ex=TTL)
    return {
        BARE: Reader(client.get, "raw"),
        DECODED: Reader(redis_py.decoding(client, fast=True), "raw"),
        JSON: Reader(redis_py.decoding(client, fast=False), "raw"),
    }


async def _readers(setting: Setting, size: int) -> dict[str, Reader]:
    value = answer(size)
    found = await _others(setting, value) | await _ours(setting, value)
    for name, client in (await setting.peers("redis", setting.port)).items():
        for number in range(READERS):
            await client.set(f"{name}:{number}", value)
        found[name] = Reader(client.get, name)
    return found


async def build(size: int, setting: Setting) -> dict[str, Case]:
    """One reader."""
    return {name: one_at_a_time(reader, 20) for name, reader in (await _readers(setting, size)).items()}


async def build_concurrent(size: int, setting: Setting) -> dict[str, Case]:
    """Fifty readers."""
    found = await _readers(setting, size)
    return {name: together(reader, 1) for name, reader in found.items()}


GROUPS: Final = (
    Group("ai-2k", "An answer of 2 kB in Redis", BARE, partial(build, 2_000), quick=False, needs_redis=True),
    Group("ai-50k", "An answer of 50 kB in Redis", BARE, partial(build, 50_000), quick=False, needs_redis=True),
    Group(
        "ai-readers", "Fifty readers of answers of 2 kB", BARE, partial(build_concurrent, 2_000),
        quick=False, clock="wall", needs_redis=True,
    ),
)  # fmt: skip
