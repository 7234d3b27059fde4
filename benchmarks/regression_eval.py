"""How often the regression detector is right, on generated cases: the table of docs/regression.md.

`python -m benchmarks.regression_eval [--cases N] [--only WORD] [--development]`

Case i of a row is drawn from the seed `evaluation:ROW:i`. `--development` draws from `development:ROW:i` instead:
those seeds, and the tests' own (`tests:ROW:i`), may be looked at while the detector is changed; the evaluation's are
run to report, never to tune.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final, Literal

from benchmarks.harness import table
from benchmarks.regression_cases import (
    EXPONENTIAL,
    FINE,
    MACHINES,
    NONE,
    PROFILES,
    WIDE,
    Effect,
    benchmark,
    errors,
    hits,
    memory,
    pair,
    paired,
    season,
    series,
)
from benchmarks.regression_streams import Stream, watch
from otcache.regression._detector import compare
from otcache.regression._model import Dataset, Layout, Verdict
from otcache.regression._runs import compare_runs
from otcache.regression._statistics.change_points import find_steps

ALARMS: Final[frozenset[Verdict]] = frozenset({"warning", "critical"})
Z: Final = 1.96


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table.

    Attributes:
        group: What it is about.
        name: Which cases.
        says: What is counted.
        target: The share that it should reach, or stay under.
        holds: Which of the two.
        check: Whether a case drawn from this counts.
        weight: Cases of this row per 100 of `--cases`: slow rows have fewer.
    """

    group: str
    name: str
    says: str
    target: float
    holds: Literal["at most", "at least"]
    check: Callable[[Random], bool]
    weight: int = 100

    @property
    def id(self) -> str:
        """Its name in seeds and tests."""
        return f"{self.group}, {self.name}: {self.says}"


@dataclass(frozen=True, slots=True)
class Score:
    """How often something happened, and where the true share lies (Wilson, 95 %)."""

    found: int
    cases: int

    @property
    def share(self) -> float:
        """The share that was found."""
        return self.found / self.cases

    @property
    def interval(self) -> tuple[float, float]:
        """The bounds of the true share."""
        centre = (self.share + Z**2 / (2 * self.cases)) / (1 + Z**2 / self.cases)
        spread = math.sqrt(self.share * (1 - self.share) / self.cases + Z**2 / (4 * self.cases**2))
        half = Z * spread / (1 + Z**2 / self.cases)
        return max(0.0, centre - half), min(1.0, centre + half)

    def meets(self, row: Row) -> bool:
        """Whether the row's target is not excluded by what was found."""
        low, high = self.interval
        return low <= row.target if row.holds == "at most" else high >= row.target

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.found}/{self.cases} = {self.share:.1%} [{low:.1%}, {high:.1%}]"


def score(row: Row, cases: int, seeds: str = "evaluation") -> Score:
    """Run so many cases of a row."""
    return Score(sum(row.check(Random(f"{seeds}:{row.id}:{number}")) for number in range(cases)), cases)


# --- what is counted ----------------------------------------------------------------------------------


def _verdict(sides: tuple[Dataset, Dataset]) -> Verdict:
    return compare(*sides).verdict


def _service(draw: Random, wanted: frozenset[Verdict], profile: str, effect: Effect = NONE, minutes: int = 30,
             rate: float = 600, layout: Layout = FINE) -> bool:  # fmt: skip
    return _verdict(pair(draw, PROFILES[profile], effect, minutes, rate, layout)) in wanted


def _hits(draw: Random, before: float, after: float) -> bool:
    return _verdict(hits(draw, before, after)) in ALARMS


def _errors(draw: Random, before: float, after: float) -> bool:
    return _verdict(errors(draw, before, after)) in ALARMS


def _memory(draw: Random, factor: float) -> bool:
    return _verdict(memory(draw, factor)) in ALARMS


def _benchmark(draw: Random, machine: str, factor: float, number: int = 10) -> bool:
    return compare_runs(*benchmark(draw, MACHINES[machine], factor, number)).verdict in ALARMS


def _paired(draw: Random, factor: float) -> bool:
    return compare_runs(*paired(draw, factor)).verdict in ALARMS


def _season(draw: Random, effect: Effect) -> bool:
    before, after, days = season(draw, effect)
    return compare(before, after, references=days).verdict in ALARMS


def _stream(draw: Random, factor: float, counts: Callable[[Stream], bool]) -> bool:
    return counts(watch(draw, factor))


