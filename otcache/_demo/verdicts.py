"""The detector inside of the demo's application: it reads windows of a second, and says what is in force."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from otcache.regression._reporting.metrics import Verdicts, identity
from otcache.regression.hysteresis import Level, Transition
from otcache.regression.model import SEVERITY, Finding, SeriesKey
from otcache.regression.specs import ERROR_RATIO, HIT_RATIO, L2_OPERATION_TIME, ROUND_TRIP_TIME
from otcache.regression.watch import Look, Plan, Read, StateFile, Watch

TARGET: Final = "otcache-demo"
_EVERY: Final = 1.0
_SPECS: Final = (
    *(replace(spec, warning=0.25, critical=0.5) for spec in (L2_OPERATION_TIME, ROUND_TRIP_TIME, HIT_RATIO)),
    ERROR_RATIO,
)
"""What has to do with the far tier. Windows of a second are noisier than those of a minute: 25 and 50 %."""


@dataclass(frozen=True, slots=True)
class Change:
    """An alarm that came, changed or went.

    Attributes:
        at: Seconds since the epoch.
        before: What was in force.
        after: What is in force now.
        said: Which series, and by how much it is worse.
    """

    at: float
    before: Level
    after: Level
    said: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the detector has found so far.

    Attributes:
        looks: How often it has looked.
        level: The worst level in force.
        alarms: How many series have an alarm in force.
        worst: What is said of the worst of them; empty without one.
        changes: Everything that came into force or went, in the order of time.
    """

    looks: int = 0
    level: Level = "ok"
    alarms: int = 0
    worst: str = ""
    changes: tuple[Change, ...] = ()


class Judge:
    """Looks once a second, in a thread of its own, from `begin` on.

    Args:
        read: Windows of this process.
        clock: Seconds since the epoch.
    """

    def __init__(self, read: Read, clock: Callable[[], float] = time.time) -> None:
        self._read = read
        self._clock = clock
        self._over = threading.Event()
        self._in_force: dict[SeriesKey, tuple[Level, Finding]] = {}
        self.judgement = Judgement()

    def begin(self, window: float, baseline: float) -> None:
        """Start looking: the last `window` seconds against the `baseline` seconds before now and them."""
        plan = Plan(window=window, baseline=baseline, step=_EVERY, references={}, specs=_SPECS)
        watching = Watch(self._read, Verdicts(TARGET), plan, StateFile(None), self._clock)
        arguments = (lambda seconds: not self._over.wait(seconds), self.take)
        threading.Thread(target=watching.run, args=arguments, name="otcache-judge", daemon=True).start()

    def end(self) -> None:
        """Look no more."""
        self._over.set()

    def take(self, look: Look) -> None:
        """One look was made."""
        for each in look.transitions:
            if each.after == "ok":
                self._in_force.pop(each.key, None)
            else:
                self._in_force[each.key] = each.after, each.finding
        self._renew(look)
        made = tuple(self._change(each) for each in look.transitions)
        worst = max(self._in_force.items(), key=lambda known: _weight(*known[1]), default=None)
        old = self.judgement
        self.judgement = Judgement(
            old.looks + 1,
            worst[1][0] if worst else "ok",
            len(self._in_force),
            _said(worst[0], worst[1][1]) if worst else "",
            (*old.changes, *made),
        )

    def _renew(self, look: Look) -> None:
        """Show an alarm's numbers of today: when it was raised, half of the window was still well."""
        findings = look.report.findings if look.report is not None else ()
        for finding in sorted(findings, key=lambda each: each.change or 0.0):
            if finding.key in self._in_force and SEVERITY[finding.verdict]:
                self._in_force[finding.key] = self._in_force[finding.key][0], finding

    def _change(self, each: Transition) -> Change:
        return Change(self._clock(), each.before, each.after, _said(each.key, each.finding))


def _weight(level: Level, finding: Finding) -> tuple[int, float]:
    return SEVERITY[level], finding.change or 0.0


def _said(key: SeriesKey, finding: Finding) -> str:
    """Which series, and by how much it is worse, in half a line."""
    judged = identity(TARGET, key)
    name = f"{judged.indicator} {judged.series}" if judged is not None else key.metric
    numbers = (finding.change, finding.low, finding.high)
    change, low, high = ("?" if number is None else f"{number:+.0%}" for number in numbers)
    return f"{name} {finding.statistic} {change} ({low} .. {high})"
