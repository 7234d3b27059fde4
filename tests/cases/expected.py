"""What the cases have in common: the marker of one that fails today, and what a refusal at decoration means."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from otcache.exceptions import ConfigurationError, ValidationError

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def fails_until(
    issue: int, what: str, *, raises: type[BaseException] = AssertionError, only_if: bool = True
) -> pytest.MarkDecorator:
    """A strict expected failure. It leaves with the issue that mends it.

    Args:
        issue: The issue that mends it.
        what: What is wrong today, in one sentence.
        raises: How it fails today; a test that ends in anything else is a failure.
        only_if: Where it fails: on some versions of Python, say.
    """
    return pytest.mark.xfail(only_if, strict=True, reason=f"issue {issue}: {what}", raises=raises)


def unless_refused(decorator: Callable[[Any], Any]) -> Callable[[F], F]:
    """The decorator; where it refuses the function, the function itself.

    A refusal at decoration is a right answer to code that can't be cached safely: nothing is cached then.
    """

    def decorate(function: F) -> F:
        try:
            decorated: F = decorator(function)
        except (ConfigurationError, ValidationError):
            return function
        return decorated

    return decorate


def given(holds: bool, what: str) -> None:
    """End the case as broken, not as failed, unless what it is built on holds.

    Raises:
        RuntimeError: It does not.
    """
    if not holds:
        raise RuntimeError(f"the case has no ground: {what}")


async def outcome(call: Awaitable[T], *, seconds: float = 20.0) -> T | str:
    """What a call gives, or the name of the exception that it raises.

    Raises:
        TimeoutError: Neither within `seconds`.
    """
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError:
        raise
    except Exception as exc:  # noqa: BLE001  which one it is, is what the test asks
        return type(exc).__name__


@contextmanager
def wrong_if_raised(*errors: type[BaseException]) -> Iterator[None]:
    """These exceptions, which today's code raises where it should not, count as a failed assertion."""
    try:
        yield
    except errors as exc:
        raise AssertionError(f"raised {type(exc).__name__}: {exc}") from exc
