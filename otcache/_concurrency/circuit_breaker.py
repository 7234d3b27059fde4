"""The circuit breaker: after a few failures in a row the far tier is not asked until a probe succeeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

State = Literal["closed", "open", "half_open"]


class CircuitBreaker:
    """Counts failures in a row; holds the state.

    Args:
        limit: Failures in a row that open it.
        changed: Called with the state left and the state entered.
    """

    def __init__(self, limit: int, changed: Callable[[State, State], None]) -> None:
        self.state: State = "closed"
        self.failures = 0
        self._limit = limit
        self._changed = changed

    @property
    def is_open(self) -> bool:
        """Whether calls are refused; half open refuses all but the probe."""
        return self.state != "closed"

    def failed(self) -> None:
        """Count one failure that says the server is away."""
        self.failures += 1
        if self.state == "half_open" or self.failures >= self._limit:
            self.enter("open")

    def succeeded(self) -> None:
        """Forget the failures of a closed breaker; an open one waits for its probe."""
        if self.state == "closed":
            self.failures = 0

    def enter(self, state: State) -> None:
        """Go to `state` and say so, once."""
        if state == self.state:
            return
        previous, self.state = self.state, state
        if state == "closed":
            self.failures = 0
        self._changed(previous, state)
