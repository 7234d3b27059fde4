"""The one feed of changes: what is above hears of keys, tags or everything that changes below it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol


class ChangeListener(Protocol):
    """Holds something that a change makes old, such as loads in flight."""

    def keys_changed(self, keys: Collection[str]) -> None:
        """The values of `keys` change now, or have just changed."""

    def tag_invalidated(self, tag: str) -> None:
        """Every entry with `tag` is invalid from now on."""

    def everything_changed(self) -> None:
        """Any key may have changed."""


class Changes:
    """The feed of one cache. Listeners are called at once, in the thread of the change, and must not raise."""

    def __init__(self) -> None:
        self._listeners: list[ChangeListener] = []

    def listen(self, listener: ChangeListener) -> None:
        """Tell `listener` of every change from now on."""
        self._listeners.append(listener)

    def forget(self, listener: ChangeListener) -> None:
        """Tell `listener` no more."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def keys(self, keys: Collection[str]) -> None:
        """Tell that the values of `keys` change, or have changed."""
        for listener in self._listeners:
            listener.keys_changed(keys)

    def tag(self, tag: str) -> None:
        """Tell that every entry with `tag` is invalid."""
        for listener in self._listeners:
            listener.tag_invalidated(tag)

    def everything(self) -> None:
        """Tell that any key may have changed."""
        for listener in self._listeners:
            listener.everything_changed()
