"""Generated cases for the regression detector: services, ratios, memory, benchmarks, and what goes wrong in them.

Everything is drawn from the `random.Random` that a case is given. The levels of noise are assumptions, stated here.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from random import Random
from typing import Final

from otcache.regression._model import (
    CounterWindow,
    Dataset,
    Explicit,
    Exponential,
    GaugeWindow,
    HistogramWindow,
    Layout,
    MetricSpec,
    Run,
    SeriesKey,
)
from otcache.regression._specs import ERROR_RATIO, HIT_RATIO, MEMORY, OPERATION_TIME

FINE: Final = Explicit(
    tuple(step * 10.0**power for power in range(-6, 2) for step in (1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8))
)
"""Like otcache's own grid from 1 us to 80 s."""
WIDE: Final = Explicit(tuple(step * 10.0**power for power in range(-6, 2) for step in (1, 2.5, 5)))
EXPONENTIAL: Final = Exponential(3)
BASE: Final = 5e-4
"""Seconds: the typical request."""
MINUTE: Final = 60.0
OPERATION_SERIES: Final = SeriesKey(OPERATION_TIME.metric, OPERATION_TIME.where)


# --- what a request takes -----------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _pool(shape: str) -> tuple[float, ...]:
    """Requests to draw from, in units of `BASE`: the same for all cases."""
    draw = Random(f"pool of {shape}")
    if shape in ("clean", "narrow"):
        return tuple(draw.lognormvariate(0, 0.25 if shape == "clean" else 0.04) for _ in range(20_000))
    if shape == "heavy":
        return tuple(draw.lognormvariate(0, 0.7) * (draw.paretovariate(2.2) ** 2 if draw.random() < 0.02 else 1)
                     for _ in range(50_000))  # fmt: skip
    return tuple(draw.lognormvariate(0, 0.5) for _ in range(20_000))


@dataclass(frozen=True, slots=True)
class Profile:
    """How a service behaves.

    Attributes:
        shape: The distribution of its requests: narrow, clean, typical or heavy.
        noise: Standard deviation of a minute's level, as a logarithm.
        memory: How much of a minute's level the next one keeps.
        drift: Largest slow change of level over half an hour, as a logarithm.
        pauses: Share of minutes with a garbage collection; it hits 1 to 3 % of their requests.
        neighbours: Chance per minute that a noisy neighbour arrives, for 2 to 6 minutes and 15 to 80 % more time.
        second: Share of requests that take eight times as long; the share itself varies by a tenth.
    """

    shape: str = "typical"
    noise: float = 0.03
    memory: float = 0.0
    drift: float = 0.0
    pauses: float = 0.0
    neighbours: float = 0.0
    second: float = 0.0


PROFILES: Final[Mapping[str, Profile]] = {
    "narrow": Profile("narrow", 0.01),
    "clean": Profile("clean", 0.01),
    "typical": Profile(),
    "heavy tail": Profile("heavy"),
    "gc": Profile(pauses=0.3),
    "drift": Profile(drift=0.03),
    "bimodal": Profile(second=0.2),
    "neighbour": Profile(neighbours=0.05),
    "autocorrelated": Profile(noise=0.05, memory=0.6),
}


@dataclass(frozen=True, slots=True)
class Effect:
    """What a release did to every request, or to the slow ones.

    Attributes:
        factor: All requests take so much longer.
        delay: All requests take so many seconds more.
        tail: The slowest tenth takes so much longer.
    """

    factor: float = 1.0
    delay: float = 0.0
    tail: float = 1.0


NONE: Final = Effect()


# --- windows ------------------------------------------------------------------------------------------


def levels(draw: Random, profile: Profile, minutes: int) -> Iterator[float]:
    """The level of each minute: noise, memory, drift and neighbours."""
    last, slope, neighbour, left = draw.gauss(0, profile.noise), draw.uniform(-1, 1) * profile.drift, 0.0, 0
    fresh = profile.noise * math.sqrt(1 - profile.memory**2)
    for minute in range(minutes):
        last = profile.memory * last + draw.gauss(0, fresh)
        if left == 0 and draw.random() < profile.neighbours:
            neighbour, left = math.log(draw.uniform(1.15, 1.8)), draw.randint(2, 6)
        yield math.exp(last + slope * minute / 30 + (neighbour if left else 0.0))
        left = max(0, left - 1)


def _requests(draw: Random, profile: Profile, number: int) -> list[float]:
    found = draw.choices(_pool(profile.shape), k=number)
    if profile.second:
        slow = round(number * profile.second * draw.uniform(0.9, 1.1))
        found[:slow] = [8 * value for value in found[:slow]]
    if draw.random() < profile.pauses:
        hit = round(number * draw.uniform(0.01, 0.03))
        found[:hit] = [value + draw.uniform(10, 40) for value in found[:hit]]
    return found


