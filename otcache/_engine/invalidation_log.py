"""What has been invalidated by tag, by prefix or as a whole, as far as this process knows (docs/coherence.md).

Every invalidation has a version. An entry carries the newest version that its writer knew when the value began to be
made; an invalidation that concerns the entry and is newer makes it invalid. No clocks are compared.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Final

EVERYTHING: Final = "*"
FLOOR: Final = "#floor"
"""Stands for the oldest invalidations, whose targets the store has forgotten: they concern every entry."""
_NUMBER: Final = 2**32 - 1


def tag_target(tag: str) -> str:
    """The target of an invalidation by tag."""
    return f"t:{tag}"


def prefix_target(prefix: str) -> str:
    """The target of an invalidation by prefix."""
    return f"p:{prefix}" if prefix else EVERYTHING


def new_id() -> str:
    """The id of an epoch that begins: 8 hex digits, never 0."""
    return f"{secrets.randbelow(_NUMBER) + 1:08x}"


class InvalidationLog:
    """The invalidations of one epoch, and the newest version of each target.

    A version as an entry carries it is 64 bits: the epoch's id, then the number of the invalidation.

    Attributes:
        id: The epoch; a store that has lost its versions begins another.
        newest: Every invalidation up to this number is known here.
        current: The version of a value that begins to be made now.
        certain: The version of entries that are surely valid; -1 while none is. A plain attribute: nearly every hit in
            L2 has this version, and needs no call of `allows`.
    """

    def __init__(self) -> None:
        self.id = ""
        self.newest = 0
        self.current = 0
        self.certain = -1
        self._highest = 0
        self._everything = 0
        self._tags: dict[str, int] = {}
        self._prefixes: dict[str, int] = {}
        self._lengths: tuple[int, ...] = ()

    def adopt(self, id_: str, rows: Iterable[tuple[str, int]]) -> list[str]:
        """Take over what the store holds beyond `newest`; return the targets that are new here.

        A new epoch makes everything invalid that was made in the old one.
        """
        targets: list[str] = []
        if id_ != self.id:
            targets = [EVERYTHING] if self.id else []
            self.__init__()  # type: ignore[misc]
            self.id = id_
        for target, number in rows:
            if self.note(target, number):
                targets.append(target)
            self.newest = max(self.newest, number)
        self._update()
        return targets

    def follow(self, target: str, number: int) -> bool:
        """Take over one invalidation; return whether none before it is missing."""
        self.note(target, number)
        if number == self.newest + 1:
            self.newest = number
            self._update()
        return number <= self.newest

    def bump(self, target: str) -> None:
        """Invalidate `target` where there is no store that counts versions."""
        self.follow(target, self.newest + 1)

    def note(self, target: str, number: int) -> bool:
        """Remember that `target` is invalid up to `number`; return whether that is new."""
        self._highest = max(self._highest, number)
        self._update()
        if target in (EVERYTHING, FLOOR):
            known, self._everything = self._everything, max(self._everything, number)
            if target == EVERYTHING and number > known:
                self._forget_below(number)
            return number > known
        kind, name = (self._tags if target[:2] == "t:" else self._prefixes), target[2:]
        known = kind.get(name, 0)
        kind[name] = max(known, number)
        if kind is self._prefixes and not known:
            self._lengths = tuple(sorted({len(prefix) for prefix in kind}))
        return number > known

    def _forget_below(self, number: int) -> None:
        """Forget targets that the invalidation of everything covers."""
        self._tags = {tag: n for tag, n in self._tags.items() if n > number}
        self._prefixes = {prefix: n for prefix, n in self._prefixes.items() if n > number}
        self._lengths = tuple(sorted({len(prefix) for prefix in self._prefixes}))

    def _update(self) -> None:
        self.current = (int(self.id, 16) << 32 if self.id else 0) | (self.newest & _NUMBER)
        # A number ahead of a gap is known already, but not what lies in the gap: then every entry has to be asked.
        self.certain = self.current if self._highest <= self.newest else -1

    def allows(self, key: str, version: int | None, tags: Iterable[str] = ()) -> bool:
        """Return whether an entry is still valid.

        Args:
            key: Where it is.
            version: What it carries; an entry without comes from a writer that knew of no invalidation.
            tags: Its tags.
        """
        if version == self.certain:
            return True
        epoch = (version or 0) >> 32
        if epoch and epoch != self.current >> 32:
            return False
        known = (version or 0) & _NUMBER if epoch == self.current >> 32 else 0
        if known >= self._highest:
            return True
        if self._everything > known or any(self._tags.get(tag, 0) > known for tag in tags):
            return False
        prefixes = self._prefixes
        return not any(prefixes.get(key[:length], 0) > known for length in self._lengths)

    def __len__(self) -> int:
        return len(self._tags) + len(self._prefixes)
