"""The detector as a service: it evaluates again and again, keeps its state over restarts, and reports transitions."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from otcache._exports.read import SourceError
from otcache.exceptions import ConfigurationError
from otcache.regression import _detector as detector
from otcache.regression import _hysteresis as hysteresis
from otcache.regression._hysteresis import Transition
from otcache.regression._model import Dataset, MetricSpec, Report
from otcache.regression._reporting.files import write_whole
from otcache.regression._reporting.metrics import Verdicts
from otcache.regression._reporting.report import span
from otcache.regression._sources.selection import Reading
from otcache.regression._specs import DEFAULT_SPECS

DAY: Final = 86_400.0
REFERENCES: Final[Mapping[str, float]] = {"yesterday": DAY, "a week ago": 7 * DAY}
"""Names of further baselines, and how many seconds back they lie."""
SPARSE: Final = 0.2
"""Share of the baseline that may be empty at its beginning before it is pinned again."""
STATE_VERSION: Final = 1

_ERROR_TYPE: Final = "otcache.telemetry.source.SourceError"
"""`error.type` of a source that can't be read. A value of the contract: it stays, wherever the class lies."""

_log: Final = logging.getLogger("otcache.regression")


Read = Callable[[float, float], Reading]
"""Reads the windows between two times, seconds since the epoch; may raise `SourceError`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is compared with what, and how often.

    Attributes:
        window: Seconds that are current: 15 windows of a minute.
        baseline: Seconds of the baseline.
        step: Seconds between two evaluations.
        confirm: Evaluations in a row that raise an alarm, and that clear one.
        repin: Seconds after which a baseline with no alarm in force is pinned again; an old one is another season.
        references: Further baselines: a change must hold against each that has data.
        specs: How metrics are compared.
    """

    window: float = 900.0
    baseline: float = 3600.0
    step: float = 300.0
    confirm: int = hysteresis.NEED
    repin: float = DAY
    references: Mapping[str, float] = field(default_factory=lambda: dict(REFERENCES))
    specs: Sequence[MetricSpec] = DEFAULT_SPECS

    def __post_init__(self) -> None:
        for name, low, high in (("window", 6, 7 * DAY), ("baseline", 6, 7 * DAY), ("step", 1, DAY),
                                ("repin", 1, 366 * DAY)):  # fmt: skip
            number = getattr(self, name)
            if not low <= number <= high:
                raise ConfigurationError(f"{name}={number:g} is outside {low}..{high:g} s")
        if not 1 <= self.confirm <= 100:
            raise ConfigurationError(f"confirm={self.confirm} is outside 1..100")


@dataclass(slots=True)
class Memory:
    """What is kept over restarts: where the baseline ends (0 pins it again), and the state of `hysteresis.step`."""

    pinned: float = 0.0
    alarms: dict[str, Any] = field(default_factory=dict)

    def pin(self, now: float, plan: Plan) -> None:
        """Pin the baseline where there is none, and again where it is old and nothing is in force.

        One that lies in the future, or within the current windows, is none: the clock was set back, or a restart
        made the windows longer.
        """
        old = now - self.pinned > plan.repin + plan.window
        if self.pinned <= 0 or self.pinned > now - plan.window or (old and not hysteresis.alarms(self.alarms)):
            self.pinned = now - plan.window

    def release(self, baseline: Dataset, plan: Plan) -> None:
        """Let go of a baseline in whose beginning nothing was measured, unless something is suspected already.

        A watch that starts with its service would compare with the first minutes of the service for a day.
        """
        begin = self.pinned - plan.baseline
        first = min((window.start for windows in baseline.values() for window in windows), default=math.inf)
        if first - begin > plan.baseline * SPARSE and not self.alarms:
            self.pinned = 0.0


