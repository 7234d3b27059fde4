"""The headers that an answer gets on its way out, and the 304 that may take its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from otcache.http._cache_control import LONGEST, Wishes, cache_control, parse
from otcache.http._cache_status import Decision, cache_status, server_timing
from otcache.http._conditional import none_match
from otcache.http._policy import Policy
from otcache.http._stored_response import Record, not_modified

_NO_END: Final = 31_536_000
"""Seconds that an answer without an end is said to last: a year."""


@dataclass(frozen=True, slots=True)
class Found:
    """An answer that may be given to this request.

    Attributes:
        record: The answer.
        age: Seconds since it was made.
        left: Seconds that it stays fresh, negative if it is stale; `None` for ever.
        loaded: Whether it was made just now.
        response: What the endpoint gave to this very request, with what is not kept of it; `None`: somebody else's.
    """

    record: Record
    age: float
    left: float | None
    loaded: bool
    response: Response | None = None

    def will_do(self, wishes: Wishes) -> bool:
        """Whether the request and the answer itself allow that it is used as it is."""
        left = float(LONGEST) if self.left is None else self.left
        said = parse(self.record.header("cache-control") or "")
        if left < 0 and ("must-revalidate" in said or "proxy-revalidate" in said):
            return False
        return wishes.accept(self.age, left)


def dress(headers: MutableHeaders, found: Found, varies: Iterable[str], *, private: bool, stale: int) -> None:
    """Say how long the answer lasts, how old it is and what it depends on; its own Cache-Control stays.

    `max-age` is the whole lifetime: a client takes `Age` from it (RFC 9111, 4.2), and has what is left.
    """
    lifetime = _NO_END if found.left is None else max(0, round(found.age + found.left))
    if "cache-control" not in headers:
        headers["cache-control"] = cache_control(lifetime, private=private, stale=stale)
    if not found.loaded:
        headers["age"] = str(floor(found.age))
    for name in varies:
        if name not in _named(headers):
            headers.add_vary_header(_title(name))
    etag = found.record.header("etag")
    if etag is not None:
        headers["etag"] = etag


def _named(headers: Headers) -> set[str]:
    return {name.strip().lower() for name in headers.get("vary", "").split(",")}


def _title(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


def conditional(response: Response, request_headers: Headers, method: str) -> Response:
    """The answer, or the 304 that says the client has it (RFC 9110, 13.2.2)."""
    asked = ", ".join(request_headers.getlist("if-none-match"))
    etag = response.headers.get("etag")
    if not asked or etag is None or method not in ("GET", "HEAD") or response.status_code != 200:
        return response
    if none_match(asked, etag):
        return response
    shortened = not_modified(response.headers)
    shortened.background = response.background
    return shortened


def tell(headers: MutableHeaders, decision: Decision, policy: Policy) -> None:
    """Say what the cache did. What caches before us have said stays in front (RFC 9211, 2)."""
    if policy.cache_status is not None:
        before = headers.get("cache-status")
        ours = cache_status(policy.cache_status, decision)
        headers["cache-status"] = ours if before is None else f"{before}, {ours}"
    if policy.server_timing:
        headers.append("server-timing", server_timing(decision))
