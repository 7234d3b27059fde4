"""What the cache did about one request, and the two headers that show it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from otcache.telemetry.record import ResponseResult

Forward = Literal["bypass", "uri-miss", "miss", "stale", "request"]

_TOKEN: Final = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*")
_LARGEST: Final = 999_999_999_999_999


@dataclass(slots=True)
class Decision:
    """What the cache did about one request; its metric and its headers are made from this.

    Attributes:
        result: The result, as in the metrics.
        tier: Where the response came from.
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


def cache_status(name: str, decision: Decision) -> str:
    """Return the Cache-Status of RFC 9211: one member of a structured list.

    Args:
        name: The name of the cache, printable ASCII.
        decision: What the cache did.
    """
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
    if _TOKEN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def server_timing(decision: Decision) -> str:
    """Return the W3C's Server-Timing: the time of the cache and the time of the endpoint."""
    desc = decision.result if decision.tier in ("none", "loader") else f"{decision.result} {decision.tier}"
    shown = f'cache;desc="{desc}";dur={decision.lookup_ns / 1e6:.3f}'
    return shown if decision.load_ns is None else f"{shown}, load;dur={decision.load_ns / 1e6:.3f}"
