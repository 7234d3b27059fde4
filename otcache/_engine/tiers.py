"""One operation's way through the two tiers: near first, then far; what may be copied, and what must be dropped.

Nothing here opens a record or raises to a caller because of the far tier: what happened goes into the `Outcome`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from otcache._engine.backplane import Backplane, forget_near, kind_of
from otcache._engine.changes import Changes
from otcache._engine.codec import EntryCodec
from otcache._engine.inflight import Inflight
from otcache._engine.invalidation_log import InvalidationLog
from otcache._engine.l1 import L1
from otcache._engine.l2 import L2
from otcache._engine.resilience import degraded_reason
from otcache._engine.write_options import WriteOptions, tags_of
from otcache._serialization.serializer import Decoded, DecodeError, Serializer
from otcache.exceptions import StoreError
from otcache.stores.memory import NEVER, MemoryStore
from otcache.telemetry._instrumentation.probe import Probe
from otcache.telemetry._instrumentation.signals import clock
from otcache.telemetry.record import Lookup, Outcome, StaleCandidate

_SECOND: Final = 1_000_000_000
_MS: Final = 1_000_000


class Tiers:
    """The near tier, and the far one if there is one.

    Args:
        near: The memory in this process.
        far: The far tier, or `None`.
        probe: What is reported through.
        serializer: Values to bytes and back.
        copies: Whether the near tier holds bytes, so that every caller decodes an object of its own.
        beta: How early a loaded entry asks to be loaded anew.
        max_staleness: Seconds that the near tier may lag behind other processes; `None` listens to nobody.
    """

    def __init__(
        self,
        near: MemoryStore,
        far: L2 | None,
        probe: Probe,
        serializer: Serializer,
        *,
        copies: bool,
        beta: float,
        max_staleness: float | None,
    ) -> None:
        self.near = near
        self.far = far
        self.copies = copies
        self.coding = EntryCodec(serializer, far.store.clock if far is not None else None, probe)
        self.near_tier = L1(near, self.coding, copies=copies, beta=beta, max_staleness=max_staleness)
        self.changes = Changes()
        self.inflight = Inflight(self.changes)
        self.stamps = far.stamps if far is not None else InvalidationLog()
        self.backplane: Backplane | None = None
        if far is not None and max_staleness is not None:
            self.backplane = Backplane(far, near, self.inflight, probe, max_staleness=max_staleness)
        elif far is not None:
            far.invalidated = self._forget
        self._probe = probe
        self._report = probe.coherence
        self._clock: Callable[[], int] = clock

    def _forget(self, targets: list[str]) -> None:
        """Drop the copies that other processes' invalidations concern."""
        for target in targets:
            forget_near(self.near, self.inflight, target)
            self._report.applied(kind_of(target), "backplane")

    async def listen(self) -> None:
        """Hear other processes from now on; waits for the first answer, at most one deadline."""
        if self.far is not None:
            with suppress(StoreError):
                await self.far.begin_listening(None)

    async def stamp(self, outcome: Outcome) -> int:
        """The stamp of a value whose making begins now."""
        if self.far is not None and not self.stamps.id and not self.far.breaker.is_open:
            try:
                await self.far.begin_listening(outcome)
            except StoreError as exc:
                outcome.degraded = outcome.degraded or degraded_reason(exc)
        return self.stamps.current

    # --- reading ------------------------------------------------------------------------------------

    async def look_up(self, outcome: Outcome, key: str, kind: Any, promote: bool) -> Lookup:
        """What the tiers know of `key`; a far answer is copied to the near tier if `promote`."""
        near = self.near_tier.look(key, kind)
        if near.result == "hit" or near.reason == "decode_error" or self.far is None:
            return near
        token = self.inflight.begin_read(key)
        try:
            payload = await self.far.read(outcome, key)
        except StoreError:
            return self.near_tier.look_local(near, kind)
        finally:
            may_copy = self.inflight.end_read(key, token)
        return self.take(outcome, near, payload, kind, may_copy and promote)

    async def look_up_many(self, outcome: Outcome, keys: list[str], kind: Any) -> dict[str, Lookup]:
        """The same for many keys; the far tier is asked once for all that the near one does not hold."""
        lookups = {key: self.near_tier.look(key, kind) for key in keys}
        missed = [each for each in lookups.values() if each.result == "miss" and each.reason != "decode_error"]
        if missed and self.far is not None:
            lookups.update(await self._look_far(self.far, outcome, missed, kind))
        return lookups

    async def _look_far(self, far: L2, outcome: Outcome, missed: list[Lookup], kind: Any) -> dict[str, Lookup]:
        tokens = {near.key: self.inflight.begin_read(near.key) for near in missed}
        may_copy: dict[str, bool] = {}
        try:
            payloads = await far.read_many(outcome, list(tokens))
        except StoreError:
            return {near.key: self.near_tier.look_local(near, kind) for near in missed}
        finally:
            may_copy = {key: self.inflight.end_read(key, token) for key, token in tokens.items()}
        pairs = zip(missed, payloads, strict=True)
        found = {near.key: self.take(outcome, near, payload, kind, may_copy[near.key]) for near, payload in pairs}
        outcome.age = outcome.size = None  # one entry's facts, not a batch's
        return found

    def take(self, outcome: Outcome, near: Lookup, payload: bytes | None, kind: Any, copy: bool) -> Lookup:
        """What the far tier's payload means, and the copy of it in the near tier with the time left."""
        if payload is None:
            if near.kept is not None and near.kept.reason == "backend_unavailable":
                near.kept = None  # it was only kept for want of an answer
            return near
        self._probe.payload("read", len(payload))
        try:
            found = self.coding.decode(payload, near.key, kind)
        except DecodeError:
            outcome.degraded = outcome.degraded or "codec"
            return Lookup(near.key, "miss", reason="decode_error")
        server_ms = self.coding.server_ms()
        if found.expires_at_ms and found.expires_at_ms <= server_ms:
            return Lookup(near.key, "miss", reason="expired")
        if not self.stamps.allows(near.key, found.stamp, tags_of(found)):
            return Lookup(near.key, "miss", reason="invalidated")
        return self._far_answer(outcome, near.key, payload, found, copy, server_ms)

    def _far_answer(
        self, outcome: Outcome, key: str, payload: bytes, found: Decoded, copy: bool, server_ms: int
    ) -> Lookup:
        """The hit, or the stale value, in a valid payload; and the copy of it."""
        now, age = self._clock(), self.coding.age(found, server_ms)
        expires, more = self.near_tier.times(found, now, server_ms)
        outcome.size, outcome.age = len(payload), age
        held = payload if self.copies else found.value
        if copy and self._may_copy() and self.near.put(key, held, expires, now, found.facts, more):
            self._probe.wrote("l1", "backfill")
        fresh_until = expires if more is None else more.soft
        left = None if fresh_until == NEVER else (fresh_until - now) / _SECOND
        if left is not None and left <= 0:
            return Lookup(
                key, "miss", reason="expired", kept=StaleCandidate(found.value, "l2", -left, age, "revalidating")
            )
        if age is not None:
            self._probe.aged("hit", age)
        return Lookup(key, "hit", "l2", value=found.value, facts=found.facts, due=expires <= now, age=age, left=left)

    def _may_copy(self) -> bool:
        """Whether what the far tier holds may be kept here: only while we hear what happens to it."""
        return self.backplane is None or self.backplane.is_live

    # --- writing ------------------------------------------------------------------------------------

    async def write(
        self,
        outcome: Outcome,
        values: Mapping[str, Any],
        payloads: Mapping[str, bytes],
        terms: WriteOptions,
        started: int,
        lock: bytes | None = None,
    ) -> bool:
        """Store entries in both tiers; `outcome.written` gets those that at least one of them holds.

        Returns:
            Whether the far tier has them all.

        Args:
            outcome: The record.
            values: What the near tier keeps.
            payloads: What the far tier keeps.
            terms: How long.
            started: When that begins.
            lock: Of a load: nothing is stored if it is not ours any more, because the key has been written since.
        """
        token, overlaps = self.inflight.begin_write(payloads)
        alone = False
        try:
            in_far = await self._write_far(outcome, payloads, terms, lock)
        except BaseException:  # cancelled: nobody knows what the server holds
            self._remove_near(payloads)
            raise
        finally:
            alone = self.inflight.end_write(payloads, token) and not overlaps
        if in_far is None:  # overtaken
            self._remove_near(payloads)
            return False
        for key, value in values.items():
            kept = self._settle(outcome, key, value, payloads[key], terms, started, alone=alone, far=key in in_far)
            if kept or key in in_far:
                outcome.written.append((key, value))
        return in_far == payloads.keys()

    def _settle(
        self,
        outcome: Outcome,
        key: str,
        value: Any,
        payload: bytes,
        terms: WriteOptions,
        started: int,
        *,
        alone: bool,
        far: bool,
    ) -> bool:
        """Put a written value into the near tier, unless what came meanwhile may be newer or has made it invalid."""
        known = not far or (alone and self._may_copy())
        if not known or not self.stamps.allows(key, terms.stamp, terms.tags):
            self.near.remove(key)
            return False
        kept = self.near_tier.put(key, value, payload, terms, started, outcome.facts)
        if kept:
            self._probe.wrote("l1", terms.reason)
            if self.far is not None and not far:
                self.near_tier.note_local(key, terms.began or started)
        return kept

    async def _write_far(
        self, outcome: Outcome, payloads: Mapping[str, bytes], terms: WriteOptions, lock: bytes | None
    ) -> frozenset[str] | None:
        """The keys that the far tier has acknowledged; `None` if it has refused the value of a load."""
        if self.far is None or not payloads:
            return frozenset()
        try:
            if lock is None:
                written = await self._acknowledged(self.far, outcome, payloads, terms.hard * 1000)
            else:
                (key,) = payloads
                if not await self.far.write_loaded(outcome, key, payloads[key], terms.hard * 1000, lock):
                    return None
                written = frozenset(payloads)
        except StoreError:
            return frozenset()
        if written:
            self._probe.wrote("l2", terms.reason, len(written))
        for key in written:
            self._probe.payload("write", len(payloads[key]))
        return written

    async def _acknowledged(
        self, far: L2, outcome: Outcome, payloads: Mapping[str, bytes], ttl_ms: int
    ) -> frozenset[str]:
        items = list(payloads.items())
        if len(items) == 1 and outcome.operation != "set_many":
            await far.write(outcome, *items[0], ttl_ms)
            return frozenset(payloads)
        errors = await far.write_many(outcome, items, ttl_ms)
        if any(errors):
            outcome.degraded = outcome.degraded or "server_error"
        return frozenset(key for (key, _), error in zip(items, errors, strict=True) if error is None)

    # --- removing -----------------------------------------------------------------------------------

    async def remove(self, outcome: Outcome, keys: list[str]) -> None:
        """Remove `keys` from both tiers; `outcome.removed` gets them if they are gone from both."""
        held = self._remove_near(keys)
        token, _ = self.inflight.begin_write(keys)
        gone, existed = self.far is None, 0
        try:
            if self.far is not None:
                existed = await self.far.remove(outcome, keys)
                gone = True
        except StoreError:
            gone = False
        finally:
            self.inflight.end_write(keys, token)
            self._remove_near(keys)
        self._report.applied("key", "local", len(keys))
        outcome.result = "ok" if gone and (held or existed) else "noop" if gone else "dropped"
        if gone:
            outcome.removed.extend(keys)

    async def sweep(self, outcome: Outcome, pattern: str, matches: Callable[[str], bool] | None) -> int:
        """Remove every key that matches; how many (the far tier's count if it answered).

        Args:
            outcome: The record.
            pattern: As a Redis glob, for the far tier.
            matches: The same for the near tier; `None` for everything.
        """
        self.inflight.begin_sweep()
        removed = self._sweep_near(matches)
        try:
            if self.far is not None:
                removed = await self.far.sweep(outcome, pattern)
        except StoreError:
            outcome.result = "dropped"
        finally:
            self.inflight.end_sweep()
            self._sweep_near(matches)
        return removed

    async def invalidate(self, outcome: Outcome, target: str) -> None:
        """Make every entry invalid that `target` concerns, in every process: O(1) for the server."""
        forget_near(self.near, self.inflight, target)
        if self.far is None:
            self.stamps.bump(target)
        else:
            try:
                await self.far.invalidate(outcome, target)
            except StoreError:
                outcome.result = "dropped"
        forget_near(self.near, self.inflight, target)
        self._report.applied(kind_of(target), "local")

    def _sweep_near(self, matches: Callable[[str], bool] | None) -> int:
        if matches is not None:
            return self._remove_near([key for key in self.near.entries if matches(key)])
        count = len(self.near.entries)
        self.near.clear()
        return count

    def _remove_near(self, keys: Iterable[str]) -> int:
        return sum([self.near.remove(key) for key in keys])

    # --- questions ----------------------------------------------------------------------------------

    async def contains(self, outcome: Outcome, key: str) -> bool:
        """Whether a tier holds `key`; `False` if the one that knows can't be asked."""
        if self.near_tier.trusted(key, self._clock()) is not None:
            return True
        try:
            if self.far is None or not await self._is_valid(self.far, outcome, key):
                return False
            return bool(self.stamps.newest) or await self.far.contains(outcome, key)
        except StoreError:
            return False

    async def left_ms(self, outcome: Outcome, key: str) -> int | None:
        """Milliseconds until `key` expires; 0 if never, `None` if it is not there or nobody can be asked."""
        now = self._clock()
        entry = self.near_tier.trusted(key, now)
        if entry is not None:
            return 0 if entry.dies == NEVER else -(-(entry.dies - now) // _MS)
        try:
            if self.far is None or not await self._is_valid(self.far, outcome, key):
                return None
            return await self.far.left_ms(outcome, key)
        except StoreError:
            return None

    async def _is_valid(self, far: L2, outcome: Outcome, key: str) -> bool:
        """Whether no invalidation has made the far entry invalid; asks only if there has been one."""
        if not self.stamps.newest:
            return True
        payload = await far.read(outcome, key)
        try:
            found = None if payload is None else self.coding.serializer.inspect(payload)
        except DecodeError:
            return False
        return found is not None and self.stamps.allows(key, found.stamp, tags_of(found))

    async def touch(self, outcome: Outcome, key: str, seconds: int, started: int) -> bool:
        """Give `key` a new time to live in both tiers; whether the farthest one has it."""
        entry = self.near_tier.trusted(key, started)
        touched = entry is not None
        if self.far is not None:
            try:
                valid = await self._is_valid(self.far, outcome, key)
                touched = valid and await self.far.touch(outcome, key, seconds * 1000)
            except StoreError:
                return False
        if not touched:
            self.near.remove(key)  # the far tier has lost it: the copy must not outlive it
        elif entry is not None:
            self.near_tier.touch(entry, started + seconds * _SECOND if seconds else NEVER)
        return touched
