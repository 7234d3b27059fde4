"""The public HTTP cache test suite: whatever fails there fails for a reason that docs/http-cache-tests.md names."""

from __future__ import annotations

import shutil

import pytest

from tests.http.cache_suite.deviations import DEVIATIONS
from tests.http.cache_suite.run import PAGE, SUITE, Result, results
from tests.servers import require


def test_every_reason_is_in_the_docs_or_explains_nothing() -> None:
    shown = PAGE.read_text()
    named = [each for each in DEVIATIONS if any(f"`{test}`" in shown for test in each.tests)]

    assert named
    assert all(each.reason in shown for each in named)


def test_no_test_fails_for_two_reasons() -> None:
    named = [test for each in DEVIATIONS for test in each.tests]

    assert len(named) == len(set(named))


@pytest.mark.long
def test_what_fails_has_its_reason_and_what_has_one_fails() -> None:
    if shutil.which("node") is None:
        require("node", "apt-get install -y --no-install-recommends nodejs")
    if not (SUITE / "test-engine").is_dir():
        require("the HTTP cache test suite", ".ci/cache-suite")

    found = {each.id: each for each in results()}

    expected = frozenset().union(*(each.tests for each in DEVIATIONS))
    failed = {each.id for each in found.values() if each.verdict in ("fail", "optional fail") and not is_racy(each)}
    assert failed - expected == set()
    assert {test for test in expected if found[test].verdict == "pass"} == set()


def is_racy(result: Result) -> bool:
    """Whether it asks twice for a response without times of its own, which the gateway keeps for one second."""
    return result.group == "Heuristic Freshness" and result.verdict == "optional fail"
