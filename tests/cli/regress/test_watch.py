"""The detector as a service, on windows in memory and a clock that the test moves."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otcache.exceptions import ConfigurationError
from otcache.regression._model import SeriesKey
from otcache.regression._reporting.metrics import Verdicts
from otcache.regression._sources import Reading
from otcache.regression._watch import DAY, Evaluation, Memory, Plan, StateFile, Watch
from otcache.telemetry import catalog
from otcache.testing import Capture, capture_telemetry
from tests.cli.regress.disk import full_disk
from tests.telemetry.judged import LOOKUPS, Phase, Service, reading

PLAN = Plan(window=1800, baseline=1800, references={})
BEFORE: tuple[Phase, ...] = ("before",) * 8
WORSE: tuple[Phase, ...] = ("worse",) * 3
BETTER: tuple[Phase, ...] = ("better",) * 3
HIT_RATIO = {"otcache_regression_indicator": "hit_ratio"}


@pytest.fixture
def telemetry() -> Iterator[Capture]:
    with capture_telemetry() as captured:
        yield captured


Start = Callable[..., Watch]


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def start(telemetry: Capture, service: Service) -> Start:
    """Start a watch of the service."""

    def start(path: Path | None = None, plan: Plan = PLAN) -> Watch:
        return Watch(service.read, Verdicts("shop", telemetry.providers), plan, StateFile(path, "shop"), service)

    return start


def look(watch: Watch, service: Service, *phases: Phase | None) -> list[Evaluation]:
    """A look in every phase, five minutes apart."""
    looks = []
    for service.phase in phases:
        service.now += PLAN.step
        looks.append(watch.evaluate())
    return looks


def of_lookups(looks: list[Evaluation]) -> list[list[str]]:
    """What came into force of the hit ratio, look by look."""
    return [[each.after for each in one.transitions if each.key == LOOKUPS] for one in looks]


def shown(telemetry: Capture) -> dict[str, str]:
    """The verdict in force by indicator; of the series that are judged by several, the last."""
    points = telemetry.metrics().get(catalog.REGRESSION_STATUS.name, ())
    told = [point.attributes for point in points if point.value]
    return {each[catalog.INDICATOR.name]: each[catalog.VERDICT.name] for each in told}


def test_three_looks_raise_an_alarm_and_three_clear_it(start: Start, service: Service, telemetry: Capture) -> None:
    watch = start()

    looks = look(watch, service, *WORSE, *BETTER)

    assert of_lookups(looks) == [[], [], ["critical"], [], [], ["ok"]]
    told = [e for e in telemetry.events if e.attributes[catalog.INDICATOR.name] == "hit_ratio"]
    assert [(each.name, each.severity) for each in told] == [
        (catalog.REGRESSION_DETECTED.name, "WARN"), (catalog.REGRESSION_RESOLVED.name, "INFO"),
    ]  # fmt: skip
    assert told[0].body == "regression of lookups{cache=judged} in shop is critical: ratio +33.3 % (+33.3 % .. +33.3 %)"
    telemetry.assert_schema()


def test_an_alarm_that_is_not_confirmed_is_inconclusive(start: Start, service: Service, telemetry: Capture) -> None:
    look(start(), service, "worse")

    assert shown(telemetry)["hit_ratio"] == "inconclusive"


def test_an_interruption_begins_the_count_anew(start: Start, service: Service) -> None:
    looks = look(start(), service, "worse", "worse", "better", "worse", "worse")

    assert of_lookups(looks) == [[]] * 5


def test_a_source_that_cannot_be_read_neither_raises_nor_clears(
    start: Start, service: Service, telemetry: Capture
) -> None:
    watch = start()

    looks = look(watch, service, "worse", None, "worse", "worse", None, None, None)

    assert of_lookups(looks) == [[], [], [], ["critical"], [], [], []]
    assert [each.error for each in looks] == ["", "nobody answers", "", "", *["nobody answers"] * 3]
    assert shown(telemetry)["hit_ratio"] == "critical"
    failed = {"error_type": "otcache.telemetry.source.SourceError"}
    assert telemetry.metric_value(catalog.EVALUATIONS.name, **HIT_RATIO, **failed) == 4
    assert telemetry.metric_value(catalog.EVALUATIONS.name, **HIT_RATIO, otcache_regression_state="critical") == 3
    assert telemetry.metric_value(catalog.EVALUATION_DURATION.name) == 7


def test_an_alarm_whose_series_is_gone_stays_in_force(start: Start, service: Service, telemetry: Capture) -> None:
    watch = start()
    look(watch, service, *WORSE)

    def without_lookups(begin: float, end: float) -> Reading:
        return Reading({key: each for key, each in service.read(begin, end).series.items() if key != LOOKUPS})

    watch._source = without_lookups
    look(watch, service, *BETTER, "better")

    assert shown(telemetry)["hit_ratio"] == "critical"
    changes = telemetry.metrics()[catalog.REGRESSION_CHANGE.name]
    assert "hit_ratio" not in {each.attributes[catalog.INDICATOR.name] for each in changes}


def test_an_outage_of_redis_is_no_worse_hit_ratio(start: Start, service: Service) -> None:
    assert of_lookups(look(start(), service, *BETTER)) == [[], [], []]
    assert "miss/backend_unavailable" in str(reading("better", 0, 60).series[LOOKUPS])


def test_series_of_two_services_under_one_name_show_the_worse_one(service: Service, telemetry: Capture) -> None:
    def two(begin: float, end: float) -> Reading:
        series = {}
        for name, phase in (("a", service.phase or "before"), ("b", "before")):
            found = reading(phase if end == service.now else "before", begin, end).series[LOOKUPS]
            series[SeriesKey(LOOKUPS.metric, LOOKUPS.attributes, frozenset({("service.name", name)}))] = found
        return Reading(series)

    watch = Watch(two, Verdicts("shop", telemetry.providers), PLAN, StateFile(None), service)
    look(watch, service, *WORSE)

    assert shown(telemetry) == {"hit_ratio": "critical"}


def test_a_change_that_a_reference_shows_too_is_no_alarm(service: Service, telemetry: Capture) -> None:
    def every_day(begin: float, end: float) -> Reading:
        return reading("worse" if end == service.now or end < service.now - DAY / 2 else "before", begin, end)

    plan = Plan(window=1800, baseline=1800, references={"yesterday": DAY})
    watch = Watch(every_day, Verdicts("shop", telemetry.providers), plan, StateFile(None), service)

    assert of_lookups(look(watch, service, *WORSE)) == [[], [], []]


# --- the baseline ---------------------------------------------------------------------------------------


def test_a_baseline_is_pinned_for_a_day_and_taken_anew_where_nothing_is_in_force(
    start: Start, service: Service
) -> None:
    watch = start()
    look(watch, service, "before")
    first = watch.memory.pinned
    service.now += DAY / 2
    look(watch, service, "before")
    kept = watch.memory.pinned
    service.now += DAY
    look(watch, service, "before")

    assert (first, kept) == (first, first)
    assert watch.memory.pinned == service.now - PLAN.window


def test_an_alarm_in_force_keeps_its_baseline(start: Start, service: Service) -> None:
    watch = start()
    look(watch, service, *WORSE)
    pinned = watch.memory.pinned
    service.now += 3 * DAY

    look(watch, service, "worse")

    assert watch.memory.pinned == pinned


def test_a_clock_that_is_set_back_takes_the_baseline_with_it(start: Start, service: Service) -> None:
    watch = start()
    look(watch, service, "before")
    service.now -= DAY

    (found,) = look(watch, service, "before")

    assert watch.memory.pinned == service.now - PLAN.window
    assert found.report is not None
    assert found.report.findings


def test_who_starts_with_the_service_takes_the_baseline_anew_until_it_is_whole(
    service: Service, telemetry: Capture
) -> None:
    born = service.now - PLAN.window

    def young(begin: float, end: float) -> Reading:
        return reading("before", max(begin, born), end) if end > born else Reading({})

    watch = Watch(young, Verdicts("shop", telemetry.providers), PLAN, StateFile(None), service)
    verdicts = [each.report.verdict if each.report else "" for each in look(watch, service, *BEFORE)]

    assert verdicts[0] == "inconclusive"
    assert watch.memory.pinned >= born + PLAN.baseline * 0.8
    assert watch.memory.pinned < service.now - PLAN.window  # and then it stays


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"window": 5}, "window=5 is outside 6"), ({"step": float("nan")}, "step=nan is outside"), ({"confirm": 0},
     "confirm=0 is outside 1..100"), ({"repin": 1e9}, "repin=1e.09 is outside")],
)  # fmt: skip
def test_a_plan_that_makes_no_sense_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Plan(**arguments)


# --- over restarts --------------------------------------------------------------------------------------


def test_an_alarm_is_in_force_after_a_restart_before_the_source_answers(
    start: Start, service: Service, tmp_path: Path
) -> None:
    path = tmp_path / "state.json"
    look(start(path), service, *WORSE)

    with capture_telemetry() as telemetry:
        watch = Watch(service.read, Verdicts("shop", telemetry.providers), PLAN, StateFile(path, "shop"), service)
        restored = shown(telemetry)["hit_ratio"]
        looks = look(watch, service, None, *BETTER)

        assert restored == "critical"
        assert of_lookups(looks) == [[], [], [], ["ok"]]
        assert shown(telemetry)["hit_ratio"] == "ok"


def test_the_count_and_the_baseline_go_on_after_a_restart(start: Start, service: Service, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    before = start(path)
    look(before, service, "worse", "worse")
    after = start(path)

    assert of_lookups(look(after, service, "worse")) == [["critical"]]
    assert after.memory.pinned == before.memory.pinned
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


KEY = '["m",[],[]]'


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is not a state of this command: JSONDecodeError"),
        ("[]", "is not a state of this command: TypeError"),
        ("[" * 100_000, "is not a state of this command: RecursionError"),
        ("{}", "is not a state of this command: KeyError"),
        ({"version": 0}, "is of version 0, not 1"),
        ({"target": "other"}, "is of target 'other', not 'shop'"),
        ({"pinned": float("nan")}, "is not a state"),
        ({"pinned": "soon"}, "is not a state"),
        ({"alarms": []}, "is not a state"),
        ({"alarms": {"x": {"level": 1, "recent": []}}}, "is not a state"),
        ({"alarms": {"3": {"level": 1, "recent": []}}}, "is not a state"),
        ({"alarms": {KEY: {"level": 3, "recent": []}}}, "is not a state"),
        ({"alarms": {KEY: {"level": 1}}}, "is not a state"),
        ({"alarms": {KEY: {"level": 1, "recent": ["x"]}}}, "is not a state"),
    ],
)
def test_a_state_that_is_none_is_refused_and_kept(tmp_path: Path, content: Any, said: str) -> None:
    path = tmp_path / "state.json"
    whole = {"version": 1, "target": "shop", "pinned": 1.0, "alarms": {}}
    path.write_text(content if isinstance(content, str) else json.dumps(whole | content))
    held = path.read_text()

    with pytest.raises(ConfigurationError, match=said):
        StateFile(path, "shop").load()

    assert path.read_text() == held


def test_a_place_where_no_state_can_be_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no directory"):
        StateFile(tmp_path / "none" / "state.json").load()
    with pytest.raises(ConfigurationError, match="can't be read: Is a directory"):
        StateFile(tmp_path).load()


def test_a_full_disk_is_said_and_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = StateFile(tmp_path / "state.json", "shop")
    state.save(Memory(1.0))

    with full_disk(), caplog.at_level(logging.WARNING):
        state.save(Memory(2.0))

    assert caplog.messages == [f"the state can't be kept in {tmp_path / 'state.json'}: File too large"]
    assert state.load() == Memory(1.0)
    assert [each.name for each in tmp_path.iterdir()] == ["state.json"]


def test_it_looks_until_it_is_told_to_end(start: Start, service: Service) -> None:
    looks: list[Evaluation] = []
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        waited.append(seconds)
        return len(waited) < 3

    start().run(wait, looks.append)

    assert len(looks) == 3
    assert all(0 < seconds <= PLAN.step for seconds in waited)
