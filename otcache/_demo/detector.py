"""The detector inside of the demo's application: it reads windows of a second, and says what is in force."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import Final

from otcache.regression._hysteresis import Level, Transition
from otcache.regression._model import SEVERITY, SeriesKey
from otcache.regression._reporting.metrics import Verdicts, identity
from otcache.regression._specs import ERROR_RATIO, HIT_RATIO, L2_OPERATION_TIME, ROUND_TRIP_TIME
from otcache.regression._watch import Evaluation, Plan, Read, StateFile, Watch

_TARGET: Final = "otcache-demo"
_SPECS: Final = (
    *(replace(spec, warning=0.25, critical=0.5) for spec in (L2_OPERATION_TIME, ROUND_TRIP_TIME, HIT_RATIO)),
    ERROR_RATIO,
)
"""The specifications of L2. Windows of a second are noisier than those of a minute: 25 and 50 %."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the worst level in force, `at` seconds since the epoch: which series, and by how much it is worse."""

    at: float
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the detector has found so far: how often it evaluated, and every change in the order of time."""

    evaluations: int = 0
    changes: tuple[Change, ...] = ()

    @property
    def level(self) -> Level:
        """The worst level in force."""
        return self.changes[-1].level if self.changes else "ok"


class Detector:
    """Evaluates the windows that `read` gives once a second, in a thread of its own, from `begin` on."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._in_force: dict[SeriesKey, Transition] = {}
        self.found = Found()

    def begin(self, window: float, baseline: float) -> None:
        """Compare the last `window` seconds with the `baseline` seconds before now and them, again and again."""
        plan = Plan(window=window, baseline=baseline, step=1.0, references={}, specs=_SPECS)
        watch = Watch(self._read, Verdicts(_TARGET), plan, StateFile(None), time.time)
        over = threading.Event()  # never set: the thread ends with the process
        arguments = (lambda seconds: not over.wait(seconds), self.take)
        threading.Thread(target=watch.run, args=arguments, name="otcache-detector", daemon=True).start()

    def take(self, evaluation: Evaluation) -> None:
        """Take one evaluation into account."""
        for each in evaluation.transitions:
            self._in_force.pop(each.key, None)
            if each.after != "ok":
                self._in_force[each.key] = each
        worst = max(self._in_force.values(), key=_weight, default=None)
        level, changes = worst.after if worst else "ok", self.found.changes
        if level != self.found.level:
            changes += (Change(time.time(), level, _text(worst or evaluation.transitions[-1])),)
        self.found = Found(self.found.evaluations + 1, changes)


def _weight(alarm: Transition) -> tuple[int, float]:
    return SEVERITY[alarm.after], alarm.finding.change or 0.0


def _text(alarm: Transition) -> str:
    """Which series, and by how much it is worse, in half a line."""
    finding, series = alarm.finding, identity(_TARGET, alarm.key)
    name = f"{series.indicator} {series.series}" if series is not None else alarm.key.metric
    numbers = (finding.change, finding.low, finding.high)
    change, low, high = ("?" if number is None else f"{number:+.0%}" for number in numbers)
    return f"{name} {finding.statistic} {change} ({low} .. {high})"