def _affected(values: list[float], level: float, effect: Effect) -> list[float]:
    scale = BASE * level * effect.factor
    if effect.tail == 1.0:
        return [value * scale + effect.delay for value in values]
    edge = sorted(values)[int(len(values) * 0.9)]
    return [value * scale * (effect.tail if value >= edge else 1.0) for value in values]


def counted(values: Sequence[float], start: float, layout: Layout = FINE) -> HistogramWindow:
    """Values in a histogram of one minute."""
    counts = Counter(map(_bucket_of(layout), values))
    return HistogramWindow(start, start + MINUTE, len(values), sum(values), layout, dict(counts))


def _bucket_of(layout: Layout) -> Callable[[float], int]:
    if isinstance(layout, Explicit):
        return partial(bisect_left, layout.bounds)
    fineness = 2.0**layout.scale
    return lambda value: math.ceil(math.log2(value) * fineness) - 1


def service(
    draw: Random,
    profile: Profile,
    minutes: int = 30,
    effect: Effect = NONE,
    rate: float = 600,
    layout: Layout = FINE,
    scale: float = 1.0,
) -> tuple[HistogramWindow, ...]:
    """The minutes of a service.

    Args:
        draw: Where chance comes from.
        profile: How it behaves.
        minutes: How long.
        effect: What a release did to it.
        rate: Requests per minute; they vary by a tenth.
        layout: How they are bucketed.
        scale: The level of this case: where its quantiles lie within their buckets.
    """
    found = []
    for minute, level in enumerate(levels(draw, profile, minutes)):
        number = max(0, round(draw.gauss(rate, rate * 0.1 if rate >= 30 else math.sqrt(rate))))
        values = _affected(_requests(draw, profile, number), level * scale, effect)
        found.append(counted(values, minute * MINUTE, layout))
    return tuple(found)


def data(spec: MetricSpec, windows: Sequence[HistogramWindow | CounterWindow | GaugeWindow]) -> Dataset:
    """One series as a data set."""
    return {SeriesKey(spec.metric, spec.where): tuple(windows)}


def pair(
    draw: Random,
    profile: Profile,
    effect: Effect = NONE,
    minutes: int = 30,
    rate: float = 600,
    layout: Layout = FINE,
) -> tuple[Dataset, Dataset]:
    """A service before and after a release."""
    scale = math.exp(draw.uniform(0, 1.5))
    before = service(draw, profile, minutes, NONE, rate, layout, scale)
    if effect.delay:
        effect = replace(effect, delay=effect.delay * scale)
    after = service(draw, profile, minutes, effect, rate, layout, scale)
    return data(OPERATION_TIME, before), data(OPERATION_TIME, after)


# --- ratios and memory --------------------------------------------------------------------------------


def _successes(draw: Random, number: int, share: float) -> int:
    return sum(draw.random() < share for _ in range(number))


def ratio(draw: Random, share: float, names: tuple[str, str], spread: float) -> tuple[CounterWindow, ...]:
    """Half an hour of counters at 600 a minute; the odds of each minute vary by `spread` (overdispersion)."""
    found = []
    for minute in range(30):
        odds = share / (1 - share) * draw.lognormvariate(0, spread)
        number = round(draw.gauss(600, 60))
        above = _successes(draw, number, odds / (1 + odds))
        by = {names[0]: float(above), names[1]: float(number - above)}
        found.append(CounterWindow(minute * MINUTE, (minute + 1) * MINUTE, by))
    return tuple(found)


def hits(draw: Random, before: float, after: float) -> tuple[Dataset, Dataset]:
    """Hit ratios on two sides."""
    return _ratios(draw, HIT_RATIO, (before, after), ("hit/none", "miss/absent"), 0.15)


def errors(draw: Random, before: float, after: float) -> tuple[Dataset, Dataset]:
    """Error ratios on two sides; few errors come in clusters."""
    return _ratios(draw, ERROR_RATIO, (before, after), ("error", "ok"), 0.5)


def _ratios(
    draw: Random, spec: MetricSpec, shares: tuple[float, float], names: tuple[str, str], spread: float
) -> tuple[Dataset, Dataset]:
    before, after = (data(spec, ratio(draw, share, names, spread)) for share in shares)
    return before, after


def memory(draw: Random, factor: float) -> tuple[Dataset, Dataset]:
    """Resident memory as a sawtooth of 20 %, seven minutes long, on two sides."""
    sides = []
    for scale in (1.0, factor):
        phase = draw.uniform(0, 7)
        shown = [
            200e6 * scale * (1 + 0.2 * ((minute + phase) % 7) / 7) * draw.lognormvariate(0, 0.01)
            for minute in range(30)
        ]
        windows = [GaugeWindow(i * MINUTE, (i + 1) * MINUTE, (value,)) for i, value in enumerate(shown)]
        sides.append(data(MEMORY, windows))
    return sides[0], sides[1]


