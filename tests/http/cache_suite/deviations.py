"""Why a required test of the suite fails: each reason once, and the tests that fail for it."""

from __future__ import annotations

from typing import Final, NamedTuple


class Deviation(NamedTuple):
    """One reason, and the ids of the tests."""

    reason: str
    tests: tuple[str, ...]


DEVIATIONS: Final[tuple[Deviation, ...]] = ()


def reason_of(test: str) -> str | None:
    """Why a test fails; `None` if that is not known."""
    return next((each.reason for each in DEVIATIONS if test in each.tests), None)
