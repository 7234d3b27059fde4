"""The headers that we add to a response, and the 304 that may take its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from otcache.http._cache_control import LONGEST, RequestDirectives, cache_control, parse
from otcache.http._cache_status import Decision, cache_status, server_timing
from otcache.http._conditional import none_match
from otcache.http._policy import Policy
from otcache.http._stored_response import StoredResponse, not_modified

_NO_END: Final = 31_536_000
"""`max-age` of a response that never expires: a year, in seconds."""


@dataclass(frozen=True, slots=True)
class SharedResponse:
    """A response that other requests may get, too.

    Attributes:
        stored: The response as it is stored.
        age: Seconds since the endpoint made it.
        left: Seconds that it stays fresh, negative if it is stale; `None` for ever.
        loaded: Whether the endpoint made it just now.
        response: The endpoint's response to this very request, headers that are not stored included; else `None`.
    """

    stored: StoredResponse
    age: float
    left: float | None
    loaded: bool
    response: Response | None = None

    def satisfies(self, directives: RequestDirectives) -> bool:
        """Whether the request's directives and the response's own allow to serve it as it is."""
        left = float(LONGEST) if self.left is None else self.left
        own = parse(self.stored.header("cache-control") or "")
        if left < 0 and ("must-revalidate" in own or "proxy-revalidate" in own):
            return False
        return directives.accepts(self.age, left)


def add_cache_headers(
    headers: MutableHeaders, found: SharedResponse, varies: Iterable[str], *, private: bool, stale: int
) -> None:
    """Add Cache-Control, Age, Vary and ETag; the response's own Cache-Control stays.

    `max-age` is the whole lifetime: a client subtracts `Age` from it (RFC 9111, 4.2).
    """
    lifetime = _NO_END if found.left is None else max(0, round(found.age + found.left))
    if "cache-control" not in headers:
        headers["cache-control"] = cache_control(lifetime, private=private, stale=stale)
    if not found.loaded:
        headers["age"] = str(floor(found.age))
    for name in varies:
        if name not in _named(headers):
            headers.add_vary_header(_title(name))
    etag = found.stored.header("etag")
    if etag is not None:
        headers["etag"] = etag


def _named(headers: Headers) -> set[str]:
    return {name.strip().lower() for name in headers.get("vary", "").split(",")}


def _title(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


def conditional_response(response: Response, request_headers: Headers, method: str) -> Response:
    """Return the response, or a 304 if the client has it already (RFC 9110, 13.2.2)."""
    tags = ", ".join(request_headers.getlist("if-none-match"))
    etag = response.headers.get("etag")
    if not tags or etag is None or method not in ("GET", "HEAD") or response.status_code != 200:
        return response
    if none_match(tags, etag):
        return response
    shortened = not_modified(response.headers)
    shortened.background = response.background
    return shortened


def add_status_headers(headers: MutableHeaders, decision: Decision, policy: Policy) -> None:
    """Add Cache-Status and Server-Timing. What caches before us wrote stays in front (RFC 9211, 2)."""
    if policy.cache_status is not None:
        before = headers.get("cache-status")
        ours = cache_status(policy.cache_status, decision)
        headers["cache-status"] = ours if before is None else f"{before}, {ours}"
    if policy.server_timing:
        headers.append("server-timing", server_timing(decision))
