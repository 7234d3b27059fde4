"""A pytest plugin for CI: a skipped test is a failure unless what it needs is no part that could be installed.

Loaded by `-p tests.ci_plugin`.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest

from tests.suite import OUTSIDE, line_of, reason_of

ALLOWED: Final[dict[str, str]] = {}
"""Start of a test's id -> why it may be skipped in CI."""


class NoSkips:
    """Counts the skipped tests of a run by their reason, and turns its success into a failure."""

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        reason = reason_of(report)
        if not report.nodeid.startswith(tuple(ALLOWED)) and not reason.startswith(OUTSIDE):
            self.skipped[reason] += 1

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.skipped:
            terminalreporter.section("skipped, which is a failure in CI", red=True)
        for reason, count in sorted(self.skipped.items()):
            terminalreporter.write_line(line_of(reason, count))


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the process that hears of every test, not one of its workers
        config.pluginmanager.register(NoSkips())
