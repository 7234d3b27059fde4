"""What the rules read is what an application shows: every selector of theirs finds series on a scraped page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import pytest

from otcache.alerts import rules
from otcache.telemetry import catalog
from tests.rows import every
from tests.stack.application import Application
from tests.stack.prometheus import Prometheus

SELECTOR: Final = re.compile(r"(?<![:\w])otcache_\w+(?:\{[^}]*\})?(?=[\[)])")
LABELS: Final = {attribute.name.replace(".", "_") for attribute in catalog.ATTRIBUTES}
SELECTORS: Final = sorted(
    {found for group in rules() for rule in group.rules for found in SELECTOR.findall(rule.expression)} - LABELS
)
DETECTOR: Final = tuple(row.prometheus for row in catalog.INSTRUMENTS if row.scope == "otcache.regression")


def is_elsewhere(selector: str) -> bool:
    """Shown by the processes of test_alert_chain: verdicts, and calls that raise what is not their caller's mistake."""
    return selector.startswith(DETECTOR) or all(part in selector for part in ('result="error"', "error_type!="))


@pytest.fixture(scope="module")
def prometheus() -> Iterator[Prometheus]:
    """One that has scraped an application to which everything has happened."""
    with Application() as application, Prometheus({"shop": [application.port]}) as started:
        started.wait_for_series(catalog.BUILD_INFO.prometheus, 60)  # a target is up before its first samples are there
        yield started


@every("selector", [each for each in SELECTORS if not is_elsewhere(each)])
def test_what_a_rule_reads_is_there(prometheus: Prometheus, selector: str) -> None:
    assert prometheus.query(f"count({selector})"), selector


def test_the_selectors_are_those_of_all_rules() -> None:
    read = {selector.partition("{")[0] for selector in SELECTORS}

    assert {row.prometheus for row in (catalog.LOOKUPS, catalog.BUILD_INFO, catalog.COMPONENT_STATUS)} <= read
    assert len(SELECTORS) > 20
