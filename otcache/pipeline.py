"""The one way through the tiers: get, set and delete, near tier first, then the far one.

`get` is the hit path. Its rules and their prices are in docs/performance.md: one dictionary look-up,
two clock reads, integer cells; no lock, no task, no SDK call unless a span would be recorded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any, Final

from otcache.base import MISSING
from otcache.core import Core
from otcache.exceptions import ValidationError
from otcache.keys import check_key, check_tags
from otcache.loads.methods import LoadMethods
from otcache.serializers import Facts
from otcache.stamps import EVERYTHING, prefix_target, tag_target
from otcache.telemetry.gate import SPAN_KEY, current_context
from otcache.telemetry.metrics import GRID, SLOTS, SLOTTED, SUM
from otcache.telemetry.outcome import AIFacts, Lookup, Result, Tier
from otcache.terms import Terms

_MS: Final = 1_000_000
_LONGEST_TTL: Final = 31_536_000


class Pipeline(LoadMethods, Core):
    """The operations of every cache."""

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
        clock = self._clock
        started = clock()
        try:
            entry = self._entries.get(key)
        except TypeError:  # an unhashable key: refused below, by name
            entry = None
        if entry is not None and entry.expires > started < self._near.trusted_until:
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
                    elapsed = clock() - started
                    cells[SLOTS[elapsed] if elapsed < SLOTTED else bisect_left(GRID, elapsed)] += 1
                    cells[SUM] += elapsed
                    return entry.value
            if not self._tiers.copies:  # somebody watches: a span, a callback
                self._probe.hit(key, entry.value, entry.facts, started)
                return entry.value
        return await self._fetch(key, default, type, started)

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
            found = await self._tiers.look_up(outcome, key, kind, promote)
            outcome.result, outcome.tier, outcome.reason = found.result, found.tier, found.reason
            outcome.value, outcome.facts = found.value, found.facts
            outcome.age = found.age
        return default if outcome.value is MISSING else outcome.value

    async def get_many(self, keys: Iterable[str], *, type: Any = None) -> dict[str, Any]:  # noqa: A002
        """The values of those `keys` that are there; the far tier is asked once for all the rest."""
        with self._probe.operation("get_many", self._clock()) as outcome:
            wanted = _distinct(keys)
            outcome.batch_size = len(wanted)
            lookups = await self._tiers.look_up_many(outcome, wanted, type)
            outcome.lookups = list(lookups.values())
            found = {key: lookup.value for key, lookup in lookups.items() if lookup.result == "hit"}
            outcome.batch_hits = len(found)
            outcome.tier = _deepest(outcome.lookups)
            outcome.result = _batch_result(len(found), len(wanted))
            outcome.reason = outcome.lookups[0].reason if outcome.result == "miss" else "none"
        return found

    # --- set ----------------------------------------------------------------------------------------

    async def set(
        self,
        key: str,
        value: Any,
        ttl: int | None = None,
        *,
        type: Any = None,  # noqa: A002
        tags: Iterable[str] = (),
    ) -> None:
        """Store `value`; see `CacheInterface.set`. A Redis that is away never makes it raise.

        Args:
            key: Where.
            value: What.
            ttl: Seconds; `None` takes the cache's default, 0 never expires.
            type: The declared type of the value, if it needs one (docs/values.md).
            tags: What `invalidate_tag` may name it by; non-empty strings of at most 8 KiB.

        Raises:
            ValidationError: The key, the value, the ttl or a tag can't be accepted; nothing was stored.
        """
        await self._store(key, value, ttl, type, tags=check_tags(tags) if tags else ())

    async def _store(
        self,
        key: str,
        value: Any,
        ttl: int | None,
        kind: Any,
        *,
        ai: AIFacts | None = None,
        facts: Facts | None = None,
        tags: tuple[str, ...] = (),
    ) -> None:
        started = self._clock()
        with self._probe.operation("set", started, key, ai) as outcome:
            check_key(key)
            terms = Terms(self._seconds(ttl), await self._tiers.stamp(outcome), tags)
            outcome.facts = facts = self._probe.with_writer(outcome, facts)
            payload = self._tiers.coding.encode(key, value, terms, kind, facts).payload
            outcome.ttl, outcome.size = float(terms.ttl), len(payload)
            await self._loads.flights.settle((key,))
            await self._tiers.write(outcome, {key: value}, {key: payload}, terms, started)
            if not outcome.written:
                outcome.result = "dropped"

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
            terms = Terms(self._seconds(ttl), await self._tiers.stamp(outcome))
            encode, facts = self._tiers.coding.encode, self._probe.with_writer(outcome, None)
            payloads = {check_key(k): encode(k, value, terms, type, facts).payload for k, value in mapping.items()}
            outcome.facts = facts
            outcome.batch_size, outcome.ttl = len(payloads), float(terms.ttl)
            await self._loads.flights.settle(payloads)
            await self._tiers.write(outcome, mapping, payloads, terms, started)
            outcome.result = _write_result(len(outcome.written), len(payloads))

    # --- delete -------------------------------------------------------------------------------------

    async def delete(self, key: str) -> None:
        """Remove `key` from every tier. What Redis did not take now is removed there before it is read again."""
        with self._probe.operation("delete", self._clock(), key) as outcome:
            check_key(key)
            await self._loads.flights.settle((key,))
            await self._tiers.remove(outcome, [key])

    async def delete_many(self, keys: Iterable[str]) -> None:
        """Remove `keys` from every tier, in one round trip."""
        with self._probe.operation("delete_many", self._clock()) as outcome:
            wanted = _distinct(keys)
            outcome.batch_size = len(wanted)
            if wanted:
                await self._loads.flights.settle(wanted)
                await self._tiers.remove(outcome, wanted)

    async def clear(self) -> None:
        """Make every entry of this cache invalid, and of no other, in every process: one round trip.

        What Redis holds goes with its time to live; `purge` frees the memory at once.
        """
        with self._probe.operation("clear", self._clock()) as outcome:
            await self._tiers.invalidate(outcome, EVERYTHING)

    async def purge(self) -> int:
        """Remove every entry of this cache from the server, batch by batch, and from L1; how many there were."""
        with self._probe.operation("purge", self._clock()) as outcome:
            await self._tiers.invalidate(outcome, EVERYTHING)
            return await self._tiers.sweep(outcome, "*", None)

    async def invalidate_tag(self, tag: str) -> None:
        """Make every entry with `tag` invalid, in every process: one round trip, however many there are.

        While Redis is away it is valid here, and repeated to Redis before Redis is read again.

        Raises:
            ValidationError: The tag is not a non-empty string of at most 8 KiB.
        """
        with self._probe.operation("invalidate", self._clock()) as outcome:
            await self._tiers.invalidate(outcome, tag_target(check_tags([tag])[0]))

    async def invalidate_prefix(self, prefix: str) -> None:
        """Make every entry invalid whose key starts with `prefix`; otherwise as `invalidate_tag`.

        Raises:
            ValidationError: The prefix is not a non-empty string of at most 8 KiB.
        """
        with self._probe.operation("invalidate", self._clock()) as outcome:
            await self._tiers.invalidate(outcome, prefix_target(check_key(prefix, "prefix")))

    # --- questions ----------------------------------------------------------------------------------

    async def exists(self, key: str) -> bool:
        """Whether `key` holds a value (which may be `None`); `False` if the tier that knows can't be asked."""
        with self._probe.operation("contains", self._clock(), key) as outcome:
            check_key(key)
            found = await self._tiers.contains(outcome, key)
            outcome.result = "hit" if found else "miss"
        return found

    async def get_ttl(self, key: str) -> int | None:
        """Seconds until `key` expires, rounded up; 0 if it never does, `None` if it is not there."""
        with self._probe.operation("get_ttl", self._clock(), key) as outcome:
            check_key(key)
            left = await self._tiers.left_ms(outcome, key)
            outcome.result = "miss" if left is None else "hit"
        return None if left is None else -(-left // 1000)

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
            touched = await self._tiers.touch(outcome, key, seconds, started)
            outcome.result = "ok" if touched else "noop"
        return touched


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
