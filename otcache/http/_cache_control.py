"""Cache-Control as RFC 9111 defines it: a request's directives, a response's, and the ones we send."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

LONGEST: Final = 2**31
"""What a larger number of seconds counts as (RFC 9111, 1.2.2)."""

LONGEST_FIELD: Final = 4096
"""Characters; a longer field is nobody's Cache-Control, and counts as `no-store` (the strictest reading)."""

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"  # noqa: S105  the grammar's word
_DIRECTIVE: Final = re.compile(rf'({_TOKEN})(?:=({_TOKEN}|"(?:[^"\\]++|\\.)*+"))?', re.DOTALL)
_PART: Final = re.compile(r'(?:[^,"]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
"""Up to a comma outside of quoted strings. Possessive: what does not match is never tried in another way, which would
take time by the square of a hostile field's length."""
_NAME: Final = re.compile(_TOKEN)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def parse(field: str) -> dict[str, str | None]:
    """Return the directives of a Cache-Control field by their names in lower case, with unquoted arguments.

    The argument is "", which is no number, where it can't be believed: the directive is given twice with different
    ones, or is followed by what is no argument (`private; max-age=60`).
    """
    if len(field) > LONGEST_FIELD:
        return {"no-store": None}
    found: dict[str, str | None] = {}
    for part in map(str.strip, _parts(field)):
        matched = _DIRECTIVE.fullmatch(part)
        name = matched or _NAME.match(part)
        if name is not None:
            key = name[0 if matched is None else 1].lower()
            argument = "" if matched is None else _unquoted(matched[2])
            found[key] = argument if found.get(key, argument) == argument else ""
    return found


def _parts(field: str) -> Iterator[str]:
    """Yield what stands between the commas; after a quote that nothing closes, every comma counts."""
    at = 0
    while at <= len(field):
        matched = _PART.match(field, at)
        end = at if matched is None else matched.end()
        if field.startswith('"', end):
            yield from field[at:].split(",")
            return
        yield field[at:end]
        at = end + 1


def _unquoted(argument: str | None) -> str | None:
    if argument is None or not argument.startswith('"'):
        return argument
    return _ESCAPED.sub(r"\1", argument[1:-1])


def seconds(argument: str | None) -> int | None:
    """Return a number of seconds, at most `LONGEST`; `None` for anything else."""
    if argument is None or not (argument.isascii() and argument.isdigit()):
        return None
    return min(int(argument), LONGEST) if len(argument) <= 10 else LONGEST


@dataclass(frozen=True, slots=True)
class RequestDirectives:
    """The directives of a request's Cache-Control (RFC 9111, 5.2.1).

    Attributes:
        no_cache: The client accepts no stored response.
        no_store: Nothing of this request or its response may be stored.
        only_if_cached: The client accepts only a stored response.
        max_age: Greatest age of a response that the client accepts, in seconds; `None`: any.
        max_stale: Seconds past freshness that the client accepts; `None`: the request does not say.
        min_fresh: Seconds that the response must stay fresh.
    """

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age: float | None = None
    max_stale: float | None = None
    min_fresh: float = 0

    def accepts(self, age: float, left: float) -> bool:
        """Whether the client accepts a stored response of this age that stays fresh for `left` seconds."""
        if self.no_cache or (self.max_age is not None and age > self.max_age):
            return False
        if left >= 0:
            return left >= self.min_fresh
        if self.min_fresh:
            return False
        return -left <= self.max_stale if self.max_stale is not None else self.max_age is None


NO_DIRECTIVES: Final = RequestDirectives()
"""Directives of a request without Cache-Control, or whose Cache-Control doesn't count."""


def request_directives(control: str | None, pragma: str | None = None) -> RequestDirectives:
    """Return the directives of a request; `Pragma: no-cache` counts without a Cache-Control (RFC 9111, 5.4).

    An argument that is no number counts as the strictest number.
    """
    if control is None:
        return RequestDirectives(no_cache=True) if pragma is not None and "no-cache" in parse(pragma) else NO_DIRECTIVES
    directives = parse(control)
    return RequestDirectives(
        no_cache="no-cache" in directives,
        no_store="no-store" in directives,
        only_if_cached="only-if-cached" in directives,
        max_age=_limit(directives, "max-age", 0),
        max_stale=inf if directives.get("max-stale", "") is None else _limit(directives, "max-stale", 0),
        min_fresh=_limit(directives, "min-fresh", inf) or 0,
    )


def _limit(directives: Mapping[str, str | None], name: str, strictest: float) -> float | None:
    if name not in directives:
        return None
    given = seconds(directives[name])
    return strictest if given is None else given


_FOR_MANY: Final = frozenset({"public", "s-maxage", "private"})


def made_private(field: str) -> str:
    """Return a response's Cache-Control so that no cache that serves more than one user may keep it."""
    said = parse(field)
    if said.get("private", "") is None and not said.keys() & {"public", "s-maxage"}:
        return field
    if len(field) > LONGEST_FIELD:
        return "private, no-store"
    parts = [(part, _NAME.match(part)) for part in map(str.strip, _parts(field))]
    return ", ".join(["private", *(part for part, name in parts if name and name[0].lower() not in _FOR_MANY)])
