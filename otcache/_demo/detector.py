"""The detector inside of the demo's application: it reads windows of a second, and says what is in force."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from otcache.regression._hysteresis import Level, Transition
from otcache.regression._model import SEVERITY, SeriesKey
from otcache.regression._reporting.metrics import Verdicts, identity
from otcache.regression._specs import ERROR_RATIO, HIT_RATIO, L2_OPERATION_TIME, ROUND_TRIP_TIME
from otcache.regression._watch import Evaluation, Plan, Read, StateFile, Watch

TARGET: Final = "otcache-demo"
_EVERY: Final = 1.0
_SPECS: Final = (
    *(replace(spec, warning=0.25, critical=0.5) for spec in (L2_OPERATION_TIME, ROUND_TRIP_TIME, HIT_RATIO)),
    ERROR_RATIO,
)
"""The specifications of L2. Windows of a second are noisier than those of a minute: 25 and 50 %."""


@dataclass(frozen=True, slots=True)
class Change:
    """An alarm that came, changed or went.

    Attributes:
        at: Seconds since the epoch.
        before: What was in force.
        after: What is in force now.
        text: Which series, and by how much it is worse.
    """

    at: float
    before: Level
    after: Level
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the detector has found so far.

    Attributes:
        evaluations: How many there were.
        level: The worst level in force.
        alarms: How many series have an alarm in force.
        worst: The worst of them; empty without one.
        changes: Everything that came into force or went, in the order of time.
    """

    evaluations: int = 0
    level: Level = "ok"
    alarms: int = 0
    worst: str = ""
    changes: tuple[Change, ...] = ()


class Detector:
    """Evaluates once a second, in a thread of its own, from `begin` on.

    Args:
        read: Windows of this process.
        clock: Seconds since the epoch.
    """

    def __init__(self, read: Read, clock: Callable[[], float] = time.time) -> None:
        self._read = read
        self._clock = clock
        self._in_force: dict[SeriesKey, Transition] = {}
        self.found = Found()

    def begin(self, window: float, baseline: float) -> None:
        """Compare the last `window` seconds with the `baseline` seconds before now and them, again and again."""
        plan = Plan(window=window, baseline=baseline, step=_EVERY, references={}, specs=_SPECS)
        watch = Watch(self._read, Verdicts(TARGET), plan, StateFile(None), self._clock)
        over = threading.Event()  # never set: the thread ends with the process
        arguments = (lambda seconds: not over.wait(seconds), self._take)
        threading.Thread(target=watch.run, args=arguments, name="otcache-detector", daemon=True).start()

    def _take(self, evaluation: Evaluation) -> None:
        for each in evaluation.transitions:
            self._in_force.pop(each.key, None)
            if each.after != "ok":
                self._in_force[each.key] = each
        worst = max(self._in_force.values(), key=_weight, default=None)
        changes = (Change(self._clock(), each.before, each.after, _text(each)) for each in evaluation.transitions)
        self.found = Found(
            self.found.evaluations + 1,
            worst.after if worst else "ok",
            len(self._in_force),
            _text(worst) if worst else "",
            (*self.found.changes, *changes),
        )


def _weight(alarm: Transition) -> tuple[int, float]:
    return SEVERITY[alarm.finding.verdict], alarm.finding.change or 0.0


def _text(alarm: Transition) -> str:
    """Which series, and by how much it is worse, in half a line."""
    finding, series = alarm.finding, identity(TARGET, alarm.key)
    name = f"{series.indicator} {series.series}" if series is not None else alarm.key.metric
    numbers = (finding.change, finding.low, finding.high)
    change, low, high = ("?" if number is None else f"{number:+.0%}" for number in numbers)
    return f"{name} {finding.statistic} {change} ({low} .. {high})"
