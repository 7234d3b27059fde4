"""A URL, a file or standard input, line by line; never as a whole, and not for ever."""

from __future__ import annotations

import base64
import codecs
import gzip
import http.client
import io
import sys
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import chain
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit, urlunsplit

LONGEST: Final = 64 * 2**20
"""Characters of one line."""
_BLOCK: Final = 65_536
_AHEAD: Final = 4
"""Blocks of a URL that wait to be read."""
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_ACCEPT: Final = "application/openmetrics-text; version=1.0.0, text/plain; version=0.0.4; q=0.5, */*; q=0.1"


class SourceError(Exception):
    """It can't be read, or is not what it should be; the message says what is wrong, not with which source."""


def is_url(where: str) -> bool:
    """Whether `where` is fetched by HTTP."""
    return where.lower().startswith(("http://", "https://"))


def lines(where: str, timeout: float) -> Iterator[str]:
    """The lines of `where`, each with its line feed if it has one.

    Args:
        where: A URL of http or https, a path, or `-` for standard input; a file may be gzipped.
        timeout: Seconds that a URL may take, from looking its host up to the last byte.

    Raises:
        SourceError: It can't be opened, is cut off, is not UTF-8, or takes too long.
    """
    if not is_url(where):
        return file_lines(where)
    return _translated(_lines(_within(timeout, _asked(where, timeout))), timeout)


def file_lines(where: str) -> Iterator[str]:
    """The lines of a file, or of standard input (`-`); see `lines`."""
    return _translated(_lines(_of_file(where)), 0.0)


def filled(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, and their numbers."""
    return ((number, line) for number, line in enumerate(lines, 1) if not line.isspace())


def _translated(lines: Iterator[str], timeout: float) -> Iterator[str]:
    try:
        yield from lines
    except (OSError, http.client.HTTPException, ValueError, EOFError, zlib.error) as exc:
        raise SourceError(f"it can't be read: {_reason(exc, timeout)}") from exc


def _reason(exc: BaseException, timeout: float) -> str:
    """In words of our own where those of the exception are unclear, or another's: the server's, the URL's."""
    if isinstance(exc, urllib.error.URLError) and isinstance(exc.reason, Exception):
        return _reason(exc.reason, timeout)
    for kind, text in (
        (TimeoutError, f"it takes longer than {timeout:g} s"),
        (UnicodeError, "it is not UTF-8 text"),
        ((EOFError, http.client.IncompleteRead), "it is cut off"),
        (http.client.RemoteDisconnected, "the server closed the connection without an answer"),
        (http.client.HTTPException, "the answer is not HTTP"),
        ((gzip.BadGzipFile, zlib.error), "its compressed data are damaged"),
    ):
        if isinstance(exc, kind):
            return text
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc) or type(exc).__name__


def _lines(blocks: Iterator[bytes]) -> Iterator[str]:
    decoder, parts, size = codecs.getincrementaldecoder("utf-8-sig")(), [""], 0
    for block in blocks:
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


def _of_file(where: str) -> Iterator[bytes]:
    if where == "-":
        yield from _read(cast("io.BufferedReader", sys.stdin.buffer))
        return
    with open(where, "rb") as file:
        yield from _read(file)


def _read(file: io.BufferedReader) -> Iterator[bytes]:
    if file.peek(4)[:4] == _ZSTD:
        raise SourceError("it is compressed with zstd, which is not supported; gzip is")
    plain: Any = gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == _GZIP else file
    while block := plain.read1(_BLOCK):
        yield block


# --- URLs ---------------------------------------------------------------------------------------------

Blocks = Generator[bytes, None, None]


def _within(seconds: float, blocks: Blocks) -> Iterator[bytes]:
    """`blocks`, taken by a thread: a socket's timeout starts again with every byte, and a DNS lookup has none."""
    taken: Queue[bytes | Exception | None] = Queue(_AHEAD)
    over = Event()
    ends = time.monotonic() + seconds
    Thread(target=_take, args=(blocks, taken, over), name="otcache-source", daemon=True).start()
    try:
        while (block := _next(taken, ends)) is not None:
            if isinstance(block, Exception):
                raise block
            yield block
    finally:
        over.set()
        while not taken.empty():  # a thread that waits for room sees that it is over
            taken.get()


def _take(blocks: Blocks, taken: Queue[bytes | Exception | None], over: Event) -> None:
    try:
        with closing(blocks):  # in this thread: an error's traceback may keep the reader alive, and its connection
            for block in chain(blocks, [None]):
                taken.put(block)
                if over.is_set():
                    return
    except Exception as exc:  # noqa: BLE001  raised again in the thread that reads
        taken.put(exc)


def _next(taken: Queue[bytes | Exception | None], ends: float) -> bytes | Exception | None:
    left = ends - time.monotonic()
    if left <= 0:  # a queue hands out what it has without looking at the time
        raise TimeoutError
    try:
        return taken.get(timeout=left)
    except Empty:
        raise TimeoutError from None


def _asked(url: str, timeout: float) -> Blocks:
    """The answer to a GET; `http.client` itself does not always say that one was cut off."""
    with _opened(url, timeout) as answer:
        left: int | None = answer.length
        while left != 0 and (block := answer.read1(_BLOCK)):
            left = None if left is None else left - len(block)
            yield block
    if left:
        raise http.client.IncompleteRead(b"", left)


def _opened(url: str, timeout: float) -> Any:
    try:
        return urllib.request.build_opener(_Redirects).open(_request(url), timeout=timeout)
    except urllib.error.HTTPError as exc:
        exc.close()
        raise SourceError(f"the answer is {exc.code} {http.client.responses.get(exc.code, '')}".rstrip()) from None
    except (ValueError, http.client.InvalidURL):  # the message may show the password
        raise SourceError("it is not a URL that can be fetched") from None


def _request(url: str) -> urllib.request.Request:
    """A user in the URL becomes basic authentication."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    headers = {"Accept": _ACCEPT, "User-Agent": "otcache"}
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    return urllib.request.Request(urlunsplit(parts._replace(netloc=host)), headers=headers)  # noqa: S310  see `is_url`


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows, as a mounted /metrics needs; a password goes to no other server than the one it is for."""

    def redirect_request(self, req: urllib.request.Request, *answer: Any) -> urllib.request.Request | None:
        further = super().redirect_request(req, *answer)
        if further is not None and urlsplit(further.full_url)[:2] != urlsplit(req.full_url)[:2]:
            further.remove_header("Authorization")
        return further
