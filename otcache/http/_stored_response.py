"""What the cache stores of a response, and how that becomes a response again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from typing import Any, Final

import starlette.exceptions
from fastapi import HTTPException
from starlette.responses import Response

FORMAT: Final = 2
"""The format of stored responses; one of another format is a miss."""

_OWN: Final = frozenset(
    {
        "age", "authentication-info", "cache-status", "connection", "content-length", "date", "keep-alive",
        "proxy-authenticate", "proxy-authentication-info", "proxy-authorization", "proxy-connection",
        "server-timing", "set-cookie", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Headers of one connection or one exchange, which are never stored (RFC 9111, 3.1); nor are those that Connection
names."""
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
        plain: Whether the endpoint returned a value, to whose response FastAPI adds the headers of dependencies; of an
            `HTTPException`, whether it is Starlette's own.
        made: When the endpoint made it, seconds since the epoch.
        ttl: Seconds that it is fresh; `FOREVER` where it never expires.
        age: Seconds that it was old by its own word when it was made.
    """

    status: int
    headers: Headers
    body: bytes | None
    detail: Any
    plain: bool
    made: float
    ttl: float
    age: int = 0

    def header(self, name: str) -> str | None:
        """Return the value of a header, several joined; `None` if there is none."""
        found = [value for key, value in self.headers if key == name]
        return ", ".join(found) if found else None

    def without(self, names: Iterable[str]) -> StoredResponse:
        """Return the response without these headers."""
        left_out = frozenset(names)
        return replace(self, headers=tuple(each for each in self.headers if each[0] not in left_out))

    def to_value(self) -> str | bytes:
        """Return the cache's value: the rest as one line of JSON, then the body.

        Text and bytes can't be changed by those who share them. Text if the body is UTF-8, which stores write in fewer
        bytes.
        """
        rest = asdict(self) | {"format": FORMAT, "body": self.body is not None}
        head, body = json.dumps(rest, separators=(",", ":")), self.body or b""
        try:
            return f"{head}\n{body.decode()}"
        except UnicodeDecodeError:
            return b"%s\n%s" % (head.encode(), body)

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

    def to_error(self) -> starlette.exceptions.HTTPException:
        """Return the exception."""
        kind = starlette.exceptions.HTTPException if self.plain else HTTPException
        return kind(self.status, self.detail, dict(self.headers) or None)


def read_stored(value: Any) -> StoredResponse | None:
    """Return the stored response in a cache's value; `None` for anything else, such as another version's."""
    if not isinstance(value, str | bytes):
        return None
    head, _, body = (value.encode() if isinstance(value, str) else value).partition(b"\n")
    try:
        rest = json.loads(head)
        if rest.pop("format") != FORMAT:
            return None
        rest["body"] = body if rest["body"] else None
        rest["headers"] = tuple((str(name), str(text)) for name, text in rest["headers"])
        return StoredResponse(**rest)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def stored_response(
    response: Response, raw: Iterable[tuple[bytes, bytes]], *, plain: bool, made: float, ttl: float, age: int = 0
) -> StoredResponse:
    """Return what to store of a response, with those `raw` headers of it; it gets an entity tag if it has none."""
    headers = _storable((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw)
    stored = StoredResponse(int(response.status_code), headers, bytes(response.body), None, plain, made, ttl, age)
    if stored.header("etag") is None:
        metadata = [stored.header(name) or "" for name in _REPRESENTATION]
        tag = etag_of(bytes(response.body), str(stored.status), *metadata)
        stored = replace(stored, headers=(*headers, ("etag", tag)))
    return stored


def _storable(pairs: Iterable[tuple[str, str]]) -> Headers:
    every = tuple(pairs)
    named = {name.strip().lower() for key, value in every if key == "connection" for name in value.split(",")}
    return tuple(pair for pair in every if pair[0] not in _OWN and pair[0] not in named)


def etag_of(body: bytes, *metadata: str) -> str:
    """Return a strong entity tag: the same in every process for equal bytes with equal metadata, and for no others.

    The metadata is the rest of the representation: its type, its encoding, its language.
    """
    digest = blake2b(digest_size=16)
    for part in (*(text.encode("utf-8", "surrogateescape") for text in metadata), body):
        digest.update(len(part).to_bytes(8))
        digest.update(part)
    return f'"{digest.hexdigest()}"'


def stored_error(error: Any, *, made: float, ttl: float, age: int = 0) -> StoredResponse:
    """Return what to store of an `HTTPException`."""
    headers = _storable((str(name).lower(), str(value)) for name, value in (error.headers or {}).items())
    plain = type(error) is starlette.exceptions.HTTPException
    return StoredResponse(error.status_code, headers, None, error.detail, plain, made, ttl, age)


def not_modified(headers: Mapping[str, str]) -> Response:
    """Return the 304 for a response with these headers."""
    return Response(status_code=304, headers={name: headers[name] for name in _IN_304 if name in headers})
