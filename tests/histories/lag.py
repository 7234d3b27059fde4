"""How late an event loop does what is due: what a bound on times must allow for on a busy machine."""

from __future__ import annotations

import asyncio
import time
from typing import Final

_TICK: Final = 0.01


class Lag:
    """Measures in the event loop it is started in, until its task is cancelled.

    Attributes:
        worst: s, since it was last set to 0.
    """

    def __init__(self) -> None:
        self.worst = 0.0

    def start(self) -> asyncio.Task[None]:
        """Begin."""
        return asyncio.create_task(self._tick(), name="lag")

    async def _tick(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(_TICK)
            self.worst = max(self.worst, time.monotonic() - began - _TICK)
