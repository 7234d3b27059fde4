"""Which keys are being read, written or loaded right now, so that a slow answer never covers a newer value."""

from __future__ import annotations

from collections.abc import Collection

from otcache._engine.changes import Changes


class Inflight:
    """Per key: the last read, the last write and the last load in flight. Empty when nothing is.

    * A read of L2 may be copied to L1 only if no write of that key began or ended meanwhile.
    * Of writes of one key that overlap, the server alone knows which came last: none of them may leave its value in L1.
    * A load that began before a write may have read what the write has replaced: its value may not be stored.

    A token is a fresh object, not a number: it can't be mistaken for one of another read, and needs no counter.

    Args:
        changes: The feed that hears of keys whose values change, or have changed.
    """

    def __init__(self, changes: Changes) -> None:
        self.changes = changes
        self._reads: dict[str, object] = {}
        self._writes: dict[str, object] = {}
        self._loads: dict[str, object] = {}
        self._spoilt: set[object] = set()
        self._sweeps = 0

    # --- reads --------------------------------------------------------------------------------------

    def begin_read(self, key: str) -> object:
        """Announce a read of `key` from L2; give what this returns to `end_read`."""
        token = object()
        # During a write or a sweep the token is not noted at all: `end_read` will not find it, and says no.
        if key not in self._writes and not self._sweeps:
            self._reads[key] = token
        return token

    def end_read(self, key: str, token: object) -> bool:
        """Return whether the answer of this read may be copied to L1."""
        if self._reads.get(key) is not token:
            return False
        del self._reads[key]
        return True

    # --- writes -------------------------------------------------------------------------------------

    def begin_write(self, keys: Collection[str]) -> tuple[object, bool]:
        """Announce a write; give the first part of what this returns to `end_write`.

        The second part says whether another write of one of the keys is in flight.
        """
        token, overlaps = object(), False
        for key in keys:
            overlaps = overlaps or key in self._writes
            self._writes[key] = token
            self._reads.pop(key, None)
            self._loads.pop(key, None)
        self.changes.keys(keys)
        return token, overlaps

    def end_write(self, keys: Collection[str], token: object) -> bool:
        """Return whether no other write of one of the keys began meanwhile, here or elsewhere."""
        alone = token not in self._spoilt
        self._spoilt.discard(token)
        for key in keys:
            # Again: a read that began during the write may have been answered with the value before it.
            self._reads.pop(key, None)
            if self._writes.get(key) is token:
                del self._writes[key]
            else:
                alone = False
        self.changes.keys(keys)
        return alone

    def begin_sweep(self) -> None:
        """Announce the removal of many keys: nothing that is being read now may be copied."""
        self._sweeps += 1
        self._forget_all()

    def end_sweep(self) -> None:
        """The removal is over."""
        self._sweeps -= 1
        self._forget_all()

    def _forget_all(self) -> None:
        self._reads.clear()
        self._loads.clear()
        self.changes.everything()

    # --- loads --------------------------------------------------------------------------------------

    def begin_load(self, key: str) -> object:
        """Announce a load of `key`; give what this returns to `end_load` before its value is stored."""
        token = object()
        self._loads[key] = token
        return token

    def end_load(self, key: str, token: object) -> bool:
        """Return whether the value of this load may be stored."""
        if self._loads.get(key) is not token:
            return False
        del self._loads[key]
        return True

    # --- other processes ----------------------------------------------------------------------------

    def disturb(self, keys: Collection[str]) -> None:
        """Another process has written `keys`: its order to reads, writes and loads in flight is unknown."""
        for key in keys:
            self._reads.pop(key, None)
            self._loads.pop(key, None)
            if key in self._writes:
                self._spoilt.add(self._writes[key])
        self.changes.keys(keys)

    def disturb_all(self) -> None:
        """The same for every key."""
        self._spoilt.update(self._writes.values())
        self._forget_all()
