"""What is kept of a response, and how it becomes a cache's value and a response again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from fastapi import HTTPException
from starlette.responses import Response

from otcache.http._conditional import etag_of

FORMAT: Final = 1
"""Of the records; those of another one are loaded anew."""

_OWN: Final = frozenset(
    {
        "age", "cache-status", "connection", "content-length", "date", "keep-alive", "proxy-connection",
        "server-timing", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Headers of one connection or one answer, not of what is kept (RFC 9111, 3.1)."""
_REPRESENTATION: Final = ("content-type", "content-encoding", "content-language")
_IN_304: Final = ("age", "cache-control", "content-location", "etag", "expires", "vary")
"""RFC 9110, 15.4.5, and the age that goes with them; the server adds Date."""

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Record:
    """A whole answer.

    Attributes:
        status: Its status code.
        headers: The ones that are kept, in order, names in small letters.
        body: Its bytes; `None` for an `HTTPException`, whose handler makes them.
        detail: Of an `HTTPException`.
        plain: Whether the endpoint returned a value, to whose response FastAPI adds the headers of dependencies.
        made: When it was made, seconds since the epoch.
        ttl: Seconds that it may be kept; 0 for ever.
    """

    status: int
    headers: Headers
    body: bytes | None
    detail: Any
    plain: bool
    made: float
    ttl: int

    def header(self, name: str) -> str | None:
        """The value of a header; several are joined."""
        found = [value for key, value in self.headers if key == name]
        return ", ".join(found) if found else None

    def without(self, names: Iterable[str]) -> Record:
        """The same without these headers."""
        left_out = frozenset(names)
        return replace(self, headers=tuple(each for each in self.headers if each[0] not in left_out))

    def to_value(self) -> dict[str, Any]:
        """As the cache keeps it: of JSON's types, but for a body that is no text."""
        return {
            "format": FORMAT,
            "status": self.status,
            "headers": [list(pair) for pair in self.headers],
            "body": None if self.body is None else _text(self.body),
            "detail": self.detail,
            "plain": self.plain,
            "made": self.made,
            "ttl": self.ttl,
        }

    def to_response(self, *, head: bool = False) -> Response:
        """The answer again; for `head` without its body."""
        body = self.body or b""
        response = Response(b"" if head else body, self.status)
        if body or not head:
            response.headers["content-length"] = str(len(body))
        if self.status < 200 or self.status in (204, 304):
            del response.headers["content-length"]
        response.raw_headers.extend((name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers)
        return response

    def to_error(self) -> HTTPException:
        """The exception again."""
        return HTTPException(self.status, self.detail, dict(self.headers) or None)


def _text(body: bytes) -> str | bytes:
    """Most bodies are text: half the bytes of a base64 that JSON would need."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def record_of(value: Any) -> Record | None:
    """The record in a cache's value; `None` for anything else: another version's, or not ours."""
    if not isinstance(value, Mapping) or value.get("format") != FORMAT:
        return None
    try:
        body = value["body"]
        return Record(
            int(value["status"]),
            tuple((str(name), str(text)) for name, text in value["headers"]),
            body.encode() if isinstance(body, str) else body,
            value["detail"],
            bool(value["plain"]),
            float(value["made"]),
            int(value["ttl"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def of_response(response: Response, *, plain: bool, made: float, ttl: int) -> Record:
    """What is kept of a response, with an entity tag of its own if it has none."""
    pairs = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.raw_headers)
    headers = tuple(pair for pair in pairs if pair[0] not in _OWN)
    record = Record(response.status_code, headers, bytes(response.body), None, plain, made, ttl)
    if record.header("etag") is None:
        metadata = [record.header(name) or "" for name in _REPRESENTATION]
        tag = etag_of(bytes(response.body), str(record.status), *metadata)
        record = replace(record, headers=(*headers, ("etag", tag)))
    return record


def of_error(error: Any, *, made: float, ttl: int) -> Record:
    """What is kept of an `HTTPException`."""
    headers = tuple((str(name).lower(), str(value)) for name, value in (error.headers or {}).items())
    kept = tuple(pair for pair in headers if pair[0] not in _OWN)
    return Record(error.status_code, kept, None, error.detail, False, made, ttl)


def not_modified(headers: Mapping[str, str]) -> Response:
    """The 304 of an answer that would have these headers."""
    return Response(status_code=304, headers={name: headers[name] for name in _IN_304 if name in headers})
