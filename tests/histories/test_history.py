"""Real processes on one real Redis that dies, hangs and is cut off: no copy is served for longer than the bound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.histories.checker import check
from tests.histories.report import coverage, report
from tests.histories.run import Plan, run
from tests.servers import RedisServer

SECOND: Final = 1_000_000_000


@pytest.mark.parametrize(
    ("bound", "seconds"), [(0.8, 18), pytest.param(2.0, 60, marks=pytest.mark.long)], ids=["short", "long"]
)
def test_no_copy_is_served_that_is_older_than_a_confirmed_write_by_more_than_the_bound(
    start: Callable[[RedisServer], RedisServer], bound: float, seconds: int, seed: int, tmp_path: Path
) -> None:
    server = start(RedisServer("valkey"))

    history = run(server, tmp_path, Plan(seed, seconds, bound=bound))
    violations, seen = check(history, round(bound * SECOND)), coverage(history, round(bound * SECOND))

    assert not violations, report(history, violations)
    # each way to break the promise was open, however little a busy machine has done of it
    assert min(seen.near, seen.others, seen.old, seen.unconfirmed, seen.away, seen.loaded) > 0, seen
    assert server.clients() == 0


def test_without_coherence_the_same_check_finds_copies_that_are_too_old(
    start: Callable[[RedisServer], RedisServer], tmp_path: Path
) -> None:
    server = start(RedisServer("valkey"))

    history = run(server, tmp_path, Plan(seed=2, seconds=8, options={"coherence": False}, trouble=False))
    violations = check(history, 2 * SECOND)

    assert "stale" in {violation.fault for violation in violations}
    assert "got:" in report(history, violations)
