"""On what terms an entry is kept, and what of them goes with it."""

from __future__ import annotations

from typing import Any, NamedTuple

from otcache._serialization.serializer import Decoded, Facts


class WriteOptions(NamedTuple):
    """On what terms an entry is kept.

    Attributes:
        ttl: Seconds it is fresh; 0 for ever.
        stamp: `InvalidationLog.current` when its making began.
        tags: Its tags.
        stale: Seconds it may be served beyond its time to live.
        loader_ns: How long its making took, if it was loaded.
        reason: Why it is stored: `otcache.write.reason`.
        began: When its making began, if that was before it is stored.
        beta: How early it asks to be loaded anew; `None` takes the cache's.
    """

    ttl: int
    stamp: int
    tags: tuple[str, ...] = ()
    stale: int = 0
    loader_ns: int | None = None
    reason: str = "set"
    beta: float | None = None
    began: int | None = None

    @property
    def hard(self) -> int:
        """Seconds until it is of no use at all; 0 for never."""
        return self.ttl + self.stale if self.ttl else 0

    @property
    def are_plain(self) -> bool:
        """Whether a time to live says it all."""
        return self.loader_ns is None and not self.tags and not self.stale

    def noted(self, facts: Facts | None, now_ms: int) -> Facts | None:
        """`facts`, and what other processes must know: when it is due, how long its making took, its tags."""
        if self.are_plain:
            return facts
        known = facts or Facts()
        notes = {**(known.notes or {}), "tags": list(self.tags)} if self.tags else known.notes
        return known._replace(
            soft_expires_at_ms=now_ms + self.ttl * 1000 if self.stale and self.ttl else None,
            loader_us=None if self.loader_ns is None else self.loader_ns // 1000,
            notes=notes,
        )


def tags_of(found: Decoded) -> tuple[str, ...]:
    """The tags that an entry carries."""
    notes: Any = found.facts.notes if found.facts is not None else None
    return tuple(notes.get("tags", ())) if notes else ()
