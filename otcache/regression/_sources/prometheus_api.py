"""Questions to Prometheus' HTTP API, and every way in which they are not answered."""

from __future__ import annotations

import base64
import http.client
import json
import math
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

from otcache._exports.read import SourceError
from otcache.exceptions import ConfigurationError

LARGEST: Final = 32 * 2**20
"""Bytes of one answer."""
_BLOCK: Final = 65_536
_LONGEST_MESSAGE: Final = 300
_TOO_MUCH: Final = ("too many samples", "max number of", "exceeded maximum", "exceeds limit", "exceeded limit")


class TooMuchError(SourceError):
    """The answer would be too large: a shorter range may do."""


@dataclass(frozen=True, slots=True)
class Access:
    """Credentials and limits of a request.

    Attributes:
        user: For basic authentication; a user in the URL does too.
        password: The same.
        token: For `Authorization: Bearer`.
        tenant: `X-Scope-OrgID`, of Mimir, Cortex and Thanos.
        ca_file: Certificates to trust instead of the system's, PEM.
        timeout: Seconds that one answer may take.
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    tenant: str | None = None
    ca_file: str | None = None
    timeout: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.timeout <= 3600:
            raise ConfigurationError(f"timeout={self.timeout} is outside 0..3600 s, 0 excluded")
        if self.token is not None and self.user is not None:
            raise ConfigurationError("a token and a user together: Prometheus takes one of them")
        for name in ("token", "tenant"):
            value = getattr(self, name)
            if value is not None and not (value.isascii() and value.isprintable()):
                raise ConfigurationError(f"{name} holds characters that a header can't")


@dataclass(frozen=True, slots=True)
class Answer:
    """The field `data` of an answer, and its warnings and infos."""

    data: Mapping[str, Any]
    notes: tuple[str, ...] = ()


class Api:
    """One Prometheus.

    Args:
        url: Its base, such as `http://localhost:9090`, or `https://user:password@example.org/prometheus`.
        access: Credentials and limits of a request.

    Raises:
        ConfigurationError: The URL is none, or the CA file can't be read.
    """

    def __init__(self, url: str, access: Access | None = None) -> None:
        self._access = access or Access()
        self._base, user, password = _split(url)
        if user is not None and (self._access.token is not None or self._access.user is not None):
            raise ConfigurationError("a user in the URL and another user or token: Prometheus takes one of them")
        self._headers = _headers(self._access, user, password)
        sent = self._headers.get("Authorization", "").rpartition(" ")[2]
        self._secrets = tuple(filter(None, (sent, password, self._access.password)))
        context = _context(self._access.ca_file) if self._base.startswith("https:") else None
        handlers = [_NoRedirects(), *([urllib.request.HTTPSHandler(context=context)] if context else [])]
        self._opener = urllib.request.build_opener(*handlers)

    def __str__(self) -> str:
        return f"Prometheus at {self._base}"

    def ask(self, path: str, parameters: Mapping[str, str]) -> Answer:
        """The answer to `/api/v1/{path}`.

        Raises:
            SourceError: It is away, slow, refuses, or its answer is none. `TooMuchError`: it is too large.
        """
        url = f"{self._base}/api/v1/{path}?{urlencode(parameters)}"
        request = urllib.request.Request(url, headers=self._headers)  # noqa: S310  http or https: see `_split`
        try:
            status, body = self._get(request)
        except TimeoutError as exc:
            raise self._error(f"does not answer within {self._access.timeout:g} s") from exc
        except (OSError, http.client.HTTPException) as exc:
            raise self._error(f"can't be reached: {self._reason(exc)}") from exc
        return self._read(status, body)

    def _get(self, request: urllib.request.Request) -> tuple[int, bytes]:
        ends = time.monotonic() + self._access.timeout
        try:
            answer = self._opener.open(request, timeout=self._access.timeout)
        except urllib.error.HTTPError as exc:
            answer = exc  # an answer too, with words of its own
        except urllib.error.URLError as exc:
            raise exc.reason if isinstance(exc.reason, OSError) else OSError(str(exc.reason)) from exc
        with answer:
            return answer.status, self._body(answer, ends)

    def _body(self, answer: Any, ends: float) -> bytes:
        """Not by `read()`: a server that sends a byte a second never runs into the socket's timeout."""
        parts, size, expected = [], 0, answer.length
        while block := answer.read1(_BLOCK):
            parts.append(block)
            size += len(block)
            if time.monotonic() > ends:
                raise TimeoutError
            if size > LARGEST:
                raise TooMuchError(f"{self} answers with more than {LARGEST} bytes: ask for fewer series")
        if expected is not None and size < expected:
            raise http.client.IncompleteRead(b"", expected - size)
        return b"".join(parts)

    def _read(self, status: int, body: bytes) -> Answer:
        if 300 <= status < 400:
            raise self._error(f"answers {status}, a redirect: is this its address, or must one log in?")
        answer = _object(body)
        if answer is None:
            raise self._error(f"answers {status} with {_what(body)}: is this the address of a Prometheus?")
        if status == 200 and answer.get("status") == "success":
            if not isinstance(answer.get("data"), dict):
                raise self._error("answers success without data")
            return Answer(answer["data"], tuple(self._notes(answer)))
        message = self._clean(answer.get("error") or "without a reason")
        kind = TooMuchError if any(words in message.lower() for words in _TOO_MUCH) else SourceError
        raise kind(f"{self} answers {status}, {self._clean(answer.get('errorType') or 'error')}: {message}")

    def _notes(self, answer: Mapping[str, Any]) -> list[str]:
        said = [*(answer.get("warnings") or ()), *(answer.get("infos") or ())]
        return [f"{self} says: {self._clean(each)}" for each in said]

    def _reason(self, exc: Exception) -> str:
        if isinstance(exc, http.client.IncompleteRead):
            return "its answer is cut off"
        if isinstance(exc, http.client.RemoteDisconnected):
            return "it closes the connection without an answer"
        if isinstance(exc, http.client.HTTPException):
            return "what it answers is not HTTP"
        return self._clean((exc.strerror if isinstance(exc, OSError) else None) or exc)

    def _error(self, text: str) -> SourceError:
        return SourceError(f"{self} {text}")

    def _clean(self, text: object) -> str:
        """Another's words: short, on one line, and without our secrets."""
        words = " ".join(str(text).split())
        for secret in self._secrets:
            words = words.replace(secret, "***")
        return words if len(words) <= _LONGEST_MESSAGE else f"{words[:_LONGEST_MESSAGE]}..."


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The API never redirects; a password must not follow to another server."""

    def redirect_request(self, *_: Any) -> None:
        """Take the redirect for the answer."""


def _split(url: str) -> tuple[str, str | None, str | None]:
    """The URL without user and password, and those."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ConfigurationError("the URL of Prometheus is none: its host or port is wrong") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError("the URL of Prometheus is not http(s)://[user:password@]host[:port][/path]")
    base = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
    if any(character <= " " for character in base):
        raise ConfigurationError("the URL of Prometheus holds a space or a control character")
    user = None if parts.username is None else unquote(parts.username)
    return base, user, None if user is None else unquote(parts.password or "")


def _headers(access: Access, user: str | None, password: str | None) -> dict[str, str]:
    headers = {"Accept": "application/json", "User-Agent": "otcache"}
    if access.user is not None:
        user, password = access.user, access.password or ""
    if user is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
    if access.token is not None:
        headers["Authorization"] = f"Bearer {access.token}"
    if access.tenant is not None:
        headers["X-Scope-OrgID"] = access.tenant
    return headers


def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigurationError(f"ca_file={ca_file} can't be read: {exc.strerror or 'it holds no PEM'}") from exc


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _what(body: bytes) -> str:
    start = body.lstrip()[:1]
    if not start:
        return "nothing"
    return "HTML" if start == b"<" else "JSON that is cut off or no answer" if start in b"{[" else "what is not JSON"


def seconds(at: float) -> str:
    """A time as the API takes it, to the millisecond."""
    return f"{math.floor(at * 1000) / 1000:.3f}"
