"""What failed in the far tier: keys to be removed there, and invalidations to be told, before it is read again."""

from __future__ import annotations

from collections.abc import Iterable


class RepairJournal:
    """A bounded set of keys, in the order of their failures, and of targets of invalidations.

    Once full it remembers one thing only: that everything has to go.

    Args:
        limit: Most keys, and most targets.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.everything = False
        self._keys: dict[str, None] = {}
        self._targets: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._keys) + len(self._targets)

    def __bool__(self) -> bool:
        return self.everything or bool(self._keys) or bool(self._targets)

    def add(self, keys: Iterable[str]) -> bool:
        """Remember `keys`; whether this made it overflow."""
        if self.everything:
            return False
        self._keys.update(dict.fromkeys(keys))
        if len(self._keys) <= self.limit:
            return False
        self.add_everything()
        return True

    def add_target(self, target: str) -> None:
        """Remember an invalidation."""
        self._targets[target] = None
        if len(self._targets) > self.limit:
            self.add_everything()

    def add_everything(self) -> None:
        """Remember that nothing under the prefix may be believed."""
        self._keys.clear()
        self._targets.clear()
        self.everything = True

    @property
    def target(self) -> str | None:
        """One invalidation to be told; `forget_target` it when that is done."""
        return next(iter(self._targets), None)

    def forget_target(self, target: str) -> None:
        """It has been told."""
        self._targets.pop(target, None)

    def discard(self, keys: Iterable[str]) -> None:
        """Forget `keys`: the far tier has acknowledged a newer write of them."""
        for key in keys:
            self._keys.pop(key, None)

    def take(self, most: int) -> list[str]:
        """Take out up to `most` keys, to be removed; `add` them again if that fails."""
        taken = list(self._keys)[:most]
        self.discard(taken)
        return taken

    def forgive(self) -> None:
        """Everything has been invalidated."""
        self.everything = False
