"""What an endpoint's developer has declared, checked once, and which of its responses may be stored."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any, Final
from uuid import UUID

from starlette.responses import FileResponse, Response, StreamingResponse

from otcache.exceptions import ConfigurationError
from otcache.http._cache_control import parse, seconds

METHODS: Final = frozenset({"GET", "POST"})
"""Methods whose responses may be stored, HEAD by way of GET; all other methods change something."""
_LONGEST_TTL: Final = 31_536_000
_FIELD_END: Final = re.compile(r"[.\[]")


@dataclass(frozen=True, slots=True)
class Policy:
    """The arguments of `cached_endpoint`, as its docstring describes them."""

    ttl: int | None
    tags: tuple[str, ...]
    vary: tuple[str, ...]
    query: frozenset[str] | None
    methods: frozenset[str]
    private_by: str | Callable[..., Any] | None
    shared: bool
    statuses: Mapping[int, int | None]
    stale_ttl: int | None
    timeout: float | None
    body_limit: int
    without_headers: frozenset[str]
    respect_request: bool
    cache_status: str | None
    server_timing: bool

    def check(self, parameters: Iterable[str]) -> None:
        """Check the values, for an endpoint with these parameters.

        Raises:
            ConfigurationError: A value is outside its range, or a name is no parameter.
        """
        _check_range("ttl", self.ttl)
        _check_range("stale_ttl", self.stale_ttl)
        for status, ttl in self.statuses.items():
            if not 200 <= status <= 599 or status in (206, 304):
                raise ConfigurationError(
                    f"statuses has {status}: only whole responses are stored, 200..599 without 206 and 304"
                )
            _check_range(f"statuses[{status}]", ttl)
        if not self.methods or self.methods - METHODS:
            raise ConfigurationError(f"methods={sorted(self.methods)} is not of {', '.join(sorted(METHODS))}")
        if self.shared and self.private_by is not None:
            raise ConfigurationError(
                "shared=True and private_by= conflict: keep shared=True only if every user gets the same response"
            )
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

    def ttl_of(self, response: Any, default: Any) -> tuple[int | None, str]:
        """Return for how many seconds a response or an `HTTPException` may be stored, or `None` and why not."""
        if not _is_whole(response):
            return None, "streamed"
        if response.status_code not in self.statuses:
            return None, "status"
        headers = {str(name).lower(): str(value) for name, value in (response.headers or {}).items()}
        if "set-cookie" in headers:
            return None, "set-cookie"
        if not self._covers(headers.get("vary", "")):
            return None, "vary"
        return self._allowed(parse(headers.get("cache-control", "")), response.status_code, default)

    def _allowed(self, said: Mapping[str, str | None], status: int, default: Any) -> tuple[int | None, str]:
        """Decide by the response's own Cache-Control, else as declared."""
        if "no-store" in said or "no-cache" in said or ("private" in said and self.private_by is None):
            return None, "cache-control"
        for name in ("s-maxage", "max-age"):
            if name in said and not (name == "s-maxage" and self.private_by is not None):
                given = seconds(said[name])
                return (min(given, _LONGEST_TTL), "") if given else (None, "cache-control")
        declared = self.statuses[status]
        ttl = self.ttl if declared is None else declared
        return (default if ttl is None else ttl), ""

    def _covers(self, vary: str) -> bool:
        """Whether the key contains every header that the response's Vary names."""
        named = {name.strip().lower() for name in vary.split(",")} - {""}
        return named <= set(self.vary)

    def tags_of(self, arguments: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the tags of one response."""
        return tuple(tag.format(**arguments) for tag in self.tags)

    async def owner_of(self, request: Any, arguments: Mapping[str, Any]) -> str | None:
        """Return whose response it is; `None` if `private_by` doesn't know.

        Raises:
            ConfigurationError: `private_by` gives a type whose text may differ for the same user.
        """
        if callable(self.private_by):
            owner = self.private_by(request)
            owner = await owner if hasattr(owner, "__await__") else owner
        else:
            name, *path = (self.private_by or "").split(".")
            owner = arguments[name]
            for part in path:
                owner = getattr(owner, part, None)
        if owner is None or owner == "":
            return None
        if isinstance(owner, bool) or not isinstance(owner, str | int | UUID):
            raise ConfigurationError(f"private_by gives {type(owner).__name__}, not a string, an integer or a UUID")
        return f"{type(owner).__name__}:{owner}"


def _check_range(name: str, ttl: Any) -> None:
    whole = ttl is None or (isinstance(ttl, int) and not isinstance(ttl, bool))
    if not whole or not 0 <= (ttl or 0) <= _LONGEST_TTL:
        raise ConfigurationError(f"{name}={ttl!r} is not an integer of 0..{_LONGEST_TTL} s or None")


def _names_in(tag: str) -> set[str]:
    """Return the parameters that a tag's template names."""
    return {_FIELD_END.split(field)[0] for _, field, _, _ in Formatter().parse(tag) if field is not None}


def can_be_stored(detail: Any) -> bool:
    """Whether an `HTTPException`'s detail comes back equal."""
    try:
        return bool(json.loads(json.dumps(detail, allow_nan=False)) == detail)
    except (TypeError, ValueError):
        return False


def _is_whole(response: Any) -> bool:
    """Whether the whole body is in memory, as an `HTTPException`'s always is."""
    if isinstance(response, StreamingResponse | FileResponse):
        return False
    return hasattr(response, "body") or not isinstance(response, Response)
