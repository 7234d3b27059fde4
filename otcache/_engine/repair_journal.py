"""The repair journal: failed writes and invalidations, to be undone or repeated in L2 before L2 is read again."""

from __future__ import annotations

from collections.abc import Iterable


class RepairJournal:
    """A bounded set of keys, in the order of their failures, and of targets of invalidations.

    Once full, the journal remembers one thing only: that everything has to go.

    Args:
        limit: Most keys, and most targets.

    Attributes:
        pending: Whether there is anything to repair. A plain attribute, because every read of L2 asks.
        everything: Whether the whole of L2 has to be invalidated.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.everything = False
        self.pending = False
        self._keys: dict[str, None] = {}
        self._targets: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._keys) + len(self._targets)

    def add(self, keys: Iterable[str]) -> bool:
        """Add failed keys; return whether this made the journal overflow."""
        if self.everything:
            return False
        self._keys.update(dict.fromkeys(keys))
        self._update()
        if len(self._keys) <= self.limit:
            return False
        self.add_everything()
        return True

    def add_target(self, target: str) -> None:
        """Add a failed invalidation."""
        self._targets[target] = None
        if len(self._targets) > self.limit:
            self.add_everything()
        self._update()

    def add_everything(self) -> None:
        """Remember only that nothing in L2 is valid any more."""
        self._keys.clear()
        self._targets.clear()
        self.everything = True
        self._update()

    @property
    def target(self) -> str | None:
        """One invalidation to repeat; call `forget_target` once that is done."""
        return next(iter(self._targets), None)

    def forget_target(self, target: str) -> None:
        """The invalidation of `target` has reached L2."""
        self._targets.pop(target, None)
        self._update()

    def discard(self, keys: Iterable[str]) -> None:
        """Forget `keys`: L2 has acknowledged a newer write of them."""
        for key in keys:
            self._keys.pop(key, None)
        self._update()

    def take(self, most: int) -> list[str]:
        """Take out up to `most` keys, to be removed from L2; `add` them again if that fails."""
        taken = list(self._keys)[:most]
        self.discard(taken)
        return taken

    def forgive(self) -> None:
        """Everything in L2 has been invalidated."""
        self.everything = False
        self._update()

    def _update(self) -> None:
        self.pending = self.everything or bool(self._keys) or bool(self._targets)
