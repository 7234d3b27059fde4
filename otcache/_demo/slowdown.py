"""A regression, played: the network to Redis slows down for a while, the detector raises an alarm and clears it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
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
LONGEST: Final = 600.0  # seconds of a demo that shows it all
SLOWEST_RATE: Final = 100.0  # requests per second, for enough of them in a window of a second
_NOT_YET: Final = "not before the end"


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


class SlowDown:
    """Plays `script` on the network `link`, and asks the application by `http` what its detector has found."""

    def __init__(self, script: Script, link: Link, http: httpx.AsyncClient) -> None:
        self._script = script
        self._link = link
        self._http = http
        self.began = self.ended = 0.0  # seconds since the epoch; 0: not yet
        self.found = Found()

    async def run(self, say: Callable[[str], None]) -> None:
        """Play it, from the first request on."""
        script, began = self._script, asyncio.get_running_loop().time()
        await _until(began + script.start)
        lengths = {"window": script.window, "baseline": script.baseline}
        (await self._http.post("/demo/detector", params=lengths)).raise_for_status()
        say("the baseline is known; the detector evaluates once a second")
        await _until(began + script.slow)
        self._link.slow_down(SLOW)
        self.began = time.time()
        say(f"the network to Redis is slower: {SLOW * 1000:g} ms instead of {USUAL * 1000:g} ms")
        await _until(began + script.well)
        self._link.slow_down(USUAL)
        self.ended = time.time()
        say(f"the network to Redis takes {USUAL * 1000:g} ms again")

    async def follow(self, say: Callable[[str], None]) -> None:
        """Tell what the detector finds, as it does."""
        while True:
            answer, known = (await self._http.get("/demo/detector")).raise_for_status().json(), self.found
            changes = tuple(Change(**each) for each in answer["changes"])
            self.found = Found(answer["evaluations"], changes)
            for change in changes[len(known.changes) :]:
                level = "no alarm any more" if change.level == "ok" else change.level
                say(f"detector: {level}: {change.text}")
            await asyncio.sleep(0.5)

    def summary(self) -> dict[str, str]:
        """How long the alarm took to come and to go."""
        alarms = [each for each in self.found.changes if each.level != "ok" and 0 < self.began <= each.at]
        lasted, raised, cleared = [_NOT_YET] * 3
        if self.ended:
            lasted = f"{self.ended - self.began:.1f} s of {SLOW * 1000:g} ms to Redis instead of {USUAL * 1000:g}"
        if alarms:
            worst = max(alarms, key=lambda change: SEVERITY[change.level])
            raised = f"{alarms[0].at - self.began:.1f} s after it began; at worst {worst.level}: {worst.text}"
            last = self.found.changes[-1]
            if self.ended and SEVERITY[last.level] < SEVERITY[worst.level]:
                left = "" if last.level == "ok" else f"; a {last.level} is left: {last.text}"
                cleared = f"{last.at - self.ended:.1f} s after it ended{left}"
        return {"slow-down": lasted, "alarm raised": raised, "alarm cleared": cleared}


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - asyncio.get_running_loop().time()))
