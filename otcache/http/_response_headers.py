"""The headers that we add to a response, and the 304 that may take its place."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import floor
from typing import Any, Final, Literal, TypeAlias

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from otcache.http._cache_control import RequestDirectives, made_private, parse, seconds
from otcache.http._freshness import joined
from otcache.http._stored_response import StoredResponse, not_modified
from otcache.telemetry.catalog.values import ResponseResult
from otcache.ttl import FOREVER

RawHeaders: TypeAlias = Iterable[tuple[bytes, bytes]]
Forward = Literal["bypass", "uri-miss", "miss", "stale", "request"]

_TAG: Final = re.compile(r'[ \t]*(?:,[ \t]*)*(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?:,|$)')
_EMPTY: Final = re.compile(r"[ \t,]*$")
_WORD: Final = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*")
_LARGEST: Final = 999_999_999_999_999
_NEVER_STALE: Final = frozenset({"must-revalidate", "proxy-revalidate", "s-maxage"})
"""RFC 9111, 4.2.4 and 5.2.2.10."""
_TARGETED: Final = re.compile(".+-cache-control|surrogate-control|edge-control|x-accel-expires")
"""Fields by which caches of many users would overrule Cache-Control (RFC 9213, and what came before it)."""
_TICK: Final = 0.0005
"""Seconds: half of the smallest part of a time to live. What arithmetic loses of one is less."""


@dataclass(frozen=True, slots=True)
class SharedResponse:
    """A response that other requests may get, too.

    Attributes:
        age: Seconds since the endpoint made it, and its own age then.
        left: Seconds that it stays fresh, negative if it is stale.
        loaded: Whether the endpoint made it just now.
        own: The endpoint's response to this very request, or its error, with headers that are not stored; else `None`.
        reason: Why it is served stale.
    """

    stored: StoredResponse
    age: float
    left: float
    loaded: bool
    own: Any = None
    reason: str | None = None

    def satisfies(self, directives: RequestDirectives) -> bool:
        """Whether the request's directives and the response's own allow to serve it as it is."""
        return (self.left >= 0 or self._may_be_stale()) and directives.accepts(self.age, self.left)

    def _may_be_stale(self) -> bool:
        own = parse(self.stored.header("cache-control") or "")
        while_error = self.reason is not None and self.reason != "revalidating"
        name = "stale-if-error" if while_error else "stale-while-revalidate"
        return not own.keys() & _NEVER_STALE and (name not in own or -self.left <= (seconds(own[name]) or 0))


def add_cache_headers(
    headers: MutableHeaders, found: SharedResponse, varies: Iterable[str], *, public: bool, closed: bool, stale: float
) -> None:
    """Add Cache-Control, Age, Vary and ETag; the response's own Cache-Control stays, as far as others may follow it.

    Args:
        headers: The response's.
        found: The response.
        varies: The request headers that it depends on.
        public: Whether the route is for caches that serve many.
        closed: Whether it must not be kept by them, whatever anyone says.
        stale: Seconds that it may be served stale (RFC 5861).
    """
    own = joined(headers, "cache-control")
    if not own:
        headers["cache-control"] = cache_control(found, public=public and not closed, stale=stale)
    elif closed or not (public or parse(own).keys() & {"public", "s-maxage"}):
        headers["cache-control"] = made_private(own)
    if closed or not public:
        _remove_targeted(headers)
    if not found.loaded or found.age >= 1:
        headers["age"] = str(floor(found.age))
    for name in varies:
        if name not in _named(headers):
            headers.add_vary_header(_title(name))
    etag = found.stored.header("etag")
    if etag is not None:
        headers["etag"] = etag


def keep_private(headers: MutableHeaders) -> None:
    """Change what a response says itself so that no cache may keep it that serves many."""
    own = joined(headers, "cache-control")
    if own and "no-store" not in parse(own):
        headers["cache-control"] = made_private(own)
    _remove_targeted(headers)


def _remove_targeted(headers: MutableHeaders) -> None:
    for name in filter(_TARGETED.fullmatch, headers.keys()):
        del headers[name]


def cache_control(found: SharedResponse, *, public: bool, stale: float) -> str:
    """Return the Cache-Control of a response: never more than the entry has.

    `max-age` is the whole lifetime: a client subtracts `Age` from it (RFC 9111, 4.2). What never expires here is asked
    for each time, and answered with 304: no invalidation reaches a browser.
    """
    reach = "public" if public else "private"
    if found.left == FOREVER:
        return f"{reach}, no-cache"
    parts = [reach, f"max-age={max(0, floor(found.age + found.left + _TICK))}"]
    if found.left and 1 <= stale < FOREVER:
        parts += [f"stale-while-revalidate={floor(stale)}", f"stale-if-error={floor(stale)}"]
    return ", ".join(parts)


def _named(headers: Headers) -> set[str]:
    return {name.strip().lower() for name in joined(headers, "vary").split(",")}


def _title(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))


def conditional_response(response: Response, request_headers: Headers, method: str, own: RawHeaders = ()) -> Response:
    """Return the response, or a 304 with the request's `own` headers if the client has it (RFC 9110, 13.2.2)."""
    tags = ", ".join(request_headers.getlist("if-none-match"))
    etag = response.headers.get("etag")
    if not tags or etag is None or method not in ("GET", "HEAD") or response.status_code != 200:
        return response
    if none_match(tags, etag):
        return response
    shortened = not_modified(response.headers)
    shortened.raw_headers.extend([pair for pair in own if pair[0].decode("latin-1") not in shortened.headers])
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


def with_headers(error: Any, headers: MutableHeaders) -> Any:
    """Return the error with these headers; a copy, because an application may raise one object again and again."""
    try:
        twin = copy.copy(error)
    except Exception:  # noqa: BLE001  a class of the application's, whose constructor takes something else
        return error
    twin.headers = dict(headers)
    twin.__cause__, twin.__suppress_context__ = error.__cause__, error.__suppress_context__
    return twin.with_traceback(error.__traceback__)


def lowered(headers: RawHeaders) -> RawHeaders:
    """Return headers as ASGI wants them: what is added to a list of them by hand may be written in capitals."""
    return tuple((name.lower(), value) for name, value in headers)


def own_copy(response: Response) -> Response:
    """Return the response with headers of its own, because an endpoint may return one object again and again."""
    twin = copy.copy(response)
    vars(twin).pop("_headers", None)  # what Starlette made of the other's
    twin.raw_headers = list(lowered(response.raw_headers))
    return twin


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


def add_status_headers(
    headers: MutableHeaders, decision: Decision, name: str | None, *, details: bool, timing: bool
) -> None:
    """Add Cache-Status and Server-Timing. What caches before us wrote stays in front (RFC 9211, 2).

    Args:
        headers: The response's.
        decision: What the cache did.
        name: Our name in Cache-Status; `None` for no such header.
        details: Whether to say more than hit or why not: that tells a stranger when others have asked.
        timing: Whether to send Server-Timing.
    """
    if name is not None:
        before = joined(headers, "cache-status")
        ours = cache_status(name, decision, details=details)
        headers["cache-status"] = f"{before}, {ours}" if before else ours
    if timing:
        headers.append("server-timing", server_timing(decision))


def cache_status(name: str, decision: Decision, *, details: bool = True) -> str:
    """Return the Cache-Status of RFC 9211, one member of a structured list; the cache's name is printable ASCII."""
    parts = [_word(name)]
    if decision.fwd is not None:
        parts.append(f"fwd={decision.fwd}")
    elif decision.result in ("hit", "stale"):
        parts.append("hit")
    if not details:
        return "; ".join(parts)
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
