"""The breaker opens after failures in a row, and only its probe closes it."""

from __future__ import annotations

from otcache._concurrency.circuit_breaker import CircuitBreaker


def watched(limit: int) -> tuple[CircuitBreaker, list[tuple[str, str]]]:
    moves: list[tuple[str, str]] = []
    return CircuitBreaker(limit, lambda left, entered: moves.append((left, entered))), moves


def test_failures_in_a_row_open_it() -> None:
    breaker, moves = watched(3)

    for _ in range(3):
        breaker.failed()

    assert breaker.is_open
    assert moves == [("closed", "open")]


def test_a_success_between_failures_starts_the_count_again() -> None:
    breaker, _ = watched(2)

    breaker.failed()
    breaker.succeeded()
    breaker.failed()

    assert not breaker.is_open


def test_an_answer_that_was_under_way_does_not_close_it() -> None:
    breaker, _ = watched(1)
    breaker.failed()

    breaker.succeeded()

    assert breaker.is_open


def test_half_open_still_refuses_and_a_failure_opens_it_again() -> None:
    breaker, moves = watched(1)
    breaker.failed()

    breaker.enter("half_open")
    refused = breaker.is_open
    breaker.failed()

    assert refused
    assert moves == [("closed", "open"), ("open", "half_open"), ("half_open", "open")]


def test_closing_it_forgets_the_failures() -> None:
    breaker, _ = watched(2)
    breaker.failed()
    breaker.failed()

    breaker.enter("closed")
    breaker.failed()

    assert not breaker.is_open
