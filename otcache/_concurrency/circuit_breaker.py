"""The circuit breaker: after a few failures in a row, calls are refused until a probe succeeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half_open"]


class CircuitBreaker:
    """Counts failures in a row, and holds the state.

    Args:
        limit: Failures in a row that open the breaker.
        changed: Called with the state left and the state entered.

    Attributes:
        is_open: Whether calls are refused; a half-open breaker refuses all but the probe. A plain attribute,
            because every call reads it.
    """

    def __init__(self, limit: int, changed: Callable[[State, State], None]) -> None:
        self.state: State = "closed"
        self.is_open = False
        self.failures = 0
        self._limit = limit
        self._changed = changed

    def failed(self) -> None:
        """Count one failure that says the server is away."""
        self.failures += 1
        if self.state == "half_open" or self.failures >= self._limit:
            self.enter("open")

    def succeeded(self) -> None:
        """Forget the failures of a closed breaker; an open one waits for its probe."""
        # An answer that was in flight when the breaker opened says nothing about the server now.
        if self.state == "closed":
            self.failures = 0

    def enter(self, state: State) -> None:
        """Go to `state` and report it, once."""
        if state == self.state:
            return
        previous, self.state = self.state, state
        self.is_open = state != "closed"
        if state == "closed":
            self.failures = 0
        self._changed(previous, state)
