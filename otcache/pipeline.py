"""The one way through the tiers: get, set and delete, near tier first, then the far one.

`get` is the hit path. Its rules and their prices are in docs/performance.md: one dictionary look-up,
two clock reads, integer cells; no lock, no task, no SDK call unless a span would be recorded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Self

from otcache.base import MISSING, CacheInterface, StoreError
from otcache.config import CacheConfig
from otcache.exceptions import ValidationError
from otcache.far import FarTier
from otcache.inflight import Inflight
from otcache.keys import check_key
from otcache.serializers import DecodeError, Encoded, Facts, Serializer
from otcache.stores.memory import NEVER, Entry, MemoryStore
from otcache.telemetry.catalog import L1_COUNT, L1_LIMIT, Instrument
from otcache.telemetry.gate import SPAN_KEY, current_context
from otcache.telemetry.metrics import GRID, lookup_stats
from otcache.telemetry.outcome import AIFacts, Lookup, Outcome, Result, Tier
from otcache.telemetry.probe import Probe
from otcache.telemetry.reporter import clock

_SECOND: Final = 1_000_000_000
_MS: Final = 1_000_000
_CLOCK_ERROR_MS: Final = 2
"""How far the learnt clock of the server may be off: rounding, and half of a round trip. L1 ends earlier by it."""
_LONGEST_TTL: Final = 31_536_000


class Pipeline(CacheInterface):
    """Everything the cache classes share; they only decide which tiers there are.

    Args:
        config: The validated options.
        near: The memory in this process.
        far: The far tier, or `None`.
        probe: What it reports through.
        serializer: Values to bytes and back.
    """

    def __init__(
        self, config: CacheConfig, near: MemoryStore, far: FarTier | None, probe: Probe, serializer: Serializer
    ) -> None:
        self.config = config
        self.name = config.name
        self._near = near
        self._far = far
        self._probe = probe
        self._serializer = serializer
        self._inflight = Inflight()
        self._clock: Callable[[], int] = clock
        # what the hit path touches, one attribute each
        self._entries = near.entries
        self._hits = probe.hits
        self._tracing = probe.tracing
        self._copies = config.l1_isolation == "copy"
        self._plain = not self._copies
        probe.metrics.watch(self)

    # --- get ----------------------------------------------------------------------------------------

    async def get(self, key: str, default: Any = None, *, type: Any = None) -> Any:  # noqa: A002
        """The value under `key`.

        Args:
            key: Where.
            default: What a miss gives; tells a miss from a cached `None`.
            type: The declared type of the value, if it needs one (docs/values.md).

        Raises:
            ValidationError: The key is not a non-empty string of at most 8 KiB.
        """
        started = self._clock()
        try:
            entry = self._entries.get(key)
        except TypeError:  # an unhashable key: refused below, by name
            entry = None
        if entry is not None and entry.expires > started:
            entry.used = True
            if self._plain:
                tracing = self._tracing
                span = current_context().get(SPAN_KEY)
                if span is None:
                    recorded = tracing.roots or (tracing.unset and tracing.is_late())
                else:
                    recorded = span.get_span_context()[3] & tracing.mask or tracing.always
                if not recorded:
                    cells = self._hits
                    elapsed = self._clock() - started
                    cells[bisect_left(GRID, elapsed)] += 1
                    cells[-1] += elapsed
                    return entry.value
            return self._observed_hit(key, entry, started, type)
        return await self._fetch(key, default, type, started)

    def _observed_hit(self, key: str, entry: Entry, started: int, kind: Any) -> Any:
        """An L1 hit that somebody watches: a span, a callback, or a caller who wants a copy."""
        value = self._unwrap(key, entry.value, kind)
        self._probe.hit(key, value, started)
        return value

    async def _fetch(
        self,
        key: str,
        default: Any,
        kind: Any,
        started: int,
        *,
        ai: AIFacts | None = None,
        promote: bool = True,
    ) -> Any:
        with self._probe.operation("get", started, key, ai) as outcome:
            check_key(key)
            found = await self._look_up(outcome, key, kind, promote)
            outcome.result, outcome.tier, outcome.reason = found.result, found.tier, found.reason
            outcome.value = found.value
        return default if outcome.value is MISSING else outcome.value

    async def _look_up(self, outcome: Outcome, key: str, kind: Any, promote: bool) -> Lookup:
        near = self._look_near(key, kind)
        if near.result == "hit" or self._far is None:
            return near
        token = self._inflight.begin_read(key)
        try:
            payload = await self._far.read(outcome, key)
        except StoreError:
            return Lookup(key, "miss", reason="backend_unavailable")
        finally:
            may_copy = self._inflight.end_read(key, token)
        return self._take(outcome, near, payload, kind, may_copy and promote)

    def _look_near(self, key: str, kind: Any) -> Lookup:
        now = self._clock()
        entry = self._near.peek(key, now)
        if entry is None:
            return Lookup(key, "miss", reason=self._near.reason(key))
        entry.used = True
        return Lookup(key, "hit", "l1", value=self._unwrap(key, entry.value, kind))

    def _take(self, outcome: Outcome, near: Lookup, payload: bytes | None, kind: Any, copy: bool) -> Lookup:
        """What the far tier's payload means, and the copy of it in the near tier with the time left."""
        if payload is None:
            return near
        self._probe.payload("read", len(payload))
        try:
            found = self._serializer.decode(payload, key=near.key, type=kind)
        except DecodeError:
            outcome.degraded = outcome.degraded or "codec"
            return Lookup(near.key, "miss", reason="decode_error")
        assert self._far is not None
        server_ms = self._far.store.server_ms()
        left_ms = found.expires_at_ms - server_ms
        if found.expires_at_ms and left_ms <= 0:
            return Lookup(near.key, "miss", reason="expired")
        if found.created_at_ms is not None:
            outcome.age = max(0.0, (server_ms - found.created_at_ms) / 1000)
        outcome.size = len(payload)
        if copy:
            left = max(left_ms - _CLOCK_ERROR_MS, 1) if found.expires_at_ms else 0
            self._keep(near.key, payload if self._copies else found.value, left)
            self._probe.wrote("l1", "backfill")
        return Lookup(near.key, "hit", "l2", value=found.value)

    def _unwrap(self, key: str, held: Any, kind: Any) -> Any:
        """With isolation the near tier holds bytes: every caller decodes an object of its own."""
        return self._serializer.decode(held, key=key, type=kind).value if self._copies else held

    def _keep(self, key: str, held: Any, left_ms: int, now: int | None = None) -> bool:
        now = self._clock() if now is None else now
        return self._near.put(key, held, now + left_ms * _MS if left_ms else NEVER, now)

    async def get_many(self, keys: Iterable[str], *, type: Any = None) -> dict[str, Any]:  # noqa: A002
        """The values of those `keys` that are there; the far tier is asked once for all the rest."""
        with self._probe.operation("get_many", self._clock()) as outcome:
            wanted = _distinct(keys)
            outcome.batch_size = len(wanted)
            lookups = {key: self._look_near(key, type) for key in wanted}
            missing = [key for key, lookup in lookups.items() if lookup.result == "miss"]
            if missing and self._far is not None:
                lookups.update(await self._look_far(self._far, outcome, [lookups[key] for key in missing], type))
            outcome.lookups = list(lookups.values())
            found = {key: lookup.value for key, lookup in lookups.items() if lookup.result == "hit"}
            outcome.batch_hits = len(found)
            outcome.tier = _deepest(outcome.lookups)
            outcome.result = _batch_result(len(found), len(wanted))
            outcome.reason = outcome.lookups[0].reason if outcome.result == "miss" else "none"
        return found

    async def _look_far(self, far: FarTier, outcome: Outcome, missed: list[Lookup], kind: Any) -> dict[str, Lookup]:
        tokens = {lookup.key: self._inflight.begin_read(lookup.key) for lookup in missed}
        may_copy: dict[str, bool] = {}
        try:
            payloads = await far.read_many(outcome, list(tokens))
        except StoreError:
            return {lookup.key: Lookup(lookup.key, "miss", reason="backend_unavailable") for lookup in missed}
        finally:
            may_copy = {key: self._inflight.end_read(key, token) for key, token in tokens.items()}
        pairs = zip(missed, payloads, strict=True)
        found = {near.key: self._take(outcome, near, payload, kind, may_copy[near.key]) for near, payload in pairs}
        outcome.age = outcome.size = None  # one entry's facts, not a batch's
        return found

    # --- set ----------------------------------------------------------------------------------------

    async def set(self, key: str, value: Any, ttl: int | None = None, *, type: Any = None) -> None:  # noqa: A002
        """Store `value`; see `CacheInterface.set`. A Redis that is away never makes it raise."""
        await self._store(key, value, ttl, type)

    async def _store(
        self,
        key: str,
        value: Any,
        ttl: int | None,
        kind: Any,
        *,
        ai: AIFacts | None = None,
        facts: Facts | None = None,
    ) -> None:
        started = self._clock()
        with self._probe.operation("set", started, key, ai) as outcome:
            check_key(key)
            seconds = self._seconds(ttl)
            encoded = self._encode(key, value, seconds, kind, facts)
            outcome.ttl, outcome.size = float(seconds), len(encoded.payload)
            token, overlaps = self._inflight.begin_write((key,))
            alone = False
            try:
                in_far = await self._write_far(outcome, key, encoded.payload, seconds)
            except BaseException:  # cancelled: nobody knows what the server holds
                self._near.remove(key)
                raise
            finally:
                alone = self._inflight.end_write((key,), token) and not overlaps
            held = self._settle(key, encoded.payload if self._copies else value, seconds, started, alone or not in_far)
            if held or in_far:
                outcome.written.append((key, value))
            else:
                outcome.result = "dropped"

    def _settle(self, key: str, held: Any, seconds: int, started: int, trusted: bool) -> bool:
        """Put a written value into the near tier, unless an overlapping write makes its order unknown."""
        if not trusted:
            self._near.remove(key)
            return False
        kept = self._keep(key, held, seconds * 1000, started)
        if kept:
            self._probe.wrote("l1", "set")
        return kept

    async def _write_far(self, outcome: Outcome, key: str, payload: bytes, seconds: int) -> bool:
        if self._far is None:
            return False
        try:
            await self._far.write(outcome, key, payload, seconds * 1000)
        except StoreError:
            return False
        self._probe.wrote("l2", "set")
        self._probe.payload("write", len(payload))
        return True

    def _encode(self, key: str, value: Any, seconds: int, kind: Any, facts: Facts | None = None) -> Encoded:
        """To bytes, also where no far tier is: a value is refused in every store or in none."""
        now = self._far.store.server_ms() if self._far is not None else 0
        encoded = self._serializer.encode(
            value,
            key=key,
            expires_at_ms=now + seconds * 1000 if seconds and self._far is not None else 0,
            created_at_ms=now if self._far is not None else None,
            type=kind,
            facts=facts,
        )
        if encoded.algorithm is not None:
            self._probe.compressed(encoded.algorithm, encoded.raw_size, len(encoded.payload))
        return encoded

    def _seconds(self, ttl: int | None) -> int:
        if ttl is None:
            return self.config.default_ttl
        if isinstance(ttl, bool) or not isinstance(ttl, int):
            raise ValidationError(f"ttl is {ttl.__class__.__name__}, not an integer of 0..{_LONGEST_TTL} s or None")
        if not 0 <= ttl <= _LONGEST_TTL:
            raise ValidationError(f"ttl={ttl} is outside 0..{_LONGEST_TTL} s", {"ttl": ttl})
        return ttl

    async def set_many(self, mapping: Mapping[str, Any], ttl: int | None = None, *, type: Any = None) -> None:  # noqa: A002
        """Store every entry of `mapping`, in one round trip. All are checked before one is stored."""
        started = self._clock()
        with self._probe.operation("set_many", started) as outcome:
            if not isinstance(mapping, Mapping):
                raise ValidationError(f"mapping is {mapping.__class__.__name__}, not a mapping of keys to values")
            seconds = self._seconds(ttl)
            encoded = {check_key(k): self._encode(k, value, seconds, type).payload for k, value in mapping.items()}
            outcome.batch_size, outcome.ttl = len(encoded), float(seconds)
            token, overlaps = self._inflight.begin_write(encoded)
            alone = False
            try:
                in_far = await self._write_far_many(outcome, encoded, seconds)
            except BaseException:
                for key in encoded:
                    self._near.remove(key)
                raise
            finally:
                alone = self._inflight.end_write(encoded, token) and not overlaps
            for key, value in mapping.items():
                trusted = alone or key not in in_far
                held = self._settle(key, encoded[key] if self._copies else value, seconds, started, trusted)
                if held or key in in_far:
                    outcome.written.append((key, value))
            outcome.result = _write_result(len(outcome.written), len(encoded))

    async def _write_far_many(self, outcome: Outcome, encoded: dict[str, bytes], seconds: int) -> frozenset[str]:
        """The keys that the far tier has acknowledged."""
        if self._far is None or not encoded:
            return frozenset()
        try:
            errors = await self._far.write_many(outcome, list(encoded.items()), seconds * 1000)
        except StoreError:
            return frozenset()
        written = frozenset(key for key, error in zip(encoded, errors, strict=True) if error is None)
        if len(written) < len(encoded):
            outcome.degraded = outcome.degraded or "server_error"
        if written:
            self._probe.wrote("l2", "set", len(written))
        for key in written:
            self._probe.payload("write", len(encoded[key]))
        return written

    # --- delete -------------------------------------------------------------------------------------

    async def delete(self, key: str) -> None:
        """Remove `key` from every tier. What Redis did not take now is removed there before it is read again."""
        with self._probe.operation("delete", self._clock(), key) as outcome:
            check_key(key)
            await self._remove(outcome, [key])

    async def delete_many(self, keys: Iterable[str]) -> None:
        """Remove `keys` from every tier, in one round trip."""
        with self._probe.operation("delete_many", self._clock()) as outcome:
            wanted = _distinct(keys)
            outcome.batch_size = len(wanted)
            if wanted:
                await self._remove(outcome, wanted)

    async def _remove(self, outcome: Outcome, keys: list[str]) -> None:
        held = self._remove_near(keys)
        token, _ = self._inflight.begin_write(keys)
        gone, existed = self._far is None, 0
        try:
            if self._far is not None:
                existed = await self._far.remove(outcome, keys)
                gone = True
        except StoreError:
            gone = False
        finally:
            self._inflight.end_write(keys, token)
            self._remove_near(keys)
        outcome.result = "ok" if held or existed else "noop" if gone else "dropped"
        if gone:
            outcome.removed.extend(keys)

    def _remove_near(self, keys: Iterable[str]) -> int:
        return sum([self._near.remove(key) for key in keys])

    async def clear(self) -> None:
        """Remove every entry of this cache, and of no other: keys under its own prefix and name."""
        with self._probe.operation("clear", self._clock()) as outcome:
            self._near.clear()
            try:
                if self._far is not None:
                    await self._far.clear(outcome)
            except StoreError:
                outcome.result = "dropped"
            finally:
                self._near.clear()

    # --- questions ----------------------------------------------------------------------------------

    async def exists(self, key: str) -> bool:
        """Whether `key` holds a value (which may be `None`); `False` if the tier that knows can't be asked."""
        with self._probe.operation("contains", self._clock(), key) as outcome:
            check_key(key)
            found = self._near.peek(key, self._clock()) is not None
            if not found and self._far is not None:
                try:
                    found = await self._far.contains(outcome, key)
                except StoreError:
                    found = False
            outcome.result = "hit" if found else "miss"
        return found

    async def get_ttl(self, key: str) -> int | None:
        """Seconds until `key` expires, rounded up; 0 if it never does, `None` if it is not there."""
        with self._probe.operation("get_ttl", self._clock(), key) as outcome:
            check_key(key)
            left = await self._left_ms(outcome, key)
            outcome.result = "miss" if left is None else "hit"
        return None if left is None else -(-left // 1000)

    async def _left_ms(self, outcome: Outcome, key: str) -> int | None:
        now = self._clock()
        entry = self._near.peek(key, now)
        if entry is not None:
            return 0 if entry.expires == NEVER else -(-(entry.expires - now) // _MS)
        if self._far is None:
            return None
        try:
            return await self._far.left_ms(outcome, key)
        except StoreError:
            return None

    async def touch(self, key: str, ttl: int | None = None) -> bool:
        """Give an existing entry `ttl` seconds from now (`None`: the default, 0: for ever).

        Returns:
            Whether the entry was there and has the new time in the farthest tier.
        """
        started = self._clock()
        with self._probe.operation("touch", started, key) as outcome:
            check_key(key)
            seconds = self._seconds(ttl)
            outcome.ttl = float(seconds)
            touched = await self._touch(outcome, key, seconds, started)
            outcome.result = "ok" if touched else "noop"
        return touched

    async def _touch(self, outcome: Outcome, key: str, seconds: int, started: int) -> bool:
        entry = self._near.peek(key, started)
        expires = started + seconds * _SECOND if seconds else NEVER
        if self._far is None:
            if entry is not None:
                entry.expires = expires
            return entry is not None
        try:
            touched = await self._far.touch(outcome, key, seconds * 1000)
        except StoreError:
            return False
        if entry is not None and touched:
            entry.expires = expires
        elif not touched:
            self._near.remove(key)  # the far tier has lost it: the copy must not outlive it
        return touched

    async def ping(self) -> bool:
        """Whether the far tier answers now; `True` where there is none."""
        if self._far is None:
            return True
        with self._probe.operation("ping", self._clock()) as outcome:
            try:
                await self._far.ping(outcome)
            except StoreError:
                outcome.result = "dropped"
        return outcome.result == "ok"

    # --- life ---------------------------------------------------------------------------------------

    def register_callback(self, event: str, callback: Callable[..., Any]) -> None:
        """Call `callback` at each `event`; see `CacheInterface.register_callback` and docs/callbacks.md."""
        self._probe.callbacks.register(event, callback)
        self._set_plain()

    def unregister_callback(self, event: str, callback: Callable[..., Any]) -> None:
        """Call `callback` no more."""
        self._probe.callbacks.unregister(event, callback)
        self._set_plain()

    def _set_plain(self) -> None:
        """The hit path asks one flag: nobody watches hits and nobody wants copies."""
        self._plain = not (self._copies or self._probe.callbacks.has("get_success"))

    async def connect(self) -> bool:
        """Ask the far tier once; whether it answered in time, `True` where there is none.

        A far tier that did not answer is asked in the background, and takes part as soon as it does.
        """
        answered = await self._far.connect() if self._far is not None else True
        self._probe.started(repr(self.config))
        return answered

    async def close(self) -> None:
        """Close the connections and end the background tasks. Idempotent."""
        self._probe.metrics.forget(self)
        await self._probe.callbacks.aclose()
        if self._far is not None:
            await self._far.close()

    @property
    def far_error(self) -> str | None:
        """`error.type` of the last failed round trip; safe to show."""
        return self._far.error.error_type if self._far is not None and self._far.error is not None else None

    async def tiers_health(self) -> dict[str, dict[str, Any]]:
        """Per tier: `status` (healthy | unhealthy), `latency_ms` (`None` if it did not answer), `error`."""
        tiers: dict[str, dict[str, Any]] = {}
        if self._near.limit:
            tiers["l1"] = {"status": "healthy", "latency_ms": 0.0, "error": None}
        if self._far is not None:
            started = self._clock()
            healthy = await self.ping()
            elapsed = round((self._clock() - started) / _MS, 3)
            error = None if healthy else self.far_error
            tiers["l2"] = {
                "status": "healthy" if healthy else "unhealthy",
                "latency_ms": elapsed if healthy else None,
                "error": error,
            }
        return tiers

    def get_stats(self) -> dict[str, Any]:
        """What this cache has done so far, from the same cells as its metrics; no I/O.

        Caches of one name in one process share their counts.
        """
        return {
            "name": self.name,
            **lookup_stats(self._probe.metrics, self.name),
            "l1": {"entries": len(self._near.entries), "limit": self._near.limit},
            "l2": None if self._far is None else self._far.stats(),
        }

    def gauges(self) -> Iterable[tuple[Instrument, int, tuple[str, ...]]]:
        """The size metrics of the near tier."""
        yield L1_COUNT, len(self._near.entries), (self.name,)
        if self._near.limit:
            yield L1_LIMIT, self._near.limit, (self.name,)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _deepest(lookups: Iterable[Lookup]) -> Tier:
    tiers = {lookup.tier for lookup in lookups}
    return "l2" if "l2" in tiers else "l1" if "l1" in tiers else "none"


def _batch_result(found: int, wanted: int) -> Result:
    if not wanted:
        return "noop"
    return "hit" if found == wanted else "partial" if found else "miss"


def _write_result(stored: int, wanted: int) -> Result:
    return "ok" if stored == wanted else "partial" if stored else "dropped"


def _distinct(keys: Iterable[str]) -> list[str]:
    """The keys of a batch, checked, each once, in their order."""
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        raise ValidationError(f"keys is {keys.__class__.__name__}, not an iterable of keys")
    return list(dict.fromkeys(check_key(key) for key in keys))
