"""L1: the memory of this process. What may be served from it and until when, and what has to be dropped."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from otcache._engine.codec import EntryCodec
from otcache._engine.inflight import Inflight
from otcache._engine.shared_objects import SharedObjects
from otcache._engine.write_options import WriteOptions
from otcache._serialization.fingerprint import Mark
from otcache._serialization.serializer import DecodeError, Facts
from otcache.stores.memory import NEVER, Entry, MemoryStore, More
from otcache.telemetry._instrumentation.coherence import CoherenceReport
from otcache.telemetry._instrumentation.signals import clock
from otcache.telemetry.record import Lookup, StaleCandidate
from otcache.ttl import FOREVER

_SECOND: Final = 1_000_000_000


class L1:
    """A memory store, and what its entries mean.

    Args:
        store: The memory.
        codec: Bytes to values, where every caller gets an object of its own.
        inflight: Reads, writes and loads that a change disturbs.
        report: What invalidations are reported through.
        shared: See the attribute.
        copies: Whether every caller gets an object of its own: then L1 holds bytes.
        max_staleness: Seconds that an entry which L2 has not taken is served once there is an L1 lease; `None` for no
            limit.
        longest: Seconds that an entry lives at most, because no message says what other processes do; `None` for no
            limit.

    Attributes:
        shared: Notices objects that a caller has changed.
        lease_ends: Until when entries may be served. The backplane renews it; without one it never ends. A plain
            attribute, because the hit path reads it.
    """

    def __init__(
        self,
        store: MemoryStore,
        codec: EntryCodec,
        inflight: Inflight,
        report: CoherenceReport,
        shared: SharedObjects,
        *,
        copies: bool,
        max_staleness: float | None,
        longest: float | None = None,
    ) -> None:
        self.store = store
        self.copies = copies
        self.lease_ends = NEVER
        self._codec = codec
        self._inflight = inflight
        self._report = report
        self.shared = shared
        self._lease = NEVER // 2 if max_staleness is None else int(max_staleness * _SECOND)
        self._longest = None if longest is None else int(longest * _SECOND)
        self._clock: Callable[[], int] = clock

    # --- reading ------------------------------------------------------------------------------------

    def look(self, key: str, kind: Any, template: str | None = None) -> Lookup:
        """What L1 knows of `key`; a miss may have a stale candidate."""
        now = self._clock()
        entry = self.store.peek(key, now)
        if entry is not None and now < self.lease_ends:
            return self._hit(key, entry, now, kind, template)
        entry = entry or self.store.stale(key, now)
        if entry is None:
            return Lookup(key, "miss", reason=self.store.reason(key))
        candidate = self._stale_candidate(key, entry, now, kind)
        return Lookup(key, "miss", reason="expired" if entry.fresh_until <= now else "absent", candidate=candidate)

    def look_without_l2(self, seen: Lookup, kind: Any) -> Lookup:
        """The answer while L2 can't be asked: an entry that only this process has, or a miss for that reason."""
        key, now = seen.key, self._clock()
        entry = self.store.peek(key, now)
        if entry is not None and now < self.store.local.get(key, 0):
            return self._hit(key, entry, now, kind)
        if seen.candidate is not None:
            seen.candidate.reason = "backend_unavailable"
        return Lookup(key, "miss", reason="backend_unavailable", candidate=seen.candidate)

    def servable(self, key: str, now: int) -> Entry | None:
        """The fresh entry under `key`, if it may be served."""
        entry = self.store.peek(key, now)
        until = max(self.lease_ends, self.store.local.get(key, 0))
        return entry if entry is not None and now < until else None

    def _hit(self, key: str, entry: Entry, now: int, kind: Any, template: str | None = None) -> Lookup:
        entry.used = True
        value, more = entry.value, entry.more
        mark = None if more is None else more.mark
        if mark is not None:
            if not self.shared.is_intact(mark, value, template):
                self.store.drop_changed(key)
                return Lookup(key, "miss", reason="changed")
            entry.expires = min(self.shared.look_again(), entry.due)
        if self.copies:
            try:
                value = self._codec.decode(value, key, kind).value
            except DecodeError:  # stored with a type that this call does not declare
                return Lookup(key, "miss", reason="decode_error")
        until, due = entry.fresh_until, entry.due <= now
        age = None if more is None or more.born is None else (now - more.born) / _SECOND
        left = FOREVER if until == NEVER else (until - now) / _SECOND
        return Lookup(key, "hit", "l1", value=value, facts=entry.facts, due=due, age=age, left=left, mark=mark)

    def _stale_candidate(self, key: str, entry: Entry, now: int, kind: Any) -> StaleCandidate | None:
        """An entry past its TTL, or beyond the L1 lease: another process may have changed it."""
        hit = self._hit(key, entry, now, kind)
        if hit.result != "hit":
            return None
        beyond = (now - max(self.lease_ends, self.store.local.get(key, 0))) / _SECOND
        past = -math.inf if hit.left is None else -hit.left
        if past < 0 or beyond >= 0:
            return StaleCandidate(hit.value, "l1", max(past, beyond), hit.age, "backend_unavailable", hit.mark)
        return StaleCandidate(hit.value, "l1", past, hit.age, "revalidating", hit.mark)

    # --- writing ------------------------------------------------------------------------------------

    @property
    def ends_early(self) -> bool:
        """Whether entries end here before they do in L2."""
        return self._longest is not None

    def put(
        self, key: str, value: Any, payload: bytes, options: WriteOptions, started: int, facts: Facts | None
    ) -> bool:
        """Keep what has just been written; return whether L1 holds it now."""
        fresh_until = end_of(started, options.ttl)
        mark = options.marks.get(key)
        if options.are_plain:
            return self.keep(key, value, payload, fresh_until, started, facts, None, mark)
        dies = end_of(started, options.hard)
        due = self._codec.early(fresh_until, started, options.loader_ns or 0, options.beta)
        more = More(fresh_until, dies, started, options.tags)
        return self.keep(key, value, payload, due, started, facts, more, mark)

    def keep(
        self,
        key: str,
        value: Any,
        payload: bytes,
        expires: int,
        now: int,
        facts: Facts | None,
        more: More | None,
        mark: Mark | None,
    ) -> bool:
        """Keep an entry until `expires`, or as `more` says; return whether L1 holds it now."""
        if self._longest is not None:
            last = now + self._longest
            expires = min(expires, last)
            more = more and more._replace(soft=min(more.soft, last), dies=min(more.dies, last))
        if mark is not None:  # 0 is over at once for the hit path: every hit is looked at
            more = (more or More(expires, expires, None))._replace(mark=mark)
            mark.refresh_at(expires)
            expires = 0
        return self.store.put(key, payload if self.copies else value, expires, now, facts, more)

    def note_local(self, key: str, began: int) -> None:
        """L2 has not taken this entry: without its message, another process may write something newer unheard."""
        self.store.note_local(key, began + self._lease)

    def touch(self, entry: Entry, until: int, now: int) -> None:
        """Give an entry another end."""
        entry.touch(until if self._longest is None else min(until, now + self._longest))

    # --- dropping -----------------------------------------------------------------------------------

    def remove(self, keys: Iterable[str]) -> int:
        """Remove `keys`; return how many were there."""
        return sum([self.store.remove(key) for key in keys])

    def remove_matching(self, matches: Callable[[str], bool] | None) -> int:
        """Remove every key that matches, `None` for all; return how many."""
        if matches is not None:
            return self.remove([key for key in self.store.entries if matches(key)])
        count = len(self.store.entries)
        self.store.clear()
        return count

    def changed_elsewhere(self, keys: Collection[str]) -> None:
        """Another process has written or removed `keys`."""
        self._inflight.disturb(keys)
        self.remove(keys)
        self._report.applied("key", "backplane", len(keys))

    def invalidated_elsewhere(self, targets: Iterable[str]) -> None:
        """Another process has invalidated `targets`."""
        for target in targets:
            self.invalidate(target)
            self._report.applied(kind_of(target), "backplane")

    def invalidate(self, target: str) -> None:
        """Drop the copies that an invalidation concerns."""
        if target[:2] == "t:":
            # Which tags a load adds is not known before it ends; its invalidation version is too old by then.
            self._inflight.changes.tag(target[2:])
            self.store.remove_tagged(target[2:])
            return
        self._inflight.disturb_all()  # a prefix may fit any key that is being read
        self.store.remove_prefix(target[2:] if target[:2] == "p:" else "")

    def restart(self, *, disturb: bool) -> None:
        """Drop every copy: what has changed meanwhile is unknown. `disturb` also what is in flight."""
        if disturb:
            self._inflight.disturb_all()
        self.store.remove_prefix("")

    # --- its life -----------------------------------------------------------------------------------

    def renew_lease(self, until: int) -> None:
        """Entries may be served until `until`."""
        self.lease_ends = until

    def stand_in(self, limit: int) -> None:
        """Keep up to `limit` entries although L1 is off, until `stand_down`."""
        self.store.resize(limit)

    def stand_down(self) -> None:
        """Keep nothing from now on."""
        self.store.resize(0)


def end_of(began: int, seconds: float) -> int:
    """When a TTL that began at `began` ends."""
    return NEVER if seconds == FOREVER else began + round(seconds * 1e9)  # a float: half the time


def kind_of(target: str) -> str:
    """`otcache.invalidation.target` of an invalidation."""
    return {"t:": "tag", "p:": "prefix"}.get(target[:2], "all")
