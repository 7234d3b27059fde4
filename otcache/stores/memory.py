"""The entries of L1: in this process, bounded, every operation O(1)."""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

from otcache._serialization.envelope import Facts
from otcache._serialization.fingerprint import Mark
from otcache.telemetry.catalog.values import MissReason

NEVER: Final = 2**63 - 1
"""The expiry of an entry that never expires, on the `perf_counter_ns` clock."""

REMEMBERED: Final = 1024
"""Most removed keys whose reason is remembered, so that the next miss can say why; at least the last half of them."""

_NEAR: Final = 500_000_000
"""Ends that lie less than half a second apart may be shared: the whole seconds that are left stay the same."""

MANY: Final = 20_000
"""Above so many entries a prefix is not looked for: dropping all of them is safe, and never blocks the event loop."""


class More(NamedTuple):
    """What only entries have that were loaded, tagged or marked; times are `perf_counter_ns` readings.

    Attributes:
        soft: Until when it is fresh.
        dies: Until when it may be served stale.
        born: When the value was made; `None` if it was neither loaded nor tagged.
        tags: Its tags.
        mark: What the value was, if a change of it is to be noticed: then `expires` is when to look at it again.
    """

    soft: int
    dies: int
    born: int | None
    tags: tuple[str, ...] = ()
    mark: Mark | None = None


class Entry:
    """One entry; 40 bytes of slots instead of a dictionary.

    `expires` is all that the hit path compares: the end of an entry, or the earlier moment from which on it should be
    refreshed or its value looked at (then `more` has its end).
    """

    __slots__ = ("expires", "facts", "more", "used", "value")

    def __init__(self, value: Any, expires: int, facts: Facts | None, more: More | None) -> None:
        self.value = value
        self.expires = expires
        self.used = False
        self.facts = facts
        self.more = more

    def touch(self, until: int) -> None:
        """Give the entry another end."""
        self.expires = until
        self.more = None if self.more is None else self.more._replace(soft=until, dies=until)
        if self.more is not None and self.more.mark is not None:
            self.expires = 0
            self.more.mark.refresh_at(until)

    @property
    def due(self) -> int:
        """When it should be refreshed."""
        return self.expires if self.more is None or self.more.mark is None else self.more.mark.due

    @property
    def fresh_until(self) -> int:
        """The end of its time to live."""
        return self.expires if self.more is None else self.more.soft

    @property
    def dies(self) -> int:
        """When not even its stale time is left."""
        return self.expires if self.more is None else self.more.dies


