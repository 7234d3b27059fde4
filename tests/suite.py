"""How the suite runs: its seed, how much hypothesis tries, what starts first, and one line per part that is missing.

`make test` leaves out the tests marked `long` and always tries the same examples; `make test-long` runs those, and
every hypothesis test with many more examples, from a seed that it prints.

PYTEST_DONT_REWRITE: tests/ci_plugin.py imports it before pytest could.
"""

from __future__ import annotations

import gc
import os
import random
import re
from collections import Counter
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

SEED: Final = "OTCACHE_TEST_SEED"
_SEED: Final = pytest.StashKey[int]()
OUTSIDE: Final = "outside the repository: "
"""How the reason of a skip begins if a test reads what the repository does not hold: a trace of somebody's, say."""
_MISSING: Final = re.compile(r"(?:Skipped: )?(?P<part>.+) is missing; install it with: (?P<command>.+)", re.DOTALL)

FIRST: Final = (
    "tests/stack/test_watch.py",
    "tests/demo/test_demo_command.py",
    "tests/regression/ab/test_command.py",
    "tests/benchmarks/test_runner.py",
    "tests/dashboards/test_data.py",
    "tests/stores/test_subscription.py",
    "tests/stores/test_store_trouble.py",
    "tests/histories/test_history.py",
    "tests/stack/test_alert_chain.py",
    "tests/cli/regress/test_compare.py",
    "tests/alerts/test_promtool.py",
    "tests/benchmarks_suite/test_workloads.py",
)
"""The files that take longest: one that starts last keeps one process busy while the others have nothing to do."""

# A deadline per example would judge how busy the machine is.
_PATIENT: Final = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("test", _PATIENT, derandomize=True, max_examples=40)
settings.register_profile("long", _PATIENT, derandomize=False, max_examples=1000, print_blob=True)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the profile and the seed before hypothesis' own plugin reads them, and before workers start."""
    profile = config.getoption("hypothesis_profile") or "test"
    settings.load_profile(profile)
    config.stash[_SEED] = chosen = _seed(config, profile)
    if profile == "long" and config.getoption("hypothesis_seed") is None:
        config.option.hypothesis_seed = str(chosen)
    if not hasattr(config, "workerinput"):  # the process that hears of every test, not one of its workers
        config.pluginmanager.register(_LeftOut())


def _seed(config: pytest.Config, profile: str) -> int:
    """The one that is asked for, the one that all workers share, or a new one for a long run."""
    given = os.environ.pop(SEED, None)  # otcache refuses variables of its prefix that it does not know
    if hasattr(config, "workerinput"):
        return int(config.workerinput["seed"])
    return int(given or (random.SystemRandom().randrange(2**31) if profile == "long" else 1))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist the seed."""
    node.workerinput["seed"] = node.config.stash[_SEED]


def pytest_report_header(config: pytest.Config) -> str:
    return f"seed: {config.stash[_SEED]} ({SEED}={config.stash[_SEED]} repeats)"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest first; the order inside a file stays."""
    place = {path: number for number, path in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.nodeid.partition("::")[0], len(FIRST)))


def pytest_collection_finish() -> None:
    """What has been imported and collected stays to the end: no `gc.collect()` of a test needs to look at it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """Of everything random in a test; the header of the run shows it."""
    return request.config.stash[_SEED]


def reason_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why it was skipped."""
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")


class _LeftOut:
    """Counts the tests that were skipped, by their reason, and tells each reason in one line."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self.reasons[reason_of(report)] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:
            self.reasons[reason_of(report)] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for reason, count in sorted(self.reasons.items()):
            terminalreporter.write_line(line_of(reason, count))


def line_of(reason: str, count: int) -> str:
    """What is left out, how much that is, and what would bring it back.

    >>> line_of("prometheus is missing; install it with: apt-get install -y prometheus", 212)
    'prometheus is missing: 212 tests left out; apt-get install -y prometheus'
    """
    tests = "1 test" if count == 1 else f"{count} tests"
    if found := _MISSING.fullmatch(reason):
        return f"{found['part']} is missing: {tests} left out; {found['command']}"
    return f"{tests} left out: {reason}"