# --- benchmarks ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Machine:
    """What a benchmark runs on.

    Attributes:
        process: Standard deviation between processes, as a logarithm.
        load: Standard deviation of what other programs add to a process; it only ever adds.
        drift: Largest change of the machine's speed between the first and the last process.
        modes: How much slower every third process is: memory layout, hash seeds.
    """

    process: float = 0.01
    load: float = 0.0
    drift: float = 0.0
    modes: float = 0.0


MACHINES: Final[Mapping[str, Machine]] = {
    "quiet": Machine(),
    "sequential": Machine(process=0.015, drift=0.02),
    "interleaved noisy": Machine(process=0.02, load=0.15),
    "bimodal": Machine(process=0.01, modes=0.12),
}


Sides = tuple[tuple[Run, ...], tuple[Run, ...]]


def processes(
    draw: Random, machine: Machine, factor: float, number: int = 10, *, drift: float = 0.0
) -> tuple[Run, ...]:
    """Fresh processes of one side, each of 20 rounds."""
    found = []
    for place in range(number):
        level = factor * draw.lognormvariate(0, machine.process) * (1 + drift * place / number)
        level *= 1 + (machine.modes if draw.random() < 1 / 3 else 0.0)
        load = abs(draw.gauss(0, machine.load))
        rounds = tuple(
            1e-6 * level * draw.lognormvariate(0, 0.01) * (1 + load * draw.random() + 0.02 * draw.expovariate(1))
            for _ in range(20)
        )
        found.append(Run(str(place), rounds))
    return tuple(found)


def benchmark(
    draw: Random, machine: Machine, factor: float, number: int = 10
) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """Both sides of a benchmark, one after the other on a machine whose speed drifts."""
    drift = draw.uniform(-1, 1) * machine.drift
    before = processes(draw, machine, 1.0, number, drift=drift)
    return before, processes(draw, machine, factor * (1 + drift), number, drift=drift)


def paired(draw: Random, factor: float, bouts: int = 10) -> Sides:
    """Ten bouts of 20 rounds taken in turn under a load that both sides feel."""
    sides: tuple[list[Run], list[Run]] = ([], [])
    for bout in range(bouts):
        luck, load = draw.gauss(0, 0.02), abs(draw.gauss(0, 0.4))
        shared = [1e-6 * (1 + load * draw.random()) for _ in range(20)]
        for side, level, partner in ((0, 1.0, None), (1, factor * math.exp(luck), bout)):
            rounds = tuple(
                speed * level * draw.lognormvariate(0, 0.05) * (3 if draw.random() < 0.03 else 1) for speed in shared
            )
            sides[side].append(Run(f"{side}-{bout}", rounds, paired_with=partner))
    return tuple(sides[0]), tuple(sides[1])


# --- days and histories -------------------------------------------------------------------------------


def morning(minute: float) -> float:
    """The level on the slope of a morning on which the time of a request doubles within four hours."""
    return 1 + min(max(minute / 240, 0.0), 1.0)


def season(draw: Random, effect: Effect) -> tuple[Dataset, Dataset, dict[str, Dataset]]:
    """Half an hour on the slope, the half hour before, and the same minutes yesterday and a week ago."""
    start = draw.uniform(0, 180)
    before = _slope(draw, start, NONE, 1.0)
    after = _slope(draw, start + 30, effect, 1.0)
    days = {name: _slope(draw, start + 30, NONE, draw.uniform(0.97, 1.03)) for name in ("yesterday", "a week ago")}
    return before, after, days


def _slope(draw: Random, start: float, effect: Effect, day: float) -> Dataset:
    found = []
    for minute, level in enumerate(levels(draw, PROFILES["typical"], 30)):
        values = _requests(draw, PROFILES["typical"], round(draw.gauss(600, 60)))
        affected = _affected(values, level * day * morning(start + minute), effect)
        found.append(counted(affected, minute * MINUTE))
    return data(OPERATION_TIME, found)


def series(
    draw: Random, step: float, *, length: int = 120, memory: float = 0.0, outliers: float = 0.0
) -> tuple[list[float], int]:
    """A history with 3 % of noise and one step (none at 1.0), and where the step is."""
    place, last, found = draw.randint(30, length - 30), 0.0, []
    for number in range(length):
        last = memory * last + draw.gauss(0, 0.03 * math.sqrt(1 - memory**2))
        spike = draw.uniform(1.2, 2.0) if draw.random() < outliers else 1.0
        found.append(math.exp(last) * spike * (step if number >= place else 1.0))
    return found, place
