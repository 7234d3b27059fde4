"""Which keys are being read or written right now, so that a slow answer never covers a newer value."""

from __future__ import annotations

from collections.abc import Iterable


class Inflight:
    """Per key: the last read under way and the last write under way. Empty when nothing is.

    A far read may copy its answer to the near tier only if no write of that key began or ended
    meanwhile. Of writes of one key that overlap, the server alone knows which came last: none of
    them may leave its value in the near tier.
    """

    def __init__(self) -> None:
        self._reads: dict[str, object] = {}
        self._writes: dict[str, object] = {}
        self._sweeps = 0

    def begin_read(self, key: str) -> object:
        """Announce a far read of `key`; give what this returns to `end_read`."""
        token = object()
        if key not in self._writes and not self._sweeps:
            self._reads[key] = token
        return token

    def end_read(self, key: str, token: object) -> bool:
        """Whether the answer of this read may be copied to the near tier."""
        if self._reads.get(key) is not token:
            return False
        del self._reads[key]
        return True

    def begin_write(self, keys: Iterable[str]) -> tuple[object, bool]:
        """Announce a write; give the first part of what this returns to `end_write`.

        The second part says whether another write of one of the keys is under way.
        """
        token, overlaps = object(), False
        for key in keys:
            overlaps = overlaps or key in self._writes
            self._writes[key] = token
            self._reads.pop(key, None)
        return token, overlaps

    def end_write(self, keys: Iterable[str], token: object) -> bool:
        """Whether no other write of one of the keys began meanwhile."""
        alone = True
        for key in keys:
            self._reads.pop(key, None)
            if self._writes.get(key) is token:
                del self._writes[key]
            else:
                alone = False
        return alone

    def begin_sweep(self) -> None:
        """Announce the removal of many keys: nothing that is being read now may be copied."""
        self._sweeps += 1
        self._reads.clear()

    def end_sweep(self) -> None:
        """The removal is over."""
        self._sweeps -= 1
        self._reads.clear()
