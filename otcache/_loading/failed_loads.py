"""Keys whose load failed a moment ago: they are given stale for a while instead of being tried again and again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from otcache.telemetry.record import StaleReason

REMEMBERED: Final = 4096
"""Most keys; the oldest is forgotten, and only tried again earlier."""


class Failures:
    """A bounded memory of failed loads.

    Args:
        seconds: How long one counts.
        clock: ns, monotonic.
    """

    def __init__(self, seconds: float, clock: Callable[[], int]) -> None:
        self._span = round(seconds * 1e9)
        self._clock = clock
        self._until: OrderedDict[str, tuple[int, StaleReason]] = OrderedDict()

    def note(self, key: str, reason: StaleReason) -> None:
        """The load of `key` has failed now."""
        self._until[key] = (self._clock() + self._span, reason)
        self._until.move_to_end(key)
        if len(self._until) > REMEMBERED:
            self._until.popitem(last=False)

    def forget(self, key: str) -> None:
        """The load of `key` has succeeded."""
        if self._until:
            self._until.pop(key, None)

    def reason(self, key: str) -> StaleReason | None:
        """Why `key` should not be loaded yet; `None` if it may be."""
        if not self._until:
            return None
        until, reason = self._until.get(key, (0, None))
        if reason is not None and self._clock() >= until:
            self.forget(key)
            return None
        return reason
