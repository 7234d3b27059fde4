"""Time to live: what callers may give wherever a TTL is taken, and what it means in seconds."""

from __future__ import annotations

from datetime import timedelta
from math import floor, inf, isnan
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
    if isinstance(ttl, bool) or not isinstance(ttl, int | float | timedelta):
        raise ValidationError(
            f"{name} is {type(ttl).__name__}: give seconds (0 to {LONGEST_TTL}), a timedelta, or otcache.FOREVER"
        )
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if seconds == FOREVER:
        return FOREVER
    if not 0 <= seconds <= LONGEST_TTL:  # NaN is neither
        raise ValidationError(
            f"{name}={ttl} is outside 0 to {LONGEST_TTL} s: 0 keeps nothing, otcache.FOREVER keeps it for ever",
            {"ttl": str(ttl)},
        )
    return _whole_ms(seconds)


def computed_ttl(ttl: TTL) -> float:
    """Return a TTL that a program has computed, in seconds: the load that it belongs to never fails for it.

    What is negative or no number counts as 0: the value is not kept. What is longer than a year counts as a year.
    """
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if seconds == FOREVER:
        return FOREVER
    if not isinstance(seconds, int | float) or isnan(seconds) or seconds <= 0:
        return 0.0
    return _whole_ms(min(seconds, LONGEST_TTL))


def _whole_ms(seconds: float) -> float:
    """Round down to a multiple of 1 ms; `round` first takes back what 0.29 * 1000 loses."""
    return floor(round(seconds * 1000, 6)) / 1000
