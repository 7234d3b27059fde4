"""How long a response stays fresh by its own headers (RFC 9111, 4.2)."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

from starlette.datastructures import Headers

from otcache.http._cache_control import parse, seconds

_DAY, _MONTH, _TIME = "[A-Z][a-z]{2}", "[A-Z][a-z]{2}", r"\d\d:\d\d:\d\d"
_HTTP_DATE: Final = re.compile(
    rf"{_DAY}, \d\d {_MONTH} \d{{4}} {_TIME} GMT"
    rf"|[A-Z][a-z]{{5,8}}, \d\d-{_MONTH}-\d\d {_TIME} GMT"
    rf"|{_DAY} {_MONTH} [ \d]\d {_TIME} \d{{4}}",
    re.ASCII,
)
"""The three forms of RFC 9110, 5.6.7; Python's own parser takes nearly everything for a date."""


def joined(headers: Headers, name: str) -> str:
    """Return all lines of a header as one list."""
    return ", ".join(headers.getlist(name))


def own_lifetime(headers: Headers, *, private: bool, now: float) -> float | None:
    """Return for how many seconds from now on a response may be stored, by its own word.

    0 or less: not at all. What can't be understood counts as that (RFC 9111, 4.2.1 and 5.3). `None`: it doesn't say.

    Args:
        headers: The response's.
        private: Whether it is stored for one user alone: `private` allows that, and `s-maxage` doesn't count.
        now: Seconds since the epoch.
    """
    said = parse(joined(headers, "cache-control"))
    if "no-store" in said or "no-cache" in said or ("private" in said and not private):
        return 0
    for name in ("max-age",) if private else ("s-maxage", "max-age"):
        if name in said:
            return (seconds(said[name]) or 0) - own_age(headers, now)
    if "expires" in headers:
        ends, made = http_date(joined(headers, "expires")), http_date(joined(headers, "date"))
        return 0 if ends is None else ends - (now if made is None else made) - own_age(headers, now)
    if not said and "no-cache" in parse(joined(headers, "pragma")):
        return 0
    return None


def own_age(headers: Headers, now: float) -> int:
    """Return how many seconds old a response is already, by its own Age and Date; 0 if they don't say."""
    made = http_date(joined(headers, "date"))
    apparent = 0 if made is None else max(0, int(now - made))
    return max(apparent, seconds(joined(headers, "age").partition(",")[0].strip()) or 0)


def http_date(text: str) -> float | None:
    """Return a date in seconds since the epoch; `None` for what is no date of HTTP."""
    if _HTTP_DATE.fullmatch(text) is None:
        return None
    try:
        found = parsedate_to_datetime(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
