"""Write options: how long an entry lives, its tags and its invalidation version; and what of them the entry carries."""

from __future__ import annotations

from typing import Any, NamedTuple

from otcache._serialization.serializer import Decoded, Facts
from otcache.ttl import FOREVER, store_ms


class WriteOptions(NamedTuple):
    """How one write keeps its entries.

    Attributes:
        ttl: Seconds an entry is fresh, a multiple of 1 ms, or `FOREVER`; 0 keeps nothing.
        version: `InvalidationLog.current` when the value began to be made: what is invalidated later hits it.
        tags: What the entry can be invalidated by.
        stale: Seconds the entry may be served stale, beyond its TTL; as `ttl`.
        loader_ns: How long the load took, if the value was loaded.
        reason: Why the entry is stored: `otcache.write.reason`.
        beta: How early the entry asks for a refresh; `None` takes the cache's.
        began: When the load began, if the value was loaded.
    """

    ttl: float
    version: int
    tags: tuple[str, ...] = ()
    stale: float = 0.0
    loader_ns: int | None = None
    reason: str = "set"
    beta: float | None = None
    began: int | None = None

    @property
    def hard(self) -> float:
        """Seconds until the entry is of no use at all, not even stale; `FOREVER` for never."""
        return self.ttl + self.stale

    @property
    def are_plain(self) -> bool:
        """Whether a TTL says it all."""
        return self.loader_ns is None and not self.tags and not self.stale

    def noted(self, facts: Facts | None, now_ms: int) -> Facts | None:
        """Add to `facts` what other processes must know: when the TTL ends, how long the load took, the tags."""
        if self.are_plain:
            return facts
        known = facts or Facts()
        notes = {**(known.notes or {}), "tags": list(self.tags)} if self.tags else known.notes
        return known._replace(
            soft_expires_at_ms=now_ms + store_ms(self.ttl) if self.stale and self.ttl != FOREVER else None,
            loader_us=None if self.loader_ns is None else self.loader_ns // 1000,
            notes=notes,
        )


def tags_of(found: Decoded) -> tuple[str, ...]:
    """The tags that an entry carries."""
    notes: Any = found.facts.notes if found.facts is not None else None
    return tuple(notes.get("tags", ())) if notes else ()