class StateFile:
    """Where a memory lies; written whole or not at all.

    Args:
        path: The file; `None` forgets everything at the end.
        target: Whose alarms they are: those of another are not taken over.
    """

    def __init__(self, path: Path | None, target: str = "") -> None:
        self._path = path
        self._target = target

    def load(self) -> Memory:
        """What was kept; a new memory where there is no file.

        Raises:
            ConfigurationError: The file can't be read, can't be made, or is not of this command and target.
        """
        if self._path is None:
            return Memory()
        try:
            if not self._path.parent.is_dir():
                raise ConfigurationError(f"{self._path.parent} is no directory: no state can be kept in it")
            return self._memory(json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Memory()
        except OSError as exc:
            raise ConfigurationError(f"{self._path} can't be read: {exc.strerror}") from exc
        except (ValueError, KeyError, TypeError, RecursionError) as exc:
            raise ConfigurationError(f"{self._path} is not a state of this command: {type(exc).__name__}") from exc

    def _memory(self, found: Any) -> Memory:
        if found["version"] != STATE_VERSION:
            raise ConfigurationError(f"{self._path} is of version {found['version']!r}, not {STATE_VERSION}")
        if found["target"] != self._target:
            raise ConfigurationError(f"{self._path} is of target {found['target']!r}, not {self._target!r}")
        pinned = float(found["pinned"])
        if not math.isfinite(pinned):
            raise ValueError("pinned is no time")
        return Memory(pinned, hysteresis.checked(found["alarms"]))

    def save(self, memory: Memory) -> None:
        """Keep it; a disk that is full is said and does not end the watch."""
        if self._path is None:
            return
        kept = {"version": STATE_VERSION, "target": self._target, "pinned": memory.pinned, "alarms": memory.alarms}
        try:
            write_whole(self._path, json.dumps(kept))
        except OSError as exc:
            _log.warning("the state can't be kept in %s: %s", self._path, exc.strerror)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation of the watch.

    Attributes:
        report: What it found; `None` where the source could not be read.
        transitions: What came into force, or went.
        error: Why the source could not be read.
    """

    report: Report | None
    transitions: tuple[Transition, ...] = ()
    error: str = ""


class Watch:
    """Compares the present with a baseline, step by step.

    Args:
        source: Where numbers come from.
        verdicts: Where verdicts go.
        plan: What is compared.
        state: Where the memory lies.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, source: Read, verdicts: Verdicts, plan: Plan, state: StateFile, clock: Callable[[], float] = time.time
    ) -> None:
        self._source = source
        self._verdicts = verdicts
        self._plan = plan
        self._state = state
        self._clock = clock
        self.memory = state.load()
        verdicts.restored(self.memory.alarms)

    def evaluate(self) -> Evaluation:
        """Evaluate once. A source that can't be read changes nothing that is in force, and is counted."""
        began = time.perf_counter()
        try:
            baseline, report = self._compare(self._clock())
        except SourceError as exc:
            self._verdicts.failed(_ERROR_TYPE, time.perf_counter() - began)
            return Evaluation(None, error=str(exc))
        self.memory.alarms, transitions = hysteresis.step(self.memory.alarms, report, self._plan.confirm)
        self.memory.release(baseline, self._plan)
        self._verdicts.evaluated(report, self.memory.alarms, transitions, time.perf_counter() - began)
        self._state.save(self.memory)
        return Evaluation(report, transitions)

    def _compare(self, now: float) -> tuple[Dataset, Report]:
        """The baseline, and what comparing the present with it found."""
        plan = self._plan
        self.memory.pin(now, plan)
        pinned = self.memory.pinned
        baseline, current = self._source(pinned - plan.baseline, pinned), self._source(now - plan.window, now)
        references = {name: self._around(now - back) for name, back in plan.references.items()}
        report = detector.compare(baseline.series, current.series, plan.specs, references)
        notes = (*report.notes, *dict.fromkeys((*baseline.notes, *current.notes)))
        sides = span(plan.baseline, pinned), span(plan.window, now)
        return baseline.series, replace(report, notes=notes, baseline=sides[0], current=sides[1])

    def _around(self, then: float) -> Dataset:
        """The same minutes of another day, with some before and after: a day is never exactly as long."""
        more = max(0.0, self._plan.baseline - self._plan.window) / 2
        return self._source(then - self._plan.window - more, then + more).series

    def run(self, wait: Callable[[float], bool], tell: Callable[[Evaluation], None]) -> None:
        """Evaluate until the end.

        Args:
            wait: Waits so many seconds; whether to go on.
            tell: Called with every evaluation.
        """
        while True:
            began = time.monotonic()
            tell(self.evaluate())
            if not wait(max(0.0, self._plan.step - (time.monotonic() - began))):
                return
