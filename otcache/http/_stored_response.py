"""What the cache stores of a response, and how that becomes a response again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from typing import Any, Final

from fastapi import HTTPException
from starlette.responses import Response

FORMAT: Final = 2
"""The format of stored responses; one of another format is a miss."""

_OWN: Final = frozenset(
    {
        "age", "cache-status", "connection", "content-length", "date", "keep-alive", "proxy-connection",
        "server-timing", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Headers of one connection or one exchange, which are never stored (RFC 9111, 3.1)."""
_REPRESENTATION: Final = ("content-type", "content-encoding", "content-language")
_IN_304: Final = ("age", "cache-control", "content-location", "etag", "expires", "vary")
"""RFC 9110, 15.4.5, and the age that goes with them; the server adds Date."""

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A whole response, or an `HTTPException`.

    Attributes:
        headers: The stored headers, in order, names in lower case.
        body: The body; `None` for an `HTTPException`, whose handler writes the body.
        detail: The detail of an `HTTPException`.
        plain: Whether the endpoint returned a value, to whose response FastAPI adds the headers of dependencies.
        made: When the endpoint made it, seconds since the epoch.
        ttl: Seconds that it is fresh; 0 for ever.
    """

    status: int
    headers: Headers
    body: bytes | None
    detail: Any
    plain: bool
    made: float
    ttl: int

    def header(self, name: str) -> str | None:
        """Return the value of a header, several joined; `None` if there is none."""
        found = [value for key, value in self.headers if key == name]
        return ", ".join(found) if found else None

    def without(self, names: Iterable[str]) -> StoredResponse:
        """Return the response without these headers."""
        left_out = frozenset(names)
        return replace(self, headers=tuple(each for each in self.headers if each[0] not in left_out))

    def to_value(self) -> dict[str, Any]:
        """Return the cache's value: JSON types, except for a body that is no text."""
        value = {"format": FORMAT} | {field.name: getattr(self, field.name) for field in fields(self)}
        value["headers"] = [list(pair) for pair in self.headers]
        value["body"] = None if self.body is None else _text(self.body)
        value["detail"] = json.dumps(self.detail)  # as text: handlers change details, and L1 shares what it holds
        return value

    def to_response(self, *, head: bool = False) -> Response:
        """Return the response; for `head` without its body."""
        body = self.body or b""
        response = Response(b"" if head else body, self.status)
        if body or not head:
            response.headers["content-length"] = str(len(body))
        if self.status < 200 or self.status in (204, 304):
            del response.headers["content-length"]
        response.raw_headers.extend((name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers)
        return response

    def to_error(self) -> HTTPException:
        """Return the exception."""
        return HTTPException(self.status, self.detail, dict(self.headers) or None)


def _text(body: bytes) -> str | bytes:
    """Return the body as text if it is UTF-8: JSON stores text in fewer bytes than base64."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def read_stored(value: Any) -> StoredResponse | None:
    """Return the stored response in a cache's value; `None` for anything else, such as another version's."""
    if not isinstance(value, Mapping) or value.get("format") != FORMAT:
        return None
    try:
        body = value["body"]
        return StoredResponse(
            int(value["status"]),
            tuple((str(name), str(text)) for name, text in value["headers"]),
            body.encode() if isinstance(body, str) else body,
            json.loads(value["detail"]),
            bool(value["plain"]),
            float(value["made"]),
            int(value["ttl"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def stored_response(response: Response, *, plain: bool, made: float, ttl: int) -> StoredResponse:
    """Return what to store of a response; it gets an entity tag if it has none."""
    pairs = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in response.raw_headers)
    headers = tuple(pair for pair in pairs if pair[0] not in _OWN)
    stored = StoredResponse(response.status_code, headers, bytes(response.body), None, plain, made, ttl)
    if stored.header("etag") is None:
        metadata = [stored.header(name) or "" for name in _REPRESENTATION]
        tag = etag_of(bytes(response.body), str(stored.status), *metadata)
        stored = replace(stored, headers=(*headers, ("etag", tag)))
    return stored


def etag_of(body: bytes, *metadata: str) -> str:
    """Return a strong entity tag: the same in every process for equal bytes with equal metadata, and for no others.

    The metadata is the rest of the representation: its type, its encoding, its language.
    """
    digest = blake2b(digest_size=16)
    for part in (*(text.encode("utf-8", "surrogateescape") for text in metadata), body):
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return f'"{digest.hexdigest()}"'


def stored_error(error: Any, *, made: float, ttl: int) -> StoredResponse:
    """Return what to store of an `HTTPException`."""
    headers = tuple((str(name).lower(), str(value)) for name, value in (error.headers or {}).items())
    stored = tuple(pair for pair in headers if pair[0] not in _OWN)
    return StoredResponse(error.status_code, stored, None, error.detail, False, made, ttl)


def not_modified(headers: Mapping[str, str]) -> Response:
    """Return the 304 for a response with these headers."""
    return Response(status_code=304, headers={name: headers[name] for name in _IN_304 if name in headers})
