"""The forms of a report, by what a person or a program reads in them."""

from __future__ import annotations

import json
import math
from xml.etree import ElementTree

import pytest

from otcache.regression._model import SeriesKey, Verdict
from otcache.regression._reporting.report import FailOn, as_json, duration, github, junit, markdown, size, text, value
from otcache.regression._specs import MEMORY
from otcache.telemetry import catalog
from tests.cli.regress.reports import ALL, DURATION, GET, SET, finding, report

HOSTILE = SeriesKey(
    DURATION, frozenset({(catalog.CACHE.name, "a|b<i>*c*\n::error::x\x1b[31m %0A @all \ud800 [x](http://y)")})
)


TABLE = """\
critical: a critical regression; series: 1 critical, 1 warning, 1 inconclusive, 1 ok (eleven against ten)
verdict       series                                             statistic  baseline  current  change       \
between                     n
critical      operation.duration{cache=users, operation=get}     mean       1 ms      1.3 ms   +30.0 %      \
+29.0 % .. +31.0 %          30/28
warning       operations{cache=users}                            ratio      0.10 %    3.00 %   +2.9 points  \
+1.9 points .. +3.9 points  30/28
inconclusive  l2.operation.duration{cache=users, operation=set}  mean       1 ms      1 ms     -            \
-                           30/28
why:
  l2.operation.duration{cache=users, operation=set} mean: too noisy
note: 1 sample was NaN
not compared, not in the current windows: lookups{cache=old}"""


def test_a_table_shows_what_is_not_ok_the_worst_first_and_says_why() -> None:
    assert text(ALL) == TABLE


def test_everything_is_shown_on_request() -> None:
    lines = text(ALL, everything=True).splitlines()

    assert [line.split()[0] for line in lines[2:7]] == ["critical", "warning", "inconclusive", "inconclusive", "ok"]


def test_nothing_at_all_is_inconclusive_and_looks_so() -> None:
    assert text(report("inconclusive")) == (
        "inconclusive: a regression is neither shown nor ruled out; series: none was compared (eleven against ten)"
    )


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "0 ns"), (1.5e-7, "150 ns"), (9.996e-7, "1 µs"), (0.0123, "12.3 ms"), (2.0, "2 s"), (5000.0, "5,000 s")],
)
def test_a_duration_has_the_unit_that_fits(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(("number", "shown"), [(12, "12 B"), (1500, "1.5 kB"), (5e6, "5 MB"), (2.5e9, "2.5 GB")])
def test_a_size_has_the_unit_that_fits(number: float, shown: str) -> None:
    assert size(number) == shown


def test_a_value_is_shown_in_the_unit_of_its_metric() -> None:
    memory = finding("ok", key=SeriesKey(MEMORY.metric), statistic="level")
    entries = finding("ok", key=SeriesKey(catalog.L1_COUNT.name), statistic="level")

    assert [value(each, 5e6) for each in (memory, entries, finding("ok"))] == ["5 MB", "5e+06", "5,000,000 s"]
    assert [value(memory, number) for number in (None, math.nan, math.inf)] == ["-", "-", "-"]


def test_an_open_bound_is_said_in_words() -> None:
    open_sides = [finding("ok", 0.02, low=None), finding("minor", 0.07, SET, high=None)]

    lines = text(report("minor", *open_sides), everything=True).splitlines()

    assert "above +6.0 %" in lines[2]
    assert "below +3.0 %" in lines[3]


def test_markdown_folds_what_is_ok() -> None:
    lines = markdown(ALL).splitlines()

    assert lines[0] == f"**{TABLE.splitlines()[0]}**"
    assert lines[2:4] == [
        "| verdict | series | statistic | baseline | current | change | between | n |",
        "|---|---|---|---|---|---|---|---|",
    ]
    assert lines[4].startswith("| critical | operation.duration{cache=users, operation=get} | mean | 1 ms | 1.3 ms | ")
    assert "<details><summary>2 more</summary>" in lines
    assert "- l2.operation.duration{cache=users, operation=set} mean: too noisy" in lines


def test_a_name_from_outside_is_no_markdown() -> None:
    row = markdown(report("warning", finding("warning", 0.2, HOSTILE))).splitlines()[4]

    assert row.startswith("| warning | operation.duration{cache=a\\|b\\<i\\>\\*c\\* ::error::x \\[31m %0A @\u200ball ")
    assert "\\[x\\](http" in row


def test_a_name_from_outside_is_no_command_of_github() -> None:
    lines = github(report("warning", finding("warning", 0.2, HOSTILE, reason="so\n::error::really"))).splitlines()

    assert [line.split("::")[1] for line in lines] == [
        "warning title=otcache regress warning",
        "notice title=otcache regress",
    ]
    assert "%250A" in lines[0]


def test_github_is_told_the_alarms_and_the_answer() -> None:
    assert (
        github(ALL)
        == """\
::error title=otcache regress critical::operation.duration{cache=users, operation=get} mean +30.0 %25 \
(+29.0 %25 .. +31.0 %25): worse: the change lies between +29.0 %25 and +31.0 %25 (critical at +25.0 %25)
::warning title=otcache regress warning::operations{cache=users} ratio +2.9 points (+1.9 points .. +3.9 points)
::notice title=otcache regress inconclusive::l2.operation.duration{cache=users, operation=set} mean: too noisy
::notice title=otcache regress::"""
        + TABLE.splitlines()[0]
    )


def test_json_holds_everything_and_no_number_that_json_has_not() -> None:
    found = report("minor", finding("minor", math.inf, low=-math.inf), facts={"deep": [math.nan, {"x": math.inf}]})

    told = json.loads(as_json(found))

    assert told.keys() == {
        "schema_version", "verdict", "baseline", "current", "started", "findings", "skipped", "notes", "facts",
    }  # fmt: skip
    assert told["findings"] == [{
        "metric": DURATION, "attributes": dict(GET.attributes), "resource": {}, "statistic": "mean",
        "verdict": "minor", "change": None, "low": None, "high": None, "baseline": 0.001, "current": None,
        "method": "windows", "n_baseline": 30, "n_current": 28, "reason": "",
    }]  # fmt: skip
    assert told["facts"] == {"deep": [None, {"x": None}]}


@pytest.mark.parametrize(
    ("fail_on", "failed"),
    [("critical", ["critical", "critical"]), ("warning", ["critical", "warning", "critical"]), ("never", [])],
)
def test_junit_fails_what_the_command_fails_on(fail_on: FailOn, failed: list[Verdict]) -> None:
    root = ElementTree.fromstring(junit(ALL, fail_on=fail_on))

    assert [each.attrib["message"].partition(":")[0] for each in root.iter("failure")] == failed
    assert [each.attrib["message"].partition(":")[0] for each in root.iter("skipped")] == ["inconclusive"] * 2
    assert sum(int(each.attrib["tests"]) for each in root) == len(list(root.iter("testcase"))) == 6
    assert sum(int(each.attrib["failures"]) for each in root) == len(failed)


def test_junit_has_a_test_of_the_whole_also_where_nothing_was_judged() -> None:
    root = ElementTree.fromstring(junit(report("inconclusive")))

    assert [(each.attrib["name"], each[0].tag) for each in root.iter("testcase")] == [("verdict", "skipped")]


def test_a_name_from_outside_leaves_junit_well_formed() -> None:
    root = ElementTree.fromstring(junit(report("critical", finding("critical", 0.5, HOSTILE, reason="\x00\x08"))))

    assert "a|b<i>*c* ::error::x [31m" in next(root.iter("testcase")).attrib["name"]
