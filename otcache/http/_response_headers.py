"""The headers that we add to a response, and the 304 that may take its place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import floor
from typing import Final, Literal

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from otcache.http._cache_control import LONGEST, RequestDirectives, cache_control, parse
from otcache.http._policy import Policy
from otcache.http._stored_response import StoredResponse, not_modified
from otcache.telemetry.catalog.values import ResponseResult

Forward = Literal["bypass", "uri-miss", "miss", "stale", "request"]

_TAG: Final = re.compile(r'[ \t]*(?:,[ \t]*)*(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?:,|$)')
_EMPTY: Final = re.compile(r"[ \t,]*$")
_WORD: Final = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*")
_LARGEST: Final = 999_999_999_999_999
_NO_END: Final = 31_536_000
"""`max-age` of a response that never expires: a year, in seconds."""


@dataclass(frozen=True, slots=True)
class SharedResponse:
    """A response that other requests may get, too.

    Attributes:
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


def none_match(field: str, etag: str) -> bool:
    """Whether no tag in an If-None-Match field is the representation's (RFC 9110, 13.1.2): it is sent then.

    A field that is neither `*` nor a list of tags does not name it.
    """
    if field.strip(" \t") == "*":
        return False
    return etag.removeprefix("W/") not in _tags(field)  # the weak comparison (RFC 9110, 8.8.3.2)


def _tags(field: str) -> Iterable[str]:
    at, found = 0, []
    while _EMPTY.match(field, at) is None:
        matched = _TAG.match(field, at)
        if matched is None:
            return ()
        found.append(matched[1])
        at = matched.end()
    return found


# --- what the cache did ---------------------------------------------------------------------------------


@dataclass(slots=True)
class Decision:
    """What the cache did about one request; its metric and its headers are made from this.

    Attributes:
        result: As in the metrics.
        fwd: Why the endpoint ran (RFC 9211, 2.2); `None` if it did not run.
        stored: Whether the new response was stored.
        collapsed: Whether the request waited for another request's run.
        ttl: Seconds that the response stays fresh; negative if it is stale, `None` if that is unknown.
        detail: More about the result, in one word.
        lookup_ns: Nanoseconds that the cache took.
        load_ns: Nanoseconds that the endpoint took; `None` if it did not run for this request.
    """

    result: ResponseResult = "bypass"
    tier: str = "none"
    fwd: Forward | None = None
    stored: bool = False
    collapsed: bool = False
    ttl: int | None = None
    detail: str | None = None
    lookup_ns: int = 0
    load_ns: int | None = None


def add_status_headers(headers: MutableHeaders, decision: Decision, policy: Policy) -> None:
    """Add Cache-Status and Server-Timing. What caches before us wrote stays in front (RFC 9211, 2)."""
    if policy.cache_status is not None:
        before = headers.get("cache-status")
        ours = cache_status(policy.cache_status, decision)
        headers["cache-status"] = ours if before is None else f"{before}, {ours}"
    if policy.server_timing:
        headers.append("server-timing", server_timing(decision))


def cache_status(name: str, decision: Decision) -> str:
    """Return the Cache-Status of RFC 9211, one member of a structured list; the cache's name is printable ASCII."""
    parts = [_word(name)]
    if decision.fwd is not None:
        parts.append(f"fwd={decision.fwd}")
    elif decision.result in ("hit", "stale"):
        parts.append("hit")
    if decision.ttl is not None:
        parts.append(f"ttl={max(-_LARGEST, min(decision.ttl, _LARGEST))}")
    parts += [name for name in ("stored", "collapsed") if getattr(decision, name)]
    if decision.detail is not None:
        parts.append(f"detail={_word(decision.detail)}")
    return "; ".join(parts)


def _word(text: str) -> str:
    """Return a token if `text` can be one, else a string (RFC 9651, 3.3.3 and 3.3.4)."""
    if _WORD.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def server_timing(decision: Decision) -> str:
    """Return the W3C's Server-Timing: the time of the cache and the time of the endpoint."""
    desc = decision.result if decision.tier in ("none", "loader") else f"{decision.result} {decision.tier}"
    shown = f'cache;desc="{desc}";dur={decision.lookup_ns / 1e6:.3f}'
    return shown if decision.load_ns is None else f"{shown}, load;dur={decision.load_ns / 1e6:.3f}"
