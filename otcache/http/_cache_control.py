"""Cache-Control as RFC 9111 writes it: what a request wishes, what a response allows, and ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

LONGEST: Final = 2**31
"""What a larger number of seconds counts as (RFC 9111, 1.2.2)."""

_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  the grammar's word
_DIRECTIVE: Final = re.compile(rf'\s*({_TOKEN})(?:=({_TOKEN}|"(?:[^"\\]|\\.)*"))?\s*(?:,|$)')
_REST: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"|")*(?:,|$)')
_ESCAPED: Final = re.compile(r"\\(.)")


def parse(field: str) -> dict[str, str | None]:
    """The directives of a Cache-Control field, by their names in small letters.

    Quoted arguments are unquoted; of a directive given twice the first counts; what is no directive is passed over.
    """
    found: dict[str, str | None] = {}
    at = 0
    while at < len(field):
        matched = _DIRECTIVE.match(field, at)
        if matched is not None:
            found.setdefault(matched[1].lower(), _unquoted(matched[2]))
        else:
            matched = _REST.match(field, at)
        at = matched.end() if matched is not None and matched.end() > at else len(field)
    return found


def _unquoted(argument: str | None) -> str | None:
    if argument is None or not argument.startswith('"'):
        return argument
    return _ESCAPED.sub(r"\1", argument[1:-1])


def seconds(argument: str | None) -> int | None:
    """A number of seconds, at most `LONGEST`; `None` for what is none."""
    if argument is None or not (argument.isascii() and argument.isdigit()):
        return None
    return min(int(argument), LONGEST) if len(argument) <= 10 else LONGEST


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a request's Cache-Control asks for (RFC 9111, 5.2.1).

    Attributes:
        no_cache: A stored answer will not do.
        no_store: Nothing of this request or its answer may be kept.
        only_if_cached: An answer that is not stored is not wanted.
        max_age: Oldest answer that will do, in seconds.
        max_stale: Longest past its time that will do, in seconds; `None`: not said.
        min_fresh: Seconds that the answer must stay fresh.
    """

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age: float | None = None
    max_stale: float | None = None
    min_fresh: float = 0

    def accept(self, age: float, left: float) -> bool:
        """Whether a stored answer of this age, with so much time left, will do."""
        if self.no_cache or (self.max_age is not None and age > self.max_age):
            return False
        if left >= 0:
            return left >= self.min_fresh
        if self.min_fresh:
            return False
        return -left <= self.max_stale if self.max_stale is not None else self.max_age is None


NOTHING: Final = Wishes()
"""The wishes of a request that says nothing, or is not asked."""


def wishes_of(control: str | None, pragma: str | None = None) -> Wishes:
    """What a request wishes; `Pragma: no-cache` counts where there is no Cache-Control (RFC 9111, 5.4).

    A number that is none is read as the strictest one.
    """
    if control is None:
        return Wishes(no_cache=True) if pragma is not None and "no-cache" in parse(pragma) else NOTHING
    said = parse(control)
    return Wishes(
        no_cache="no-cache" in said,
        no_store="no-store" in said,
        only_if_cached="only-if-cached" in said,
        max_age=_limit(said, "max-age", 0),
        max_stale=inf if "max-stale" in said and said["max-stale"] is None else _limit(said, "max-stale", 0),
        min_fresh=_limit(said, "min-fresh", inf) or 0,
    )


def _limit(said: Mapping[str, str | None], name: str, strictest: float) -> float | None:
    if name not in said:
        return None
    given = seconds(said[name])
    return strictest if given is None else given


def cache_control(lifetime: int, *, private: bool, stale: int) -> str:
    """The Cache-Control of an answer.

    Args:
        lifetime: Seconds from its making to its end; with `Age` that says how much is left.
        private: Whether it is one user's own.
        stale: Seconds past that in which it may still be served (RFC 5861).
    """
    parts = ["private" if private else "public", f"max-age={lifetime}"]
    if stale:
        parts += [f"stale-while-revalidate={stale}", f"stale-if-error={stale}"]
    return ", ".join(parts)
