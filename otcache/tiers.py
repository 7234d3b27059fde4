"""One operation's way through the two tiers: near first, then far; what may be copied, and what must be dropped.

Nothing here opens a record or raises to a caller because of the far tier: what happened goes into the `Outcome`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from otcache.base import StoreError
from otcache.far import FarTier
from otcache.inflight import Inflight
from otcache.serializers import Decoded, DecodeError, Encoded, Facts, Serializer
from otcache.stores.memory import NEVER, MemoryStore
from otcache.telemetry.outcome import Lookup, Outcome, WriteReason
from otcache.telemetry.probe import Probe
from otcache.telemetry.reporter import clock

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
    """

    def __init__(
        self, near: MemoryStore, far: FarTier | None, probe: Probe, serializer: Serializer, *, copies: bool
    ) -> None:
        self.near = near
        self.far = far
        self.serializer = serializer
        self.copies = copies
        self._probe = probe
        self._inflight = Inflight()
        self._clock: Callable[[], int] = clock

    # --- reading ------------------------------------------------------------------------------------

    async def look_up(self, outcome: Outcome, key: str, kind: Any, promote: bool) -> Lookup:
        """What the tiers know of `key`; a far answer is copied to the near tier if `promote`."""
        near = self.look_near(key, kind)
        if near.result == "hit" or near.reason == "decode_error" or self.far is None:
            return near
        token = self._inflight.begin_read(key)
        try:
            payload = await self.far.read(outcome, key)
        except StoreError:
            return Lookup(key, "miss", reason="backend_unavailable")
        finally:
            may_copy = self._inflight.end_read(key, token)
        return self.take(outcome, near, payload, kind, may_copy and promote)

    async def look_up_many(self, outcome: Outcome, keys: list[str], kind: Any) -> dict[str, Lookup]:
        """The same for many keys; the far tier is asked once for all that the near one does not hold."""
        lookups = {key: self.look_near(key, kind) for key in keys}
        missed = [each for each in lookups.values() if each.result == "miss" and each.reason != "decode_error"]
        if missed and self.far is not None:
            lookups.update(await self._look_far(self.far, outcome, missed, kind))
        return lookups

    def look_near(self, key: str, kind: Any) -> Lookup:
        """What the near tier alone knows of `key`."""
        entry = self.near.peek(key, self._clock())
        if entry is None:
            return Lookup(key, "miss", reason=self.near.reason(key))
        entry.used = True
        if not self.copies:
            return Lookup(key, "hit", "l1", value=entry.value, facts=entry.facts)
        try:
            found = self.decode(entry.value, key, kind)
        except DecodeError:  # stored with a type that this call does not declare
            return Lookup(key, "miss", reason="decode_error")
        return Lookup(key, "hit", "l1", value=found.value, facts=found.facts)

    async def _look_far(self, far: FarTier, outcome: Outcome, missed: list[Lookup], kind: Any) -> dict[str, Lookup]:
        tokens = {near.key: self._inflight.begin_read(near.key) for near in missed}
        may_copy: dict[str, bool] = {}
        try:
            payloads = await far.read_many(outcome, list(tokens))
        except StoreError:
            return {near.key: Lookup(near.key, "miss", reason="backend_unavailable") for near in missed}
        finally:
            may_copy = {key: self._inflight.end_read(key, token) for key, token in tokens.items()}
        pairs = zip(missed, payloads, strict=True)
        found = {near.key: self.take(outcome, near, payload, kind, may_copy[near.key]) for near, payload in pairs}
        outcome.age = outcome.size = None  # one entry's facts, not a batch's
        return found

    def take(self, outcome: Outcome, near: Lookup, payload: bytes | None, kind: Any, copy: bool) -> Lookup:
        """What the far tier's payload means, and the copy of it in the near tier with the time left."""
        if payload is None:
            return near
        self._probe.payload("read", len(payload))
        try:
            found = self.decode(payload, near.key, kind)
        except DecodeError:
            outcome.degraded = outcome.degraded or "codec"
            return Lookup(near.key, "miss", reason="decode_error")
        left_ms = found.expires_at_ms - self._server_ms()
        if found.expires_at_ms and left_ms <= 0:
            return Lookup(near.key, "miss", reason="expired")
        outcome.size, outcome.age = len(payload), self._age(found)
        if outcome.age is not None:
            self._probe.aged("hit", outcome.age)
        if copy:
            left = max(left_ms - self._clock_error_ms(), 1) if found.expires_at_ms else 0
            if self._keep(near.key, payload if self.copies else found.value, left, self._clock(), found.facts):
                self._probe.wrote("l1", "backfill")
        return Lookup(near.key, "hit", "l2", value=found.value, facts=found.facts)

    def decode(self, payload: bytes, key: str, kind: Any) -> Decoded:
        """From bytes, timed.

        Raises:
            DecodeError: They can't be read here.
        """
        began = self._clock()
        try:
            found = self.serializer.decode(payload, key=key, type=kind)
        except DecodeError as exc:
            self._probe.coded("deserialize", "unknown", self._clock() - began, exc)
            raise
        self._probe.coded("deserialize", found.codec, self._clock() - began - found.expand_ns)
        if found.algorithm is not None:
            self._probe.coded("decompress", found.algorithm, found.expand_ns)
        return found

    def _age(self, found: Decoded) -> float | None:
        created = found.created_at_ms
        return None if created is None else max(0.0, (self._server_ms() - created) / 1000)

    def _clock_error_ms(self) -> int:
        """L1 ends earlier by what the learnt clock of the server may be off."""
        return self.far.store.clock_error_ms if self.far is not None else 0

    def _server_ms(self) -> int:
        return self.far.store.server_ms() if self.far is not None else 0

    def _keep(self, key: str, held: Any, left_ms: int, now: int, facts: Facts | None) -> bool:
        return self.near.put(key, held, now + left_ms * _MS if left_ms else NEVER, now, facts)

    # --- writing ------------------------------------------------------------------------------------

    def encode(self, key: str, value: Any, seconds: int, kind: Any, facts: Facts | None = None) -> Encoded:
        """To bytes, also where no far tier is: a value is refused in every store or in none."""
        now = self._server_ms()
        encoded = self.serializer.encode(
            value,
            key=key,
            expires_at_ms=now + seconds * 1000 if seconds and self.far is not None else 0,
            created_at_ms=now if self.far is not None else None,
            type=kind,
            facts=facts,
        )
        self._probe.coded("serialize", encoded.codec, encoded.serialize_ns)
        if encoded.algorithm is not None:
            self._probe.coded("compress", encoded.algorithm, encoded.compress_ns)
            self._probe.compressed(encoded.algorithm, encoded.raw_size, len(encoded.payload))
        return encoded

    async def write(
        self, outcome: Outcome, values: Mapping[str, Any], payloads: Mapping[str, bytes], seconds: int, started: int
    ) -> None:
        """Store entries in both tiers; `outcome.written` gets those that at least one of them holds."""
        token, overlaps = self._inflight.begin_write(payloads)
        alone = False
        try:
            in_far = await self._write_far(outcome, payloads, seconds)
        except BaseException:  # cancelled: nobody knows what the server holds
            self._remove_near(payloads)
            raise
        finally:
            alone = self._inflight.end_write(payloads, token) and not overlaps
        for key, value in values.items():
            trusted = alone or key not in in_far
            held = self._settle(outcome, key, payloads[key] if self.copies else value, seconds, started, trusted)
            if held or key in in_far:
                outcome.written.append((key, value))

    def _settle(self, outcome: Outcome, key: str, held: Any, seconds: int, started: int, trusted: bool) -> bool:
        """Put a written value into the near tier, unless an overlapping write makes its order unknown."""
        if not trusted:
            self.near.remove(key)
            return False
        kept = self._keep(key, held, seconds * 1000, started, outcome.facts)
        if kept:
            self._probe.wrote("l1", _reason(outcome))
        return kept

    async def _write_far(self, outcome: Outcome, payloads: Mapping[str, bytes], seconds: int) -> frozenset[str]:
        """The keys that the far tier has acknowledged."""
        if self.far is None or not payloads:
            return frozenset()
        try:
            written = await self._acknowledged(self.far, outcome, payloads, seconds * 1000)
        except StoreError:
            return frozenset()
        if written:
            self._probe.wrote("l2", _reason(outcome), len(written))
        for key in written:
            self._probe.payload("write", len(payloads[key]))
        return written

    async def _acknowledged(
        self, far: FarTier, outcome: Outcome, payloads: Mapping[str, bytes], ttl_ms: int
    ) -> frozenset[str]:
        items = list(payloads.items())
        if outcome.operation != "set_many":
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
        token, _ = self._inflight.begin_write(keys)
        gone, existed = self.far is None, 0
        try:
            if self.far is not None:
                existed = await self.far.remove(outcome, keys)
                gone = True
        except StoreError:
            gone = False
        finally:
            self._inflight.end_write(keys, token)
            self._remove_near(keys)
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
        self._inflight.begin_sweep()
        removed = self._sweep_near(matches)
        try:
            if self.far is not None:
                removed = await self.far.clear(outcome, pattern)
        except StoreError:
            outcome.result = "dropped"
        finally:
            self._inflight.end_sweep()
            self._sweep_near(matches)
        return removed

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
        if self.near.peek(key, self._clock()) is not None:
            return True
        try:
            return self.far is not None and await self.far.contains(outcome, key)
        except StoreError:
            return False

    async def left_ms(self, outcome: Outcome, key: str) -> int | None:
        """Milliseconds until `key` expires; 0 if never, `None` if it is not there or nobody can be asked."""
        now = self._clock()
        entry = self.near.peek(key, now)
        if entry is not None:
            return 0 if entry.expires == NEVER else -(-(entry.expires - now) // _MS)
        try:
            return await self.far.left_ms(outcome, key) if self.far is not None else None
        except StoreError:
            return None

    async def touch(self, outcome: Outcome, key: str, seconds: int, started: int) -> bool:
        """Give `key` a new time to live in both tiers; whether the farthest one has it."""
        entry = self.near.peek(key, started)
        touched = entry is not None
        if self.far is not None:
            try:
                touched = await self.far.touch(outcome, key, seconds * 1000)
            except StoreError:
                return False
        if not touched:
            self.near.remove(key)  # the far tier has lost it: the copy must not outlive it
        elif entry is not None:
            entry.expires = started + seconds * _SECOND if seconds else NEVER
        return touched


def _reason(outcome: Outcome) -> WriteReason:
    return "set" if outcome.load is None else outcome.load.write_reason
