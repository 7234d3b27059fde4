"""Real processes on one real Redis that dies, hangs and is cut off: no copy is served for longer than the bound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.histories.checker import check
from tests.histories.report import coverage, report
from tests.histories.run import Plan, run
from tests.servers import RedisServer

SECOND: Final = 1_000_000_000
BOUND: Final = 2 * SECOND  # max_staleness by default


@pytest.mark.parametrize(("kind", "seed"), [("valkey", 1)])
def test_no_copy_is_served_that_is_older_than_a_confirmed_write_by_more_than_two_seconds(
    start: Callable[[RedisServer], RedisServer], kind: Any, seed: int, tmp_path: Path
) -> None:
    server = start(RedisServer(kind))

    history = run(server, tmp_path, Plan(seed, 60))
    violations, seen = check(history, BOUND), coverage(history, BOUND)

    assert not violations, report(history, violations)
    assert seen.near > 5000, seen
    assert seen.others > 500, seen
    assert min(seen.old, seen.unconfirmed, seen.away, seen.loaded) > 50, seen
    assert server.clients() == 0


def test_without_coherence_the_same_check_finds_copies_that_are_too_old(
    start: Callable[[RedisServer], RedisServer], tmp_path: Path
) -> None:
    server = start(RedisServer("valkey"))

    history = run(server, tmp_path, Plan(seed=2, seconds=8, options={"coherence": False}, trouble=False))
    violations = check(history, BOUND)

    assert "stale" in {violation.fault for violation in violations}
    assert "got:" in report(history, violations)
