"""The near tier: entries in this process, bounded, every operation O(1)."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any, Final

from otcache.codecs.envelope import Facts
from otcache.telemetry.outcome import MissReason

NEVER: Final = 2**63 - 1
"""The expiry of an entry that never expires, on the `perf_counter_ns` clock."""

REMEMBERED: Final = 1024
"""Removed keys whose reason is remembered, so that the next miss can say why."""


class Entry:
    """One entry; 32 bytes of slots instead of a dictionary."""

    __slots__ = ("expires", "facts", "used", "value")

    def __init__(self, value: Any, expires: int, facts: Facts | None) -> None:
        self.value = value
        self.expires = expires
        self.used = False
        self.facts = facts


class MemoryStore:
    """At most `limit` entries, evicted by CLOCK: a hit sets one bit instead of moving the entry.

    The pipeline reads `entries` directly: one dictionary look-up, no call (docs/performance.md).

    Args:
        limit: Most entries; 0 keeps nothing.
        evicted: Cell that counts entries dropped for room.
        expired: Cell that counts entries dropped because their time was over.
    """

    def __init__(self, limit: int, evicted: list[int], expired: list[int]) -> None:
        self.entries: dict[str, Entry] = {}
        self.limit = limit
        self._hand: deque[str] = deque()
        self._gone: OrderedDict[str, MissReason] = OrderedDict()
        self._evicted = evicted
        self._expired = expired

    def put(self, key: str, value: Any, expires: int, now: int, facts: Facts | None = None) -> bool:
        """Keep `value`, and what else its writer noted, until `expires`; whether it is held now."""
        if expires <= now or not self.limit:
            self.entries.pop(key, None)
            return False
        if key not in self.entries:
            self._make_room(now)
            self._hand.append(key)
            self._gone.pop(key, None)
        self.entries[key] = Entry(value, expires, facts)
        return True

    def _make_room(self, now: int) -> None:
        while len(self.entries) >= self.limit:
            key = self._hand.popleft()
            entry = self.entries.get(key)
            if entry is None:  # removed since: its place in the ring is stale
                continue
            if entry.used and entry.expires > now:
                entry.used = False
                self._hand.append(key)
            elif entry.expires <= now:
                self.drop_expired(key)
            else:
                self._evicted[0] += 1
                self._forget(key, "evicted")
        if len(self._hand) > 2 * self.limit + 64:  # many removals: O(1) per operation, amortised
            self._hand = deque(dict.fromkeys(key for key in self._hand if key in self.entries))

    def peek(self, key: str, now: int) -> Entry | None:
        """The live entry under `key`; an expired one is dropped on the way."""
        entry = self.entries.get(key)
        if entry is not None and entry.expires <= now:
            self.drop_expired(key)
            return None
        return entry

    def drop_expired(self, key: str) -> None:
        """Drop an entry whose time is over."""
        if key in self.entries:
            self._expired[0] += 1
            self._forget(key, "expired")

    def remove(self, key: str) -> bool:
        """Remove `key` because the application asked; whether it was there."""
        held = key in self.entries
        self._forget(key, "deleted")
        return held

    def _forget(self, key: str, reason: MissReason) -> None:
        self.entries.pop(key, None)
        self._gone[key] = reason
        self._gone.move_to_end(key)
        if len(self._gone) > REMEMBERED:
            self._gone.popitem(last=False)

    def reason(self, key: str) -> MissReason:
        """Why `key` is not here: expired, evicted or deleted as far as it is remembered, else absent."""
        return self._gone.get(key, "absent")

    def clear(self) -> None:
        """Drop everything, and what is remembered of it. The dictionary stays the same object."""
        self.entries.clear()
        self._hand.clear()
        self._gone.clear()
