"""Hours of a season in a real Prometheus: the watch is quiet over them, and finds a step of 25 %."""

from __future__ import annotations

import bisect
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import pytest
from opentelemetry.sdk.metrics import MeterProvider

from otcache.regression._detector import series_verdicts
from otcache.regression._hysteresis import Transition
from otcache.regression._reporting.metrics import Verdicts
from otcache.regression._sources import prometheus as source
from otcache.regression._sources.selection import Matcher, Reading, Selection
from otcache.regression._watch import DAY, REFERENCES, Evaluation, Plan, StateFile, Watch
from otcache.telemetry import catalog
from otcache.telemetry._instrumentation.metrics import GRID
from otcache.telemetry.providers import Providers
from tests.stack.prometheus import Prometheus
from tests.stack.watched import label

HOUR: Final = 3600
END: Final = int(time.time()) // HOUR * HOUR - HOUR
STEP: Final = END - HOUR
"""When `users` become slower by a quarter, and `pages` forgets every sixth of its keys."""
FIRST: Final = END - 3 * HOUR
PER_MINUTE: Final = 600
DAYS: Final = {0: 1.0, 1: 0.98, 7: 1.02}
"""Days ago, and how slow they were: no day is like another."""
BOUNDS: Final = tuple(bound / 1e9 for bound in GRID if 200_000 <= bound <= 20_000_000)


def _latency(at: float, days_ago: int) -> float:
    """The middle latency: it doubles within a day, and around these hours it rises fastest."""
    season = 1.5 + 0.5 * math.sin((at - (FIRST + HOUR)) / DAY * 2 * math.pi)
    return 0.001 * season * DAYS[days_ago] * (1.25 if at > STEP else 1.0)


def _minutes(days_ago: int) -> range:
    back = int(days_ago * DAY)
    return range(FIRST - 2 * HOUR - back, (END if not days_ago else END + HOUR) - back + 1, 60)


def _labels(cache: str, **others: str) -> str:
    shown = {"job": "shop", label(catalog.CACHE): cache, **others}
    return ",".join(f'{name}="{value}"' for name, value in shown.items())


def _durations(rng: random.Random) -> Iterator[str]:
    """Samples of the histogram of `users`."""
    series = _labels(
        "users", **{label(catalog.OPERATION): "get", label(catalog.RESULT): "hit", label(catalog.TIER): "l2"}
    )
    name, cells, total = catalog.OPERATION_DURATION.prometheus, [0] * (len(BOUNDS) + 1), 0.0
    for days_ago in sorted(DAYS, reverse=True):
        for at in _minutes(days_ago):
            middle = _latency(at, days_ago) * rng.lognormvariate(0, 0.03)  # one minute is not like the next
            for _ in range(PER_MINUTE):
                took = middle * rng.lognormvariate(0, 0.4)
                cells[bisect.bisect_left(BOUNDS, took)] += 1
                total += took
            below = 0
            for bound, number in zip((*BOUNDS, "+Inf"), cells, strict=True):
                below += number
                yield f'{name}_bucket{{{series},le="{bound}"}} {below} {at}'
            yield f"{name}_sum{{{series}}} {total} {at}"
            yield f"{name}_count{{{series}}} {below} {at}"


def _lookups(rng: random.Random) -> Iterator[str]:
    """Samples of the look-ups of `pages`."""
    reason = label(catalog.MISS_REASON)
    series = {
        "hit": _labels("pages", **{label(catalog.RESULT): "hit", label(catalog.TIER): "l2", reason: "none"}),
        "miss": _labels("pages", **{label(catalog.RESULT): "miss", label(catalog.TIER): "none", reason: "absent"}),
    }
    counted = dict.fromkeys(series, 0)
    for days_ago in sorted(DAYS, reverse=True):
        for at in _minutes(days_ago):
            share = (0.75 if at > STEP else 0.9) + rng.gauss(0, 0.01)
            counted["hit"] += round(PER_MINUTE * share)
            counted["miss"] += PER_MINUTE - round(PER_MINUTE * share)
            for result, labels in series.items():
                yield f"{catalog.LOOKUPS.prometheus}{{{labels}}} {counted[result]} {at}"


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    rng = random.Random(7)
    lines = (
        f"# TYPE {catalog.OPERATION_DURATION.prometheus} histogram", *_durations(rng),
        f"# TYPE {catalog.LOOKUPS.prometheus.removesuffix('_total')} counter", *_lookups(rng), "# EOF\n",
    )  # fmt: skip
    with Prometheus(history="\n".join(lines)) as started:
        yield started


def _looks(prometheus: Prometheus, plan: Plan, times: Sequence[float]) -> list[Evaluation]:
    """What a watch with a clock of ours finds at these times."""
    reader, clock = source.Prometheus(prometheus.url), iter(times)
    selection = Selection(
        metrics=(catalog.OPERATION_DURATION, catalog.LOOKUPS), match=(Matcher("job", "=", "shop"),)
    )  # fmt: skip
    verdicts = Verdicts("shop", Providers(meter_provider=MeterProvider(shutdown_on_exit=False)))

    def read(start: float, end: float) -> Reading:
        return reader.read(replace(selection, start=start, end=end))

    watch = Watch(read, verdicts, plan, StateFile(None), lambda: next(clock))
    return [watch.evaluate() for _ in times]


def _transitions(looks: Sequence[Evaluation]) -> dict[str, tuple[int, Transition]]:
    """The first transition per metric, and the number of its look."""
    found: dict[str, tuple[int, Transition]] = {}
    for number, look in enumerate(looks):
        for each in look.transitions:
            found.setdefault(each.key.metric, (number, each))
    return found


@pytest.fixture(scope="module")
def looks(prometheus: Prometheus) -> list[Evaluation]:
    """Every five minutes, three hours long."""
    return _looks(prometheus, Plan(), range(FIRST, END + 1, 300))


BEFORE: Final = (STEP - FIRST) // 300
"""Looks before the step."""


def test_hours_of_a_rising_season_raise_nothing(looks: list[Evaluation]) -> None:
    quiet = looks[: BEFORE + 1]

    judged = [series_verdicts(look.report.findings) for look in quiet if look.report]

    assert len(judged) == len(quiet) == 25
    assert {verdict for verdicts in judged for verdict in verdicts.values()} <= {"ok", "minor"}
    assert [look.transitions for look in quiet if look.transitions] == []


def test_without_the_other_days_the_season_itself_would_be_an_alarm(prometheus: Prometheus) -> None:
    looks = _looks(prometheus, Plan(references={}), range(FIRST, STEP + 1, 300))

    assert _transitions(looks).keys() == {catalog.OPERATION_DURATION.name}


@pytest.mark.parametrize("metric", [catalog.OPERATION_DURATION, catalog.LOOKUPS], ids=["latency", "hit ratio"])
def test_a_step_is_raised_within_half_an_hour(looks: list[Evaluation], metric: catalog.Instrument) -> None:
    number, transition = _transitions(looks)[metric.name]

    assert BEFORE < number <= BEFORE + 6
    assert transition.after in ("warning", "critical")
    assert transition.finding.low is not None
    assert transition.finding.low > 0.05


def test_a_reference_without_data_changes_nothing(prometheus: Prometheus) -> None:
    older = {**REFERENCES, "a month ago": 30 * DAY}

    looks = _looks(prometheus, Plan(references=older), range(STEP, END + 1, 300))

    assert _transitions(looks).keys() == {catalog.OPERATION_DURATION.name, catalog.LOOKUPS.name}
