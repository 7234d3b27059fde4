"""Every alert fires when it must and at no other time, as Prometheus' own tool judges; recordings are what they say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from otcache.alerts import alerts, rules
from tests.alerts import cases, load_cases
from tests.alerts.promtool import Case

QUIET = (*cases.QUIET, *load_cases.QUIET)
LOUD = (*cases.LOUD, *load_cases.LOUD)
MANY = 200
"""A history of more evaluations than these takes promtool two seconds and more."""


def histories(cases: Iterable[Case]) -> list[Any]:
    """Cases, the long ones marked."""
    return [
        pytest.param(case, id=str(case), marks=[pytest.mark.long] if case.minutes / case.step > MANY else [])
        for case in cases
    ]


@pytest.mark.parametrize("case", histories(QUIET))
def test_nothing_fires(case: Case, tmp_path: Path) -> None:
    case.run(tmp_path)


@pytest.mark.parametrize("case", histories(LOUD))
def test_exactly_these_fire(case: Case, tmp_path: Path) -> None:
    case.run(tmp_path)


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    fired = {firing.name for case in LOUD for firing in case.fires}

    assert fired == {alert.name for alert in alerts()}


def test_every_metric_that_a_rule_reads_is_in_a_case_in_which_nothing_fires() -> None:
    expressions = [rule.expression for group in rules() for rule in group.rules]
    read = {name for text in expressions for name in re.findall(r"(?<![:\w])otcache_\w+(?=[{\[])", text)}

    scraped = {series.row.prometheus + series.part for case in QUIET for series in case.series}
    assert read - scraped == set()
    assert len(read) > 12


def test_a_case_that_is_wrong_fails(tmp_path: Path) -> None:
    loud = LOUD[0]

    with pytest.raises(AssertionError, match="OtcacheErrorBudgetBurn"):
        Case(loud.name, loud.series, loud.minutes).run(tmp_path)
