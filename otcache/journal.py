"""Keys whose delete or overwrite failed in the far tier: they are removed there before it is read again."""

from __future__ import annotations

from collections.abc import Iterable


class Journal:
    """A bounded set of keys, in the order of their failures.

    Once full it remembers one thing only: that the cache's whole prefix has to go.

    Args:
        limit: Most keys.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.everything = False
        self._keys: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __bool__(self) -> bool:
        return self.everything or bool(self._keys)

    def add(self, keys: Iterable[str]) -> bool:
        """Remember `keys`; whether this made it overflow."""
        if self.everything:
            return False
        self._keys.update(dict.fromkeys(keys))
        if len(self._keys) <= self.limit:
            return False
        self.add_everything()
        return True

    def add_everything(self) -> None:
        """Remember that nothing under the prefix may be believed."""
        self._keys.clear()
        self.everything = True

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
        """The prefix has been cleared."""
        self.everything = False