def _series(draw: Random, step: float, memory: float = 0.0, outliers: float = 0.0) -> bool:
    values, place = series(draw, step, memory=memory, outliers=outliers)
    found = [change.index for change in find_steps(values)]
    return bool(found) if step == 1.0 else any(abs(index - place) <= 5 for index in found)


# --- the rows -----------------------------------------------------------------------------------------

OK: Final[frozenset[Verdict]] = frozenset({"ok"})
UNDECIDED: Final[frozenset[Verdict]] = frozenset({"inconclusive"})
CRITICAL: Final[frozenset[Verdict]] = frozenset({"critical"})
AT_25: Final = {"neighbour": 0.95}
AT_10: Final = {
    "narrow": 0.99, "clean": 0.99, "typical": 0.95, "heavy tail": 0.95, "gc": 0.93, "drift": 0.93, "bimodal": 0.88,
    "neighbour": 0.82, "autocorrelated": 0.70,
}  # fmt: skip


def _quiet_rows() -> Iterator[Row]:
    for name in PROFILES:
        yield Row("nothing changed", name, "alarm", 0.01, "at most", partial(_service, wanted=ALARMS, profile=name))
    for name, layout in (("exponential buckets", EXPONENTIAL), ("1-2.5-5 buckets", WIDE)):
        check = partial(_service, wanted=ALARMS, profile="typical", layout=layout)
        yield Row("nothing changed", name, "alarm", 0.01, "at most", check)
    for name, quiet in (
        ("hit ratio .90", partial(_hits, before=0.9, after=0.9)),
        ("errors .001", partial(_errors, before=0.001, after=0.001)),
        ("memory sawtooth", partial(_memory, factor=1.0)),
        *((f"benchmark, {machine}", partial(_benchmark, machine=machine, factor=1.0)) for machine in MACHINES),
        ("A/B run", partial(_paired, factor=1.0)),
        ("season, 3 references", partial(_season, effect=NONE)),
    ):
        yield Row("nothing changed", name, "alarm", 0.01, "at most", quiet)
    for name in ("clean", "typical"):
        yield Row("nothing changed", name, "ok", 0.95, "at least", partial(_service, wanted=OK, profile=name))
    for name, minutes, rate in (("3 + 3 minutes", 3, 600.0), ("2 requests a minute", 30, 2.0)):
        check = partial(_service, wanted=UNDECIDED, profile="typical", minutes=minutes, rate=rate)
        yield Row("nothing changed", name, "inconclusive", 0.99, "at least", check)


def _service_rows() -> Iterator[Row]:
    for name in PROFILES:
        found = partial(_service, wanted=ALARMS, profile=name)
        yield Row("+25 %", name, "alarm", AT_25.get(name, 0.99), "at least", partial(found, effect=Effect(1.25)))
        yield Row("+10 %", name, "alarm", AT_10[name], "at least", partial(found, effect=Effect(1.10)))
        yield Row("+3 %", name, "alarm", 0.05, "at most", partial(found, effect=Effect(1.03)))
        grave = partial(_service, wanted=CRITICAL, profile=name, effect=Effect(1.5))
        yield Row("+50 %", name, "critical", 0.90, "at least", grave)
    typical = partial(_service, wanted=ALARMS, profile="typical")
    yield Row("slow tenth +60 %", "typical", "alarm", 0.95, "at least", partial(typical, effect=Effect(tail=1.6)))
    yield Row("+0.15 ms", "typical", "alarm", 0.99, "at least", partial(typical, effect=Effect(delay=1.5e-4)))
    short = partial(typical, effect=Effect(1.25), minutes=10)
    yield Row("+25 %", "10 + 10 minutes", "alarm", 0.95, "at least", short)


