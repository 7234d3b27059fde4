"""What is in force after several comparisons, and what a service that restarts must keep of it."""

from __future__ import annotations

import json
from typing import Any

from otcache.regression._hysteresis import Level, State, in_force, step
from otcache.regression._model import Finding, Report, SeriesKey, Statistic, Verdict
from tests.rows import every

KEY = SeriesKey("latency", frozenset({("tier", "l1")}), frozenset({("service.name", "shop")}))
LETTERS: dict[str, Verdict] = {"o": "ok", "w": "warning", "c": "critical", "?": "inconclusive", "i": "improved"}


def report(*verdicts: Verdict, key: SeriesKey = KEY) -> Report:
    statistics: tuple[Statistic, ...] = ("mean", "p50", "p95", "p99")
    findings = [Finding(key, name, verdict) for name, verdict in zip(statistics, verdicts, strict=False)]
    return Report(tuple(findings), "ok")


def watch(letters: str) -> list[Level]:
    """What is in force after each comparison; `.` is one in which the series is missing."""
    state: State = {}
    found = []
    for letter in letters:
        said = Report((), "ok") if letter == "." else report(LETTERS[letter])
        state, _ = step(json.loads(json.dumps(state)), said)
        found.append(in_force(state, KEY))
    return found


@every(
    ("letters", "levels"),
    [
        ("www", "oow"),
        ("wwowww", "oooooow"[1:]),
        ("wwwooo", "oowwwo"),
        ("wwwooi", "oowwwo"),
        ("wwwoowoo", "oowwwwww"),
        ("wcc", "oow"),
        ("wccc", "oowc"),
        ("cccwww", "ooccc" + "w"),
        ("cccooo", "ooccc" + "o"),
        ("ww?w", "ooow"),
        ("www???", "oowwww"),
        ("www...", "oowwww"),
        ("wwwo..oo", "oowwwwwo"),
        ("ooo", "ooo"),
    ],
)
def test_three_of_three_raise_and_three_clean_ones_clear(letters: str, levels: str) -> None:
    assert watch(letters) == [{"o": "ok", "w": "warning", "c": "critical"}[level] for level in levels]


def test_a_change_comes_once_with_the_finding_that_says_most() -> None:
    state: State = {}
    seen = []
    for _ in range(5):
        state, transitions = step(state, report("ok", "warning", "critical"))
        seen.append(transitions)

    assert [len(transitions) for transitions in seen] == [0, 0, 1, 0, 0]
    raised = seen[2][0]
    assert (raised.key, raised.before, raised.after, raised.finding.statistic) == (KEY, "ok", "critical", "p95")


def test_one_statistic_after_the_other_is_still_one_series_in_trouble() -> None:
    state: State = {}
    for said in (report("warning", "ok"), report("ok", "warning"), report("warning", "ok")):
        state, transitions = step(state, said)

    assert [(change.before, change.after) for change in transitions] == [("ok", "warning")]


def test_series_are_told_apart_by_attributes_and_resource() -> None:
    other = SeriesKey(KEY.metric, KEY.attributes, frozenset({("service.name", "web")}))
    state: State = {}
    for _ in range(3):
        state, _ = step(state, report("warning"))
        state, _ = step(state, report("ok", key=other))

    assert (in_force(state, KEY), in_force(state, other)) == ("warning", "ok")


def test_the_state_given_is_not_changed_and_quiet_series_are_not_kept() -> None:
    empty: dict[str, Any] = {}

    after_ok, _ = step(empty, report("ok"))
    after_warning, _ = step(empty, report("warning"))
    step(after_warning, report("warning"))

    assert (empty, after_ok) == ({}, {})
    assert [known["recent"] for known in after_warning.values()] == [[1]]


def test_fewer_may_be_asked_for() -> None:
    _, transitions = step({}, report("critical"), need=1)

    assert [change.after for change in transitions] == ["critical"]
