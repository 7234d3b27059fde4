"""The far tier as the pipeline sees it: every operation of the store, guarded."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Sequence
from contextlib import aclosing, suppress
from functools import cached_property

from otcache._engine.invalidation_log import new_id
from otcache._engine.read_batching import ReadBatcher
from otcache._engine.resilience import END, Resilience
from otcache.exceptions import StoreError
from otcache.stores.base import LockAttempt
from otcache.telemetry._instrumentation.signals import clock
from otcache.telemetry.record import Outcome


class L2(Resilience):
    """The operations of a far store. Each may raise `StoreError`, and nothing else."""

    # --- operations ---------------------------------------------------------------------------------

    @cached_property
    def _reads(self) -> ReadBatcher:
        return ReadBatcher(self._read_one, self._read_together, self.backend.place, self._probe.trips.open)

    def read(self, outcome: Outcome, key: str) -> Awaitable[bytes | None]:
        """The payload under `key`, in one round trip with the other reads of this turn of the event loop."""
        if self.breaker.is_open:
            return self._read_one(outcome, key)  # which is refused at once
        return self._reads.read(outcome, key)

    def _read_one(self, outcome: Outcome, key: str) -> Awaitable[bytes | None]:
        return self._call(outcome, "GET", "read", self.store.read, key)

    async def _read_together(self, outcomes: list[Outcome], keys: list[str]) -> list[bytes | None]:
        shared = self._probe.trips.share(outcomes)
        try:
            if len(keys) == 1:
                return [await self._read_one(shared, keys[0])]
            return await self.read_many(shared, keys)
        finally:
            for outcome in outcomes:
                outcome.degraded = shared.degraded

    async def close(self) -> None:
        await super().close()
        await self._reads.close()

    async def read_many(self, outcome: Outcome, keys: Sequence[str]) -> list[bytes | None]:
        """The payloads under `keys`, in their order, in one round trip."""
        return await self._call(outcome, "MGET", "read", self.store.read_many, keys)

    async def contains(self, outcome: Outcome, key: str) -> bool:
        """Whether `key` exists."""
        return await self._call(outcome, "EXISTS", "read", self.store.contains, key)

    async def left_ms(self, outcome: Outcome, key: str) -> int | None:
        """Milliseconds left of `key`; 0 if it never expires, `None` if absent."""
        return await self._call(outcome, "PTTL", "read", self.store.left_ms, key)

    async def touch(self, outcome: Outcome, key: str, ttl_ms: int) -> bool:
        """Give `key` a new time to live; whether it existed."""
        return await self._call(outcome, "EVAL", "write", self.store.touch, key, ttl_ms, self.news)

    async def write(self, outcome: Outcome, key: str, payload: bytes, ttl_ms: int) -> None:
        """Store `payload`; returns only on the server's OK."""
        try:
            await self._call(
                outcome, "SET", "write", self.store.write, key, payload, ttl_ms, self.news, sent=len(payload)
            )
        except BaseException:
            self.distrust([key])
            raise
        self.journal.discard([key])

    async def write_loaded(self, outcome: Outcome, key: str, payload: bytes, ttl_ms: int, lock: bytes) -> bool:
        """Store the value of a load, unless the key has been written or removed meanwhile; whether it is stored."""
        assert self.news is not None, "there are locks only where there are news"
        try:
            write, size = self.locks.write_loaded, len(payload)
            stored = await self._call(outcome, "SET", "write", write, key, payload, ttl_ms, lock, self.news, sent=size)
        except BaseException:
            self.distrust([key])
            raise
        self.journal.discard([key])
        return stored

    async def write_many(
        self, outcome: Outcome, items: Sequence[tuple[str, bytes]], ttl_ms: int
    ) -> list[StoreError | None]:
        """Store `items` in one round trip; per item `None` for the server's OK, or its error."""
        keys, sent = [key for key, _ in items], sum(len(payload) for _, payload in items)
        store = self.store.write_many
        try:
            errors = await self._call(
                outcome, "PIPELINE SET", "write", store, items, ttl_ms, self.news, batch=len(items), sent=sent
            )
        except BaseException:
            self.distrust(keys)
            raise
        self.journal.discard(key for key, error in zip(keys, errors, strict=True) if error is None)
        self.distrust([key for key, error in zip(keys, errors, strict=True) if error is not None])
        return errors

    async def remove(self, outcome: Outcome, keys: Sequence[str]) -> int:
        """Remove `keys`; how many existed."""
        try:
            removed = await self._call(outcome, "UNLINK", "delete", self.store.remove, keys, self.news)
        except BaseException:
            self.distrust(keys)
            raise
        self.journal.discard(keys)
        return removed

    async def sweep(self, outcome: Outcome, pattern: str) -> int:
        """Remove every key that matches a Redis glob under the prefix, batch by batch; how many.

        Each batch has a deadline of its own.
        """
        removed = 0
        try:
            async for keys in self._scan(outcome, pattern):
                if keys:
                    removed += await self._call(outcome, "UNLINK", "delete", self.store.remove, keys, self.news)
        except BaseException:
            self.journal.add_everything()
            self.breaker.enter("open")  # everything is invalidated in the background
            raise
        return removed

    async def invalidate(self, outcome: Outcome, target: str) -> None:
        """Make every entry invalid that `target` concerns: one round trip, however many there are."""
        try:
            numbered = await self._call(
                outcome, "EVAL", "tag", self.invalidations.invalidate, target, *self._numbering()
            )
        except BaseException:
            self.journal.add_target(target)
            raise
        self.journal.forget_target(target)
        await self._numbered(target, *numbered)

    async def _numbered(self, target: str, id_: str, number: int) -> None:
        """Take over the number of one of our own invalidations, and what is missing before it."""
        if id_ != self.stamps.id or not self.stamps.follow(target, number):
            self._stamps_until = 0
            with suppress(StoreError):
                await self.sync_stamps()

    async def sync_stamps(self, outcome: Outcome | None = None) -> None:
        """Take over what has been invalidated since the last time."""
        began, stamps = clock(), self.stamps
        rows = await self._call(outcome, "EVAL", "tag", self.invalidations.versions, stamps.id, stamps.newest, new_id())
        self._adopt(rows, began)

    async def lock(self, outcome: Outcome, key: str, value: bytes, ms: int) -> LockAttempt:
        """Take the lock of `key`, or learn who has it; and what is stored under `key`."""
        return await self._call(outcome, "PIPELINE", "lock", self.locks.lock, key, value, ms, batch=2)

    async def seize(self, outcome: Outcome, key: str, value: bytes, ms: int) -> None:
        """Take the lock of `key`, whoever has it."""
        await self._call(outcome, "SET", "lock", self.locks.seize, key, value, ms)

    async def renew_lock(self, key: str, value: bytes, ms: int) -> bool:
        """Keep the lock for `ms` more; whether it was still ours."""
        return await self._call(None, "EVAL", "lock", self.locks.renew, key, value, ms)

    async def unlock(self, outcome: Outcome | None, key: str, value: bytes, news: bytes) -> bool:
        """Give the lock back and say so; whether it was still ours."""
        return await self._call(outcome, "EVAL", "lock", self.locks.unlock, key, value, news)

    async def _scan(self, outcome: Outcome | None, pattern: str) -> AsyncIterator[list[str]]:
        async with aclosing(self.store.scan(pattern)) as batches:
            while (keys := await self._call(outcome, "SCAN", "delete", _next, batches)) is not END:
                yield keys

    def distrust(self, keys: Sequence[str]) -> None:
        """What the store holds under `keys` may be old: remove it there before it is read again."""
        if keys and self.journal.add(keys):
            self._probe.journal_full(self.journal.limit)
            self.breaker.enter("open")  # everything is invalidated in the background


async def _next(batches: AsyncGenerator[list[str], None]) -> list[str]:
    return await anext(batches, END)
