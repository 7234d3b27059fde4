"""The near tier as the pipeline sees it: what may be served from it, and until when what is put into it lives."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any, Final

from otcache._engine.codec import EntryCodec
from otcache._engine.write_options import WriteOptions, tags_of
from otcache._serialization.serializer import Decoded, DecodeError, Facts
from otcache.stores.memory import NEVER, Entry, MemoryStore, More
from otcache.telemetry._instrumentation.signals import clock
from otcache.telemetry.record import Lookup, StaleCandidate

_SECOND: Final = 1_000_000_000
_MS: Final = 1_000_000


class L1:
    """A memory store, with what its entries mean.

    Args:
        store: The memory in this process.
        coding: Bytes to values, where every caller gets an object of its own.
        copies: Whether that is so.
        beta: How early a loaded entry asks to be loaded anew.
        max_staleness: Seconds that a value may be served which only this process has, once it has had a far tier.
    """

    def __init__(
        self, store: MemoryStore, coding: EntryCodec, *, copies: bool, beta: float, max_staleness: float | None
    ) -> None:
        self.store = store
        self.copies = copies
        self._coding = coding
        self._beta = beta
        self._lease = NEVER // 2 if max_staleness is None else int(max_staleness * _SECOND)
        self._clock: Callable[[], int] = clock

    # --- reading ------------------------------------------------------------------------------------

    def look(self, key: str, kind: Any) -> Lookup:
        """What is known of `key` here; a miss may hold a stale value."""
        now = self._clock()
        entry = self.store.peek(key, now)
        if entry is not None and now < self.store.trusted_until:
            return self._hit(key, entry, now, kind)
        entry = entry or self.store.stale(key, now)
        if entry is None:
            return Lookup(key, "miss", reason=self.store.reason(key))
        kept = self._kept(key, entry, now, kind)
        return Lookup(key, "miss", reason="expired" if entry.fresh_until <= now else "absent", kept=kept)

    def look_local(self, near: Lookup, kind: Any) -> Lookup:
        """The answer while the far tier can't be asked: what only this process has, or a miss for that reason."""
        key, now = near.key, self._clock()
        entry = self.store.peek(key, now)
        if entry is not None and now < self.store.local.get(key, 0):
            return self._hit(key, entry, now, kind)
        if near.kept is not None:
            near.kept.reason = "backend_unavailable"
        return Lookup(key, "miss", reason="backend_unavailable", kept=near.kept)

    def trusted(self, key: str, now: int) -> Entry | None:
        """The fresh entry under `key`, if it may be served."""
        entry = self.store.peek(key, now)
        trusted = max(self.store.trusted_until, self.store.local.get(key, 0))
        return entry if entry is not None and now < trusted else None

    def note_local(self, key: str, began: int) -> None:
        """The far tier has not taken what has been put: another process may write something newer unheard."""
        self.store.local[key] = began + self._lease

    def _hit(self, key: str, entry: Entry, now: int, kind: Any) -> Lookup:
        entry.used = True
        value = entry.value
        if self.copies:
            try:
                value = self._coding.decode(value, key, kind).value
            except DecodeError:  # stored with a type that this call does not declare
                return Lookup(key, "miss", reason="decode_error")
        more, until = entry.more, entry.fresh_until
        age = None if more is None else (now - more.born) / _SECOND
        left = None if until == NEVER else (until - now) / _SECOND
        return Lookup(key, "hit", "l1", value=value, facts=entry.facts, due=entry.expires <= now, age=age, left=left)

    def _kept(self, key: str, entry: Entry, now: int, kind: Any) -> StaleCandidate | None:
        """What is past its time, or can't be trusted because nothing is heard of other processes."""
        hit = self._hit(key, entry, now, kind)
        if hit.result != "hit":
            return None
        untrusted = (now - max(self.store.trusted_until, self.store.local.get(key, 0))) / _SECOND
        past = -hit.left if hit.left is not None else -math.inf
        if past < 0 or untrusted >= 0:
            return StaleCandidate(hit.value, "l1", max(past, untrusted), hit.age, "backend_unavailable")
        return StaleCandidate(hit.value, "l1", past, hit.age, "revalidating")

    # --- writing ------------------------------------------------------------------------------------

    def put(self, key: str, value: Any, payload: bytes, terms: WriteOptions, started: int, facts: Facts | None) -> bool:
        """Keep what has just been written; whether it is held now."""
        held = payload if self.copies else value
        soft = started + terms.ttl * _SECOND if terms.ttl else NEVER
        if terms.are_plain:
            return self.store.put(key, held, soft, started, facts)
        dies = started + terms.hard * _SECOND if terms.ttl else NEVER
        expires = self._early(soft, started, terms.loader_ns or 0, terms.beta)
        return self.store.put(key, held, expires, started, facts, More(soft, dies, started, terms.tags))

    def times(self, found: Decoded, now: int, server_ms: int) -> tuple[int, More | None]:
        """When a copy of a far entry ends: a little early, by what `server_ms`, its clock as learnt, may be off."""
        dies, facts = self._here(found.expires_at_ms, now, server_ms), found.facts
        tags = tags_of(found)
        if facts is None or (facts.soft_expires_at_ms is None and facts.loader_us is None and not tags):
            return dies, None
        soft = dies if facts.soft_expires_at_ms is None else self._here(facts.soft_expires_at_ms, now, server_ms)
        more = More(soft, dies, now - int((self._coding.age(found, server_ms) or 0.0) * _SECOND), tags)
        return self._early(soft, now, (facts.loader_us or 0) * 1000), more

    def _here(self, expires_at_ms: int, now: int, server_ms: int) -> int:
        """A moment of the server's clock, on ours."""
        if not expires_at_ms:
            return NEVER
        left_ms = expires_at_ms - server_ms
        return now + (max(left_ms - self._coding.clock_error_ms(), 1) if left_ms > 0 else left_ms) * _MS

    def _early(self, soft: int, now: int, loader_ns: int, wanted_beta: float | None = None) -> int:
        """When an entry should be loaded anew: XFetch (Vattani et al., 2015), drawn once per copy.

        So the hit path asks for one moment only, and the copies of many processes still come due at different times.
        """
        beta = self._beta if wanted_beta is None else wanted_beta
        if soft == NEVER or not loader_ns or not beta:
            return soft
        wanted = soft - int(loader_ns * beta * random.expovariate(1.0))
        return max(wanted, min(now, soft))

    def touch(self, entry: Entry, until: int) -> None:
        """Give an entry another end."""
        entry.expires = until
        entry.more = None if entry.more is None else entry.more._replace(soft=until, dies=until)
