"""A regression, played: the network to Redis slows down for a while, the detector raises an alarm and clears it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import httpx

from otcache._demo.detector import Change, Found
from otcache._demo.servers import Link
from otcache.regression._model import SEVERITY

USUAL: Final = 0.050
"""Seconds to Redis: far away. So much that what a busy machine does besides is little beside it."""
SLOW: Final = 0.100
SHORTEST: Final = 60.0
USUAL_LENGTH: Final = 75.0
LONGEST: Final = 600.0
"""Seconds of a demo that shows it all."""
SLOWEST_RATE: Final = 100.0
"""Requests per second below which a window of a second holds too little for a verdict."""
_POLL: Final = 0.5


@dataclass(frozen=True, slots=True)
class Script:
    """When what happens, in seconds since the first request.

    Attributes:
        baseline: Length of the baseline; the caches fill before it.
        window: Length of what is compared with it.
        start: When the detector starts.
        slow: When the network slows down.
        well: When that is over.
    """

    baseline: float
    window: float
    start: float
    slow: float
    well: float

    @classmethod
    def of(cls, seconds: float) -> Script:
        """The script of a demo of `seconds`, 60..600."""
        baseline, window = 0.2 * seconds, max(8.0, 0.12 * seconds)
        start = 0.08 * seconds + baseline + window
        slow = start + 0.04 * seconds
        return cls(baseline, window, start, slow, slow + max(14.0, 0.22 * seconds))


@dataclass(slots=True)
class SlowDown:
    """What came of it.

    Attributes:
        began: When it began, seconds since the epoch; 0: not yet.
        ended: When it ended; 0: not yet.
        found: What the detector has found.
    """

    began: float = 0.0
    ended: float = 0.0
    found: Found = field(default_factory=Found)

    @property
    def is_on(self) -> bool:
        """Whether the network is slow."""
        return self.began > self.ended

    @property
    def _meant(self) -> list[Change]:
        """Alarms that came, changed or went after it began."""
        return [change for change in self.found.changes if 0 < self.began <= change.at]

    @property
    def raised(self) -> Change | None:
        """The first alarm after it began."""
        return next((change for change in self._meant if change.before == "ok"), None)

    @property
    def worst(self) -> Change | None:
        """The most severe alarm after it began."""
        return max(self._meant, key=lambda change: SEVERITY[change.after], default=None)

    @property
    def cleared(self) -> Change | None:
        """The end of the last alarm, if none is in force."""
        return self._meant[-1] if self.raised is not None and self.found.level == "ok" else None

    @property
    def early(self) -> int:
        """Alarms before it began."""
        return sum(change.before == "ok" and change not in self._meant for change in self.found.changes)


class Slowing:
    """Plays the script.

    Args:
        script: When what happens.
        link: The network to Redis.
        http: How the application is reached.
    """

    def __init__(self, script: Script, link: Link, http: httpx.AsyncClient) -> None:
        self._script = script
        self._link = link
        self._http = http
        self.slow_down = SlowDown()

    async def run(self, say: Callable[[str], None]) -> None:
        """Play it, from the first request on."""
        script, began = self._script, asyncio.get_running_loop().time()
        await _until(began + script.start)
        lengths = {"window": script.window, "baseline": script.baseline}
        (await self._http.post("/demo/detector", json=lengths)).raise_for_status()
        say("the baseline is known; the detector evaluates once a second")
        await _until(began + script.slow)
        self._link.slow_down(SLOW)
        self.slow_down.began = time.time()
        say(f"the network to Redis is slower: {SLOW * 1000:g} ms instead of {USUAL * 1000:g} ms")
        await _until(began + script.well)
        self._link.slow_down(USUAL)
        self.slow_down.ended = time.time()
        say(f"the network to Redis takes {USUAL * 1000:g} ms again")

    async def follow(self) -> None:
        """Poll what the detector has found."""
        while True:
            answer = (await self._http.get("/demo/detector")).raise_for_status().json()
            changes = tuple(Change(**each) for each in answer.pop("changes"))
            self.slow_down.found = Found(**answer, changes=changes)
            await asyncio.sleep(_POLL)


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))
