"""Four hours watched every five minutes, as a service would: what is raised, when, and how often it changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import Final

from benchmarks.regression_cases import OPERATION_SERIES, Effect, Profile, service
from otcache.regression._detector import compare
from otcache.regression._hysteresis import State, step
from otcache.regression._model import Dataset, HistogramWindow

MINUTES: Final = 240
CHANGE_AT: Final = 120
EVERY: Final = 5
CURRENT: Final = 15
PINNED: Final = 45
SLOW_HOSTS: Final = Profile(noise=0.03, neighbours=0.004)
"""About one episode in four hours."""

Windows = tuple[HistogramWindow, ...]


@dataclass(frozen=True, slots=True)
class Stream:
    """What a watch saw.

    Attributes:
        changes: Alarms raised, changed or cleared.
        delay: Minutes from the change to the first alarm; infinite without one.
    """

    changes: int
    delay: float


def watch(draw: Random, factor: float) -> Stream:
    """Watch a service that becomes `factor` times as slow half-way."""
    quiet = [service(draw, SLOW_HOSTS, MINUTES, scale=draw.uniform(0.98, 1.02)) for _ in range(2)]
    pinned = service(draw, SLOW_HOSTS, PINNED)
    today = service(draw, SLOW_HOSTS, CHANGE_AT) + service(draw, SLOW_HOSTS, MINUTES - CHANGE_AT, Effect(factor))
    state: State = {}
    changes, delay = 0, math.inf
    for now in range(CURRENT, MINUTES + 1, EVERY):
        days = {name: _part(windows, now) for name, windows in zip(("yesterday", "a week ago"), quiet, strict=True)}
        report = compare({OPERATION_SERIES: pinned}, _part(today, now), references=days)
        state, transitions = step(state, report)
        changes += len(transitions)
        if transitions and now > CHANGE_AT:
            delay = min(delay, now - CHANGE_AT)
    return Stream(changes, delay)


def _part(windows: Windows, now: int) -> Dataset:
    return {OPERATION_SERIES: windows[now - CURRENT : now]}
