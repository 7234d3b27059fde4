"""A URL, a file or standard input, line by line; never as a whole, and not for ever."""

from __future__ import annotations

import base64
import codecs
import http.client
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from otcache.config.url import mask_url

LONGEST: Final = 64 * 2**20
"""Characters of one line."""
_BLOCK: Final = 65_536
_ACCEPT: Final = "application/openmetrics-text; version=1.0.0, text/plain; version=0.0.4; q=0.5, */*; q=0.1"


class SourceError(Exception):
    """It can't be read, or is not what it should be; the message says which and where."""


def is_url(where: str) -> bool:
    """Whether `where` is asked by HTTP."""
    return where.lower().startswith(("http://", "https://"))


@contextmanager
def opened(where: str, timeout: float) -> Iterator[Iterator[str]]:
    """The lines of `where`, each with its line feed if it has one.

    Args:
        where: A URL of http or https, a path, or `-` for standard input.
        timeout: Seconds that a URL may take, from the connection to the last byte.

    Raises:
        SourceError: It can't be opened. The lines raise it too.
    """
    try:
        if is_url(where):
            ends = time.monotonic() + timeout
            with _asked(where, timeout) as answer:
                yield _lines(_Whole(answer, ends))
        elif where == "-":
            yield _lines(sys.stdin.buffer)
        else:
            with open(where, "rb") as file:
                yield _lines(file)
    except (OSError, http.client.HTTPException, ValueError) as exc:
        raise SourceError(f"{mask_url(where)} can't be read: {_reason(exc)}") from exc


def _asked(url: str, timeout: float) -> Any:
    """The open answer to a GET; a user in the URL becomes basic authentication."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    headers = {"Accept": _ACCEPT, "User-Agent": "otcache"}
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=host)), headers=headers)  # noqa: S310
    return urllib.request.urlopen(request, timeout=timeout)  # noqa: S310  http or https: see `is_url`


def _reason(exc: Exception) -> str:
    if isinstance(exc, urllib.error.HTTPError):
        return f"the answer is {exc.code} {exc.reason}"
    if isinstance(exc, urllib.error.URLError):
        return _reason(exc.reason) if isinstance(exc.reason, Exception) else str(exc.reason)
    if isinstance(exc, UnicodeError):
        return "it is not UTF-8 text"
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    return str(exc) or type(exc).__name__


class _Whole:
    """An answer that says when it was cut off or takes too long, which `http.client` does not always do."""

    def __init__(self, answer: Any, ends: float) -> None:
        self._answer = answer
        self._ends = ends
        length = answer.headers.get("Content-Length")
        self._left = int(length) if length and answer.headers.get("Transfer-Encoding") is None else None

    def read1(self, size: int) -> bytes:
        """Some bytes, at most `size`; none at the end."""
        if time.monotonic() > self._ends:
            raise TimeoutError("it takes too long")
        block: bytes = self._answer.read1(size)
        if self._left is not None:
            self._left -= len(block)
            if not block and self._left > 0:
                raise http.client.HTTPException(f"it is cut off, {self._left} bytes are missing")
        return block


def _lines(stream: Any) -> Iterator[str]:
    decoder, parts, size = codecs.getincrementaldecoder("utf-8-sig")(), [""], 0
    while block := stream.read1(_BLOCK):
        *ended, rest = decoder.decode(block).split("\n")
        for end in ended:
            yield "".join([*parts, end, "\n"])
            parts, size = [], 0
        parts.append(rest)
        size += len(rest)
        if size > LONGEST:
            raise ValueError(f"a line is longer than {LONGEST} characters")
    last = "".join([*parts, decoder.decode(b"", final=True)])
    if last:
        yield last
