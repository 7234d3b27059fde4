"""What an endpoint's developer has declared, checked once, and which of its responses may be stored."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any, Final, NamedTuple

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response, StreamingResponse

from otcache._serialization.keys import MAX_TAGS, check_key
from otcache.exceptions import ConfigurationError, ValidationError
from otcache.http._freshness import joined, own_age, own_lifetime
from otcache.ttl import LONGEST_TTL, TTL, ttl_seconds

METHODS: Final = frozenset({"GET", "POST"})
"""Methods whose responses may be stored, HEAD by way of GET; all other methods change something."""
_ONE_CLIENTS: Final = ("set-cookie", "set-cookie2", "clear-site-data")
"""Headers that change what one client holds: a response with one of them is for that client alone."""
_FIELD_END: Final = re.compile(r"[.\[]")


class Verdict(NamedTuple):
    """Seconds that a response may be stored, `None` and why not; and how old it is by its own word, in seconds."""

    ttl: float | None
    why_not: str = ""
    age: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """The arguments of `cached_endpoint`, as its docstring describes them."""

    ttl: float | None
    tags: tuple[str, ...]
    vary: tuple[str, ...]
    query: frozenset[str] | None
    cookies: tuple[str, ...] | None
    methods: frozenset[str]
    private_by: str | Callable[..., Any] | None
    shared: bool
    public: bool
    statuses: Mapping[int, float | None]
    stale_ttl: float | None
    timeout: float | None
    body_limit: int
    size_limit: int
    without_headers: frozenset[str]
    respect_request: bool
    cache_status: str | None
    server_timing: bool | None
    details: bool | None

    @property
    def says_what_decides(self) -> bool:
        """Whether the developer has said by which of a request's facts answers differ."""
        return self.shared or self.private_by is not None or bool(self.vary or self.cookies)

    def check(self, parameters: Iterable[str]) -> None:
        """Check the values, for an endpoint with these parameters.

        Raises:
            ConfigurationError: A value is outside its range, or a name is no parameter.
        """
        for status in self.statuses:
            if not 200 <= status <= 599 or status in (206, 304):
                raise ConfigurationError(
                    f"statuses has {status}: only whole responses are stored, 200..599 without 206 and 304"
                )
        if not self.methods or self.methods - METHODS:
            raise ConfigurationError(f"methods={sorted(self.methods)} is not of {', '.join(sorted(METHODS))}")
        if self.shared and self.private_by is not None:
            raise ConfigurationError(
                "shared=True and private_by= conflict: keep shared=True only if every user gets the same response"
            )
        if self.public and self.private_by is not None:
            raise ConfigurationError(
                "public=True and private_by= conflict: caches outside may keep no user's own response; leave out public"
            )
        if len(self.tags) > MAX_TAGS:
            raise ConfigurationError(f"tags has {len(self.tags)} templates, above {MAX_TAGS}")
        if "*" in self.vary:
            raise ConfigurationError("vary has '*', and would fit no second request: name the headers")
        if self.cache_status is not None and not (self.cache_status.isascii() and self.cache_status.isprintable()):
            raise ConfigurationError("cache_status must be a name of printable ASCII, or None")
        self._check_names(frozenset(parameters))

    def _check_names(self, parameters: frozenset[str]) -> None:
        named = [(f"the tag {tag!r}", name) for tag in self.tags for name in _names_in(tag)]
        if isinstance(self.private_by, str):
            named.append((f"private_by={self.private_by!r}", self.private_by.partition(".")[0]))
        for what, name in named:
            if name not in parameters:
                raise ConfigurationError(f"{what} names {name!r}, which is no parameter of the endpoint")

    def declared_ttl(self, status: int, default: float) -> float:
        """Return how many seconds a response of this status is kept, unless it says so itself; 0 for not at all."""
        declared = self.statuses.get(status, 0)
        given = self.ttl if declared is None else declared
        return default if given is None else given

    def keeps(self, default: float) -> bool:
        """Whether any response may be kept."""
        return any(self.declared_ttl(status, default) for status in self.statuses)

    def verdict(self, response: Any, default: float, known: Iterable[str]) -> Verdict:
        """Return for how long a response or an `HTTPException` may be stored.

        Args:
            response: The response.
            default: The cache's own time to live.
            known: The request headers that the key contains.
        """
        if not _is_whole(response):
            return Verdict(None, "streamed")
        if response.status_code not in self.statuses:
            return Verdict(None, "status")
        headers, now = headers_of(response), time.time()
        declared = self.declared_ttl(response.status_code, default)
        why = self._refusal(headers, known) if declared else "ttl"
        if not why and len(getattr(response, "body", b"")) > self.size_limit:
            why = "size"
        own = own_lifetime(headers, private=self.private_by is not None, now=now)
        if why or (own is not None and own <= 0):
            return Verdict(None, why or "cache-control")
        return Verdict(declared if own is None else min(own, LONGEST_TTL), age=own_age(headers, now))

    def _refusal(self, headers: Headers, known: Iterable[str]) -> str:
        """Return which header makes it a response for this request alone; "" if none does."""
        if any(name in headers for name in _ONE_CLIENTS):
            return "set-cookie"
        if "content-range" in headers:  # a part (RFC 9111, 3.3)
            return "range"
        varies = {name.strip().lower() for name in joined(headers, "vary").split(",")} - {""}
        return "" if varies <= {*self.vary, *known} else "vary"

    def tags_of(self, arguments: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """Return the tags of one response, and the templates that give none for these arguments."""
        tags, without = [], []
        for template in self.tags:
            try:
                tags.append(check_key(_FORMATTER.vformat(template, (), arguments), "tag"))
            except Exception:  # noqa: BLE001  attributes of the application's objects may raise anything
                without.append(template)
        return tags, without


def declared(name: str, ttl: TTL | None) -> float | None:
    """Return a time to live of the decorator's in seconds.

    Raises:
        ConfigurationError: It is no time to live.
    """
    try:
        return None if ttl is None else ttl_seconds(ttl, name)
    except ValidationError as exc:
        raise ConfigurationError(exc.message) from None


class _TagFormatter(Formatter):
    """Refuses `None`: "user:None" is nobody's tag."""

    def convert_field(self, value: Any, conversion: Any) -> Any:
        if value is None:
            raise ValueError("None")
        return super().convert_field(value, conversion)


_FORMATTER: Final = _TagFormatter()


def _names_in(tag: str) -> set[str]:
    """Return the parameters that a tag's template names."""
    return {_FIELD_END.split(field)[0] for _, field, _, _ in Formatter().parse(tag) if field is not None}


def can_be_stored(error: Any) -> bool:
    """Whether an `HTTPException` comes back equal: nothing was added to it, and its detail is what JSON gives back."""
    if vars(error).keys() - {"status_code", "detail", "headers"}:
        return False
    try:
        return repr(json.loads(json.dumps(error.detail, allow_nan=False))) == repr(error.detail)
    except (TypeError, ValueError, RecursionError):
        return False


def headers_of(response: Any) -> Headers:
    """Return the headers of a response or an `HTTPException`."""
    if isinstance(response, Response):
        return response.headers
    return Headers({str(name): str(value) for name, value in (response.headers or {}).items()})


def _is_whole(response: Any) -> bool:
    """Whether the whole body is in memory, as an `HTTPException`'s always is, and to send it is all there is to do."""
    if not isinstance(response, Response):
        return True
    sends = next(kind for kind in type(response).__mro__ if "__call__" in vars(kind))
    is_known = sends.__module__.partition(".")[0] in ("starlette", "fastapi")
    return is_known and hasattr(response, "body") and not isinstance(response, StreamingResponse | FileResponse)