def _other_rows() -> Iterator[Row]:
    yield Row("hit ratio", ".90 to .75", "alarm", 0.99, "at least", partial(_hits, before=0.9, after=0.75))
    yield Row("errors", ".001 to .05", "alarm", 0.99, "at least", partial(_errors, before=0.001, after=0.05))
    yield Row("errors", "0 to .03", "alarm", 0.99, "at least", partial(_errors, before=0.0, after=0.03))
    yield Row("memory", "+25 %", "alarm", 0.99, "at least", partial(_memory, factor=1.25))
    for machine, target in (("quiet", 0.99), ("sequential", 0.95), ("interleaved noisy", 0.80), ("bimodal", 0.50)):
        check = partial(_benchmark, machine=machine)
        yield Row("benchmark +10 %", machine, "alarm", target, "at least", partial(check, factor=1.1))
        yield Row("benchmark +25 %", machine, "alarm", 0.99, "at least", partial(check, factor=1.25))
    more = partial(_benchmark, machine="bimodal", factor=1.1, number=20)
    yield Row("benchmark +10 %", "bimodal, 20 processes", "alarm", 0.85, "at least", more)
    yield Row("A/B run", "+10 %", "alarm", 0.95, "at least", partial(_paired, factor=1.1))
    yield Row("A/B run", "+25 %", "alarm", 0.99, "at least", partial(_paired, factor=1.25))
    yield Row("season", "+25 %", "alarm", 0.95, "at least", partial(_season, effect=Effect(1.25)))


def _history_rows() -> Iterator[Row]:
    for name, factor, says, counts, target, holds in _STREAMS:
        yield Row("4 h stream", name, says, target, holds, partial(_stream, factor=factor, counts=counts), weight=20)
    yield Row("history", "white", "step", 0.02, "at most", partial(_series, step=1.0))
    yield Row("history", "8 % outliers", "step", 0.02, "at most", partial(_series, step=1.0, outliers=0.08))
    yield Row("history", "autocorrelated .4", "step", 0.05, "at most", partial(_series, step=1.0, memory=0.4))
    yield Row("history", "+10 %", "step within 5", 0.95, "at least", partial(_series, step=1.1))
    yield Row("history", "+25 %", "step within 5", 0.99, "at least", partial(_series, step=1.25))


_STREAMS: Final[tuple[tuple[str, float, str, Callable[[Stream], bool], float, Literal["at most", "at least"]], ...]] = (
    ("nothing changed", 1.0, "any alarm", lambda stream: stream.changes > 0, 0.05, "at most"),
    ("+25 %", 1.25, "alarm within 30 min", lambda stream: stream.delay <= 30, 0.95, "at least"),
    ("+10 %", 1.10, "more than 3 changes", lambda stream: stream.changes > 3, 0.05, "at most"),
)

ROWS: Final = (*_quiet_rows(), *_service_rows(), *_other_rows(), *_history_rows())


# --- how many samples are needed ----------------------------------------------------------------------


def _needed(cases: int, seeds: str) -> str:
    columns = ("minutes a side", "requests a minute", "unchanged: inconclusive", "+10 %: alarm", "+25 %: alarm")
    sizes = [(minutes, 600.0) for minutes in (6, 10, 20, 30, 60)] + [(30, rate) for rate in (5.0, 10, 20, 60, 200)]
    rows = []
    for minutes, rate in sizes:
        shares = []
        for wanted, effect in ((UNDECIDED, NONE), (ALARMS, Effect(1.1)), (ALARMS, Effect(1.25))):
            check = partial(_service, wanted=wanted, profile="typical", effect=effect, minutes=minutes, rate=rate)
            row = Row("needed", f"{minutes} at {rate} {effect}", "found", 0.0, "at least", check)
            shares.append(f"{score(row, cases, seeds).share:.0%}")
        rows.append((str(minutes), f"{rate:g}", *shares))
    return table(f"How many samples are needed (typical noise, {cases} cases each)", columns, rows)


def _report(rows: Iterable[Row], cases: int, seeds: str) -> str:
    lines = []
    for row in rows:
        found = score(row, max(1, cases * row.weight // 100), seeds)
        reached = "yes" if found.meets(row) else "NO"
        lines.append((row.group, row.name, row.says, f"{row.holds} {row.target:.0%}", str(found), reached))
        print(" | ".join(lines[-1]), flush=True)
    return table("Detector", ("case", "kind", "counted", "target", "found [95 %]", "reached"), lines)


def main() -> None:
    """Read the arguments, run the rows, print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.regression_eval", description=__doc__)
    parser.add_argument("--cases", type=int, default=400, help="cases per row (default 400; streams: a fifth)")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--development", action="store_true", help="other seeds, to look at while changing the rule")
    given = parser.parse_args()
    seeds, started = "development" if given.development else "evaluation", time.perf_counter()
    print(_report([row for row in ROWS if given.only in row.id], given.cases, seeds))
    if not given.only:
        print(_needed(max(1, given.cases // 4), seeds))
    print(f"\n{given.cases} cases per row, seeds {seeds!r}, {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
