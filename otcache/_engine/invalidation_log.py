"""What has been invalidated by tag, by prefix or as a whole, as far as this process knows (docs/coherence.md).

Invalidations are numbered. An entry carries the number of the newest one that its writer knew when it began to make
the value; whatever concerns it and is newer makes it invalid. No clock is compared.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Final

EVERYTHING: Final = "*"
FLOOR: Final = "#floor"
"""Stands for the oldest invalidations, whose targets are forgotten: they concern every entry."""
_NUMBER: Final = 2**32 - 1


def tag_target(tag: str) -> str:
    """The target of an invalidation by tag."""
    return f"t:{tag}"


def prefix_target(prefix: str) -> str:
    """The target of an invalidation by prefix."""
    return f"p:{prefix}" if prefix else EVERYTHING


def new_id() -> str:
    """A name for a numbering that begins: 8 hex digits, never 0."""
    return f"{secrets.randbelow(_NUMBER) + 1:08x}"


class InvalidationLog:
    """One numbering of invalidations, and the newest number of each target.

    Attributes:
        id: Names the numbering; a server that lost it begins another.
        newest: Every invalidation up to this one is known here.
        current: The stamp of a value whose making begins now.
    """

    def __init__(self) -> None:
        self.id = ""
        self.newest = 0
        self.current = 0
        self._certain: int | None = None
        self._highest = 0
        self._everything = 0
        self._tags: dict[str, int] = {}
        self._prefixes: dict[str, int] = {}
        self._lengths: tuple[int, ...] = ()

    def adopt(self, id_: str, rows: Iterable[tuple[str, int]]) -> list[str]:
        """Take over what the server holds beyond `newest`; the targets that are new here.

        Another numbering makes everything invalid that was made under the old one.
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
        self._stamp()
        return targets

    def follow(self, target: str, number: int) -> bool:
        """Take over one invalidation; whether none before it is missing."""
        self.note(target, number)
        if number == self.newest + 1:
            self.newest = number
            self._stamp()
        return number <= self.newest

    def bump(self, target: str) -> None:
        """Invalidate `target` where there is no server to number it."""
        self.follow(target, self.newest + 1)

    def note(self, target: str, number: int) -> bool:
        """Remember that `target` is invalid up to `number`; whether that is new."""
        self._highest = max(self._highest, number)
        self._stamp()
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
        """What everything's invalidation covers need not be remembered by name."""
        self._tags = {tag: n for tag, n in self._tags.items() if n > number}
        self._prefixes = {prefix: n for prefix, n in self._prefixes.items() if n > number}
        self._lengths = tuple(sorted({len(prefix) for prefix in self._prefixes}))

    def _stamp(self) -> None:
        self.current = (int(self.id, 16) << 32 if self.id else 0) | (self.newest & _NUMBER)
        self._certain = self.current if self._highest <= self.newest else None  # a number ahead of a gap

    def allows(self, key: str, stamp: int | None, tags: Iterable[str] = ()) -> bool:
        """Whether an entry with this stamp is still valid.

        Args:
            key: Where it is.
            stamp: What it carries; one without comes from a writer that knew of no invalidation.
            tags: Its tags.
        """
        if stamp == self._certain and stamp is not None:
            return True
        name = (stamp or 0) >> 32
        if name and name != self.current >> 32:
            return False
        known = (stamp or 0) & _NUMBER if name == self.current >> 32 else 0
        if known >= self._highest:
            return True
        if self._everything > known or any(self._tags.get(tag, 0) > known for tag in tags):
            return False
        prefixes = self._prefixes
        return not any(prefixes.get(key[:length], 0) > known for length in self._lengths)

    def __len__(self) -> int:
        return len(self._tags) + len(self._prefixes)
