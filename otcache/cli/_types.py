"""Types of arguments: each turns a text into a value, or says what would be right."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, TypeVar

MOST_PERCENT: Final = 1000
LONGEST: Final = 366 * 86_400.0
"""Seconds: the longest time that an argument may be."""
LAST: Final = 253_402_300_799.0
"""The last second of the year 9999."""


def percent(text: str) -> float:
    """A share in percent."""
    return _percent(text) / 100


def seconds(text: str) -> float:
    """A length of time: `90`, `90s`, `15m`, `1h`, `7d`."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
    digits, scale = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1.0)
    try:
        number = float(digits) * scale
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time such as 90s, 15m, 1h, 7d") from None
    if not 0 < number <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text} is outside 0..{LONGEST / 86_400:g}d, 0 excluded")
    return number


def between(low: str, high: str) -> Callable[[str], float]:
    """Takes lengths of time from one to another: `between("1s", "1d")`."""
    shortest, longest = seconds(low), seconds(high)

    def take(text: str) -> float:
        number = seconds(text)
        if not shortest <= number <= longest:
            raise argparse.ArgumentTypeError(f"{text} is outside {low}..{high}")
        return number

    return take


def whole(low: int, high: int) -> Callable[[str], int]:
    """Takes whole numbers of a range."""
    return _taking(int, lambda number: low <= number <= high, "whole number", f"{low}..{high}")


def positive(most: float, unit: str = "") -> Callable[[str], float]:
    """Takes numbers above 0, up to `most`."""
    allowed = f"0..{most:.0f}{f' {unit}' if unit else ''}, 0 excluded"
    return _taking(float, lambda number: 0 < number <= most, "number", allowed)


Number = TypeVar("Number", int, float)


def _taking(
    read: Callable[[str], Number], fits: Callable[[Number], bool], what: str, allowed: str
) -> Callable[[str], Number]:
    def take(text: str) -> Number:
        try:
            number = read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no {what} of {allowed}") from None
        if not fits(number):
            raise argparse.ArgumentTypeError(f"{text} is outside {allowed}")
        return number

    return take


_percent: Final = positive(MOST_PERCENT, "%")


def moment(text: str) -> float:
    """A time: seconds since the epoch, or ISO 8601 (UTC where it names no zone)."""
    try:
        found = float(text)
    except ValueError:
        found = _iso(text)
    if not 0 <= found <= LAST:
        raise argparse.ArgumentTypeError(f"{text} is outside 0..{LAST:.0f}, seconds since the epoch")
    return found


def _iso(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-11-24T20:00:00Z") from None
