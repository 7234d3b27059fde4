"""A process that reads and writes the cache at random for a while, and writes down what it saw."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TextIO

from opentelemetry.sdk.metrics import MeterProvider

from otcache import GenericRedisCache, Providers
from otcache.base import Answer
from tests.histories.ground import Phone
from tests.histories.history import Change, Kind, Read, Write, write_record
from tests.histories.watch import Watch
from tests.leaks import no_leaks

HOT: Final = ("p/hot0", "q/hot1")
"""Written so often that writes overlap."""
COLD: Final = tuple(f"{'pq'[number % 2]}/cold{number}" for number in range(8))
"""Written so rarely that a copy which nobody drops is seen to be too old."""
LOADED: Final = tuple(f"db/{number}" for number in range(6))
"""Loaded from the database."""
PREFIXES: Final = ("p/", "q/", "db/")
TAGS: Final = ("red", "green", "blue")
READERS: Final = 5


def tags_of(key: str) -> tuple[str, ...]:
    """The tags of what is loaded from the database."""
    return (TAGS[int(key[-1]) % len(TAGS)],)


class Worker:
    """One process's part.

    Args:
        number: Of the process.
        cache: The cache.
        watch: What its telemetry says.
        phone: The database.
        file: Where records go.
        seed: Of everything random.
        slow: By how much the pauses between its calls are longer.
    """

    def __init__(
        self, number: int, cache: GenericRedisCache, watch: Watch, phone: Phone, file: TextIO, seed: int
    ) -> None:
        self._number = number
        self._cache = cache
        self._watch = watch
        self._phone = phone
        self._file = file
        self._random = random.Random(seed)
        self._count = 0

    async def work(self, until: int) -> None:
        """Do all of it until CLOCK_MONOTONIC shows `until` ns; every call that began is let end."""
        jobs = (
            *((self._read, 0.03),) * READERS,
            (self._write_hot, 0.1),
            (self._write_cold, 0.7),
            (self._change, 0.5),
            (self._invalidate, 8.0),
        )
        async with asyncio.TaskGroup() as group:
            for job, pause in jobs:
                group.create_task(self._repeat(job, pause, until))

    async def _repeat(self, job: Callable[[], Awaitable[None]], pause: float, until: int) -> None:
        """With pauses of that mean, in s."""
        while (left := (until - time.monotonic_ns()) / 1e9) > 0:
            wait = self._random.expovariate(1 / pause)
            await asyncio.sleep(min(wait, left))
            if wait < left:
                await job()

    def _value(self) -> str:
        self._count += 1
        return f"{self._number}:{self._count}"

    # --- reading ------------------------------------------------------------------------------------

    async def _read(self) -> None:
        reads = (self._get, self._get_unwatched, self._get_many, self._get_or_set)
        await self._random.choices(reads, (4, 4, 1, 3))[0]()

    async def _get(self) -> None:
        key = self._random.choice(HOT + COLD + LOADED)
        began = time.monotonic_ns()
        with self._watch.call() as call:
            value = await self._cache.get(key)
        self._note_read("get", {key: value}, [key], began, call.tier)

    async def _get_unwatched(self) -> None:
        key = self._random.choice(HOT + COLD + LOADED)
        began = time.monotonic_ns()
        value = await self._cache.get(key)
        self._note_read("get", {key: value}, [key], began, None)

    async def _get_many(self) -> None:
        keys = self._random.sample(HOT + COLD + LOADED, 5)
        began = time.monotonic_ns()
        with self._watch.call() as call:
            found = await self._cache.get_many(keys)
        self._note_read("get_many", found, keys, began, "l1" if call.tier == "l1" else None)

    async def _get_or_set(self) -> None:
        key = self._random.choice(LOADED)

        async def load() -> str:
            value = str(await self._phone.ask("read", key=key))
            await asyncio.sleep(self._random.choice((0, 0.01, 0.04, 0.3)))  # what a change may overtake
            return value

        began = time.monotonic_ns()
        answer: Answer[str] = await self._cache.answer(key, load, tags=tags_of(key))
        self._note_read("get_or_set", {key: answer.value}, [key], began, answer.tier)

    def _note_read(self, operation: str, found: dict[str, Any], keys: list[str], began: int, tier: str | None) -> None:
        ended = time.monotonic_ns()
        for key in keys:
            write_record(self._file, Read(self._number, operation, key, found.get(key), began, ended, tier))

    # --- writing ------------------------------------------------------------------------------------

    async def _write_hot(self) -> None:
        await self._write(self._random.choice(HOT))

    async def _write_cold(self) -> None:
        await self._write(self._random.choice(COLD))

    async def _write(self, key: str) -> None:
        write = self._random.choices((self._set, self._set_many, self._delete), (6, 2, 2))[0]
        await write(key)

    async def _set(self, key: str) -> None:
        values, tags = {key: self._value()}, tuple(self._random.sample(TAGS, self._random.choice((0, 1, 2))))
        ttl = self._random.choice((None, 60, 2))
        call = self._cache.set(key, values[key], ttl, tags=tags)
        await self._note_write(call, "set", [key], values, tags)

    async def _set_many(self, key: str) -> None:
        keys = dict.fromkeys([key, self._random.choice(COLD)])
        values = {each: self._value() for each in keys}
        await self._note_write(self._cache.set_many(values), "set", keys, values)

    async def _delete(self, key: str) -> None:
        await self._note_write(self._cache.delete(key), "delete", [key])

    async def _invalidate(self) -> None:
        kind: Kind = self._random.choices(("tag", "prefix", "clear"), (2, 2, 1))[0]
        if kind == "tag":
            tag = self._random.choice(TAGS)
            await self._note_write(self._cache.invalidate_tag(tag), kind, [tag])
        elif kind == "prefix":
            prefix = self._random.choice(PREFIXES)
            await self._note_write(self._cache.invalidate_prefix(prefix), kind, [prefix])
        else:
            await self._note_write(self._cache.clear(), kind, [""])

    async def _change(self) -> None:
        """Change the database, then make the cache forget what it had loaded."""
        key, value = self._random.choice(LOADED), self._value()
        began = time.monotonic_ns()
        version = await self._phone.ask("change", key=key, value=value)
        changed = Change(self._number, key, value, version, began, time.monotonic_ns(), tags_of(key))
        write_record(self._file, changed)
        if self._random.random() < 0.7:
            await self._note_write(self._cache.delete(key), "delete", [key])
        else:
            await self._note_write(self._cache.invalidate_tag(tags_of(key)[0]), "tag", tags_of(key))

    async def _note_write(
        self,
        writing: Awaitable[None],
        kind: Kind,
        targets: Iterable[str],
        values: dict[str, str] | None = None,
        tags: tuple[str, ...] = (),
    ) -> None:
        began = time.monotonic_ns()
        with self._watch.call() as call:
            await writing
        ended, confirmed, sent = time.monotonic_ns(), call.is_confirmed, call.is_sent
        for target in targets:
            value = (values or {}).get(target)
            write_record(self._file, Write(self._number, kind, target, began, ended, confirmed, value, tags, sent))


def main() -> None:
    """The program of the process; its arguments are what `run` gives it."""
    number, seed, seconds, url, ground, path, options = sys.argv[1:]
    asyncio.run(_main(int(number), int(seed), float(seconds), url, ground, Path(path), json.loads(options)))


async def _main(
    number: int, seed: int, seconds: float, url: str, ground: str, path: Path, options: dict[str, Any]
) -> None:
    watch = Watch(seed)
    providers = Providers(watch.provider, MeterProvider(shutdown_on_exit=False))
    with closing(await Phone(ground).open()) as phone, path.open("w") as file:
        async with no_leaks(), GenericRedisCache(redis_url=url, providers=providers, **options) as cache:
            worker = Worker(number, cache, watch, phone, file, seed)
            await phone.ask("ready")
            await worker.work(time.monotonic_ns() + int(seconds * 1e9))
