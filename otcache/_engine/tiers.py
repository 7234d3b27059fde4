"""The way of one operation through L1 and L2: L1 first, then L2; what is copied to L1, and what has to be dropped.

Nothing here opens a record, and nothing raises to a caller because of L2: what happened goes into the `Outcome`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from otcache._engine.backplane import Backplane
from otcache._engine.changes import Changes
from otcache._engine.codec import EntryCodec
from otcache._engine.inflight import Inflight
from otcache._engine.invalidation_log import EVERYTHING, InvalidationLog
from otcache._engine.l1 import L1, end_of, kind_of
from otcache._engine.l2 import L2
from otcache._engine.resilience import degraded_reason
from otcache._engine.write_options import WriteOptions, tags_of
from otcache._serialization.keys import check_tags
from otcache._serialization.patterns import escape_glob
from otcache._serialization.serializer import Decoded, DecodeError
from otcache.exceptions import StoreError, UnsupportedError
from otcache.stores.base import LocalClock
from otcache.stores.memory import NEVER
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.probe import Probe
from otcache.telemetry._instrumentation.signals import clock
from otcache.telemetry.record import Lookup, Outcome, StaleCandidate
from otcache.ttl import FOREVER, store_ms

_SECOND: Final = 1_000_000_000
_MS: Final = 1_000_000


class Tiers:
    """L1, and L2 if there is one. Its parts are made in `_engine/build.py`.

    Args:
        l1: The memory of this process.
        l2: The store that processes share, or `None`.
        codec: Values to bytes and back.
        inflight: Reads, writes and loads in flight.
        log: The invalidations that this process knows.
        probe: What it reports through.

    Attributes:
        changes: The feed of changes.
        backplane: Hears other processes; `None` without L2, without its channel, or with `coherence` off.
        copies: Whether every caller gets an object of its own: then L1 holds bytes.
    """

    def __init__(
        self, l1: L1, l2: L2 | None, codec: EntryCodec, inflight: Inflight, log: InvalidationLog, probe: Probe
    ) -> None:
        self.l1, self.l2 = l1, l2
        self.codec = codec
        self.inflight, self.log = inflight, log
        self.changes: Changes = inflight.changes
        self.backplane: Backplane | None = l2.backplane if l2 is not None else None
        self.copies = l1.copies
        self._memory = l1.store
        self._store_clock = l2.store.clock if l2 is not None else LocalClock()
        self._report = probe.coherence
        self._clock: Callable[[], int] = clock

    async def listen(self) -> None:
        """Hear other processes from now on; waits for the first answer, at most one deadline."""
        if self.l2 is not None:
            with suppress(StoreError):
                await self.l2.listen(None)

    async def version(self, outcome: Outcome) -> int:
        """Return the invalidation version of a value that begins to be made now."""
        # Without an epoch every invalidation there has been so far would hit the new value: learn it first.
        if self.l2 is not None and not self.log.id and self.l2.has_versions and not self.l2.breaker.is_open:
            try:
                await self.l2.listen(outcome)
            except StoreError as exc:
                outcome.degraded = outcome.degraded or degraded_reason(exc)
        return self.log.current

    def check_tags(self, tags: Iterable[str]) -> tuple[str, ...]:
        """Return `tags`, each once.

        Raises:
            ValidationError: One is not a non-empty string of at most 8 KiB, or there are too many.
            UnsupportedError: There are tags, and the store of L2 has no invalidations.
        """
        checked = check_tags(tags)
        if checked and self.l2 is not None and not self.l2.has_versions:
            raise self._no_tags()
        return checked

    def _no_tags(self) -> UnsupportedError:
        scheme = self.l2.scheme if self.l2 is not None else ""
        return UnsupportedError(
            f"{scheme}:// has no invalidations, so entries can't have tags: leave out tags=, give related keys a "
            "common prefix and call invalidate_prefix, or use a redis:// URL"
        )

    # --- reading ------------------------------------------------------------------------------------

    async def look_up(self, outcome: Outcome, key: str, kind: Any, promote: bool) -> Lookup:
        """Return what the tiers know of `key`; an answer of L2 is copied to L1 if `promote`."""
        # With L1 off there is nothing to look at, to copy, or to disturb: this is the whole way of a hit in L2.
        has_l1 = bool(self._memory.limit) or self.l2 is None
        seen = self.l1.look(key, kind) if has_l1 else Lookup(key, "miss", reason="absent")
        if seen.result == "hit" or seen.reason == "decode_error" or self.l2 is None:
            return seen
        token = self.inflight.begin_read(key) if has_l1 else None
        try:
            payload = await self.l2.read(outcome, key)
        except StoreError:
            return self.l1.look_without_l2(seen, kind)
        finally:
            # Also when the read fails or is cancelled: a token that stays would be kept for ever.
            may_copy = token is not None and self.inflight.end_read(key, token)
        if payload is None and not has_l1:
            seen.reason = self._memory.reason(key)
        return self.take(outcome, seen, payload, kind, may_copy and promote)

    async def look_up_many(self, outcome: Outcome, keys: list[str], kind: Any) -> dict[str, Lookup]:
        """The same for many keys; L2 is asked once for all that L1 does not hold."""
        lookups = {key: self.l1.look(key, kind) for key in keys}
        missed = [each for each in lookups.values() if each.result == "miss" and each.reason != "decode_error"]
        if missed and self.l2 is not None:
            lookups.update(await self._look_up_in_l2(self.l2, outcome, missed, kind))
        return lookups

    async def _look_up_in_l2(self, l2: L2, outcome: Outcome, missed: list[Lookup], kind: Any) -> dict[str, Lookup]:
        tokens = {seen.key: self.inflight.begin_read(seen.key) for seen in missed}
        may_copy: dict[str, bool] = {}
        try:
            payloads = await l2.read_many(outcome, list(tokens))
        except StoreError:
            return {seen.key: self.l1.look_without_l2(seen, kind) for seen in missed}
        finally:
            may_copy = {key: self.inflight.end_read(key, token) for key, token in tokens.items()}
        pairs = zip(missed, payloads, strict=True)
        found = {seen.key: self.take(outcome, seen, payload, kind, may_copy[seen.key]) for seen, payload in pairs}
        outcome.age = outcome.size = None  # one entry's facts, not a batch's
        return found

    def take(self, outcome: Outcome, seen: Lookup, payload: bytes | None, kind: Any, copy: bool) -> Lookup:
        """Return what a payload of L2 means, and copy the entry to L1 with the time that is left of it.

        Args:
            outcome: The record.
            seen: The miss in L1.
            payload: What L2 has.
            kind: The declared type of the value.
            copy: Whether the entry may be copied to L1.
        """
        if payload is None:
            if seen.candidate is not None and seen.candidate.reason == "backend_unavailable":
                seen.candidate = None  # L2 has answered: the entry in L1 was only kept for want of an answer
            return seen
        key = seen.key
        outcome.measured.append((catalog.PAYLOAD_SIZE, len(payload), ("read",)))
        try:
            found = self.codec.decode(payload, key, kind)
        except DecodeError:
            outcome.degraded = outcome.degraded or "codec"
            return Lookup(key, "miss", reason="decode_error")
        now_ms = self._store_clock.now_ms()
        if found.expires_at_ms and found.expires_at_ms <= now_ms:
            return Lookup(key, "miss", reason="expired")
        if found.version != self.log.certain and not self.log.allows(key, found.version, tags_of(found)):
            return Lookup(key, "miss", reason="invalidated")
        outcome.size = len(payload)
        return self._answer(outcome, key, payload, found, copy, now_ms)

    def _answer(self, outcome: Outcome, key: str, payload: bytes, found: Decoded, copy: bool, now_ms: int) -> Lookup:
        """The hit, or the stale candidate, in a valid entry of L2; and the copy of it in L1."""
        now, created = self._clock(), found.created_at_ms
        age = outcome.age = None if created is None else max(0.0, (now_ms - created) / 1000)
        expires, more = self.codec.times(found, now, now_ms, age)
        if copy and self._may_copy() and self.l1.keep(key, found.value, payload, expires, now, found.facts, more):
            outcome.measured.append((catalog.WRITES, 1, ("l1", "backfill")))
        fresh_until = expires if more is None else more.soft
        left = FOREVER if fresh_until == NEVER else (fresh_until - now) / _SECOND
        if left <= 0:
            candidate = StaleCandidate(found.value, "l2", -left, age, "revalidating")
            return Lookup(key, "miss", reason="expired", candidate=candidate)
        if age is not None:
            outcome.measured.append((catalog.ENTRY_AGE, round(age * 1000), ("hit",)))
        return Lookup(key, "hit", "l2", value=found.value, facts=found.facts, due=expires <= now, age=age, left=left)

    def _may_copy(self) -> bool:
        """Whether entries of L2 may be kept in L1: only while messages say what happens to them."""
        return self.backplane is None or self.backplane.is_live

    # --- writing ------------------------------------------------------------------------------------

    async def write(
        self,
        outcome: Outcome,
        values: Mapping[str, Any],
        payloads: Mapping[str, bytes],
        options: WriteOptions,
        started: int,
        lock: bytes | None = None,
    ) -> bool:
        """Store entries in both tiers; `outcome.written` gets those that at least one of them holds.

        With a TTL of 0 nothing is kept: what is there is removed, and the result is `noop`.

        Returns:
            Whether L2 has them all.

        Args:
            outcome: The record.
            values: What L1 keeps.
            payloads: What L2 keeps.
            options: How it is kept.
            started: When its TTL begins.
            lock: Of a load: nothing is stored if it is not ours any more, because the key has been written since.
        """
        if not options.ttl and payloads:
            await self.remove(outcome, list(payloads))
            outcome.result = "noop" if outcome.result == "ok" else outcome.result
            return False
        token, overlaps = self.inflight.begin_write(payloads)
        alone = False
        try:
            in_l2 = await self._write_l2(outcome, payloads, options, lock)
        except BaseException:  # cancelled: the server may hold the old value or the new one
            self.l1.remove(payloads)
            raise
        finally:
            alone = self.inflight.end_write(payloads, token) and not overlaps
        if in_l2 is None:  # a newer write has taken the lock
            self.l1.remove(payloads)
            return False
        for key, value in values.items():
            has_l2 = key in in_l2
            has_l1 = self._settle(outcome, key, value, payloads[key], options, started, alone=alone, in_l2=has_l2)
            if has_l1 or has_l2:
                outcome.written.append((key, value))
        return in_l2 == payloads.keys()

    def _settle(
        self,
        outcome: Outcome,
        key: str,
        value: Any,
        payload: bytes,
        options: WriteOptions,
        started: int,
        *,
        alone: bool,
        in_l2: bool,
    ) -> bool:
        """Put a written value into L1, unless what came meanwhile may be newer or has invalidated it."""
        known = not in_l2 or (alone and self._may_copy())
        if not known or not self.log.allows(key, options.version, options.tags):
            self.l1.remove((key,))
            return False
        has_l1 = self.l1.put(key, value, payload, options, started, outcome.facts)
        if has_l1:
            outcome.measured.append((catalog.WRITES, 1, ("l1", options.reason)))
            if self.l2 is not None and not in_l2:
                self.l1.note_local(key, options.began or started)
        return has_l1

    async def _write_l2(
        self, outcome: Outcome, payloads: Mapping[str, bytes], options: WriteOptions, lock: bytes | None
    ) -> frozenset[str] | None:
        """The keys that L2 has acknowledged; `None` if it has refused the value of a load."""
        if self.l2 is None or not payloads:
            return frozenset()
        try:
            if lock is None:
                written = await self._acknowledged(self.l2, outcome, payloads, store_ms(options.hard))
            else:
                (key,) = payloads
                if not await self.l2.write_loaded(outcome, key, payloads[key], store_ms(options.hard), lock):
                    return None
                written = frozenset(payloads)
        except StoreError:
            return frozenset()
        if written:
            outcome.measured.append((catalog.WRITES, len(written), ("l2", options.reason)))
        outcome.measured += [(catalog.PAYLOAD_SIZE, len(payloads[key]), ("write",)) for key in written]
        return written

    async def _acknowledged(
        self, l2: L2, outcome: Outcome, payloads: Mapping[str, bytes], ttl_ms: int
    ) -> frozenset[str]:
        items = list(payloads.items())
        if len(items) == 1 and outcome.operation != "set_many":
            await l2.write(outcome, *items[0], ttl_ms)
            return frozenset(payloads)
        errors = await l2.write_many(outcome, items, ttl_ms)
        if any(errors):
            outcome.degraded = outcome.degraded or "server_error"
        return frozenset(key for (key, _), error in zip(items, errors, strict=True) if error is None)

    # --- removing -----------------------------------------------------------------------------------

    async def remove(self, outcome: Outcome, keys: list[str]) -> None:
        """Remove `keys` from both tiers; `outcome.removed` gets them if they are gone from both."""
        held = self.l1.remove(keys)
        token, _ = self.inflight.begin_write(keys)
        gone, existed = self.l2 is None, 0
        try:
            if self.l2 is not None:
                existed = await self.l2.remove(outcome, keys)
                gone = True
        except StoreError:
            gone = False
        finally:
            self.inflight.end_write(keys, token)
            # Twice: the first removal ends hits at once, the second one takes what was put meanwhile.
            self.l1.remove(keys)
        self._report.applied("key", "local", len(keys))
        outcome.result = "ok" if gone and (held or existed) else "noop" if gone else "dropped"
        if gone:
            outcome.removed.extend(keys)

    async def sweep(self, outcome: Outcome, pattern: str, matches: Callable[[str], bool] | None) -> int:
        """Remove every key that matches; return how many (L2's count if it answered).

        Args:
            outcome: The record.
            pattern: As a Redis glob, for L2.
            matches: The same for L1; `None` for everything.
        """
        self.inflight.begin_sweep()
        removed = self.l1.remove_matching(matches)
        try:
            if self.l2 is not None:
                removed = await self.l2.sweep(outcome, pattern)
        except StoreError:
            outcome.result = "dropped"
        finally:
            self.inflight.end_sweep()
            self.l1.remove_matching(matches)
        return removed

    async def invalidate(self, outcome: Outcome, target: str) -> None:
        """Invalidate every entry that `target` concerns, in every process: O(1) for the store.

        Raises:
            UnsupportedError: The target is a tag, and the store of L2 has no invalidations.
        """
        if self.l2 is not None and not self.l2.has_versions:
            await self._invalidate_by_scan(outcome, target)
            return
        self.l1.invalidate(target)
        if self.l2 is None:
            self.log.bump(target)
        else:
            try:
                await self.l2.invalidate(outcome, target)
            except StoreError:
                outcome.result = "dropped"
        # Twice: the first one ends hits at once, the second one takes what was copied meanwhile.
        self.l1.invalidate(target)
        self._report.applied(kind_of(target), "local")

    async def _invalidate_by_scan(self, outcome: Outcome, target: str) -> None:
        if target[:2] == "t:":
            raise self._no_tags()
        prefix = "" if target == EVERYTHING else target[2:]
        await self.sweep(outcome, f"{escape_glob(prefix)}*", None if not prefix else lambda key: key.startswith(prefix))
        self._report.applied(kind_of(target), "local")

    # --- questions ----------------------------------------------------------------------------------

    async def contains(self, outcome: Outcome, key: str) -> bool:
        """Return whether a tier holds `key`; `False` if the one that knows can't be asked."""
        if self.l1.servable(key, self._clock()) is not None:
            return True
        try:
            if self.l2 is None or not await self._is_valid(self.l2, outcome, key):
                return False
            return bool(self.log.newest) or await self.l2.contains(outcome, key)
        except StoreError:
            return False

    async def left_ms(self, outcome: Outcome, key: str) -> int | None:
        """Return the milliseconds until `key` expires; 0 if never, `None` if it is not there or L2 is away."""
        now = self._clock()
        entry = self.l1.servable(key, now)
        if entry is not None and not (self.l1.ends_early and self.l2 is not None):
            return 0 if entry.dies == NEVER else -(-(entry.dies - now) // _MS)
        try:
            if self.l2 is None or not await self._is_valid(self.l2, outcome, key):
                return None
            return await self.l2.left_ms(outcome, key)
        except StoreError:
            return None

    async def _is_valid(self, l2: L2, outcome: Outcome, key: str) -> bool:
        """Whether no invalidation has hit the entry in L2; asks only if there has been one."""
        if not self.log.newest:
            return True
        payload = await l2.read(outcome, key)
        try:
            found = None if payload is None else self.codec.serializer.inspect(payload)
        except DecodeError:
            return False
        return found is not None and self.log.allows(key, found.version, tags_of(found))

    async def touch(self, outcome: Outcome, key: str, seconds: float, started: int) -> bool:
        """Give `key` a new TTL in both tiers, 0 removes it; return whether the deepest one had it."""
        if not seconds:
            await self.remove(outcome, [key])
            return outcome.result == "ok"
        entry = self.l1.servable(key, started)
        touched = entry is not None
        if self.l2 is not None:
            try:
                valid = await self._is_valid(self.l2, outcome, key)
                touched = valid and await self.l2.touch(outcome, key, store_ms(seconds))
            except StoreError:
                return False
        if not touched:
            self.l1.remove((key,))  # L2 has lost the entry: the copy must not outlive it
        elif entry is not None:
            self.l1.touch(entry, end_of(started, seconds), started)
        return touched
