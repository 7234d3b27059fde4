"""Time to live: what callers may give wherever a TTL is taken, and what it means in seconds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from math import floor, inf
from typing import Any, Final, TypeAlias

from otcache.exceptions import ValidationError

TTL: TypeAlias = int | float | timedelta
"""A time to live: seconds, whole or not (rounded down to ms), or a `timedelta`; 0 means: not kept."""

FOREVER: Final = inf
"""The time to live of what never expires; also what is left of it. In files and variables it is `forever`."""

LONGEST_TTL: Final = 31_536_000
"""A year, in seconds: the longest time to live beside `FOREVER`."""


def ttl_seconds(ttl: Any, name: str = "ttl") -> float:
    """Return a TTL that a programmer has written, in seconds: a multiple of 1 ms, or `FOREVER`.

    Args:
        ttl: 0 to `LONGEST_TTL` seconds, a `timedelta` of that, or `FOREVER`.
        name: What the error calls it.

    Raises:
        ValidationError: It is of another type, is no number, is negative or is longer than a year.
    """
    if type(ttl) is int and 0 <= ttl <= LONGEST_TTL:  # the commonest, in a tenth of the time
        return float(ttl)
    seconds = _number(ttl, name)
    if seconds == FOREVER:
        return FOREVER
    if not 0 <= seconds <= LONGEST_TTL:  # NaN is neither
        raise ValidationError(
            f"{name}={_shown(ttl)} is outside 0 to {LONGEST_TTL} s: 0 keeps nothing, otcache.FOREVER keeps it for ever",
            {name: _shown(ttl)},
        )
    return _whole_ms(seconds)


def computed_ttl(ttl: Any, tell: Callable[[ValidationError], None] | None = None) -> float:
    """Return a TTL that a program has computed, in seconds: the load that it belongs to never fails for it.

    What is negative or no number counts as 0: the value is not kept. What is longer than a year counts as a year.

    Args:
        ttl: As `ttl_seconds`; what is of another type counts as 0, too.
        tell: Called with what is wrong with that type.
    """
    try:
        seconds = _number(ttl, "ttl")
    except ValidationError as exc:
        if tell is not None:
            tell(exc)
        return 0.0
    if seconds == FOREVER:
        return FOREVER
    return _whole_ms(min(seconds, LONGEST_TTL)) if seconds > 0 else 0.0  # NaN is not above 0


def store_ms(seconds: float) -> int:
    """Return a TTL as stores take it: whole milliseconds, and 0 for `FOREVER`."""
    # Never 0 by accident: what is not kept must not reach a store, and would be kept there for ever.
    return 0 if seconds == FOREVER else max(1, round(seconds * 1000))


def _number(ttl: Any, name: str) -> int | float:
    if isinstance(ttl, bool) or not isinstance(ttl, int | float | timedelta):
        raise ValidationError(
            f"{name} is {type(ttl).__name__}: give seconds (0 to {LONGEST_TTL}), a timedelta, or otcache.FOREVER"
        )
    return ttl.total_seconds() if isinstance(ttl, timedelta) else ttl


def _shown(ttl: TTL) -> str:
    """Return a TTL for people; Python refuses to write the digits of a huge integer."""
    return f"{'-' if ttl < 0 else ''}1e18 or more" if isinstance(ttl, int) and abs(ttl) > 1e18 else str(ttl)


def _whole_ms(seconds: float) -> float:
    """Round down to a multiple of 1 ms; `round` first takes back what 0.29 * 1000 loses."""
    return floor(round(seconds * 1000, 6)) / 1000