class MemoryStore:
    """At most `limit` entries, evicted by CLOCK: a hit sets one bit instead of moving the entry.

    The hit path reads `entries` directly: one dictionary look-up, no call (docs/performance.md).

    Args:
        limit: Most entries; 0 keeps nothing.
        evicted: Cell that counts entries dropped for room.
        expired: Cell that counts entries dropped because their time was over.

    Attributes:
        local: Keys that L2 has not taken, and until when each may be served once the L1 lease is over
            (docs/coherence.md).
    """

    __slots__ = (
        "_crowded_out", "_end", "_evicted", "_expired", "_gone", "_gone_before", "_hand", "_tagged",
        "entries", "limit", "local",
    )  # fmt: skip

    def __init__(self, limit: int, evicted: list[int], expired: list[int]) -> None:
        self.entries: dict[str, Entry] = {}
        self.limit = limit
        self.local: dict[str, int] = {}
        self._tagged: dict[str, set[str]] = {}
        self._hand: deque[str] = deque()
        self._gone: dict[str, MissReason] = {}
        self._gone_before: dict[str, MissReason] = {}
        self._crowded_out: deque[str] = deque(maxlen=REMEMBERED // 2)  # evicted, and not in `_gone` yet
        self._end = NEVER
        self._evicted = evicted
        self._expired = expired

    def put(
        self, key: str, value: Any, expires: int, now: int, facts: Facts | None = None, more: More | None = None
    ) -> bool:
        """Keep `value`, and what else its writer noted, until `expires` (or as `more` says); whether it is held now.

        A plain entry ends up to a thousandth of its time before `expires`, and never after it.
        """
        if (expires if more is None else more.dies) <= now or not self.limit:
            return self._refuse(key)
        entries, hand = self.entries, self._hand
        held = entries.get(key)
        if held is None:
            while len(entries) >= self.limit:
                oldest = hand.popleft()
                entry = entries.get(oldest)
                if entry is None:  # removed since: its place in the ring is stale
                    continue
                if entry.used or entry.expires <= now or entry.more is not None or self.local:
                    self._judge(oldest, entry, now)
                else:  # the commonest case without a call, which is a tenth of the store
                    del entries[oldest]
                    self._evicted[0] += 1
                    self._crowded_out.append(oldest)
            hand.append(key)
        elif held.more is not None:
            self._untag(key, held.more)
        if more is not None:
            self._tag(key, more)
        elif expires != self._end:  # one number for entries of about one time: 32 bytes less for each
            shared = 0 <= (early := expires - self._end) < _NEAR and early << 10 <= expires - now
            expires = self._end = self._end if shared else expires
        entries[key] = Entry(value, expires, facts, more)
        if self.local:
            self.local.pop(key, None)
        return True

    def note_local(self, key: str, until: int) -> None:
        """Remember that only this store has `key`, and until when it may be served."""
        self.local[key] = until

    def resize(self, limit: int) -> None:
        """Keep at most `limit` entries from now on; 0 drops them all."""
        self.limit = limit
        if not limit:
            self.clear()

    def _refuse(self, key: str) -> bool:
        """Keep nothing under `key`, and know nothing of it."""
        self._drop(key)
        self._note_evicted()
        self._gone.pop(key, None)
        self._gone_before.pop(key, None)
        return False

    def _judge(self, key: str, entry: Entry, now: int) -> None:
        """What becomes of the oldest entry: it is over, or it was used and gets another turn, or it goes."""
        if entry.dies <= now:
            self.drop_expired(key)
        elif entry.used:
            entry.used = False
            self._hand.append(key)
        else:
            self._drop(key)
            self._evicted[0] += 1
            self._crowded_out.append(key)

    def _drop(self, key: str) -> bool:
        entry = self.entries.pop(key, None)
        if self.local:
            self.local.pop(key, None)
        if entry is None:
            return False
        if entry.more is not None:
            self._untag(key, entry.more)
        if len(self._hand) - len(self.entries) > self.limit + 64:  # many removals: O(1) per operation, amortised
            self._hand = deque(dict.fromkeys(key for key in self._hand if key in self.entries))
        return True

    def _tag(self, key: str, more: More) -> None:
        for tag in more.tags:
            self._tagged.setdefault(tag, set()).add(key)

    def _untag(self, key: str, more: More) -> None:
        for tag in more.tags:
            keys = self._tagged.get(tag)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._tagged[tag]

    def peek(self, key: str, now: int) -> Entry | None:
        """The fresh entry under `key`; one that is of no use any more is dropped on the way."""
        entry = self.entries.get(key)
        if entry is None or now < entry.fresh_until:
            return entry
        if entry.dies <= now:
            self.drop_expired(key)
        return None

    def stale(self, key: str, now: int) -> Entry | None:
        """The entry under `key` if it may still be served stale."""
        entry = self.entries.get(key)
        return entry if entry is not None and entry.fresh_until <= now < entry.dies else None

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

    def drop_changed(self, key: str) -> None:
        """Drop an entry whose value a caller has changed."""
        self._forget(key, "changed")

    def remove_tagged(self, tag: str) -> int:
        """Remove every entry with `tag`; how many."""
        return self._remove_all(list(self._tagged.get(tag, ())))

    def remove_prefix(self, prefix: str) -> int:
        """Remove every entry whose key starts with `prefix`, and of a very large store all others too; how many."""
        if not prefix or len(self.entries) > MANY:
            count = len(self.entries)
            self.clear()
            return count
        return self._remove_all([key for key in self.entries if key.startswith(prefix)])

    def _remove_all(self, keys: list[str]) -> int:
        for key in keys:
            self._forget(key, "invalidated")
        return len(keys)

    def _forget(self, key: str, reason: MissReason) -> None:
        self._drop(key)
        self._note_evicted()
        self._note(key, reason)

    def _note(self, key: str, reason: MissReason) -> None:
        if len(self._gone) >= REMEMBERED // 2:
            self._gone_before, self._gone = self._gone, {}
        self._gone[key] = reason

    def _note_evicted(self) -> None:
        """Done when it is asked for, or something later is to be noted: evicting itself is cheaper without."""
        while self._crowded_out:
            self._note(self._crowded_out.popleft(), "evicted")

    def reason(self, key: str) -> MissReason:
        """Why `key` is no hit: expired, evicted, deleted... as far as it is remembered, else absent."""
        if key in self.entries:
            return "absent"
        self._note_evicted()
        return self._gone.get(key) or self._gone_before.get(key, "absent")

    def clear(self) -> None:
        """Drop everything, and what is remembered of it. The dictionary stays the same object."""
        self.entries.clear()
        self.local.clear()
        self._tagged.clear()
        self._hand.clear()
        self._gone.clear()
        self._gone_before.clear()
        self._crowded_out.clear()
