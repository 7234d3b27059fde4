"""Keys whose load failed a moment ago: for a while, callers get the stale value at once and no load is tried."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from otcache.telemetry.record import StaleReason

REMEMBERED: Final = 4096
"""Most keys remembered; the oldest one is dropped, and only loaded again earlier."""


class FailedLoads:
    """The failed loads of one cache, a bounded number.

    Args:
        seconds: How long a failure counts.
        clock: ns, monotonic.
    """

    def __init__(self, seconds: float, clock: Callable[[], int]) -> None:
        self._span = round(seconds * 1e9)
        self._clock = clock
        self._until: OrderedDict[str, tuple[int, StaleReason]] = OrderedDict()

    def note(self, key: str, reason: StaleReason) -> None:
        """Remember that the load of `key` has failed now."""
        self._until[key] = (self._clock() + self._span, reason)
        self._until.move_to_end(key)
        if len(self._until) > REMEMBERED:
            self._until.popitem(last=False)

    def forget(self, key: str) -> None:
        """Allow loads of `key`: one has succeeded."""
        if self._until:
            self._until.pop(key, None)

    def reason(self, key: str) -> StaleReason | None:
        """Return why `key` should not be loaded yet; `None` if it may be."""
        if not self._until:
            return None
        until, reason = self._until.get(key, (0, None))
        if reason is not None and self._clock() >= until:
            self.forget(key)
            return None
        return reason
